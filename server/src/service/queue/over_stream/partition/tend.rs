//! Those who wait at a partition, and the tasks that look after them while there are any: one for each side.

use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_lite::future::or;
use futures_util::future::{Either, select_all};
use tidemill_storage::{AppendError, Env, until};
use tidemill_wire::Timestamp;

use super::StreamPartition;
use super::receive::IN_FLIGHT_MAX;
use crate::service::queue::operation::ReceiveError;
use crate::service::queue::over_stream::Side;

/// How long one that was told to try has before the next is told for the same record.
const TRY_TIME: Duration = Duration::from_millis(5);
/// Records of a shard that are counted for those who wait: more of them are told in the next look.
const TOLD_MAX: usize = 1_000;
/// How long after a failure to look again.
const RETRY_TIME: Duration = Duration::from_millis(500);

/// Whether there is something for those who wait.
#[derive(Debug, PartialEq, Eq)]
enum Outlook {
    /// So many records, about.
    Now(u64),
    /// Then there may be.
    At(Timestamp),
    /// When somebody does something.
    Open,
}

impl<E: Env> StreamPartition<E> {
    /// Waits until a receive is worth a try, in the place of one that came at `arrival`. An end without that tells that the queue was deleted.
    pub fn wait(self: &Rc<Self>, side: Side, arrival: Duration) -> oneshot::Receiver<()> {
        let waiters = self.waiters(side);
        let told = waiters.wait(arrival);
        if self.is_closed.get() {
            waiters.clear();
        } else if waiters.begin() {
            self.env.spawn(Rc::clone(self).tend(side));
        } else {
            waiters.poke();
        }
        told
    }

    async fn tend(self: Rc<Self>, side: Side) {
        let waiters = self.waiters(side);
        while !waiters.end_if_empty() {
            let seen = waiters.generation();
            // What comes while this looks is not missed.
            let appended = self.appended(side);
            let pause = match self.outlook(side).await {
                Ok(Outlook::Now(count)) => {
                    waiters.tell(count);
                    Some(TRY_TIME)
                }
                Ok(Outlook::At(due)) => {
                    Some(Duration::from_millis(due.0.saturating_sub(self.lane.now().0).max(1)))
                }
                Ok(Outlook::Open) => None,
                Err(error) => {
                    tracing::debug!(queue = %self.definition().id, %error, "nothing can be received");
                    // Whoever tries is told why.
                    waiters.tell(u64::MAX);
                    Some(RETRY_TIME)
                }
            };
            let changed = until(&waiters.changed, || (waiters.generation() != seen).then_some(()));
            match pause {
                Some(pause) => or(changed, or(appended, self.env.sleep(pause))).await,
                None => or(changed, appended).await,
            }
        }
    }

    /// Resolves when a record is appended to a shard that takes records.
    fn appended(&self, side: Side) -> impl Future<Output = ()> + use<E> {
        let watch = |owner, end| Box::pin(self.lane.watch(owner, end));
        let open = self.places().into_iter().filter(|place| place.is_open && side == Side::Live);
        let watched = open.filter_map(|place| Some((place.owner, self.lane.bounds(place.owner).ok()?.next)));
        let watches: Vec<_> = watched.map(|(owner, end)| watch(owner, end)).collect();
        if watches.is_empty() {
            return Either::Left(std::future::pending());
        }
        Either::Right(async move {
            select_all(watches).await;
        })
    }

    async fn outlook(&self, side: Side) -> Result<Outlook, ReceiveError> {
        self.ready().await?;
        // A lane that takes nothing any more tells those who watch it at once, again and again: whoever waits is told why.
        if let Err(error @ (AppendError::Poisoned { .. } | AppendError::Closed)) = self.recorder.admits() {
            return Err(error.into());
        }
        let (now, places) = (self.lane.now(), self.places());
        let receives_max = self.definition().settings.receives_max;
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(Outlook::At(now)) };
        memory.ledger.advance(now);
        let mut count = 0_u64;
        if memory.ledger.in_flight(side) < IN_FLIGHT_MAX {
            count = memory.ledger.deliverable(side, None, TOLD_MAX) as u64;
            match (side, receives_max) {
                (Side::Dead, Some(max)) => count += memory.ledger.worn(max, TOLD_MAX) as u64,
                (Side::Dead, None) => {}
                (Side::Live, _) if !memory.ledger.has_room() => {}
                (Side::Live, _) => {
                    for place in places {
                        let Ok(bounds) = self.lane.bounds(place.owner) else { continue };
                        count = count.saturating_add(memory.behind(place.shard, bounds.next.get()));
                    }
                }
            }
        }
        if count > 0 {
            return Ok(Outlook::Now(count));
        }
        // A record that was received too often is back as a dead letter.
        let of_live = (side == Side::Dead).then(|| memory.ledger.next_timer(Side::Live)).flatten();
        let due = [memory.ledger.next_timer(side), of_live].into_iter().flatten().min();
        Ok(due.map_or(Outlook::Open, Outlook::At))
    }
}
