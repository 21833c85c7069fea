//! A stream as it is printed.

use std::time::Duration;

use serde::Serialize;
use tidemill_client::{KeyCompaction, Quota, ShardDescription, ShardState, StreamDescription};

use super::{quota::show_quota, show_retention};
use crate::output::Table;
use crate::quantity::{show_bytes, show_count, show_counted, show_span};
use crate::time::show_time;

/// The JSON form.
#[derive(Serialize)]
pub(super) struct Description {
    name: String,
    id: u64,
    created: String,
    retention_ms: u64,
    /// 0 for no bound.
    retention_bytes: u64,
    quota: Rates,
    /// What is compacted, and how long a record without data is kept then.
    #[serde(skip_serializing_if = "Option::is_none")]
    compact_keys: Option<Tombstones>,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Tombstones {
    tombstone_ms: u64,
}

/// 0 turns a rate off.
#[derive(Serialize)]
struct Rates {
    write_bytes_per_second: u64,
    write_records_per_second: u64,
    read_bytes_per_second: u64,
    read_calls_per_second: u64,
}

#[derive(Serialize)]
struct Shard {
    shard: u32,
    state: &'static str,
    lane: u32,
    oldest_sequence: u64,
    next_sequence: u64,
    bytes: u64,
    /// As text: the numbers have 128 bits.
    first_hash_key: String,
    last_hash_key: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parents: Vec<u32>,
}

impl From<&StreamDescription> for Description {
    fn from(stream: &StreamDescription) -> Self {
        Self {
            name: stream.name.to_string(),
            id: stream.id.get(),
            created: show_time(stream.created),
            retention_ms: stream.retention_ms,
            retention_bytes: stream.retention_bytes,
            quota: Rates {
                write_bytes_per_second: stream.quota.write_bytes_per_second,
                write_records_per_second: stream.quota.write_records_per_second,
                read_bytes_per_second: stream.quota.read_bytes_per_second,
                read_calls_per_second: stream.read_calls_per_second,
            },
            compact_keys: match stream.key_compaction {
                KeyCompaction::On { tombstone_ms } => Some(Tombstones { tombstone_ms }),
                KeyCompaction::Off => None,
            },
            shards: stream.shards.iter().map(Shard::from).collect(),
        }
    }
}

impl From<&ShardDescription> for Shard {
    fn from(shard: &ShardDescription) -> Self {
        Self {
            shard: shard.index.get(),
            state: match shard.state {
                ShardState::Open => "open",
                ShardState::Closed => "closed",
            },
            lane: shard.lane.get(),
            oldest_sequence: shard.oldest_sequence.get(),
            next_sequence: shard.next_sequence.get(),
            bytes: shard.bytes,
            first_hash_key: shard.range.start.to_string(),
            last_hash_key: shard.range.end.to_string(),
            parents: [shard.parent, shard.adjacent_parent]
                .into_iter()
                .flatten()
                .map(|parent| parent.get())
                .collect(),
        }
    }
}

impl Description {
    /// One line.
    pub(super) fn summary(&self) -> String {
        format!(
            "stream {}: {}, kept {}, quota {}",
            self.name,
            show_counted(self.shards.len() as u64, "shard"),
            self.retention(),
            self.quota_text()
        )
    }

    /// Everything.
    pub(super) fn text(&self) -> String {
        let records: u64 = self.shards.iter().map(Shard::records).sum();
        let bytes: u64 = self.shards.iter().map(|shard| shard.bytes).sum();
        let mut table = Table::new([
            "SHARD",
            "STATE",
            ">LANE",
            ">OLDEST",
            ">NEXT",
            ">RECORDS",
            ">SIZE",
            "HASH KEYS FROM",
        ]);
        for shard in &self.shards {
            table.row([
                shard.shard.to_string(),
                shard.state.to_owned(),
                shard.lane.to_string(),
                shard.oldest_sequence.to_string(),
                shard.next_sequence.to_string(),
                show_count(shard.records()),
                show_bytes(shard.bytes),
                shard.first_hash_key.clone(),
            ]);
        }
        format!(
            "name       {}\nid         {}\ncreated    {}\nretention  {}\nquota      {}\ncontent    {}, {}\n\n{}",
            self.name,
            self.id,
            self.created,
            self.retention(),
            self.quota_text(),
            show_counted(records, "record"),
            show_bytes(bytes),
            table.render()
        )
    }

    fn retention(&self) -> String {
        let mut text = show_retention(self.retention_ms);
        if self.retention_bytes != 0 {
            text.push_str(&format!(" or {} in each shard", show_bytes(self.retention_bytes)));
        }
        if let Some(Tombstones { tombstone_ms }) = self.compact_keys {
            let age = show_span(Duration::from_millis(tombstone_ms));
            text.push_str(&format!(", of each key the last record, tombstones {age}"));
        }
        text
    }

    fn quota_text(&self) -> String {
        let rates = show_quota(&Quota {
            write_bytes_per_second: self.quota.write_bytes_per_second,
            write_records_per_second: self.quota.write_records_per_second,
            read_bytes_per_second: self.quota.read_bytes_per_second,
        });
        match self.quota.read_calls_per_second {
            0 => rates,
            calls => format!("{rates}, {calls} GetRecords/s"),
        }
    }
}

impl Shard {
    fn records(&self) -> u64 {
        self.next_sequence.saturating_sub(self.oldest_sequence)
    }
}
