//! Each entry of a segment, one after the other.

use std::path::Path;

use tidemill_wire::entry::EntryHeader;

use crate::{
    env::{Access, Disk, Env, File},
    error::DiskError,
    limits::SEGMENT_TRAILER_BYTES,
    segment::scan::{search, walk},
};

/// An entry, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryLine {
    /// In the file.
    pub position: u64,
    /// What it says of itself.
    pub header: EntryHeader,
    /// Whether the bytes before it are no entry, so that a walk from the first one does not come to it.
    pub is_stray: bool,
}

/// Visits all valid entries of the segment with this number in a file, those behind broken ones included. The header and the footer are not looked at.
pub async fn entries<E: Env>(
    env: &E,
    path: &Path,
    id: u64,
    mut visit: impl FnMut(EntryLine),
) -> Result<(), DiskError> {
    let file = env.disk().open(path.to_owned(), Access::Read).await?;
    file.populate(0..file.bytes()).await?;
    let bytes = file.view(0..file.bytes().saturating_sub(SEGMENT_TRAILER_BYTES));
    let (mut from, _) = walk(&bytes, id, |found, _| {
        visit(EntryLine { position: found.position, header: found.header, is_stray: false });
    });
    while let Some(found) = search(&bytes, id, from) {
        visit(EntryLine { position: found.position, header: found.header, is_stray: true });
        from = found.position + found.header.stride() as u64;
    }
    Ok(())
}
