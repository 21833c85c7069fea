//! Which structure is damaged, where an index and the entries disagree.
//!
//! Points have one checksum for all of them, which no read can afford to check: it would read all points of a segment for one of them. So each read
//! checks what the points lead to, and only where that is wrong it is asked who lies.

use crate::{
    env::File,
    error::{Damage, DiskError, FetchError},
    limits::CHUNK_BYTES,
    segment::Segment,
};

/// Says that the points are damaged, if they are and not the entries that they lead to.
pub(super) async fn blame<F: File>(segment: &Segment<F>, error: FetchError) -> FetchError {
    match error {
        FetchError::Damaged(damage) => match damaged_points(segment).await {
            Ok(Some(points)) => FetchError::Damaged(points),
            // What was found is told, if nothing more can be.
            Ok(None) | Err(_) => FetchError::Damaged(damage),
        },
        other => other,
    }
}

/// Checks the points of a sealed segment against their checksum.
pub(super) async fn damaged_points<F: File>(segment: &Segment<F>) -> Result<Option<Damage>, DiskError> {
    let Some(trailer) = segment.trailer.get() else { return Ok(None) };
    let (start, end) = (trailer.point_position(0), trailer.point_position(trailer.point_count));
    let mut crc = crc32fast::Hasher::new();
    let mut position = start;
    while position < end {
        let step = CHUNK_BYTES.min(end - position);
        crc.update(&segment.file.read(position, step as usize).await?);
        position += step;
    }
    let (expected, found) = (trailer.points_crc, crc.finalize());
    Ok((expected != found).then(|| Damage {
        path: segment.path.clone(),
        offset: start,
        expected: format!("points with checksum {expected:#010x}"),
        found: format!("{found:#010x}"),
    }))
}
