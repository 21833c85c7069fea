//! Where a consumer is in one shard: takes answers, checks them, and says what is new in them.
//!
//! Invariant: the pieces that a cursor gives follow each other without overlap, and what lies between them is given as a gap, unless an
//! entry says that key compaction took it. Guarded by the tests beside this file.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_wire::entry::{EntryHeader, EntryKind, EntryRun};
use tidemill_wire::message::{Fetched, Position};
use tidemill_wire::numbered::NumberedBatch;
use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use super::event::{Entry, Gap};
use crate::{ClientError, DamageError};

/// A place in one shard, and where to stop.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    shard: ShardIndex,
    position: Position,
    until_sequence: Option<SequenceNumber>,
    until_time: Option<Timestamp>,
    end: Option<End>,
    /// Whether the last answer reached the end of the shard.
    is_caught_up: bool,
}

/// Why a shard gives no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A bound that the caller set is reached.
    Bound,
    /// The shard is closed, and all of it was read.
    Closed,
}

/// What an answer brought.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Where the cursor was before.
    pub(super) start: SequenceNumber,
    pub(super) pieces: Vec<Piece>,
    /// What comes behind the pieces cannot be read.
    pub(super) damage: Option<ClientError>,
}

/// What is new in an answer.
#[derive(Debug)]
pub(super) enum Piece {
    Entry(Entry),
    Gap(Gap),
}

impl Cursor {
    pub(super) fn new(
        shard: ShardIndex,
        position: Position,
        until_sequence: Option<SequenceNumber>,
        until_time: Option<Timestamp>,
    ) -> Self {
        let mut cursor = Self { shard, position, until_sequence, until_time, end: None, is_caught_up: false };
        if let Position::Sequence(next) = position {
            cursor.stop_at_bound(next);
        }
        cursor
    }

    pub(super) fn shard(&self) -> ShardIndex {
        self.shard
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The next record's number, once it is known.
    pub(super) fn next(&self) -> Option<SequenceNumber> {
        match self.position {
            Position::Sequence(next) => Some(next),
            Position::Timestamp(_) | Position::Oldest | Position::Newest => None,
        }
    }

    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.is_caught_up
    }

    /// The shard is closed and was read to its end.
    pub(super) fn close(&mut self) {
        self.end.get_or_insert(End::Closed);
    }

    /// Takes an answer and moves on, up to the first damage in it.
    pub(super) fn accept(&mut self, fetched: &Fetched, run: Bytes) -> Accepted {
        let start = self.next().unwrap_or(fetched.from_sequence);
        let mut pieces = Vec::new();
        let mut next = self.pass(start, fetched.from_sequence, &mut pieces);
        let damage = self.walk(&mut next, run, &mut pieces).err();
        if next == start && pieces.is_empty() && damage.is_none() && self.end.is_none() {
            // Nothing came, and the server says that nothing is there up to this.
            next = self.pass(next, fetched.next_sequence, &mut pieces);
        }
        self.position = Position::Sequence(next);
        self.is_caught_up = next >= fetched.end_sequence;
        self.stop_at_bound(next);
        if fetched.closed && self.is_caught_up && damage.is_none() {
            self.close();
        }
        Accepted { start, pieces, damage }
    }

    fn walk(
        &mut self,
        next: &mut SequenceNumber,
        run: Bytes,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), ClientError> {
        for entry in EntryRun::new(run) {
            if self.end.is_some() {
                break;
            }
            let (header, payload) = entry.map_err(|error| self.damaged(*next, error))?;
            if header.kind != EntryKind::Watermarks && header.next_sequence() > *next {
                self.take(next, &header, payload, pieces)?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        next: &mut SequenceNumber,
        header: &EntryHeader,
        payload: Bytes,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), ClientError> {
        if self.until_time.is_some_and(|until| header.append_time >= until) {
            self.end = Some(End::Bound);
            return Ok(());
        }
        *next = self.pass(*next, header.base_sequence, pieces);
        if self.end.is_some() {
            return Ok(());
        }
        if header.key_id != 0 {
            return Err(self.damaged(*next, DamageError::Encrypted { key_id: header.key_id }));
        }
        let batch = NumberedBatch::parse(header, payload).map_err(|error| self.damaged(*next, error))?;
        let (append_time, first, end) = (header.append_time, *next, header.next_sequence());
        *next = self.until_sequence.map_or(end, |until| until.min(end));
        if let Some(batch) = batch.filter(|batch| batch.records_before(first) < batch.records_before(*next)) {
            pieces.push(Piece::Entry(Entry { append_time, first, next: *next, batch }));
        }
        self.stop_at_bound(*next);
        Ok(())
    }

    /// Goes from `next` to `to` without records, up to the bound, and returns where that leads. What lies between is a gap.
    fn pass(&mut self, next: SequenceNumber, to: SequenceNumber, pieces: &mut Vec<Piece>) -> SequenceNumber {
        let to = self.until_sequence.map_or(to, |until| until.min(to));
        if to <= next {
            return next;
        }
        pieces.push(Piece::Gap(Gap { shard: self.shard, from: next, to }));
        self.stop_at_bound(to);
        to
    }

    fn stop_at_bound(&mut self, next: SequenceNumber) {
        if self.until_sequence.is_some_and(|until| next >= until) {
            self.end.get_or_insert(End::Bound);
        }
    }

    fn damaged(&self, sequence: SequenceNumber, error: impl Into<DamageError>) -> ClientError {
        ClientError::Batch { shard: self.shard, sequence, source: Arc::new(error.into()) }
    }
}

#[cfg(test)]
mod tests;
