//! Appends under way, each with what its caller wants to have back when it is settled.
//!
//! Owns the way from a lane's answers to callers, on this core and for those of others. Promises that each claim is settled once, those that are known
//! together in one call, and that an append takes neither a task nor an allocation of its own. Leaves out who the callers are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_channel::oneshot;
use tidemill_storage::{AppendSink, Appended, Settled};

use super::env::CoreEnv;
use super::heartbeat::Work;
use crate::service::stream::{Append, AppendError, Charge, Streams};

/// What became of an append.
pub type Outcome = Result<Appended, AppendError>;

/// What a caller has back when an append is settled.
pub trait Claim: Sized + 'static {
    /// Takes all of these. Called with nothing of the ledger borrowed, so it may begin others.
    fn settle(settled: &mut Vec<(Self, Outcome)>);
}

/// The appends of all callers of one kind on one core. Bounded by what the callers have under way.
pub struct Ledger<C> {
    slots: RefCell<Slots<C>>,
    /// Memory for what is settled together.
    settled: RefCell<Vec<(C, Outcome)>>,
}

struct Slots<C> {
    entries: Vec<Option<Entry<C>>>,
    free: Vec<usize>,
}

/// An append under way. One that was sent to another core is charged there.
struct Entry<C> {
    charge: Option<Charge<CoreEnv>>,
    claim: C,
}

impl<C: Claim> Default for Ledger<C> {
    fn default() -> Self {
        let slots = Slots { entries: Vec::new(), free: Vec::new() };
        Self { slots: RefCell::new(slots), settled: RefCell::default() }
    }
}

impl<C: Claim> Ledger<C> {
    /// Begins an append to a shard of this core. One that is refused is settled before this returns.
    pub(super) fn append(self: &Rc<Self>, streams: &Streams<CoreEnv>, append: Append, claim: C) {
        let token = self.slots.borrow().vacant();
        let sink: Rc<dyn AppendSink> = Rc::<Self>::clone(self);
        match streams.append(append, sink, token as u64) {
            Ok(charge) => self.slots.borrow_mut().put(token, Entry { charge: Some(charge), claim }),
            Err(error) => self.refuse(claim, error),
        }
    }

    /// Settles a claim whose append never began.
    pub(super) fn refuse(&self, claim: C, error: AppendError) {
        self.hand_over(|settled| settled.push((claim, Err(error))));
    }

    /// Notes an append that goes to another core.
    pub(super) fn note(&self, claim: C) -> usize {
        let mut slots = self.slots.borrow_mut();
        let token = slots.vacant();
        slots.put(token, Entry { charge: None, claim });
        token
    }

    /// Takes in what another core has done with the appends that were noted as `tokens`; what it does not tell of has gone with it.
    pub(super) fn answered(&self, tokens: &[usize], outcomes: Vec<Outcome>) {
        let mut outcomes = outcomes.into_iter();
        self.hand_over(|settled| {
            for token in tokens {
                let Entry { claim, .. } = self.slots.borrow_mut().take(*token);
                settled.push((claim, outcomes.next().unwrap_or(Err(AppendError::Closing))));
            }
        });
    }

    fn hand_over(&self, gather: impl FnOnce(&mut Vec<(C, Outcome)>)) {
        let mut settled = self.settled.take();
        gather(&mut settled);
        C::settle(&mut settled);
        settled.clear();
        self.settled.replace(settled);
    }
}

impl<C: Claim> AppendSink for Ledger<C> {
    fn settle(&self, lane: &[Settled]) {
        self.hand_over(|settled| {
            let mut slots = self.slots.borrow_mut();
            for Settled { token, outcome } in lane {
                let token = usize::try_from(*token).expect("it was made from a usize");
                let Entry { charge, claim } = slots.take(token);
                let charge = charge.expect("what a lane of this core has settled was charged on it");
                settled.push((claim, charge.settle(outcome)));
            }
        });
    }
}

impl<C> Slots<C> {
    /// The slot that the next entry is put into.
    fn vacant(&self) -> usize {
        self.free.last().copied().unwrap_or(self.entries.len())
    }

    fn put(&mut self, token: usize, entry: Entry<C>) {
        if self.free.pop().is_some() {
            self.entries[token] = Some(entry);
        } else {
            self.entries.push(Some(entry));
        }
    }

    fn take(&mut self, token: usize) -> Entry<C> {
        self.free.push(token);
        self.entries[token].take().expect("an append is settled once")
    }
}

/// Appends that came from another core together and are answered together.
pub(super) struct Burst {
    outcomes: RefCell<Vec<Outcome>>,
    left: Cell<usize>,
    reply: Cell<Option<oneshot::Sender<Vec<Outcome>>>>,
    /// Keeps the heartbeat short until the answer.
    _work: Work,
}

/// The place of an append in its burst.
pub(super) struct BurstPart {
    burst: Rc<Burst>,
    index: usize,
}

impl Burst {
    /// Begins all of them, in their order.
    pub(super) fn begin(
        ledger: &Rc<Ledger<BurstPart>>,
        streams: &Streams<CoreEnv>,
        appends: Vec<Append>,
        reply: oneshot::Sender<Vec<Outcome>>,
        work: Work,
    ) {
        let burst = Rc::new(Self {
            outcomes: RefCell::new(vec![Err(AppendError::Closing); appends.len()]),
            left: Cell::new(appends.len()),
            reply: Cell::new(Some(reply)),
            _work: work,
        });
        for (index, append) in appends.into_iter().enumerate() {
            ledger.append(streams, append, BurstPart { burst: Rc::clone(&burst), index });
        }
    }
}

impl Claim for BurstPart {
    fn settle(settled: &mut Vec<(Self, Outcome)>) {
        for (Self { burst, index }, outcome) in settled.drain(..) {
            burst.outcomes.borrow_mut()[index] = outcome;
            burst.left.set(burst.left.get() - 1);
            if burst.left.get() == 0
                && let Some(reply) = burst.reply.take()
            {
                // Whoever asked may have gone.
                let _ = reply.send(burst.outcomes.take());
            }
        }
    }
}
