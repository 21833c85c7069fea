//! What the shards of this core are measured by, where somebody wants to know: streams on demand, and those whose shards are watched.

use std::rc::Rc;

use tidemill_storage::Env;
use tidemill_wire::batch::BatchView;
use tidemill_wire::entry::EntryHeader;
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{ShardIndex, StreamId, Timestamp};

use super::append::Append;
use super::fetch::Delivery;
use super::table::{LocalShard, Stream, Streams};
use crate::metrics::ShardSnapshot;
use crate::service::capacity::{Capacity, Mode, ShardMetric};
use crate::service::meter::{Meter, Reading};

impl<E: Env> Streams<E> {
    /// What the meters of this core's shards of a stream show.
    pub fn meters(&self, id: StreamId) -> Vec<(ShardIndex, Reading)> {
        let Some(stream) = self.get(id) else { return Vec::new() };
        let read = |shard: &Rc<LocalShard<E>>| Some((shard.index, shard.meter.borrow().as_ref()?.read()));
        stream.locals().filter_map(read).collect()
    }

    /// The numbers of this core's shards that are watched, those of `shards_max` at most.
    pub fn watched(&self, shards_max: usize) -> Vec<ShardSnapshot> {
        let mut shown = Vec::new();
        self.each(|stream| {
            let room = shards_max.saturating_sub(shown.len());
            shown.extend(watched(stream).take(room));
        });
        shown
    }
}

fn watched<E: Env>(stream: &Stream<E>) -> impl Iterator<Item = ShardSnapshot> {
    let definition = stream.served();
    let metrics = definition.capacity.metrics;
    let locals = stream.locals().filter(move |_| !metrics.is_empty());
    locals.filter_map(move |shard| {
        let counts = shard.meter.borrow().as_ref()?.read().counts;
        let shown = |metric, value| metrics.has(metric).then_some(value);
        Some(ShardSnapshot {
            stream: definition.name.to_string(),
            shard: shard.index.get(),
            incoming_bytes: shown(ShardMetric::IncomingBytes, counts.in_bytes),
            incoming_records: shown(ShardMetric::IncomingRecords, counts.in_records),
            outgoing_bytes: shown(ShardMetric::OutgoingBytes, counts.out_bytes),
            outgoing_records: shown(ShardMetric::OutgoingRecords, counts.out_records),
            throttled_writes: shown(ShardMetric::WriteThrottled, counts.throttled_writes),
            throttled_reads: shown(ShardMetric::ReadThrottled, counts.throttled_reads),
            age_ms: shown(ShardMetric::IteratorAge, counts.age_ms),
        })
    })
}

impl<E: Env> LocalShard<E> {
    /// Takes a meter, or lets go of it, as the capacity asks.
    pub(super) fn measure(&self, capacity: Capacity, range: HashKeyRange) {
        let is_measured = capacity.mode == Mode::OnDemand || !capacity.metrics.is_empty();
        let mut meter = self.meter.borrow_mut();
        if is_measured != meter.is_some() {
            *meter = is_measured.then(|| Rc::new(Meter::new(range)));
        }
    }

    /// Counts an append that was admitted, and looks now and then where in the keys one lies.
    pub(super) fn count_append(&self, append: &Append) {
        let meter = self.meter.borrow();
        let Some(meter) = &*meter else { return };
        meter.count(|counts| {
            counts.in_bytes += append.payload_bytes;
            counts.in_records += u64::from(append.records);
        });
        if meter.wants_sample(append.payload_bytes)
            && let Ok(batch) = BatchView::parse(append.batch.clone())
            && batch.count() > 0
        {
            // Any record will do, but not the same place of each batch, which would favour its first key.
            let at = meter.read().counts.in_records % u64::from(batch.count());
            meter.sample(HashKey::of(batch.key(u32::try_from(at).unwrap_or(0))));
        }
    }

    /// Counts an append that was refused because a rate was used up.
    pub(super) fn count_refused_append(&self) {
        if let Some(meter) = &*self.meter.borrow() {
            meter.count(|counts| counts.throttled_writes += 1);
        }
    }

    /// Counts what was read.
    pub(super) fn count_delivery(&self, delivery: &Delivery, now: Timestamp) {
        let meter = self.meter.borrow();
        let Some(meter) = &*meter else { return };
        let newest = delivery.entries.last().and_then(|run| EntryHeader::decode(run).ok());
        meter.count(|counts| {
            counts.out_bytes += delivery.bytes as u64;
            counts.out_records += delivery.next.get().saturating_sub(delivery.from.get());
            counts.age_ms = newest.map_or(0, |entry| now.get().saturating_sub(entry.append_time.get()));
        });
    }

    /// Counts a read that was refused because a rate was used up.
    pub(super) fn count_refused_read(&self) {
        if let Some(meter) = &*self.meter.borrow() {
            meter.count(|counts| counts.throttled_reads += 1);
        }
    }
}
