//! Something to be done where a lane is: here straight away, on another core through its mailbox, with the same answer.

use std::future::Future;
use std::rc::Rc;

use futures_channel::oneshot;
use futures_lite::future::or;
use tidemill_wire::LaneId;

use super::core::Core;
use super::request::{Errand, Letter, Request};

/// Whether an errand keeps its core's heartbeat short while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// It has something to do.
    Work,
    /// It waits for others.
    Wait,
}

impl Core {
    /// Runs something on the core that holds a lane. It ends early if whoever asked goes. `None` if that core has gone.
    pub(super) async fn run_at<T, F>(
        self: &Rc<Self>,
        lane: LaneId,
        effort: Effort,
        run: impl FnOnce(Rc<Self>) -> F + Send + 'static,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let core = self.placement.core_of(lane);
        if core == self.index {
            return Some(run(Rc::clone(self)).await);
        }
        let (mut reply, answer) = oneshot::channel();
        let errand = Errand(Box::new(move |there: &Rc<Self>| {
            let work = (effort == Effort::Work).then(|| there.busy.begin());
            let task = run(Rc::clone(there));
            there.spawn(async move {
                let abandoned = async {
                    reply.cancellation().await;
                    None
                };
                if let Some(done) = or(async { Some(task.await) }, abandoned).await {
                    // Whoever asked may have gone just now.
                    let _ = reply.send(done);
                }
                drop(work);
            });
        }));
        self.post.send(core, Letter::Request(Request::Errand(errand))).await.ok()?;
        answer.await.ok()
    }
}
