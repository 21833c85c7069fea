//! The sealer: gives full segments their footers, one after the other, while the writer goes on.
//!
//! Invariant: the trailer is written after the entries and the footer are stable, so a valid trailer vouches for both. Segments are sealed in
//! the order of their ids, so those without a footer are always the last.

use std::{cmp::Reverse, collections::BinaryHeap, hint::black_box, rc::Rc};

use bytes::Bytes;
use tidemill_wire::OwnerId;

use super::{
    core::{Core, SegmentOf, State},
    owner::Owner,
    signal::{give_way, until},
};
use crate::{
    env::{Env, File, WriteMode},
    error::DiskError,
    limits::{SEGMENT_TRAILER_BYTES, UPKEEP_BATCH},
    owner_map::OWNER_MAP_PARTS,
    segment::{
        Segment,
        filter::OwnerFilter,
        footer::{OwnerRow, POINT_BYTES, RowFormat},
        trailer::Trailer,
    },
};

/// Points of one owner that are encoded in one step.
const ENCODED_POINTS: usize = 4096;
/// Encoded rows or points that are a buffer of their own.
const ENCODED_BYTES: usize = ENCODED_POINTS * POINT_BYTES as usize;
/// Owners that are sorted, or taken from sorted runs, in one step.
const SORTED_OWNERS: usize = 512;
/// What the sealer relies on.
const KEPT: &str = "a full segment keeps its contents until it is sealed";

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    let next = || {
        if core.poisoned().is_some() {
            return Some(None);
        }
        let segment = core.state.borrow().sealing().next().map(Rc::clone);
        match segment {
            None => core.is_over().then_some(None),
            found => Some(found),
        }
    };
    while let Some(segment) = until(&core.signals.sealer, next).await {
        if let Err(error) = seal(&core, &segment).await {
            core.poison(error);
            return;
        }
        core.state.borrow_mut().newly_sealed = true;
        core.signals.writer.notify();
        core.signals.upkeep.notify();
    }
}

async fn seal<E: Env>(core: &Core<E>, segment: &SegmentOf<E>) -> Result<(), DiskError> {
    core.flush(segment, segment.written.get()).await?;
    let rows = write_footer(segment).await?;
    let _index = core.index.lock().await;
    core.state.borrow_mut().places.insert(segment.place(), segment.id);
    adopt_rows(core, segment, &rows).await;
    drop_contents(segment).await;
    Ok(())
}

/// Writes the footer of a segment whose entries are stable, then its trailer. Returns the owners' rows.
pub(super) async fn write_footer<F: File>(segment: &Segment<F>) -> Result<Vec<OwnerRow>, DiskError> {
    let footer = encode_footer(segment).await;
    let Footer { rows, buffers, trailer } = footer;
    segment.file.write(trailer.footer_position, buffers, WriteMode::Cached).await?;
    segment.file.flush().await?;
    let page = Bytes::from(trailer.encode());
    segment.file.write(segment.bytes() - SEGMENT_TRAILER_BYTES, vec![page], WriteMode::Durable).await?;
    segment.seal(trailer);
    segment.filter.replace(OwnerFilter::of(&rows).await);
    Ok(rows)
}

struct Footer {
    rows: Vec<OwnerRow>,
    buffers: Vec<Bytes>,
    trailer: Trailer,
}

/// The rows and points in buffers of bounded size, with turns for others between them.
async fn encode_footer<F: File>(segment: &Segment<F>) -> Footer {
    let owners = sorted_owners(segment).await;
    let mut rows = Vec::with_capacity(owners.len());
    let (mut row_bytes, mut point_bytes) = (Encoded::default(), Encoded::default());
    let format = format_of(segment);
    let mut first_point = 0;
    for batch in owners.chunks(UPKEEP_BATCH) {
        if let Some(contents) = segment.contents.borrow().as_ref() {
            black_box(batch.iter().map(|owner| contents.touch_points(*owner)).fold(0, u64::wrapping_add));
        }
        for owner in batch {
            let mut encoded = 0;
            while let Some((row, taken)) =
                encode_some(segment, *owner, encoded, first_point, &mut point_bytes)
            {
                if encoded == 0 {
                    format.encode_into(&row, &mut row_bytes.open);
                    rows.push(row);
                }
                encoded += taken;
                if point_bytes.open.len() >= ENCODED_BYTES {
                    point_bytes.close();
                    give_way().await;
                }
                if encoded >= row.point_count as usize {
                    first_point += row.point_count;
                    break;
                }
            }
        }
        if row_bytes.open.len() >= ENCODED_BYTES {
            row_bytes.close();
        }
        give_way().await;
    }
    row_bytes.close();
    point_bytes.close();
    let mut buffers = row_bytes.buffers;
    buffers.append(&mut point_bytes.buffers);
    let bytes: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
    let contents = segment.contents.borrow();
    let contents = contents.as_ref().expect(KEPT);
    let trailer = Trailer {
        id: segment.id,
        rows: format,
        entries_end: segment.written.get(),
        footer_position: segment.bytes() - SEGMENT_TRAILER_BYTES - bytes,
        owner_count: u32::try_from(rows.len()).expect("a row takes more than one byte of a segment"),
        point_count: first_point,
        owners_crc: row_bytes.crc.finalize(),
        points_crc: point_bytes.crc.finalize(),
        entry_count: contents.entry_count,
        first_time: contents.first_time,
        last_time: contents.last_time,
    };
    assert!(trailer.footer_position >= trailer.entries_end, "room for the footer is kept before each entry");
    Footer { rows, buffers, trailer }
}

