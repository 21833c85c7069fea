//! Those who wait at a partition, and the task that looks after them while there are any.

use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_lite::future::or;
use tidemill_storage::{Env, until};
use tidemill_wire::Timestamp;

use super::Partition;
use super::receive::IN_FLIGHT_MAX;

/// How long one that was told to try has before the next is told for the same message.
const TRY_TIME: Duration = Duration::from_millis(5);
/// Messages of groups that are counted for those who wait: more of them are told in the next look.
const TOLD_MAX: usize = 1_000;
/// How long after a failure to look again.
const RETRY_TIME: Duration = Duration::from_millis(500);

/// Whether there is something for those who wait.
enum Outlook {
    /// So many messages, about.
    Now(u64),
    /// Then there may be.
    At(Timestamp),
    /// When somebody does something.
    Open,
}

impl<E: Env> Partition<E> {
    /// Waits until a receive is worth a try, in the place of one that came at `arrival`. An end without that tells that the queue was deleted.
    pub fn wait(self: &Rc<Self>, arrival: Duration) -> oneshot::Receiver<()> {
        let told = self.waiters.wait(arrival);
        if self.is_closed.get() {
            self.waiters.clear();
        } else if self.waiters.begin() {
            self.env.spawn(Rc::clone(self).tend());
        } else {
            self.waiters.poke();
        }
        told
    }

    async fn tend(self: Rc<Self>) {
        while !self.waiters.end_if_empty() {
            let seen = self.waiters.generation();
            let end = self.lane.bounds(self.place.messages).map(|bounds| bounds.next);
            let pause = match self.outlook().await {
                Ok(Outlook::Now(count)) => {
                    self.waiters.tell(count);
                    Some(TRY_TIME)
                }
                Ok(Outlook::At(due)) => {
                    Some(Duration::from_millis(due.0.saturating_sub(self.lane.now().0).max(1)))
                }
                Ok(Outlook::Open) => None,
                Err(error) => {
                    tracing::debug!(queue = %self.definition().id, %error, "nothing can be received");
                    // Whoever tries is told why.
                    self.waiters.tell(u64::MAX);
                    Some(RETRY_TIME)
                }
            };
            let changed = until(&self.waiters.changed, || (self.waiters.generation() != seen).then_some(()));
            // Whoever sends may be gone before anybody could say that a message is there, so the log itself tells.
            let sent = async {
                match end {
                    Ok(end) => {
                        self.lane.watch(self.place.messages, end).await;
                        // It ends without a message when the lane does: then none is sent any more.
                        if self.lane.bounds(self.place.messages).is_ok_and(|bounds| bounds.next <= end) {
                            std::future::pending::<()>().await;
                        }
                    }
                    Err(_) => std::future::pending().await,
                }
            };
            match pause {
                Some(pause) => or(changed, or(sent, self.env.sleep(pause))).await,
                None => or(changed, sent).await,
            }
        }
    }

    async fn outlook(&self) -> Result<Outlook, super::Unreadable> {
        self.load().await?;
        self.fill().await?;
        let now = self.lane.now();
        let Ok(bounds) = self.lane.bounds(self.place.messages) else { return Ok(Outlook::Open) };
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(Outlook::At(now)) };
        memory.state.advance(now);
        let has_room = memory.state.in_flight() < IN_FLIGHT_MAX;
        let ready = if has_room { memory.state.deliverable(TOLD_MAX) as u64 } else { 0 };
        let behind = bounds.next.get().saturating_sub(memory.state.cursor());
        let due = memory.tail.due().filter(|_| has_room && memory.state.has_room());
        Ok(match (due, memory.state.next_timer()) {
            (Some(due), _) if due <= now => Outlook::Now(ready + behind),
            _ if ready > 0 => Outlook::Now(ready),
            (Some(due), Some(timer)) => Outlook::At(due.min(timer)),
            (Some(due), None) | (None, Some(due)) => Outlook::At(due),
            (None, None) => Outlook::Open,
        })
    }
}
