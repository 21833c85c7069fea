//! Records out of what was fetched, as GetRecords and SubscribeToShard give them.

use tidemill_wire::entry::EntryRun;
use tidemill_wire::numbered::NumberedBatch;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use super::super::Fault;
use super::super::output::Output;
use super::super::value::Value;
use super::call::range_value;
use super::names::shard_id;
use super::sequence::Numbering;
use crate::service::stream::{Definition, Delivery};
use crate::shard::yield_if_needed;

/// Bytes of an answer for each record beside its data, about.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// A record on its way into an answer.
struct Found {
    sequence: SequenceNumber,
    arrived: Timestamp,
    record: tidemill_wire::batch::Record,
}

/// Records of one answer.
pub(super) struct Page {
    records: Vec<Found>,
    /// Where the next page goes on.
    pub(super) next: SequenceNumber,
    /// When the last record that was looked at arrived.
    arrived: Option<Timestamp>,
    bytes: usize,
}

impl Page {
    /// The records from a number on, as many as may be, and one at least if there is any.
    pub(super) async fn collect(
        delivery: &Delivery,
        from: SequenceNumber,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Self, Fault> {
        let mut page = Self { records: Vec::new(), next: delivery.next, arrived: None, bytes: 0 };
        for run in &delivery.entries {
            for entry in EntryRun::new(run.clone()) {
                let (header, payload) = entry.map_err(|error| damaged(&error))?;
                if header.next_sequence() <= from {
                    continue;
                }
                page.arrived = Some(header.append_time);
                let batch = NumberedBatch::parse(&header, payload).map_err(|error| damaged(&error))?;
                let Some(batch) = batch else { continue };
                let mut records = batch.into_records().map_err(|error| damaged(&error))?;
                records.skip_to(from);
                for (sequence, record) in records {
                    let bytes = record.key.len() + record.data.len();
                    let is_full = page.records.len() >= records_max
                        || (page.bytes + bytes > bytes_max && !page.records.is_empty());
                    if is_full {
                        page.next = sequence;
                        return Ok(page);
                    }
                    page.bytes += bytes;
                    page.records.push(Found { sequence, arrived: header.append_time, record });
                }
                // A large answer takes a while, and others want the core too.
                yield_if_needed().await;
            }
        }
        Ok(page)
    }

    /// Whether keys and data have so few bytes.
    pub(super) fn is_within(&self, bytes: usize) -> bool {
        self.bytes <= bytes
    }

    /// How many records there are.
    pub(super) fn count(&self) -> usize {
        self.records.len()
    }

    /// Bytes of an answer with these records, about.
    pub(super) fn encoded_bytes(&self) -> usize {
        self.bytes / 3 * 4 + self.records.len() * RECORD_OVERHEAD_BYTES + 512
    }

    /// By how much a reader who has these records is behind the shard's end.
    pub(super) fn behind_ms(&self, end: SequenceNumber, now: Timestamp) -> i64 {
        let behind_ms = match self.arrived {
            Some(arrived) if self.next < end => now.get().saturating_sub(arrived.get()),
            _ => 0,
        };
        i64::try_from(behind_ms).unwrap_or(i64::MAX)
    }

    /// Writes the list of records.
    pub(super) fn put(&self, out: &mut impl Output, numbering: &Numbering) {
        out.begin_list(self.records.len());
        for found in &self.records {
            put_record(out, numbering, found);
        }
        out.end_list();
    }
}

fn put_record(out: &mut impl Output, numbering: &Numbering, found: &Found) {
    out.begin_structure(4);
    out.name("SequenceNumber");
    out.text(numbering.digits(found.sequence).as_str());
    out.name("ApproximateArrivalTimestamp");
    out.timestamp(found.arrived);
    out.name("Data");
    out.blob(&found.record.data);
    out.name("PartitionKey");
    // Keys of native producers may be any bytes.
    out.text(&String::from_utf8_lossy(&found.record.key));
    out.end_structure();
}

fn damaged(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "stored records cannot be read");
    Fault::internal()
}

/// The shards that go on where a closed one ends: what a reader who has come to its end is told.
pub(super) fn children(stream: &Definition, shard: ShardIndex) -> Value {
    let children = stream.children(shard).map(|child| {
        let parents = [child.parent, child.adjacent_parent].into_iter().flatten();
        Value::structure([
            ("ShardId", Value::text(shard_id(child.index))),
            (
                "ParentShards",
                Some(Value::List(parents.map(|parent| Value::Text(shard_id(parent))).collect())),
            ),
            ("HashKeyRange", Some(range_value(child.range))),
        ])
    });
    Value::List(children.collect())
}
