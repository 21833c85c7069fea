//! Appends a batch: to the shard that it names, or to the shards that its records' keys lead to.

use std::future::Future;

use bytes::Bytes;
use tidemill_wire::batch::BatchView;
use tidemill_wire::message::{Append, Appended, ErrorCode, Failure, Placement, ResponseBody, RoutedAppend};
use tidemill_wire::{ShardIndex, StreamId};

use super::connection::Ticket;
use super::error::{append_failure, batch_failure, route_failure};
use crate::metrics::CoreMetrics;
use crate::service::stream::{self, AppendError, Part, route};
use crate::shard::Courier;

/// Checks the batch, begins it at its owners, and answers when it is acknowledged.
pub(super) fn begin(ticket: Ticket, asked: Append, body: Bytes, courier: &mut Courier) {
    let batch = match BatchView::parse(body) {
        Ok(batch) => batch,
        Err(error) => return ticket.settle(Err(batch_failure(&error))),
    };
    match asked.shard {
        Some(shard) => to_shard(ticket, asked, shard, &batch, courier),
        None => by_key(ticket, asked, &batch, courier),
    }
}

fn to_shard(ticket: Ticket, asked: Append, shard: ShardIndex, batch: &BatchView, courier: &mut Courier) {
    let core = ticket.connection.core().clone();
    let records = batch.count();
    let append = stream::Append {
        stream: asked.stream,
        shard,
        ack: asked.ack,
        batch: batch.bytes().clone(),
        records,
        payload_bytes: batch.payload_bytes() as u64,
    };
    let acknowledged = core.append(courier, append);
    core.spawn(async move {
        let outcome = acknowledged.await;
        let metrics = ticket.connection.core().metrics();
        count(metrics, records, &outcome);
        let answered = match outcome {
            Ok(appended) => Ok(ResponseBody::Appended(placed(shard, appended))),
            Err(error) => Err(append_failure(&error)),
        };
        ticket.settle(answered);
    });
}

fn by_key(ticket: Ticket, asked: Append, batch: &BatchView, courier: &mut Courier) {
    let core = ticket.connection.core().clone();
    let Some(known) = core.streams().get(asked.stream) else {
        let error = AppendError::UnknownStream { stream: asked.stream };
        return ticket.settle(Err(append_failure(&error)));
    };
    let routed = match route(known.definition().routing(), batch, known.next_turn()) {
        Ok(routed) => routed,
        Err(error) => return ticket.settle(Err(route_failure(&error))),
    };
    let begin = |part: Part| {
        let (shard, records) = (part.shard, part.records);
        (shard, records, core.append(courier, to_part(asked.stream, asked, part)))
    };
    let begun: Vec<_> = routed.parts.into_iter().map(begin).collect();
    let placement_of = routed.part_of;
    core.spawn(async move {
        let mut placements = Vec::with_capacity(begun.len());
        for (shard, records, acknowledged) in begun {
            placements.push(place(&ticket, shard, records, acknowledged).await);
        }
        ticket.answer(ResponseBody::RoutedAppend(RoutedAppend { placements, placement_of }));
    });
}

fn to_part(stream: StreamId, asked: Append, part: Part) -> stream::Append {
    let Part { shard, batch, records, payload_bytes } = part;
    stream::Append { stream, shard, ack: asked.ack, batch, records, payload_bytes }
}

/// Waits for one part of a routed append.
async fn place(
    ticket: &Ticket,
    shard: ShardIndex,
    records: u32,
    acknowledged: impl Future<Output = Result<tidemill_storage::Appended, AppendError>>,
) -> Placement {
    let outcome = acknowledged.await;
    let metrics = ticket.connection.core().metrics();
    count(metrics, records, &outcome);
    let outcome = outcome.map(|appended| placed(shard, appended)).map_err(|error| {
        let Failure { code, retry_after_ms, .. } = append_failure(&error);
        metrics.count_error(code);
        if matches!(code, ErrorCode::Internal | ErrorCode::LanePoisoned) {
            tracing::error!(%shard, %error, "append failed");
        }
        (code, retry_after_ms)
    });
    Placement { shard, records, outcome }
}

fn placed(shard: ShardIndex, appended: tidemill_storage::Appended) -> Appended {
    let tidemill_storage::Appended { base_sequence, append_time } = appended;
    Appended { shard, base_sequence, append_time }
}

fn count(metrics: &CoreMetrics, records: u32, outcome: &Result<tidemill_storage::Appended, AppendError>) {
    match outcome {
        Ok(_) => metrics.received_records.add(u64::from(records)),
        Err(AppendError::Throttled { .. }) => metrics.throttled_appends.increment(),
        Err(_) => {}
    }
}
