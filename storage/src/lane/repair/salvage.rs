//! What is left of a damaged segment file.
//!
//! Reads through the file and not through the map, page by page where the disk fails, and believes only what has a right checksum.

use std::ops::Range;

use tidemill_wire::{LaneId, entry::EntryKind};

use crate::{
    env::File,
    error::DiskError,
    inspect::SegmentReport,
    limits::{CHUNK_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    segment::{
        Place, SegmentId,
        footer::{OwnerRow, decode_owner_table},
        header::{HEADER_BYTES, SegmentHeader},
        scan::{Found, is_closing, search},
        trailer::Trailer,
    },
};

const PAGE_BYTES: usize = 4096;

/// The rest of a segment.
pub(super) struct Salvaged {
    /// The whole file, with zeroes where the disk gave nothing.
    pub(super) bytes: Vec<u8>,
    /// All valid entries of the segment in the order of their positions.
    pub(super) entries: Vec<Found>,
    /// Where there should be entries and are none.
    pub(super) lost: Vec<Range<u64>>,
    /// The owner table, if it is whole.
    pub(super) rows: Option<Vec<OwnerRow>>,
    /// The segment of a sound header that is not the one in the file's name.
    pub(super) foreign_id: Option<SegmentId>,
    header: Option<SegmentHeader>,
}

/// Reads a file of the lane. Behind the last entry of the segment in which the log ends nothing is missed.
pub(super) async fn salvage<F: File>(
    file: &F,
    id: SegmentId,
    lane: LaneId,
    is_last: bool,
) -> Result<Salvaged, DiskError> {
    let bytes = read_whole(file).await;
    let header = SegmentHeader::decode(&bytes).ok();
    let foreign_id = header.map(|header| header.id).filter(|found| *found != id);
    let header = header.or_else(|| mend_header(&bytes, id, lane));
    let trailer_at = bytes.len().saturating_sub(SEGMENT_TRAILER_BYTES as usize);
    let trailer = bytes.get(trailer_at..).and_then(|page| Trailer::decode(page, trailer_at as u64).ok());
    let trailer = trailer.filter(|trailer| trailer.id == id);
    let rows = trailer.and_then(|trailer| {
        let table = trailer.footer_position..trailer.point_position(0);
        let table = bytes.get(usize::try_from(table.start).ok()?..usize::try_from(table.end).ok()?)?;
        let whole = crc32fast::hash(table) == trailer.owners_crc;
        whole.then(|| decode_owner_table(table, trailer.rows, trailer.point_count)).flatten()
    });
    let end = trailer.map_or(trailer_at as u64, |trailer| trailer.entries_end);
    let entries = entries(bytes.get(..usize::try_from(end).unwrap_or(0)).unwrap_or_default(), id);
    let mut lost = Vec::new();
    let mut position = SEGMENT_HEADER_BYTES;
    let mut closed = false;
    for found in &entries {
        if found.position > position {
            lost.push(position..found.position);
        }
        position = found.position + found.header.stride() as u64;
        closed = is_closing(&found.header);
    }
    if position < end && !closed && (trailer.is_some() || !is_last) {
        lost.push(position..end);
    }
    Ok(Salvaged { bytes, entries, lost, rows, foreign_id, header })
}

async fn read_whole<F: File>(file: &F) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut at = 0;
    while at < file.bytes() {
        let step = usize::try_from(CHUNK_BYTES.min(file.bytes() - at)).unwrap_or(PAGE_BYTES);
        if let Ok(chunk) = file.read(at, step).await {
            whole.extend_from_slice(&chunk);
            at += chunk.len() as u64;
            continue;
        }
        let end = at + step as u64;
        while at < end {
            let step = PAGE_BYTES.min(usize::try_from(end - at).unwrap_or(PAGE_BYTES));
            match file.read(at, step).await {
                Ok(page) => whole.extend_from_slice(&page),
                // What the disk does not give back is lost.
                Err(_) => whole.resize(whole.len() + step, 0),
            }
            at += step as u64;
        }
    }
    whole
}

fn entries(bytes: &[u8], id: SegmentId) -> Vec<Found> {
    let mut entries = Vec::new();
    let mut from = SEGMENT_HEADER_BYTES;
    while let Some(found) = search(bytes, id, from) {
        from = found.position + found.header.stride() as u64;
        entries.push(found);
        if is_closing(&found.header) {
            break;
        }
    }
    entries
}

/// The header that one flipped bit away has a right checksum, and says what the file's name and size say.
fn mend_header(bytes: &[u8], id: SegmentId, lane: LaneId) -> Option<SegmentHeader> {
    let mut page = bytes.get(..HEADER_BYTES)?.to_vec();
    for bit in 0..HEADER_BYTES * 8 {
        page[bit / 8] ^= 1 << (bit % 8);
        if let Ok(header) = SegmentHeader::decode(&page)
            && (header.id, header.lane, header.segment_bytes) == (id, lane, bytes.len() as u64)
        {
            return Some(header);
        }
        page[bit / 8] ^= 1 << (bit % 8);
    }
    None
}

impl Salvaged {
    /// Bytes in which entries are lost.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost.iter().map(|range| range.end - range.start).sum()
    }

    /// Its place in the log, as its header tells it, or as its entries do for a segment of the log.
    pub(super) fn place(&self, id: SegmentId) -> Option<Place> {
        let own = Place { first: id, last: id };
        if let Some(header) = self.header {
            return Some(header.covers.unwrap_or(own));
        }
        // A copy begins with a mark, knows no stable position, and is closed by none.
        let begins =
            |found: &Found| found.header.kind == EntryKind::Watermarks && found.header.base_sequence.0 == 0;
        let is_copy = self.entries.first().is_some_and(begins)
            && self.entries.iter().all(|found| found.header.durable_before == 0)
            && !self.entries.last().is_some_and(|found| is_closing(&found.header));
        (!is_copy).then_some(own)
    }

    /// Whether it holds nothing that could be missed.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lost.is_empty() && self.rows.is_none()
    }

    /// Whether each of its records is in one of these segments too.
    pub(super) fn is_told_by(&self, others: &[&SegmentReport]) -> bool {
        self.records().all(|found| {
            let mut rows = others.iter().flat_map(|other| &other.owners);
            rows.any(|row| {
                row.owner == found.header.owner
                    && row.first <= found.header.base_sequence
                    && found.header.next_sequence() <= row.next
            })
        })
    }

    /// A place between segments, which are in the order of theirs, where every owner's numbers fit.
    pub(super) fn slot_between(&self, in_place: &[(Place, &SegmentReport)], id: SegmentId) -> Option<Place> {
        (0..=in_place.len()).find_map(|slot| {
            let (before, after) = in_place.split_at_checked(slot)?;
            let first = before.last().map_or(0, |(place, _)| place.last + 1);
            let last = after.first().map_or(id, |(place, _)| place.first).min(id);
            let fits = self.records().all(|found| {
                let rows = |others: &[(Place, &SegmentReport)], wrong: fn(&_, &Found) -> bool| {
                    let mut rows = others.iter().flat_map(|(_, other)| &other.owners);
                    rows.any(|row| {
                        row.owner == found.header.owner && !row.watermark_only && wrong(row, found)
                    })
                };
                !rows(before, |row, found| row.next > found.header.base_sequence)
                    && !rows(after, |row, found| row.first < found.header.next_sequence())
            });
            (first < last && fits).then_some(Place { first, last: first })
        })
    }

    /// Its entries with records of owners.
    fn records(&self) -> impl Iterator<Item = &Found> {
        self.entries.iter().filter(|found| found.header.kind != EntryKind::Watermarks)
    }
}
