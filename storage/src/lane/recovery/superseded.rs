//! Damaged segments that nothing needs any more: compaction has put another one in their place, and was interrupted before it retired them.
//!
//! Promises that such a segment of the log does not keep a lane from being opened as long as its footer still tells how far its owners' numbers had come, which may be told
//! nowhere else. A compacted one that has lost its header is no such: its number says nothing of its place, and nobody else may have its entries. Leaves out all others: they are damage, and a repair's.

use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader};

use super::{FileOf, Piece};
use crate::{
    config::LaneConfig,
    env::{Access, Env, File},
    error::{Damage, DiskError, OpenError},
    segment::{Place, Segment, load::load_footer, scan::is_closing, segment_id_of, trailer::Trailer},
};

/// Whether a compacted segment has the place of this one: then the log never goes on in it, whether it was closed or not.
pub(super) fn is_taken<F: File>(piece: &Piece<F>, compacted: &[Piece<F>]) -> bool {
    let (id, place) = (piece.segment.id, piece.segment.place());
    compacted.iter().any(|taker| taker.segment.id != id && taker.segment.place().contains(&place))
}

/// Whether the last entry is the mark that closes a segment of the log. Without a header nothing else tells it from a compacted one, whose place may be anywhere.
async fn is_closed<F: File>(file: &F, trailer: &Trailer) -> Result<bool, DiskError> {
    let position = trailer.entries_end.saturating_sub(ENTRY_HEADER_BYTES as u64);
    let bytes = file.read(position, ENTRY_HEADER_BYTES).await?;
    let header = EntryHeader::verify(&bytes).ok().filter(|header| header.segment_epoch == trailer.id);
    Ok(header.is_some_and(|header| is_closing(&header)))
}

/// Adds what the footers tell of damaged segments whose place a sound compacted one has taken. Any other damaged segment is an error.
pub(super) async fn read_footers<E: Env>(
    env: &E,
    config: &LaneConfig,
    damaged: Vec<Damage>,
    compacted: &[Piece<FileOf<E>>],
    pieces: &mut Vec<Piece<FileOf<E>>>,
) -> Result<(), OpenError> {
    for damage in damaged {
        let name = damage.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(id) = name.as_deref().and_then(segment_id_of) else {
            return Err(OpenError::Damaged(damage));
        };
        let place = Place { first: id, last: id };
        let has_taker = compacted.iter().any(|taker| taker.segment.place().contains(&place));
        let footer =
            if has_taker { load_footer(env.disk(), &damage.path, id, Access::Write).await? } else { None };
        let Some((file, trailer, rows)) = footer else { return Err(OpenError::Damaged(damage)) };
        if !is_closed(&file, &trailer).await? {
            return Err(OpenError::Damaged(damage));
        }
        tracing::warn!(lane = config.lane.0, error = %damage, "a damaged segment is removed: another one has taken its place");
        let segment = Segment::sealed(id, damage.path, file, trailer);
        pieces.push(Piece { segment, rows, scanned: None, rebuilt: None, listed: None });
    }
    pieces.sort_by_key(|piece| piece.segment.id);
    Ok(())
}
