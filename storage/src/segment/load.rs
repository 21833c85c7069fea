//! Reading segment files that may hold anything, without changing them.
//!
//! Owns the order in which a file is believed: header, trailer, owner table, and else the entries one by one. Used by recovery and by inspection.

use std::path::Path;

use bytes::Bytes;
use tidemill_wire::entry::EntryKind;

use super::{
    SegmentId,
    contents::Contents,
    footer::{OwnerRow, decode_owner_table},
    header::{HEADER_BYTES, SegmentHeader},
    scan::{WalkEnd, search_on, walk_on},
    trailer::{TRAILER_BYTES, Trailer},
};
use crate::{
    env::{Access, Disk, File},
    error::{Damage, DiskError},
    failpoint::{Work, between},
    limits::{CHUNK_BYTES, SCAN_STEP_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
};

/// A segment file with a valid header.
pub(crate) struct Loaded<F> {
    pub(crate) file: F,
    pub(crate) header: SegmentHeader,
    /// A trailer of this segment.
    pub(crate) trailer: Option<Trailer>,
    /// Its owner table, if it is whole.
    pub(crate) rows: Option<Vec<OwnerRow>>,
}

/// Why a file is not a segment that can be used.
#[derive(Debug)]
pub(crate) enum LoadError {
    Damaged(Damage),
    Disk(DiskError),
}

impl From<DiskError> for LoadError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// Opens a segment and reads what describes it.
pub(crate) async fn load<D: Disk>(
    disk: &D,
    path: &Path,
    id: SegmentId,
    access: Access,
) -> Result<Loaded<D::File>, LoadError> {
    let loaded = load_without_rows(disk, path, id, access).await?;
    let rows = match &loaded.trailer {
        Some(trailer) => read_rows(&loaded.file, trailer).await?,
        None => None,
    };
    Ok(Loaded { rows, ..loaded })
}

/// The same without the owner table.
pub(crate) async fn load_without_rows<D: Disk>(
    disk: &D,
    path: &Path,
    id: SegmentId,
    access: Access,
) -> Result<Loaded<D::File>, LoadError> {
    let file = disk.open(path.to_owned(), access).await?;
    let damaged = |offset, expected: String, found: String| {
        LoadError::Damaged(Damage { path: path.to_owned(), offset, expected, found })
    };
    let file_bytes = file.bytes();
    if file_bytes < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES {
        return Err(damaged(0, "a segment".to_owned(), format!("a file of {file_bytes} bytes")));
    }
    let page = file.read(0, HEADER_BYTES).await?;
    let header = SegmentHeader::decode(&page)
        .map_err(|error| damaged(0, "a segment header".to_owned(), error.to_string()))?;
    if header.id != id {
        return Err(damaged(0, format!("segment {id:016x}"), format!("segment {:016x}", header.id)));
    }
    if header.segment_bytes != file_bytes {
        return Err(damaged(0, format!("{} bytes", header.segment_bytes), format!("{file_bytes} bytes")));
    }
    let page = file.read(file_bytes - SEGMENT_TRAILER_BYTES, TRAILER_BYTES).await?;
    let trailer = Trailer::decode(&page, file_bytes - SEGMENT_TRAILER_BYTES).ok().filter(|t| t.id == id);
    Ok(Loaded { file, header, trailer, rows: None })
}

/// Opens a segment whose header may be anything, and reads its footer; `None` if that is not whole.
pub(crate) async fn load_footer<D: Disk>(
    disk: &D,
    path: &Path,
    id: SegmentId,
    access: Access,
) -> Result<Option<(D::File, Trailer, Vec<OwnerRow>)>, DiskError> {
    let file = disk.open(path.to_owned(), access).await?;
    let Some(trailer_position) = file.bytes().checked_sub(SEGMENT_TRAILER_BYTES) else { return Ok(None) };
    let page = file.read(trailer_position, TRAILER_BYTES).await?;
    let trailer = Trailer::decode(&page, trailer_position).ok().filter(|trailer| trailer.id == id);
    let Some(trailer) = trailer else { return Ok(None) };
    let rows = read_rows(&file, &trailer).await?;
    Ok(rows.map(|rows| (file, trailer, rows)))
}

/// The owner table that a trailer leads to; `None` if it is not what the trailer says.
pub(crate) async fn read_rows<F: File>(
    file: &F,
    trailer: &Trailer,
) -> Result<Option<Vec<OwnerRow>>, DiskError> {
    // The trailer's check has found the table within the file.
    let Ok(bytes) = usize::try_from(trailer.owners_bytes()) else { return Ok(None) };
    let table = file.read(trailer.footer_position, bytes).await?;
    if crc32fast::hash(&table) != trailer.owners_crc {
        return Ok(None);
    }
    Ok(decode_owner_table(&table, trailer.rows, trailer.point_count))
}

/// What a scan of a segment found.
pub(crate) struct Scanned {
    pub(crate) contents: Contents,
    /// Where valid entries end.
    pub(crate) end: u64,
    pub(crate) why: WalkEnd,
    /// Up to where entries of this segment say that it was stable.
    pub(crate) stable: u64,
    /// Whether an entry says that all earlier segments were stable.
    pub(crate) claims_stable: bool,
    /// Whether the last entry vouches for all before it.
    pub(crate) ends_with_mark: bool,
    /// Valid entries behind the end.
    pub(crate) stray: Stray,
}

/// Valid entries where none can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Position of the first that says the lane was stable further than `end`, and how far it says.
    pub(crate) witness: Option<(u64, u64)>,
}

