//! What is left of a damaged segment file.
//!
//! Reads through the file and not through the map, page by page where the disk fails, and believes only what has a right checksum.

use std::{collections::BTreeMap, ops::Range};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{
    LaneId, OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryKind},
};

use super::{
    index::Index,
    traces::{self, Traces},
};
use crate::{
    env::File,
    error::DiskError,
    inspect::expected_footer,
    limits::{CHUNK_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    segment::{
        Place, SegmentId,
        contents::Contents,
        footer::{RowFormat, decode_owner_table},
        header::{HEADER_BYTES, SegmentHeader},
        scan::{Found, WalkEnd, first_entry, is_closing, search},
        trailer::{TRAILER_BYTES, Trailer},
        watermarks,
    },
};

const PAGE_BYTES: usize = crate::limits::PAGE_BYTES as usize;

/// The rest of a segment.
pub(super) struct Salvaged {
    /// The whole file, with zeroes where the disk gave nothing. Behind it are the bytes of what is borrowed.
    pub(super) bytes: Vec<u8>,
    /// All valid entries of the segment in the order of their positions.
    pub(super) entries: Vec<Found>,
    /// Entries of it that other segments still hold.
    pub(super) borrowed: Vec<Found>,
    /// Where there should be entries and are none.
    pub(super) lost: Vec<Range<u64>>,
    /// Behind the last entry, where nothing tells whether there were more.
    pub(super) tail: Option<Range<u64>>,
    /// The part of it that is not zero, if a broken entry begins there.
    pub(super) broken: Option<Range<u64>>,
    /// What broken entries tell.
    pub(super) traces: Traces,
    /// What is left of the owner table. It is made of the entries where these prove to be all that there were.
    pub(super) index: Index,
    /// The segment of a sound header that is not the one in the file's name.
    pub(super) foreign_id: Option<SegmentId>,
    /// How it was written.
    pub(super) kind: Kind,
    /// It was sealed.
    pub(super) has_trailer: bool,
    header: Option<SegmentHeader>,
}

/// How a segment was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a part of the log.
    Log,
    /// By compaction, or a repair.
    Compacted,
    /// Nothing of what is left tells.
    Unclear,
}

/// Reads a file of the lane.
pub(super) async fn salvage<F: File>(file: &F, id: SegmentId, lane: LaneId) -> Result<Salvaged, DiskError> {
    let bytes = read_whole(file).await;
    let header = SegmentHeader::decode(&bytes).ok();
    let foreign_id = header.map(|header| header.id).filter(|found| *found != id);
    let header = header.or_else(|| mend_header(&bytes, id, lane));
    let trailer_at = bytes.len().saturating_sub(SEGMENT_TRAILER_BYTES as usize);
    let page = bytes.get(trailer_at..).unwrap_or_default();
    let trailer = Trailer::decode(page, trailer_at as u64).ok().filter(|trailer| trailer.id == id);
    let trailer = trailer.or_else(|| mend_trailer(page, id, trailer_at as u64));
    let index = trailer.and_then(|trailer| index_of(&bytes, &trailer)).unwrap_or_else(Index::nothing);
    let end = trailer.map_or(trailer_at as u64, |trailer| trailer.entries_end);
    let entries = entries(bytes.get(..usize::try_from(end).unwrap_or(0)).unwrap_or_default(), id);
    let mut lost = Vec::new();
    let mut position = SEGMENT_HEADER_BYTES;
    for found in &entries {
        if found.position > position {
            lost.push(position..found.position);
        }
        position = found.position + found.header.stride() as u64;
    }
    let closed = entries.last().is_some_and(|found| is_closing(&found.header));
    let mut rest = (position < end && !closed).then_some(position..end);
    if trailer.is_some() {
        lost.extend(rest.take());
    }
    let broken = rest.clone().and_then(|rest| broken_in(&bytes, rest, id));
    let kind = kind_of(header.as_ref(), &entries);
    let mut salvaged = Salvaged {
        bytes,
        entries,
        borrowed: Vec::new(),
        lost,
        tail: rest,
        broken,
        traces: Traces::default(),
        index,
        foreign_id,
        kind,
        has_trailer: trailer.is_some(),
        header,
    };
    if trailer.is_none() && salvaged.lost.is_empty() {
        salvaged.prove_whole(position, trailer_at);
    }
    Ok(salvaged)
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

/// Where entries may be from a broken one on that bytes begin with: behind it there may be zeroes.
fn broken_in(bytes: &[u8], range: Range<u64>, id: SegmentId) -> Option<Range<u64>> {
    let rest = bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)?;
    let WalkEnd::Broken(_) = first_entry(rest, id).err()? else { return None };
    let written = rest.iter().rposition(|byte| *byte != 0)? as u64 + 1;
    Some(range.start..(range.start + written).next_multiple_of(8).min(range.end))
}

