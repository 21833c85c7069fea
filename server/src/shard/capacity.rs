//! Gives streams on demand the shards that their traffic asks for: looks at what the shards' meters show, has the governor decide, and has the catalog do it.
//!
//! Runs on the first core, among what can wait. A step that the catalog refuses is forgotten; the next look decides anew.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_lite::future::or;
use tidemill_wire::message::Quota;
use tidemill_wire::{ShardIndex, StreamId};

use super::core::Core;
use super::executor::sleep;
use super::limits::CAPACITY_PERIOD;
use super::request::{Letter, Request};
use crate::service::capacity::Mode;
use crate::service::catalog::{ShardChange, StreamKey};
use crate::service::governor::{Bounds, Governor, Load, Step};
use crate::service::meter::Reading;
use crate::service::peaks::Peaks;
use crate::service::stream::Definition;

/// What is remembered of a stream between two looks.
#[derive(Default)]
struct Seen {
    governor: Governor,
    at: Duration,
    readings: BTreeMap<ShardIndex, Reading>,
    /// Of its traffic; the catalog is asked first.
    peaks: Option<Peaks>,
}

/// Streams that are listed in one go.
const PAGE: usize = 256;

impl Core {
    /// Looks at streams on demand again and again until the core closes.
    pub(super) async fn govern(self: Rc<Self>) {
        let govern = async {
            let mut seen = BTreeMap::new();
            loop {
                sleep(CAPACITY_PERIOD).await;
                self.govern_all(&mut seen).await;
            }
        };
        or(govern, or(self.stopping.wait(), self.closed().wait())).await;
    }

    async fn govern_all(&self, seen: &mut BTreeMap<StreamId, Seen>) {
        seen.retain(|stream, _| {
            let known = self.streams.get(*stream);
            known.is_some_and(|known| known.definition().capacity.mode == Mode::OnDemand)
        });
        let mut after = None;
        loop {
            let (page, more) = self.streams.list(after.as_ref(), PAGE);
            after = page.last().map(|stream| stream.name.clone());
            for stream in page.iter().filter(|stream| stream.capacity.mode == Mode::OnDemand) {
                self.govern_one(stream, seen.entry(stream.id).or_default()).await;
            }
            if !more {
                return;
            }
        }
    }

    async fn govern_one(&self, stream: &Arc<Definition>, seen: &mut Seen) {
        let readings: BTreeMap<ShardIndex, Reading> = self.meters(stream).await.into_iter().collect();
        let now = self.monotonic();
        let span = now.saturating_sub(std::mem::replace(&mut seen.at, now));
        let loads: Vec<Load> = stream
            .shards()
            .iter()
            .filter(|shard| shard.is_open())
            .map(|shard| {
                let before = seen.readings.get(&shard.index).copied().unwrap_or_default();
                let Reading { counts, heat } =
                    readings.get(&shard.index).copied().unwrap_or_default().since(&before);
                Load {
                    shard: shard.index,
                    range: shard.range,
                    bytes_per_second: per_second(counts.in_bytes, span),
                    records_per_second: per_second(counts.in_records, span),
                    is_throttled: counts.throttled_writes > 0,
                    heat,
                }
            })
            .collect();
        seen.readings = readings;
        let rates: Quota = stream.quota;
        let floor = self.note_peak(stream, seen, &loads).await.max(stream.capacity.shards_min());
        let bounds = Bounds { floor, ceiling: self.shards_per_stream };
        for step in seen.governor.decide(now, rates, bounds, &loads) {
            let change = match step {
                Step::Split { shard, at } => ShardChange::Split { shard, at },
                Step::Merge { shard, adjacent } => ShardChange::Merge { shard, adjacent },
            };
            let key = StreamKey { name: stream.name.clone(), id: Some(stream.id) };
            if let Err(error) = self.catalog().reshard(key, change).await {
                tracing::warn!(stream = %stream.name, %error, ?step, "a stream on demand keeps its shards");
                return;
            }
        }
    }

    /// Notes what comes in, and tells how many shards the stream has at least for what came in on one of the last days.
    async fn note_peak(&self, stream: &Definition, seen: &mut Seen, loads: &[Load]) -> u32 {
        let forgotten = |error: &dyn std::fmt::Display| {
            tracing::warn!(stream = %stream.name, %error, "the peak of a stream's traffic is not kept");
        };
        let peaks = match &mut seen.peaks {
            Some(peaks) => peaks,
            unknown @ None => match self.catalog().peaks(stream.id, None).await {
                Ok(kept) => unknown.insert(kept),
                Err(error) => {
                    forgotten(&error);
                    return 0;
                }
            },
        };
        let sum = |of: fn(&Load) -> u64| loads.iter().map(of).fold(0, u64::saturating_add);
        let (bytes, records) = (sum(|load| load.bytes_per_second), sum(|load| load.records_per_second));
        let now = self.now();
        if peaks.note(now, bytes, records, stream.quota)
            && let Err(error) = self.catalog().peaks(stream.id, Some(peaks.clone())).await
        {
            forgotten(&error);
            let shards_min = peaks.shards_min(now, stream.quota);
            // What is kept is read again by the next look, which notes the peak anew.
            seen.peaks = None;
            return shards_min;
        }
        peaks.shards_min(now, stream.quota)
    }

    /// What the meters of a stream's shards show, on whichever core they are; those of a core that has gone are left out.
    pub async fn meters(&self, definition: &Definition) -> Vec<(ShardIndex, Reading)> {
        let mut found = self.streams.meters(definition.id);
        for core in self.others() {
            let (reply, answer) = oneshot::channel();
            let letter = Letter::Request(Request::Meters { stream: definition.id, reply });
            if self.post.send(core, letter).await.is_ok() {
                found.extend(answer.await.unwrap_or_default());
            }
        }
        found
    }
}

fn per_second(count: u64, span: Duration) -> u64 {
    let ms = span.as_millis().max(1);
    u64::try_from(u128::from(count) * 1_000 / ms).unwrap_or(u64::MAX)
}