/// Reads all entries of a segment, in steps.
pub(crate) async fn scan<F: File>(file: &F, id: SegmentId) -> Result<Scanned, DiskError> {
    let end = file.bytes() - SEGMENT_TRAILER_BYTES;
    let mut start = 0;
    while start < end {
        let stop = end.min(start + CHUNK_BYTES);
        file.populate(start..stop).await?;
        start = stop;
    }
    let bytes = file.view(0..end);
    let mut scan = Scan::new(id);
    while scan.step(&bytes, SCAN_STEP_BYTES) {
        between(Work::Scan).await;
    }
    Ok(scan.finish())
}

/// Reads all entries in a segment's bytes.
pub(crate) fn scan_bytes(bytes: &Bytes, id: SegmentId) -> Scanned {
    let mut scan = Scan::new(id);
    while scan.step(bytes, usize::MAX) {}
    scan.finish()
}

/// A scan on its way: first from entry to entry, and then, if the segment does not end there, from one position to the next.
struct Scan {
    id: SegmentId,
    position: usize,
    /// Where the entries end, and why.
    end: Option<(u64, WalkEnd)>,
    contents: Contents,
    stable: u64,
    claims_stable: bool,
    ends_with_mark: bool,
    stray: Stray,
}

impl Scan {
    fn new(id: SegmentId) -> Self {
        Self {
            id,
            position: SEGMENT_HEADER_BYTES as usize,
            end: None,
            contents: Contents::new(),
            stable: SEGMENT_HEADER_BYTES,
            claims_stable: false,
            ends_with_mark: false,
            stray: Stray::default(),
        }
    }

    /// Looks at so many bytes, and the rest of an entry. Returns whether there is more.
    fn step(&mut self, bytes: &[u8], step_bytes: usize) -> bool {
        let until = self.position.saturating_add(step_bytes);
        match self.end {
            None => {
                self.walk(bytes, until);
                self.end.is_none_or(|(_, why)| why != WalkEnd::Closed)
            }
            Some((_, WalkEnd::Closed)) => false,
            Some((end, _)) => {
                self.search(bytes, until, end);
                self.position < bytes.len()
            }
        }
    }

    fn walk(&mut self, bytes: &[u8], until: usize) {
        let Self { position, contents, stable, claims_stable, ends_with_mark, .. } = self;
        let why = walk_on(bytes, self.id, position, until, |found, payload| {
            *stable = (*stable).max(found.header.durable_before);
            *claims_stable |= found.header.durable_before > 0;
            *ends_with_mark = found.header.kind == EntryKind::Watermarks && payload.is_empty();
            contents.add(found.position, &found.header, payload);
        });
        self.end = why.map(|why| (self.position as u64, why));
    }

    fn search(&mut self, bytes: &[u8], until: usize, end: u64) {
        while let Some(found) = search_on(bytes, self.id, &mut self.position, until) {
            self.position += found.header.stride();
            self.stray.entries += 1;
            self.claims_stable |= found.header.durable_before > 0;
            self.stray.bytes += found.header.stride() as u64;
            if found.header.durable_before > end && self.stray.witness.is_none() {
                self.stray.witness = Some((found.position, found.header.durable_before));
            }
        }
    }

    fn finish(self) -> Scanned {
        let Self { position, contents, stable, claims_stable, ends_with_mark, stray, .. } = self;
        let (end, why) = self.end.unwrap_or((position as u64, WalkEnd::Nothing));
        Scanned { contents, end, why, stable: stable.min(end), claims_stable, ends_with_mark, stray }
    }
}
