//! The writer: the one task that appends to a lane's log.
//!
//! One group is in flight; what arrives meanwhile is the next one, so no timer is needed under load. Invariant: a durable acknowledgement is given
//! only after everything before it in the lane is stable too; `write` orders the flushes, and the simulator's crashes test it.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use tidemill_wire::{
    OwnerId, SequenceNumber,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use super::{
    answer::{Appended, Stop},
    core::{Core, SegmentOf, State, entry_bytes},
    group::{Group, Plan, plan},
    owner::Owner,
    reply::{Replies, Reply},
    signal::until,
    writeback,
};
use crate::{
    env::{Env, File, WriteMode},
    error::{AppendError, DiskError},
    limits::{PAGE_BYTES, SEALING_SEGMENTS_MAX, SEGMENT_TRAILER_BYTES},
    segment::{Segment, contents::Contents, watermarks},
};

enum Step<E: Env> {
    Write(Group<E>),
    Roll(SegmentOf<E>),
    End,
}

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    let mut arena = BytesMut::new();
    loop {
        let result = match until(&core.signals.writer, || step(&core)).await {
            Step::Write(group) => write(&core, group, &mut arena).await,
            Step::Roll(segment) => roll(&core, segment).await,
            Step::End => break,
        };
        if let Err(error) = result {
            core.poison(error);
        }
    }
    if let Err(error) = finish(&core).await {
        core.poison(error);
    }
    core.state.borrow_mut().writer_done = true;
    core.notify_all();
}

/// What can be done now, if anything.
fn step<E: Env>(core: &Core<E>) -> Option<Step<E>> {
    let mut refused = Vec::new();
    let step = next_step(core, &mut refused);
    let mut replies = Replies::default();
    refused.into_iter().for_each(|(reply, error)| replies.give(reply, Err(error)));
    step
}

fn next_step<E: Env>(core: &Core<E>, refused: &mut Vec<(Reply, AppendError)>) -> Option<Step<E>> {
    let mut state = core.state.borrow_mut();
    if state.stop.is_some() {
        return Some(Step::End);
    }
    match plan(&mut state, &core.config, core.now(), refused) {
        Plan::Group(group) => Some(Step::Write(group)),
        Plan::Idle => state.closing.then_some(Step::End),
        Plan::Roll => {
            if state.spare.is_none() && state.no_room {
                state.refusing = true;
                drop(state);
                core.refuse_queue(&AppendError::DiskFull { needed: core.config.segment_bytes });
                // An empty queue is looked at once more, for the lane may be closing.
                return core.state.borrow().closing.then_some(Step::End);
            }
            if state.sealing().count() >= SEALING_SEGMENTS_MAX {
                return None;
            }
            state.starving = state.spare.is_none();
            state.spare.take().map(Step::Roll)
        }
    }
}

async fn write<E: Env>(core: &Core<E>, group: Group<E>, arena: &mut BytesMut) -> Result<(), DiskError> {
    let start = core.env.monotonic();
    let result = {
        let written = std::pin::pin!(put(core, &group, group.buffers(arena)));
        let warmed = async { group.warm(&core.state.borrow()) };
        join(written, warmed).await.0
    };
    // A flush that failed meanwhile may have lost what lies before this group.
    let result = result.and_then(|()| core.poisoned().map_or(Ok(()), Err));
    match result {
        Ok(()) => {
            let elapsed = core.micros_since(start);
            core.state.borrow_mut().stats.group_time_us.record(elapsed);
            complete(core, group);
            Ok(())
        }
        Err(error) => {
            core.poison(error.clone());
            release_queue_bytes(core, &group);
            let mut replies = Replies::default();
            for entry in group.entries {
                replies.give(entry.reply, Err(AppendError::Poisoned { reason: error.clone() }));
            }
            Err(error)
        }
    }
}

/// Brings the group's bytes to where they are asked to be.
async fn put<E: Env>(core: &Core<E>, group: &Group<E>, buffers: Vec<Bytes>) -> Result<(), DiskError> {
    let segment = &group.segment;
    if group.durable {
        core.flush_below(segment.id).await?;
        let step = core.config.durable_step_bytes;
        if group.end - group.position > step {
            write_in_steps(group, buffers, step).await?;
            segment.written.set(group.end);
            return core.flush(segment, group.end).await;
        }
        if segment.is_flushed() {
            let start = core.env.monotonic();
            segment.file.write(group.position, buffers, WriteMode::Durable).await?;
            core.count_flush(start);
            segment.written.set(group.end);
            segment.flushed.set(group.end);
            return Ok(());
        }
    }
    segment.file.write(group.position, buffers, WriteMode::Cached).await?;
    segment.written.set(group.end);
    if group.durable {
        return core.flush(segment, group.end).await;
    }
    core.signals.flusher.notify();
    if writeback::due(&core.config, segment).is_some() {
        core.signals.writeback.notify();
    }
    Ok(())
}