/// What is left of the table that a trailer leads to.
fn index_of(bytes: &[u8], trailer: &Trailer) -> Option<Index> {
    let table = trailer.footer_position..trailer.point_position(0);
    let table = bytes.get(usize::try_from(table.start).ok()?..usize::try_from(table.end).ok()?)?;
    let is_whole = crc32fast::hash(table) == trailer.owners_crc;
    let whole = is_whole.then(|| decode_owner_table(table, trailer.rows, trailer.point_count)).flatten();
    if whole.is_some() || trailer.rows == RowFormat::Plain {
        return whole.map(Index::whole);
    }
    let row_bytes = usize::try_from(trailer.rows.row_bytes()).ok()?;
    Some(Index::of_rows(table.chunks_exact(row_bytes).map(|row| trailer.rows.decode(row))))
}

/// The trailer that one flipped bit away has a right checksum and the segment's number.
fn mend_trailer(page: &[u8], id: SegmentId, at: u64) -> Option<Trailer> {
    let mut page = page.get(..TRAILER_BYTES)?.to_vec();
    for bit in 0..TRAILER_BYTES * 8 {
        page[bit / 8] ^= 1 << (bit % 8);
        if let Some(trailer) = Trailer::decode(&page, at).ok().filter(|trailer| trailer.id == id) {
            return Some(trailer);
        }
        page[bit / 8] ^= 1 << (bit % 8);
    }
    None
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

/// How a segment was written, as its header tells, or what its entries have that others never have.
fn kind_of(header: Option<&SegmentHeader>, entries: &[Found]) -> Kind {
    if let Some(header) = header {
        return if header.covers.is_some() { Kind::Compacted } else { Kind::Log };
    }
    // A copy begins with a mark, knows no stable position, is closed by no mark, and has each owner's entries in one piece.
    let is_first = |found: &Found| found.position == SEGMENT_HEADER_BYTES;
    let is_mark =
        |found: &Found| found.header.kind == EntryKind::Watermarks && found.header.base_sequence.0 == 0;
    let first = entries.first().filter(|found| is_first(found));
    let knows_stable = entries.iter().any(|found| found.header.durable_before > 0);
    let is_closed = entries.last().is_some_and(|found| is_closing(&found.header));
    let records = || entries.iter().filter(|found| found.header.kind != EntryKind::Watermarks);
    let neighbours = || records().zip(records().skip(1));
    let falls = neighbours().any(|(one, next)| next.header.owner < one.header.owner);
    if first.is_some_and(|found| !is_mark(found)) || knows_stable || is_closed || falls {
        return Kind::Log;
    }
    // The log's times never fall, and it has no sparse entries.
    let is_older = neighbours().any(|(one, next)| next.header.append_time < one.header.append_time);
    let is_sparse = records().any(|found| found.header.kind == EntryKind::Sparse);
    if first.is_some() || is_older || is_sparse { Kind::Compacted } else { Kind::Unclear }
}

impl Salvaged {
    /// Without a trailer, looks for the footer that a segment with these entries and no others has.
    fn prove_whole(&mut self, entries_end: u64, footer_end: usize) {
        let mut contents = Contents::new();
        for found in &self.entries {
            let payload = self.entry(found).get(ENTRY_HEADER_BYTES..).unwrap_or_default();
            contents.add(found.position, &found.header, payload);
        }
        let (rows, points) = expected_footer(&contents);
        let Some(id) = self.entries.first().map(|found| found.header.segment_epoch) else { return };
        let is_stored = [RowFormat::Checked(id), RowFormat::Plain].iter().any(|format| {
            let mut expected = Vec::new();
            rows.iter().for_each(|row| format.encode_into(row, &mut expected));
            points.iter().for_each(|point| point.encode_into(&mut expected));
            let start = footer_end.checked_sub(expected.len()).filter(|start| *start as u64 >= entries_end);
            start.and_then(|start| self.bytes.get(start..footer_end)) == Some(&*expected)
        });
        if !rows.is_empty() && is_stored {
            self.index = Index::whole(rows);
            self.tail = None;
        }
    }

    /// Has broken entries tell what they can, once it is known where entries are lost.
    pub(super) fn trace(&mut self, id: SegmentId) {
        self.traces = traces::find(&self.bytes, &self.lost, id);
        let watermarks = self.watermarks().into_iter().map(|(owner, _)| owner);
        let mentioned = self.told_records().map(|found| found.header.owner).chain(watermarks).collect();
        self.index.settle(&mentioned);
    }

    /// Next numbers that stand without records, by owner.
    pub(super) fn watermarks(&self) -> Vec<(OwnerId, SequenceNumber)> {
        let marks = self.entries.iter().filter(|found| found.header.kind == EntryKind::Watermarks);
        let payload = |found| self.entry(found).get(ENTRY_HEADER_BYTES..).unwrap_or_default();
        let rows = marks.flat_map(|found| watermarks::decode(payload(found)));
        let mut told: BTreeMap<OwnerId, SequenceNumber> = BTreeMap::new();
        for (owner, next) in rows.chain(self.traces.watermarks.iter().copied()) {
            let told = told.entry(owner).or_default();
            *told = next.max(*told);
        }
        told.into_iter().collect()
    }

    /// Whether it may have had sparse entries.
    pub(super) fn may_be_sparse(&self) -> bool {
        self.header.map_or(self.kind != Kind::Log, |header| header.is_sparse)
    }

    /// Its place in the log, if its header tells it, or its entries tell that it is its own.
    pub(super) fn place(&self, id: SegmentId) -> Option<Place> {
        let own = Place { first: id, last: id };
        match self.header {
            Some(header) => Some(header.covers.unwrap_or(own)),
            None => (self.kind == Kind::Log).then_some(own),
        }
    }

    /// Where a start would cut it, if it is a segment of the log that is not closed.
    pub(super) fn cut(&self) -> Option<u64> {
        let last = self.entries.last();
        let end = last.map_or(SEGMENT_HEADER_BYTES, |found| found.position + found.header.stride() as u64);
        let is_closed = self.has_trailer || last.is_some_and(|found| is_closing(&found.header));
        self.lost.first().map(|lost| lost.start).or((!is_closed).then_some(end))
    }

    /// Whether it holds nothing that could be missed.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lost.is_empty() && self.index.is_nothing()
    }

    /// The numbers of each owner that it has, or had.
    pub(super) fn numbers(&self) -> HashMap<OwnerId, Range<SequenceNumber>, FixedState> {
        let mut numbers = HashMap::default();
        for Found { header, .. } in
            self.told_records().filter(|found| self.index.row(found.header.owner).is_none())
        {
            let found = header.base_sequence..header.next_sequence();
            let numbers = numbers.entry(header.owner).or_insert(found.clone());
            *numbers = found.start.min(numbers.start)..found.end.max(numbers.end);
        }
        let rows = self.index.rows().filter(|row| row.has_entries());
        numbers.extend(rows.map(|row| (row.owner, row.first..row.next)));
        numbers
    }

    /// When its oldest record was taken.
    pub(super) fn first_time(&self) -> Timestamp {
        let rows = self.index.rows().filter(|row| row.has_entries()).map(|row| row.first_time);
        rows.chain(self.told_records().map(|found| found.header.append_time)).min().unwrap_or_default()
    }

    /// Its entries with records of owners.
    pub(super) fn records(&self) -> impl Iterator<Item = &Found> {
        self.entries.iter().filter(|found| found.header.kind != EntryKind::Watermarks)
    }

    /// The same and those that are broken, of whose numbers is known, in the order of their positions.
    pub(super) fn told_records(&self) -> impl Iterator<Item = &Found> {
        let mut all: Vec<&Found> = self.records().chain(&self.traces.entries).collect();
        all.sort_unstable_by_key(|found| found.position);
        all.into_iter()
    }

    /// Whether an entry is broken.
    pub(super) fn is_trace(&self, found: &Found) -> bool {
        self.traces.entries.binary_search_by_key(&found.position, |trace| trace.position).is_ok()
    }

    /// The bytes of an entry, without those that fill it up to its stride.
    pub(super) fn entry(&self, found: &Found) -> &[u8] {
        let start = usize::try_from(found.position).unwrap_or(usize::MAX);
        let entry = self.bytes.get(start..).unwrap_or_default();
        entry.get(..found.header.length as usize).unwrap_or_default()
    }
}