/// How rows are written: where an earlier version filled the segment there is room for plain ones only.
fn format_of<F: File>(segment: &Segment<F>) -> RowFormat {
    let footer_bytes = segment.contents.borrow().as_ref().expect(KEPT).footer_bytes(0, 0);
    let fits = segment.written.get() + footer_bytes <= segment.bytes() - SEGMENT_TRAILER_BYTES;
    if fits { RowFormat::Checked(segment.id) } else { RowFormat::Plain }
}

/// Encodes some of an owner's points from number `from` on. Returns its row, and how many.
fn encode_some<F: File>(
    segment: &Segment<F>,
    owner: OwnerId,
    from: usize,
    first_point: u32,
    encoded: &mut Encoded,
) -> Option<(OwnerRow, usize)> {
    let contents = segment.contents.borrow();
    let part = contents.as_ref()?.owner(owner)?;
    let some = part.points.get(from..).unwrap_or_default().iter().take(ENCODED_POINTS);
    let taken = some.len();
    some.for_each(|point| point.encode_into(&mut encoded.open));
    Some((part.row(owner, first_point), taken))
}

/// What is encoded of rows or points.
#[derive(Default)]
struct Encoded {
    open: Vec<u8>,
    buffers: Vec<Bytes>,
    crc: crc32fast::Hasher,
}

impl Encoded {
    /// Begins another buffer.
    fn close(&mut self) {
        if !self.open.is_empty() {
            self.crc.update(&self.open);
            self.buffers.push(Bytes::from(std::mem::take(&mut self.open)));
        }
    }
}

/// The owners of a segment in rising order, found and sorted in steps: runs first, and then one out of all of them.
async fn sorted_owners<F: File>(segment: &Segment<F>) -> Vec<OwnerId> {
    let mut runs: Vec<Vec<OwnerId>> = Vec::new();
    let mut run: Vec<OwnerId> = Vec::new();
    for part in 0..OWNER_MAP_PARTS {
        run.extend(segment.contents.borrow().as_ref().expect(KEPT).owners_of(part));
        let last = part + 1 == OWNER_MAP_PARTS;
        if run.len() >= SORTED_OWNERS || last {
            run.sort_unstable();
            runs.push(std::mem::take(&mut run));
            give_way().await;
        }
    }
    if let [only] = runs.as_mut_slice() {
        return std::mem::take(only);
    }
    let mut sorted = Vec::with_capacity(runs.iter().map(Vec::len).sum());
    let mut rests: Vec<_> = runs.iter().map(|run| run.iter().copied()).collect();
    let firsts =
        rests.iter_mut().enumerate().filter_map(|(number, rest)| Some(Reverse((rest.next()?, number))));
    let mut heads: BinaryHeap<_> = firsts.collect();
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((owner, number)) = *head;
        sorted.push(owner);
        match rests.get_mut(number).and_then(Iterator::next) {
            Some(next) => *head = Reverse((next, number)),
            None => drop(std::collections::binary_heap::PeekMut::pop(head)),
        }
        if sorted.len() % SORTED_OWNERS == 0 {
            give_way().await;
        }
    }
    sorted
}

/// Drops a segment's contents, which its footer tells now.
pub(super) async fn drop_contents<F: File>(segment: &Segment<F>) {
    let Some(mut contents) = segment.contents.take() else { return };
    while contents.take_part().is_some() {
        give_way().await;
    }
}

/// Tells the owners' spans where their points are now.
async fn adopt_rows<E: Env>(core: &Core<E>, segment: &SegmentOf<E>, rows: &[OwnerRow]) {
    for batch in rows.chunks(UPKEEP_BATCH) {
        {
            let State { owners, schedule, .. } = &mut *core.state.borrow_mut();
            let known = || batch.iter().filter_map(|row| owners.get(&row.owner));
            black_box(known().map(Owner::touch).fold(0, u64::wrapping_add));
            black_box(known().map(|owner| owner.spans.touch()).fold(0, u64::wrapping_add));
            for row in batch {
                let Some(owner) = owners.get_mut(&row.owner) else { continue };
                owner.spans.set_points(segment.id, row.first_point, row.point_count);
                owner.reschedule(row.owner, schedule);
            }
        }
        give_way().await;
    }
}
