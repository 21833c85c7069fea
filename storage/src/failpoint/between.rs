//! Turns between the steps of long work, in which a debug build lets a test do something.
//!
//! Owns the names of such work. Whoever does it lets others run after each step; what they meet then is a half-done change, and which of them come is chance. A test
//! that interposes something is sure of it. Promises that a release build has nothing of it but the turn for others.

use std::{cell::RefCell, collections::BTreeMap, future::Future, pin::Pin, rc::Rc};

use super::COMPILED;
use crate::lane::give_way;

/// Work that is done in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Owners are led to the segment that compaction has made.
    Install,
    /// A checkpoint of the index is made.
    Checkpoint,
    /// Owners are asked what retention says of segments.
    Outlook,
    /// What is over owners' retentions is dropped where the next records have to be looked up.
    Retention,
    /// All entries of a segment are read.
    Scan,
    /// A damaged owner table is made anew.
    Mend,
}

type Turn = RefCell<Box<dyn FnMut() -> Pin<Box<dyn Future<Output = ()>>>>>;

thread_local! {
    static TURNS: RefCell<BTreeMap<Work, Rc<Turn>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Something is interposed for as long as this lives.
#[must_use]
pub struct Interposed(Work);

impl Drop for Interposed {
    fn drop(&mut self) {
        TURNS.with_borrow_mut(|turns| turns.remove(&self.0));
    }
}

/// Has this thread do something between any two steps of some work. In a release build it is not done.
pub fn interpose<F>(work: Work, mut turn: impl FnMut() -> F + 'static) -> Interposed
where
    F: Future<Output = ()> + 'static,
{
    let turn: Turn = RefCell::new(Box::new(move || Box::pin(turn())));
    TURNS.with_borrow_mut(|turns| turns.insert(work, Rc::new(turn)));
    Interposed(work)
}

/// Lets others run between two steps.
pub(crate) async fn between(work: Work) {
    if COMPILED {
        let turn = TURNS.with_borrow(|turns| turns.get(&work).cloned());
        if let Some(turn) = turn {
            let doing = (turn.borrow_mut())();
            doing.await;
        }
    }
    give_way().await;
}
