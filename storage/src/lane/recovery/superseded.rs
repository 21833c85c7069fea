//! Damaged segments that nothing needs any more: compaction has put another one in their place, and was interrupted before it retired them.
//!
//! Promises that such a segment does not keep a lane from being opened as long as its footer still tells how far its owners' numbers had come, which may be told
//! nowhere else. Leaves out all others: they are damage, and a repair's.

use super::{FileOf, Piece};
use crate::{
    config::LaneConfig,
    env::{Access, Env},
    error::{Damage, OpenError},
    segment::{Place, Segment, load::load_footer, segment_id_of},
};

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
        let is_taken = compacted.iter().any(|taker| taker.segment.place().contains(&place));
        let footer =
            if is_taken { load_footer(env.disk(), &damage.path, id, Access::Write).await? } else { None };
        let Some((file, trailer, rows)) = footer else { return Err(OpenError::Damaged(damage)) };
        tracing::warn!(lane = config.lane.0, error = %damage, "a damaged segment is removed: another one has taken its place");
        let segment = Segment::sealed(id, damage.path, file, trailer);
        pieces.push(Piece { segment, rows, scanned: None, rebuilt: None, listed: None });
    }
    pieces.sort_by_key(|piece| piece.segment.id);
    Ok(())
}
