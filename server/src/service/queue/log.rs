//! A partition's two owners in the lane's log: messages and events go in, and come out again.

use bytes::{Buf, Bytes};
use tidemill_storage::{Env, FetchError, Lane};
use tidemill_wire::batch::{BatchBuilder, BatchView, Compression};
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader};
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::format::{encode_event, encode_message};
use super::journal::Event;
use super::message::Message;
use super::operation::{SendError, Unreadable};

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Its number.
    pub(super) sequence: u64,
    /// Its key: the group of a message.
    pub(super) key: Bytes,
    /// What it is.
    pub(super) data: Bytes,
    /// When it was written.
    pub(super) at: Timestamp,
}

/// Records from a number on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// In their order.
    pub(super) records: Vec<Written>,
    /// Where the next stretch begins.
    pub(super) next: u64,
}

/// Reads records of an owner, from a number or the oldest that is there on; none at its end.
pub(super) async fn read<E: Env>(
    lane: &Lane<E>,
    owner: OwnerId,
    from: u64,
    bytes_max: usize,
) -> Result<Stretch, Unreadable> {
    let fetched = lane.fetch(owner, SequenceNumber(from), bytes_max).await;
    let fetched = fetched.map_err(|error| unfetched(owner, from, error))?;
    let mut records = Vec::new();
    for run in fetched.entries {
        let mut rest = run;
        while !rest.is_empty() {
            // The lane has checked its checksum, its owner and its number.
            let header = EntryHeader::decode(&rest);
            let header = header.map_err(|error| foreign(owner, fetched.from.get(), &error))?;
            let first = header.base_sequence.get();
            let (length, stride) = (header.length as usize, header.stride());
            if length > rest.len() {
                let reason = format!("it has {length} bytes, and {} are there", rest.len());
                return Err(foreign(owner, first, &reason));
            }
            let payload = rest.slice(ENTRY_HEADER_BYTES..length);
            rest.advance(stride.min(rest.len()));
            let batch = BatchView::parse(payload).map_err(|error| foreign(owner, first, &error))?;
            let entries = batch.into_records().map_err(|error| foreign(owner, first, &error))?;
            for (sequence, record) in (first..).zip(entries) {
                if sequence >= fetched.from.get() {
                    let at = header.append_time;
                    records.push(Written { sequence, key: record.key, data: record.data, at });
                }
            }
        }
    }
    Ok(Stretch { records, next: fetched.next.get() })
}

/// What a fetch that failed says of a partition.
pub(super) fn unfetched(owner: OwnerId, from: u64, error: FetchError) -> Unreadable {
    match error {
        FetchError::Damaged(damage) => damage.into(),
        FetchError::Disk(error) => error.into(),
        FetchError::UnknownOwner(_) => Unreadable::Deleted,
        // What was written down is ahead of the log: some of it is lost.
        error @ FetchError::BeyondEnd { .. } => foreign(owner, from, &error),
    }
}

/// What is wrong with a record that is no queue's.
pub(super) fn foreign(owner: OwnerId, sequence: u64, reason: &impl ToString) -> Unreadable {
    Unreadable::Foreign { owner: owner.get(), sequence, reason: reason.to_string() }
}

/// Messages as one entry's payload.
pub(super) fn pack_messages<'m>(messages: impl Iterator<Item = &'m Message>) -> Result<Bytes, SendError> {
    let mut batch = BatchBuilder::new();
    for message in messages {
        let key = message.content.group.as_deref().unwrap_or_default();
        batch.push(key.as_bytes(), &encode_message(message), None)?;
    }
    batch.build(Compression::None).ok_or(SendError::Empty)
}

/// An event as an entry's payload.
pub(super) fn pack_event(event: &Event) -> Bytes {
    pack(&encode_event(event))
}

/// The bytes of an event as an entry's payload.
pub(super) fn pack(event: &[u8]) -> Bytes {
    let mut batch = BatchBuilder::new();
    batch.push(b"", event, None).expect("an event is smaller than a record may be");
    batch.build(Compression::None).expect("it has a record")
}
