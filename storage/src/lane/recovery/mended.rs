//! What a start mends by itself: footers that it makes anew from whole entries.
//!
//! Promises that each is told with file and offset: nothing is lost, but a disk that changes bytes is news. A footer that a crash kept from being written is none.

use super::{File, Piece};
use crate::{config::LaneConfig, error::Damage, limits::SEGMENT_TRAILER_BYTES};

/// Tells of the segments of a log, in their order. Segments are sealed in that order, so one without a trailer before one with it has lost it.
pub(super) fn tell<F: File>(config: &LaneConfig, pieces: &[Piece<F>]) {
    let last_sealed = pieces.iter().rposition(|piece| piece.scanned.is_none());
    for (index, piece) in pieces.iter().enumerate() {
        if piece.scanned.is_none() {
            continue;
        }
        let trailer_offset = piece.segment.bytes() - SEGMENT_TRAILER_BYTES;
        let (offset, expected) = if let Some(offset) = piece.rebuilt {
            (offset, "the owner table of the footer")
        } else if last_sealed.is_some_and(|sealed| index < sealed) {
            (trailer_offset, "the trailer of a full segment")
        } else {
            continue;
        };
        let (path, expected) = (piece.segment.path.clone(), expected.to_owned());
        let found = "other bytes; it is made anew from the entries".to_owned();
        let damage = Damage { path, offset, expected, found };
        tracing::warn!(lane = config.lane.0, error = %damage, "a footer was damaged, and nothing is lost");
    }
}
