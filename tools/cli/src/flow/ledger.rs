//! What was sent to one shard and acknowledged, and what a reader of it may find.
//!
//! Promises that a number that is given twice, a record that is missing, repeated, changed or out of order, and a record that went before its retention allowed are
//! each an error. Memory is by the run of numbers, not by the record. Leaves out records without an acknowledgement: they are there whole or not at all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::FlowError;
use super::plan::StreamPlan;
use super::record::Identity;

/// What the server may count for a record beside its data: key, ends, and its share of batch and entry headers.
const OVERHEAD_BYTES: u64 = 256;
/// Of so many records one remembers when it was sent.
const RECORDS_PER_MARK: u64 = 16;

/// A record on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) index: u64,
    pub(super) at: Instant,
    /// Bytes that the shard can have counted before it.
    pub(super) bytes_before: u64,
}

/// Acknowledged records whose numbers and indexes go up together.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    next: u64,
    index: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    sequence: u64,
    at: Instant,
    bytes_before: u64,
}

#[derive(Debug, Default)]
struct Acknowledged {
    runs: Vec<Run>,
    marks: Vec<Mark>,
    /// Bytes of everything that was sent, by the same count as `Sent::bytes_before`.
    sent_bytes: u64,
    data_bytes: u64,
    records: u64,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) stream: &'static str,
    pub(super) shard: u32,
    identity: Identity,
    age: Option<Duration>,
    bytes: Option<u64>,
    bytes_mean: u64,
    acknowledged: Mutex<Acknowledged>,
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// The number that comes next; `None` before the first.
    pub(super) next: Option<u64>,
    last_index: Option<u64>,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Ledger {
    pub(super) fn new(stream_index: u32, stream: &StreamPlan, shard: u32, bytes_mean: u64) -> Self {
        Self {
            stream: stream.name,
            shard,
            identity: Identity { stream: stream_index, shard, index: 0 },
            age: stream.age,
            bytes: stream.bytes,
            bytes_mean,
            acknowledged: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Acknowledged> {
        // No code under this lock leaves it half changed.
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the record of an index and counts it as sent.
    pub(super) fn send(&self, index: u64, into: &mut Vec<u8>) -> Sent {
        Identity { index, ..self.identity }.fill(self.bytes_mean, into);
        let mut acknowledged = self.lock();
        let bytes_before = acknowledged.sent_bytes;
        acknowledged.sent_bytes += into.len() as u64 + OVERHEAD_BYTES;
        Sent { index, at: Instant::now(), bytes_before }
    }

    /// Takes in that a record has a number. They come in the order in which they were sent.
    pub(super) fn acknowledge(&self, sent: Sent, sequence: u64, bytes: u64) -> Result<(), FlowError> {
        let mut acknowledged = self.lock();
        acknowledged.data_bytes += bytes;
        acknowledged.records += 1;
        let end = acknowledged.runs.last().map_or(0, |run| run.next);
        if sequence < end {
            let expected = format!("a number from {end} on for record {}", sent.index);
            return Err(self.wrong(sequence, expected, "a number that was given before".to_owned()));
        }
        match acknowledged.runs.last_mut() {
            Some(run) if run.next == sequence && run.index + (sequence - run.first) == sent.index => {
                run.next += 1;
            }
            _ => acknowledged.runs.push(Run { first: sequence, next: sequence + 1, index: sent.index }),
        }
        if acknowledged.marks.last().is_none_or(|mark| sequence >= mark.sequence + RECORDS_PER_MARK) {
            acknowledged.marks.push(Mark { sequence, at: sent.at, bytes_before: sent.bytes_before });
        }
        Ok(())
    }

    /// The number after the last one that was acknowledged.
    pub(super) fn end(&self) -> u64 {
        self.lock().runs.last().map_or(0, |run| run.next)
    }

    /// Records and bytes of data that were acknowledged.
    pub(super) fn totals(&self) -> (u64, u64) {
        let acknowledged = self.lock();
        (acknowledged.records, acknowledged.data_bytes)
    }

    /// A reader that begins at the oldest record is told of those from `from` on, or that they are gone up to there.
    pub(super) fn skip(&self, reading: &mut Reading, to: u64) -> Result<(), FlowError> {
        let from = reading.next.unwrap_or(0);
        if to > from {
            self.explain(from, to)?;
        }
        reading.next = Some(to);
        Ok(())
    }

    /// Holds what is gone against the retention: the newest acknowledged record of it has to be old enough, or enough bytes must have come after it.
    fn explain(&self, from: u64, to: u64) -> Result<(), FlowError> {
        let acknowledged = self.lock();
        if !acknowledged.runs.iter().any(|run| run.first < to && run.next > from) {
            return Ok(());
        }
        // What was sent just before the newest one that is gone: if that was not over, nothing behind it was.
        let before = acknowledged.marks.partition_point(|mark| mark.sequence < to);
        let Some(mark) = before.checked_sub(1).and_then(|index| acknowledged.marks.get(index)) else {
            return Ok(());
        };
        let (age, since) = (mark.at.elapsed(), acknowledged.sent_bytes - mark.bytes_before);
        let is_over =
            self.age.is_some_and(|kept| age >= kept) || self.bytes.is_some_and(|kept| since >= kept);
        if is_over {
            return Ok(());
        }
        let why = format!("{} ms old, {since} bytes sent since", age.as_millis());
        Err(FlowError::Gone { stream: self.stream, shard: self.shard, from, to, why })
    }

    /// Takes in neighbouring records that were read, each with its number.
    pub(super) fn read<D: AsRef<[u8]>>(
        &self,
        reading: &mut Reading,
        records: impl Iterator<Item = (u64, D)>,
    ) -> Result<(), FlowError> {
        for (sequence, data) in records {
            if reading.next != Some(sequence) {
                if let Some(next) = reading.next {
                    let found = "a hole or a repetition".to_owned();
                    return Err(self.wrong(sequence, format!("number {next}"), found));
                }
                // The first one: what came before it is gone.
                self.skip(reading, sequence)?;
            }
            let data = data.as_ref();
            let found = Identity::of(data, self.bytes_mean)
                .filter(|found| (found.stream, found.shard) == (self.identity.stream, self.identity.shard));
            let Some(found) = found else {
                let found = format!("{} other bytes", data.len());
                return Err(self.wrong(sequence, "a record as it was sent".to_owned(), found));
            };
            if let Some(last) = reading.last_index.filter(|last| *last >= found.index) {
                let expected = format!("a record sent after {last}");
                return Err(self.wrong(sequence, expected, format!("record {}", found.index)));
            }
            if let Some(index) = self.index_of(sequence).filter(|index| *index != found.index) {
                let expected = format!("record {index}, which has this number");
                return Err(self.wrong(sequence, expected, format!("record {}", found.index)));
            }
            reading.last_index = Some(found.index);
            reading.next = Some(sequence + 1);
            reading.records += 1;
            reading.bytes += data.len() as u64;
        }
        Ok(())
    }

    /// A reader has come to the end that there was: nothing that was acknowledged up to `end` may be missing.
    pub(super) fn finish(&self, reading: &Reading, end: u64) -> Result<(), FlowError> {
        let next = reading.next.unwrap_or(0);
        if next >= end { Ok(()) } else { self.explain(next, end) }
    }

    /// Which record was acknowledged with this number.
    fn index_of(&self, sequence: u64) -> Option<u64> {
        let acknowledged = self.lock();
        let after = acknowledged.runs.partition_point(|run| run.first <= sequence);
        let run = acknowledged.runs.get(after.checked_sub(1)?)?;
        (sequence < run.next).then(|| run.index + (sequence - run.first))
    }

    fn wrong(&self, sequence: u64, expected: String, found: String) -> FlowError {
        FlowError::Record { stream: self.stream, shard: self.shard, sequence, expected, found }
    }
}

#[cfg(test)]
mod tests;
