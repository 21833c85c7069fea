//! The sealer: gives full segments their footers, one after the other, while the writer goes on.
//!
//! Invariant: the trailer is written after the entries and the footer are stable, so a valid trailer vouches for both. Segments are sealed in
//! the order of their ids, so those without a footer are always the last.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    core::{Core, SegmentOf},
    signal::{give_way, until},
};
use crate::{
    env::{Env, File, WriteMode},
    error::DiskError,
    limits::{SEGMENT_TRAILER_BYTES, UPKEEP_BATCH},
    segment::{Segment, footer::OwnerRow, trailer::Trailer},
};

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
    adopt_rows(core, segment, &rows).await;
    segment.contents.replace(None);
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
    Ok(rows)
}

struct Footer {
    rows: Vec<OwnerRow>,
    buffers: Vec<Bytes>,
    trailer: Trailer,
}

/// The rows and points in buffers of bounded size, with turns for others between them.
async fn encode_footer<F: File>(segment: &Segment<F>) -> Footer {
    let expected = "a full segment keeps its contents until it is sealed";
    let owners = segment.contents.borrow().as_ref().expect(expected).sorted_owners();
    let mut rows = Vec::with_capacity(owners.len());
    let (mut row_buffers, mut point_buffers) = (Vec::new(), Vec::new());
    let (mut row_crc, mut point_crc) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
    let mut first_point = 0;
    for batch in owners.chunks(UPKEEP_BATCH) {
        let (mut row_bytes, mut point_bytes) = (Vec::new(), Vec::new());
        {
            let contents = segment.contents.borrow();
            let contents = contents.as_ref().expect(expected);
            for owner in batch {
                let Some(part) = contents.owner(*owner) else { continue };
                let row = part.row(*owner, first_point);
                row.encode_into(&mut row_bytes);
                first_point += row.point_count;
                part.points.iter().for_each(|point| point.encode_into(&mut point_bytes));
                rows.push(row);
            }
        }
        row_crc.update(&row_bytes);
        point_crc.update(&point_bytes);
        row_buffers.push(Bytes::from(row_bytes));
        point_buffers.push(Bytes::from(point_bytes));
        give_way().await;
    }
    row_buffers.append(&mut point_buffers);
    let bytes: u64 = row_buffers.iter().map(|buffer| buffer.len() as u64).sum();
    let contents = segment.contents.borrow();
    let contents = contents.as_ref().expect(expected);
    let trailer = Trailer {
        id: segment.id,
        entries_end: segment.written.get(),
        footer_position: segment.bytes() - SEGMENT_TRAILER_BYTES - bytes,
        owner_count: u32::try_from(rows.len()).expect("a row takes more than one byte of a segment"),
        point_count: first_point,
        owners_crc: row_crc.finalize(),
        points_crc: point_crc.finalize(),
        entry_count: contents.entry_count,
        first_time: contents.first_time,
        last_time: contents.last_time,
    };
    assert!(trailer.footer_position >= trailer.entries_end, "room for the footer is kept before each entry");
    Footer { rows, buffers: row_buffers, trailer }
}

/// Tells the owners' spans where their points are now.
async fn adopt_rows<E: Env>(core: &Core<E>, segment: &SegmentOf<E>, rows: &[OwnerRow]) {
    for batch in rows.chunks(UPKEEP_BATCH) {
        {
            let mut state = core.state.borrow_mut();
            for row in batch {
                let Some(owner) = state.owners.get_mut(&row.owner) else { continue };
                if let Some(span) = owner.spans.iter_mut().rev().find(|span| span.segment == segment.id) {
                    span.first_point = row.first_point;
                    span.point_count = row.point_count;
                }
            }
        }
        give_way().await;
    }
}
