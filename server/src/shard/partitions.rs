//! What is asked of the partitions of a queue of either kind, wherever they are.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use futures_util::future::{join_all, select_all};
use tidemill_wire::LaneId;

use super::core::Core;
use super::errand::Effort;
use super::executor::sleep;
use crate::service::queue::ReceiptError;

/// What becomes of messages at one partition: by their positions in the request.
type Settled = Vec<(usize, Result<(), ReceiptError>)>;

impl Core {
    /// Takes each item to the partition that it names, and gives what became of each. One that names none is invalid. `lane_of` knows the lane of a partition.
    pub(super) async fn settle_at<T, F>(
        self: &Rc<Self>,
        items: Vec<(Option<u16>, T)>,
        lane_of: impl Fn(u16) -> Option<LaneId>,
        run: impl Fn(Rc<Self>, u16, Vec<T>) -> F + Clone + Send + 'static,
    ) -> Vec<Result<(), ReceiptError>>
    where
        T: Send + 'static,
        F: Future<Output = Vec<Result<(), ReceiptError>>> + 'static,
    {
        let mut outcomes = vec![Err(ReceiptError::Invalid); items.len()];
        let mut parts: Vec<(u16, LaneId, Vec<usize>, Vec<T>)> = Vec::new();
        for (position, (index, item)) in items.into_iter().enumerate() {
            let Some((index, lane)) = index.and_then(|index| Some((index, lane_of(index)?))) else {
                continue;
            };
            match parts.iter_mut().find(|(known, ..)| *known == index) {
                Some((_, _, positions, part)) => {
                    positions.push(position);
                    part.push(item);
                }
                None => parts.push((index, lane, vec![position], vec![item])),
            }
        }
        let settled = parts.into_iter().map(|(index, lane, positions, part)| {
            let (run, count) = (run.clone(), part.len());
            let there = move |core: Rc<Self>| run(core, index, part);
            async move {
                let done = self.run_at(lane, Effort::Work, there).await;
                let done = done.unwrap_or_else(|| vec![Err(ReceiptError::Closing); count]);
                positions.into_iter().zip(done).collect::<Settled>()
            }
        });
        let mut settled: Vec<_> = settled.collect();
        // Nearly always all of them are at one partition.
        let done = match settled.len() {
            1 => vec![settled.remove(0).await],
            _ => join_all(settled).await,
        };
        for (position, outcome) in done.into_iter().flatten() {
            outcomes[position] = outcome;
        }
        outcomes
    }

    /// Waits until one of the partitions in these lanes tells that a receive is worth another try, or for so long.
    pub(super) async fn wait_at<F>(
        self: &Rc<Self>,
        lanes: impl Iterator<Item = (u16, LaneId)>,
        left: Duration,
        wait: impl Fn(Rc<Self>, u16) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = ()> + 'static,
    {
        let tolds = lanes.map(|(index, lane)| {
            let wait = wait.clone();
            Box::pin(self.run_at(lane, Effort::Wait, move |core: Rc<Self>| wait(core, index)))
        });
        let told = async {
            select_all(tolds).await;
        };
        or(told, or(sleep(left), self.stopping.wait())).await;
    }
}
