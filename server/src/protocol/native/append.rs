//! Appends a batch: to the shard that it names, or to the shards that its records' keys lead to.
//!
//! Appends under way are claims in the core's ledger. Those that a lane settles together are answered together.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use tidemill_wire::batch::BatchView;
use tidemill_wire::message::{Append, Appended, ErrorCode, Failure, Placement, ResponseBody, RoutedAppend};
use tidemill_wire::{ShardIndex, StreamId};

use super::connection::Ticket;
use super::error::{append_failure, batch_failure, route_failure};
use crate::metrics::CoreMetrics;
use crate::service::stream::{self, AppendError, Part, route};
use crate::shard::{Claim, Courier, Outcome};

/// An append under way.
pub(super) enum Pending {
    /// To the shard that the request named.
    Shard { ticket: Ticket, shard: ShardIndex, records: u32 },
    /// A part of a request that the server has divided.
    Part { request: Rc<Divided>, index: usize },
}

/// A request whose records go to several shards.
pub(super) struct Divided {
    ticket: Cell<Option<Ticket>>,
    /// A refusal each until it is known.
    placements: RefCell<Vec<Placement>>,
    placement_of: Cell<Vec<u16>>,
    /// Parts that are not settled.
    left: Cell<usize>,
}

/// Checks the batch and begins it at its owners.
pub(super) fn begin(ticket: Ticket, asked: Append, body: Bytes, courier: &mut Courier<Pending>) {
    let batch = match BatchView::parse(body) {
        Ok(batch) => batch,
        Err(error) => return ticket.settle(Err(batch_failure(&error))),
    };
    match asked.shard {
        Some(shard) => to_shard(ticket, asked, shard, batch, courier),
        None => by_key(ticket, asked, &batch, courier),
    }
}

fn to_shard(
    ticket: Ticket,
    asked: Append,
    shard: ShardIndex,
    batch: BatchView,
    courier: &mut Courier<Pending>,
) {
    let core = Rc::clone(ticket.connection.core());
    let records = batch.count();
    let append = stream::Append {
        stream: asked.stream,
        shard,
        ack: asked.ack,
        records,
        payload_bytes: batch.payload_bytes() as u64,
        batch: batch.into_bytes(),
    };
    courier.append(&core, append, Pending::Shard { ticket, shard, records });
}

fn by_key(ticket: Ticket, asked: Append, batch: &BatchView, courier: &mut Courier<Pending>) {
    let core = Rc::clone(ticket.connection.core());
    let Some(known) = core.streams().get(asked.stream) else {
        let error = AppendError::UnknownStream { stream: asked.stream };
        return ticket.settle(Err(append_failure(&error)));
    };
    let routed = match route(known.definition().routing(), batch, known.next_turn()) {
        Ok(routed) => routed,
        Err(error) => return ticket.settle(Err(route_failure(&error))),
    };
    let unknown = |part: &Part| Placement {
        shard: part.shard,
        records: part.records,
        outcome: Err((ErrorCode::Internal, 0)),
    };
    let request = Rc::new(Divided {
        ticket: Cell::new(Some(ticket)),
        placements: RefCell::new(routed.parts.iter().map(unknown).collect()),
        placement_of: Cell::new(routed.part_of),
        left: Cell::new(routed.parts.len()),
    });
    for (index, part) in routed.parts.into_iter().enumerate() {
        let append = to_part(asked.stream, asked, part);
        courier.append(&core, append, Pending::Part { request: Rc::clone(&request), index });
    }
}

fn to_part(stream: StreamId, asked: Append, part: Part) -> stream::Append {
    let Part { shard, batch, records, payload_bytes } = part;
    stream::Append { stream, shard, ack: asked.ack, batch, records, payload_bytes }
}

impl Claim for Pending {
    fn settle(settled: &mut Vec<(Self, Outcome)>) {
        let mut now = None;
        for (pending, outcome) in settled.drain(..) {
            match pending {
                Self::Shard { mut ticket, shard, records } => {
                    let core = ticket.connection.core();
                    count(core.metrics(), records, &outcome);
                    ticket.end_at(*now.get_or_insert_with(|| core.monotonic()));
                    match outcome {
                        Ok(appended) => ticket.connection.appended(ticket.id, placed(shard, appended)),
                        Err(error) => ticket.settle(Err(append_failure(&error))),
                    }
                }
                Self::Part { request, index } => request.place(index, outcome),
            }
        }
    }
}

impl Divided {
    /// Takes in what became of one part, and answers after the last.
    fn place(&self, index: usize, outcome: Outcome) {
        let Some(ticket) = self.ticket.take() else { return };
        let metrics = ticket.connection.core().metrics();
        let mut placements = self.placements.borrow_mut();
        let Placement { shard, records, outcome: place } = &mut placements[index];
        let shard = *shard;
        count(metrics, *records, &outcome);
        *place = outcome.map(|appended| placed(shard, appended)).map_err(|error| {
            let Failure { code, retry_after_ms, .. } = append_failure(&error);
            metrics.count_error(code);
            if matches!(code, ErrorCode::Internal | ErrorCode::LanePoisoned) {
                tracing::error!(%shard, %error, "append failed");
            }
            (code, retry_after_ms)
        });
        self.left.set(self.left.get() - 1);
        if self.left.get() > 0 {
            self.ticket.set(Some(ticket));
            return;
        }
        let (placements, placement_of) = (std::mem::take(&mut *placements), self.placement_of.take());
        ticket.answer(ResponseBody::RoutedAppend(RoutedAppend { placements, placement_of }));
    }
}

fn placed(shard: ShardIndex, appended: tidemill_storage::Appended) -> Appended {
    let tidemill_storage::Appended { base_sequence, append_time } = appended;
    Appended { shard, base_sequence, append_time }
}

fn count(metrics: &CoreMetrics, records: u32, outcome: &Outcome) {
    match outcome {
        Ok(_) => metrics.received_records.add(u64::from(records)),
        Err(AppendError::Throttled { .. }) => metrics.throttled_appends.increment(),
        Err(_) => {}
    }
}
