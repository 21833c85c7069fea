//! Finding entries in bytes that may hold anything.
//!
//! Owns the walk that recovery takes through a segment without a footer, and the search behind the point where it ends.
//! Never panics and allocates nothing.

use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryError, EntryHeader, EntryKind};

use super::SegmentId;
use crate::limits::SEGMENT_HEADER_BYTES;

/// A valid entry and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: EntryHeader,
}

/// Why a walk came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WalkEnd {
    /// The entry that closes a segment was found: the log goes on in another one.
    #[error("the segment's last entry")]
    Closed,
    /// No entry of this segment begins here.
    #[error("no entry of this segment")]
    Nothing,
    /// An entry of this segment begins here, and is broken.
    #[error("a broken entry: {0}")]
    Broken(EntryError),
}

/// Walks the entries of a segment from the first one on. `bytes` are those of the segment, from its start to where entries may end.
/// Returns where the walk ended, and why.
pub(crate) fn walk(bytes: &[u8], id: SegmentId, visit: impl FnMut(Found, &[u8])) -> (u64, WalkEnd) {
    let mut position = SEGMENT_HEADER_BYTES as usize;
    let end = walk_on(bytes, id, &mut position, usize::MAX, visit);
    (position as u64, end.unwrap_or(WalkEnd::Nothing))
}

/// Goes on with a walk, over entries that begin before a position. Returns why it came to an end, if it did.
pub(crate) fn walk_on(
    bytes: &[u8],
    id: SegmentId,
    position: &mut usize,
    until: usize,
    mut visit: impl FnMut(Found, &[u8]),
) -> Option<WalkEnd> {
    while *position < until {
        let rest = bytes.get(*position..).unwrap_or_default();
        let header = match first_entry(rest, id) {
            Ok(header) => header,
            Err(end) => return Some(end),
        };
        let payload = rest.get(ENTRY_HEADER_BYTES..header.length as usize).unwrap_or_default();
        visit(Found { position: *position as u64, header }, payload);
        *position += header.stride();
        if is_closing(&header) {
            return Some(WalkEnd::Closed);
        }
    }
    None
}

/// The entry that some bytes begin with, or why there is none.
pub(crate) fn first_entry(rest: &[u8], id: SegmentId) -> Result<EntryHeader, WalkEnd> {
    entry_at(rest, id).map_err(|end| if end == WalkEnd::Nothing { lost_epoch(rest, id) } else { end })
}

/// The first valid entry of a segment at or after a position.
pub(crate) fn search(bytes: &[u8], id: SegmentId, from: u64) -> Option<Found> {
    let mut position = usize::try_from(from).ok()?;
    search_on(bytes, id, &mut position, usize::MAX)
}

/// Goes on with a search up to a position. It is at its end where `position` is behind the bytes.
pub(crate) fn search_on(bytes: &[u8], id: SegmentId, position: &mut usize, until: usize) -> Option<Found> {
    *position = position.checked_next_multiple_of(8)?;
    let epoch = id.to_le_bytes();
    while *position < until
        && let Some(rest) = bytes.get(*position..)
    {
        // The epoch is compared first: it settles nearly all positions without a checksum.
        if rest.get(40..48) == Some(&epoch[..])
            && let Ok(header) = entry_at(rest, id)
        {
            return Some(Found { position: *position as u64, header });
        }
        *position += 8;
    }
    None
}

/// Whether the entry says that its segment ends with it. It names the segment in which the log goes on.
pub(crate) fn is_closing(header: &EntryHeader) -> bool {
    header.kind == EntryKind::Watermarks && header.payload_bytes() == 0 && header.base_sequence.0 != 0
}

/// Why there is no entry of this segment: none begins here, or one of which the epoch is damaged and nothing else. It is no less lost
/// than one that is damaged elsewhere, and must not pass for the end of the log.
fn lost_epoch(rest: &[u8], id: SegmentId) -> WalkEnd {
    let word = |at: usize| Some(u32::from_le_bytes(*rest.get(at..)?.first_chunk()?));
    let (Some(expected), Some(length)) = (word(0), word(4)) else { return WalkEnd::Nothing };
    let (before, after) = (rest.get(4..40), rest.get(48..length as usize));
    let (Some(before), Some(after)) = (before, after) else { return WalkEnd::Nothing };
    let mut crc = crc32fast::Hasher::new();
    crc.update(before);
    crc.update(&id.to_le_bytes());
    crc.update(after);
    if crc.finalize() != expected {
        return WalkEnd::Nothing;
    }
    let found = rest.get(4..length as usize).map(crc32fast::hash).unwrap_or_default();
    WalkEnd::Broken(EntryError::Checksum { expected, found })
}

fn entry_at(rest: &[u8], id: SegmentId) -> Result<EntryHeader, WalkEnd> {
    let epoch = rest.get(40..48).ok_or(WalkEnd::Nothing)?;
    if epoch != id.to_le_bytes() {
        return Err(WalkEnd::Nothing);
    }
    let header = EntryHeader::verify(rest).map_err(WalkEnd::Broken)?;
    if header.stride() > rest.len() {
        return Err(WalkEnd::Broken(EntryError::Truncated { needed: header.stride(), found: rest.len() }));
    }
    Ok(header)
}
