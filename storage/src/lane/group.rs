//! A group: the entries that are written together.
//!
//! Owns which waiting requests go together, their numbers and times, and the buffers of the write. Promises that a group fits its
//! segment with the footer it will need. Leaves out the write itself.

use std::{hint::black_box, rc::Rc};

use bytes::{Bytes, BytesMut};
use tidemill_wire::{
    SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, stride},
    message::Ack,
};

use super::{
    core::{Request, SegmentOf, State, entry_bytes},
    owner::Owner,
    reply::Reply,
};
use crate::{
    config::LaneConfig,
    env::Env,
    error::{AppendError, UnknownOwner},
    limits::{
        ARENA_BYTES_KEPT_MAX, PAYLOAD_COPY_BYTES_MAX, SEGMENT_TRAILER_BYTES, WATERMARK_RESERVE_PARTS,
        WRITE_BUFFERS_MAX,
    },
    segment::watermarks::WATERMARK_BYTES,
};

/// Entries with their numbers, about to be written.
pub(super) struct Group<E: Env> {
    pub(super) segment: SegmentOf<E>,
    pub(super) position: u64,
    pub(super) end: u64,
    pub(super) durable: bool,
    pub(super) entries: Vec<Grouped>,
}

/// One entry of a group.
pub(super) struct Grouped {
    pub(super) position: u64,
    pub(super) header: EntryHeader,
    pub(super) payload: Bytes,
    pub(super) reply: Reply,
}

/// What a plan comes to.
pub(super) enum Plan<E: Env> {
    /// Write this.
    Group(Group<E>),
    /// The next request does not fit the active segment.
    Roll,
    /// Nothing waits.
    Idle,
}

/// Takes requests from the queue's front for one write. Those that cannot be written are put into `refused`.
pub(super) fn plan<E: Env>(
    state: &mut State<E>,
    config: &LaneConfig,
    now: Timestamp,
    refused: &mut Vec<(Reply, AppendError)>,
) -> Plan<E> {
    let segment = Rc::clone(state.active());
    let mut room = Room::of(&segment);
    let append_time = state.last_time.max(now);
    let position = segment.written.get();
    let durable_before = state.durable_before(&segment);
    let mut group = Group { segment, position, end: position, durable: false, entries: Vec::new() };
    let mut buffers = 0;
    while let Some(request) = state.queue.front() {
        let bytes = entry_bytes(request.payload.len());
        let started = !group.entries.is_empty();
        let full = group.entries.len() >= config.group_entries_max
            || group.end - position + bytes > config.group_bytes_max
            || buffers + 3 > WRITE_BUFFERS_MAX;
        if started && full {
            break;
        }
        let base = match number(state, request) {
            Ok(base) => base,
            Err(error) => {
                refused.extend(take_front(state).map(|reply| (reply, error)));
                continue;
            }
        };
        if !room.take(&group, request, base, append_time) {
            if started {
                break;
            }
            return Plan::Roll;
        }
        let request = state.queue.pop_front().expect("the front was just looked at");
        if request.kind == EntryKind::Batch
            && let Some(owner) = state.owners.get_mut(&request.owner)
        {
            owner.planned = SequenceNumber(base.0 + u64::from(request.record_count));
        }
        buffers += if request.payload.len() > PAYLOAD_COPY_BYTES_MAX { 2 } else { 0 };
        group.durable |= request.ack == Ack::Durable;
        let header = EntryHeader {
            length: u32::try_from(ENTRY_HEADER_BYTES + request.payload.len())
                .expect("appends are bounded by entry_bytes_max"),
            kind: request.kind,
            key_id: 0,
            record_count: request.record_count,
            owner: request.owner,
            base_sequence: base,
            append_time,
            segment_epoch: group.segment.id,
            durable_before,
        };
        let Request { payload, reply, .. } = request;
        group.entries.push(Grouped { position: group.end, header, payload, reply });
        group.end += bytes;
        if !started {
            // Only now it is known that anything can be written.
            warm(state, config, &group, room.end);
        }
    }
    if group.entries.is_empty() {
        return Plan::Idle;
    }
    state.last_time = append_time;
    Plan::Group(group)
}

/// How many of the requests with such payloads, the first ones, go into one group at most.
fn fitting(lengths: impl Iterator<Item = usize>, bytes_max: u64, buffers_max: usize) -> usize {
    let mut left = (bytes_max, buffers_max);
    let takes = |length: &usize| {
        let buffers = if *length > PAYLOAD_COPY_BYTES_MAX { 2 } else { 0 };
        let rest = (left.0.checked_sub(entry_bytes(*length)), left.1.checked_sub(buffers));
        let (Some(bytes), Some(buffers)) = rest else { return false };
        left = (bytes, buffers);
        true
    };
    lengths.take_while(takes).count()
}

/// Looks up what a plan needs of the owners whose requests wait and may go with the first one. Each look-up by itself would wait for memory; in a loop without
/// anything else the processor goes on with the next ones meanwhile.
fn warm<E: Env>(state: &State<E>, config: &LaneConfig, group: &Group<E>, end: u64) {
    let taken = group.end - group.position;
    let bytes_max = config.group_bytes_max.min(end - group.position).saturating_sub(taken);
    let lengths = state.queue.iter().map(|request| request.payload.len());
    let more = fitting(lengths.take(config.group_entries_max - 1), bytes_max, WRITE_BUFFERS_MAX);
    let owners = || state.queue.iter().take(more).map(|request| request.owner);
    let contents = group.segment.contents.borrow();
    let known = owners().filter_map(|owner| state.owners.get(&owner)).map(Owner::touch);
    black_box(known.fold(0, u64::wrapping_add));
    if let Some(contents) = contents.as_ref() {
        black_box(owners().map(|owner| contents.touch(owner)).fold(0, u64::wrapping_add));
    }
}

