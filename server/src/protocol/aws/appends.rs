//! Appends of one call: begun together, awaited together.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Aws;
use crate::service::stream::{Append, AppendError};
use crate::shard::{Claim, Courier, Event, Outcome};

/// An append under way, as the core's ledger has it.
pub(super) struct Pending {
    call: Rc<Gathering>,
    index: usize,
}

/// The appends of a call. Outlives a caller who has gone.
struct Gathering {
    outcomes: RefCell<Vec<Outcome>>,
    left: Cell<usize>,
    settled: Event,
}

impl Aws {
    /// Appends in order, and resolves when all are settled; the outcomes have the order of the appends.
    pub(super) async fn append_all(&self, appends: Vec<Append>) -> Vec<Outcome> {
        let call = Rc::new(Gathering {
            outcomes: RefCell::new(vec![Err(AppendError::Closing); appends.len()]),
            left: Cell::new(appends.len()),
            settled: Event::default(),
        });
        if appends.is_empty() {
            return Vec::new();
        }
        let records: Vec<u32> = appends.iter().map(|append| append.records).collect();
        let mut courier = Courier::new(&self.appends);
        for (index, append) in appends.into_iter().enumerate() {
            courier.append(&self.core, append, Pending { call: Rc::clone(&call), index });
        }
        courier.deliver(&self.core).await;
        call.settled.wait().await;
        let outcomes = call.outcomes.take();
        let metrics = self.core.metrics();
        for (outcome, records) in outcomes.iter().zip(records) {
            match outcome {
                Ok(_) => metrics.received_records.add(u64::from(records)),
                Err(AppendError::Throttled { .. }) => metrics.throttled_appends.increment(),
                Err(_) => {}
            }
        }
        outcomes
    }
}

impl Claim for Pending {
    fn settle(settled: &mut Vec<(Self, Outcome)>) {
        for (Self { call, index }, outcome) in settled.drain(..) {
            if let Some(place) = call.outcomes.borrow_mut().get_mut(index) {
                *place = outcome;
            }
            call.left.set(call.left.get() - 1);
            if call.left.get() == 0 {
                call.settled.happen();
            }
        }
    }
}