/// Writes a group in steps, and has the disk begin with each while the next one is copied. Whoever asked for it flushes the rest.
///
/// No step needs the gate of flushes: `written` ends before the group until all of it is there, so no flush beside it vouches for its pages, and the disk is asked for
/// pages only in which nothing but the group lies.
async fn write_in_steps<E: Env>(group: &Group<E>, buffers: Vec<Bytes>, step: u64) -> Result<(), DiskError> {
    let file = &group.segment.file;
    let mut position = group.position;
    let mut begun = position.next_multiple_of(PAGE_BYTES);
    for together in steps(buffers, step) {
        let bytes: u64 = together.iter().map(|buffer| buffer.len() as u64).sum();
        file.write(position, together, WriteMode::Cached).await?;
        position += bytes;
        let window = begun..position / PAGE_BYTES * PAGE_BYTES;
        // The flush begins with the last one.
        if position < group.end && !window.is_empty() {
            begun = window.end;
            file.write_back(window).await?;
        }
    }
    Ok(())
}

/// Cuts what is to be written into steps of so many bytes; the last one may have fewer.
fn steps(buffers: Vec<Bytes>, bytes: u64) -> Vec<Vec<Bytes>> {
    let (mut steps, mut left) = (Vec::new(), 0);
    for mut buffer in buffers {
        while !buffer.is_empty() {
            if left == 0 {
                steps.push(Vec::new());
                left = bytes;
            }
            let some = buffer.split_to(buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            left -= some.len() as u64;
            steps.last_mut().expect("one was just begun").push(some);
        }
    }
    steps
}

/// Shows the group's entries to readers and acknowledges them.
fn complete<E: Env>(core: &Core<E>, group: Group<E>) {
    release_queue_bytes(core, &group);
    show(core, &group);
    let mut replies = Replies::default();
    for entry in group.entries {
        let EntryHeader { base_sequence, append_time, .. } = entry.header;
        replies.give(entry.reply, Ok(Appended { base_sequence, append_time }));
    }
}

/// Shows the group's entries to readers.
fn show<E: Env>(core: &Core<E>, group: &Group<E>) {
    let mut woken = Vec::new();
    let mut state = core.state.borrow_mut();
    let State { owners, schedule, segments, compacted, stats, ends_with_mark, .. } = &mut *state;
    let told_by = |id| segments.get(&id).or_else(|| compacted.get(&id));
    let segment = &group.segment;
    let mut contents = segment.contents.borrow_mut();
    let contents = contents.as_mut().expect("the active segment has its contents in memory");
    for entry in &group.entries {
        let header = &entry.header;
        contents.add(entry.position, header, &entry.payload);
        stats.appended_entries += 1;
        stats.appended_bytes += header.stride() as u64;
        stats.appended_records += u64::from(header.record_count);
        *ends_with_mark = header.kind == EntryKind::Watermarks && entry.payload.is_empty();
        if header.kind == EntryKind::Watermarks {
            for (owner, next) in watermarks::decode(&entry.payload) {
                // An owner whose entries came before this one has a newer number elsewhere.
                let told = |owner: &&mut Owner| {
                    owner.next <= next && owner.mention != segment.id && !owner.is_forgotten
                };
                if let Some(owner) = owners.get_mut(&owner).filter(told) {
                    owner.mention_in(segment, told_by(owner.mention));
                }
            }
            continue;
        }
        segment.payload_bytes.set(segment.payload_bytes.get() + header.payload_bytes() as u64);
        // An owner that was forgotten meanwhile has no reader, and its entry is garbage from the start.
        let Some(owner) = owners.get_mut(&header.owner) else { continue };
        if owner.is_forgotten || owner.next != header.base_sequence {
            continue;
        }
        let payload_bytes = header.payload_bytes() as u64;
        segment.live_payload_bytes.set(segment.live_payload_bytes.get() + payload_bytes);
        if owner.add(segment.id, header) {
            segment.hold_span(0);
        }
        if owner.mention != segment.id {
            owner.mention_in(segment, told_by(owner.mention));
        }
        if owner.retention.is_some_and(|retention| retention.bytes.is_some()) {
            owner.reschedule(header.owner, schedule);
        }
        woken.extend(owner.watchers.take());
    }
    stats.groups += 1;
    stats.group_bytes.record(group.end - group.position);
    for signal in woken {
        signal.notify();
    }
}

fn release_queue_bytes<E: Env>(core: &Core<E>, group: &Group<E>) {
    let bytes: u64 = group.entries.iter().map(|entry| entry_bytes(entry.payload.len())).sum();
    core.state.borrow_mut().queued_bytes -= bytes;
}

/// Closes the active segment and goes on in another one.
async fn roll<E: Env>(core: &Core<E>, next: SegmentOf<E>) -> Result<(), DiskError> {
    let segment = Rc::clone(core.state.borrow().active());
    let header = mark(core, &segment, SequenceNumber(next.id));
    segment.file.write(segment.written.get(), vec![encode(&header)], WriteMode::Cached).await?;
    extend(&segment, &header);
    let owners = segment.contents.borrow().as_ref().map_or(0, Contents::owner_count);
    if let Some(contents) = next.contents.borrow_mut().as_mut() {
        contents.expect(usize::try_from(owners).unwrap_or(0));
    }
    let mut state = core.state.borrow_mut();
    state.segments.insert(next.id, next);
    state.rolls += 1;
    state.ends_with_mark = false;
    drop(state);
    core.signals.preparer.notify();
    core.signals.sealer.notify();
    core.signals.flusher.notify();
    Ok(())
}

/// Flushes what is left, and vouches for it: an entry that begins behind stable bytes turns any later damage to them into an error.
async fn finish<E: Env>(core: &Core<E>) -> Result<(), DiskError> {
    if core.state.borrow().stop.is_some() {
        return Ok(());
    }
    core.flush_below(u64::MAX).await?;
    let segment = {
        let state = core.state.borrow();
        let segment = Rc::clone(state.active());
        let contents = segment.contents.borrow();
        let footer = contents.as_ref().map_or(0, |contents| contents.footer_bytes(0, 0));
        // An earlier version may have filled it with less room for the footer.
        let room = (segment.bytes() - SEGMENT_TRAILER_BYTES).saturating_sub(footer + segment.written.get());
        if state.ends_with_mark || segment.entry_bytes() == 0 || room < 2 * ENTRY_HEADER_BYTES as u64 {
            return Ok(());
        }
        drop(contents);
        segment
    };
    let header = mark(core, &segment, SequenceNumber(0));
    segment.file.write(segment.written.get(), vec![encode(&header)], WriteMode::Durable).await?;
    extend(&segment, &header);
    segment.flushed.set(segment.written.get());
    Ok(())
}

/// An entry without payload at the end of a segment: it names the segment in which the log goes on, or none.
fn mark<E: Env>(core: &Core<E>, segment: &SegmentOf<E>, next: SequenceNumber) -> EntryHeader {
    let state = core.state.borrow();
    EntryHeader {
        length: ENTRY_HEADER_BYTES as u32,
        kind: EntryKind::Watermarks,
        key_id: 0,
        record_count: 0,
        owner: OwnerId(0),
        base_sequence: next,
        append_time: state.last_time,
        segment_epoch: segment.id,
        durable_before: state.durable_before(segment),
    }
}

fn encode(header: &EntryHeader) -> Bytes {
    Bytes::copy_from_slice(&header.encode(&[]))
}

/// Takes a written mark into the segment's contents.
pub(super) fn extend<F: File>(segment: &Segment<F>, header: &EntryHeader) {
    let position = segment.written.get();
    if let Some(contents) = segment.contents.borrow_mut().as_mut() {
        contents.add(position, header, &[]);
    }
    segment.written.set(position + header.stride() as u64);
}

/// Ends the tasks of a lane whose last handle is gone without a close.
pub(super) fn abandon<E: Env>(core: &Core<E>) {
    let mut state = core.state.borrow_mut();
    state.stop.get_or_insert(Stop::Closed);
    drop(state);
    core.refuse_queue(&AppendError::Closed);
    core.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_whole_but_the_last_and_keep_every_byte() {
        let bytes: Vec<u8> = (0..100).collect();
        for lengths in [vec![100], vec![3, 0, 7, 30, 60], vec![10; 10], vec![99, 1], vec![]] {
            let mut at = 0;
            let buffers = lengths.iter().map(|length| {
                at += length;
                Bytes::copy_from_slice(&bytes[at - length..at])
            });
            let buffers: Vec<Bytes> = buffers.collect();
            for step in [1, 7, 10, 33, 99, 100, 101] {
                let steps = steps(buffers.clone(), step);
                let wanted: Vec<Vec<u8>> = bytes[..at].chunks(step as usize).map(<[u8]>::to_vec).collect();
                let found: Vec<Vec<u8>> = steps.iter().map(|together| together.concat()).collect();
                assert_eq!(found, wanted, "{lengths:?} in steps of {step}");
                assert!(steps.iter().flatten().all(|buffer| !buffer.is_empty()));
            }
        }
    }
}