/// The number of the request's first record.
fn number<E: Env>(state: &State<E>, request: &Request) -> Result<SequenceNumber, AppendError> {
    if request.kind == EntryKind::Watermarks {
        return Ok(SequenceNumber(0));
    }
    let takes = |owner: &&Owner| owner.takes_appends();
    let owner = state.owners.get(&request.owner).filter(takes);
    let owner = owner.ok_or(UnknownOwner { owner: request.owner })?;
    let record_count = request.record_count;
    let last = owner.planned.checked_add(u64::from(record_count));
    last.map(|_| owner.planned).ok_or(AppendError::RecordCount { record_count })
}

/// Drops the first request of the queue.
fn take_front<E: Env>(state: &mut State<E>) -> Option<Reply> {
    let request = state.queue.pop_front()?;
    state.queued_bytes -= entry_bytes(request.payload.len());
    Some(request.reply)
}

/// What is left of a segment, with the footer kept free.
struct Room {
    end: u64,
    watermark_reserve: u64,
    more_owners: u64,
    more_points: u64,
}

impl Room {
    fn of<F: crate::env::File>(segment: &crate::segment::Segment<F>) -> Self {
        Self {
            end: segment.bytes() - SEGMENT_TRAILER_BYTES,
            watermark_reserve: segment.bytes() / WATERMARK_RESERVE_PARTS,
            more_owners: 0,
            more_points: 0,
        }
    }

    /// Whether the entry fits. Counts a row and a point for each entry that may need one: too many within a group, exact again for the next one.
    fn take<E: Env>(
        &mut self,
        group: &Group<E>,
        request: &Request,
        base: SequenceNumber,
        time: Timestamp,
    ) -> bool {
        let contents = group.segment.contents.borrow();
        let contents = contents.as_ref().expect("the active segment has its contents in memory");
        let part = contents.owner(request.owner);
        let (owners, points, kept) = match request.kind {
            EntryKind::Batch | EntryKind::Sparse => (u64::from(part.is_none()), 1, self.watermark_reserve),
            EntryKind::Watermarks => ((request.payload.len() / WATERMARK_BYTES) as u64, 0, 0),
        };
        let footer = contents.footer_bytes(self.more_owners + owners, self.more_points + points);
        let needed = entry_bytes(request.payload.len()) + footer + ENTRY_HEADER_BYTES as u64 + kept;
        // Points count numbers and times in 32 bits from the segment's first.
        let first = part.filter(|part| !part.points.is_empty()).map_or(base, |part| part.first);
        let numbers = base.since(first) + u64::from(request.record_count);
        let first_time = if contents.entry_count == 0 { time } else { contents.first_time };
        let narrow = u64::from(u32::MAX);
        let fits = group.end + needed <= self.end && numbers < narrow && time.0 - first_time.0 < narrow;
        if fits {
            self.more_owners += owners;
            self.more_points += points;
        }
        fits
    }
}

impl<E: Env> Group<E> {
    /// Looks up what showing the group needs of its owners, as [`warm`] does: there is time for it while the disk writes.
    pub(super) fn warm(&self, state: &State<E>) {
        let owners = || self.entries.iter().map(|entry| entry.header.owner);
        let known = owners().filter_map(|owner| state.owners.get(&owner));
        black_box(known.map(|owner| owner.spans.touch()).fold(0, u64::wrapping_add));
        if let Some(contents) = self.segment.contents.borrow().as_ref() {
            black_box(owners().map(|owner| contents.touch_points(owner)).fold(0, u64::wrapping_add));
        }
    }

    /// The buffers of the write: headers, padding and small payloads lie in one arena, large payloads are passed on as they are. `arena` is memory that is
    /// used again when the write before has let go of it.
    pub(super) fn buffers(&self, arena: &mut BytesMut) -> Vec<Bytes> {
        let copied = |entry: &Grouped| entry.payload.len() <= PAYLOAD_COPY_BYTES_MAX;
        let arena_bytes = |entry: &Grouped| {
            let whole = entry.header.stride();
            if copied(entry) { whole } else { whole - entry.payload.len() }
        };
        let bytes: usize = self.entries.iter().map(arena_bytes).sum();
        let mut once = BytesMut::new();
        let arena = if bytes <= ARENA_BYTES_KEPT_MAX { arena } else { &mut once };
        arena.reserve(bytes);
        let mut buffers = Vec::with_capacity(8);
        for Grouped { header, payload, .. } in &self.entries {
            if payload.len() <= PAYLOAD_COPY_BYTES_MAX {
                header.put(payload, arena);
                continue;
            }
            arena.extend_from_slice(&header.encode(payload));
            buffers.push(arena.split().freeze());
            buffers.push(payload.clone());
            let length = header.length as usize;
            arena.extend_from_slice(&[0; 8][..stride(length) - length]);
        }
        if !arena.is_empty() {
            buffers.push(arena.split().freeze());
        }
        buffers
    }
}

#[cfg(test)]
mod tests;
