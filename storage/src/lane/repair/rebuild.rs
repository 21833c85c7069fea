//! The replacement of a damaged segment: written, sealed and named as compaction does, so a start that finds half of it removes it.

use bytes::Bytes;
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, stride},
    numbered::encode_sparse,
};

use super::{
    super::{preparer::name_file, sealer::write_footer},
    numbers::{Composed, Piece},
};
use crate::{
    config::LaneConfig,
    env::{Disk, Env, File, WriteMode},
    error::DiskError,
    limits::{CHUNK_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES, WATERMARK_ROWS_MAX},
    segment::{Place, Segment, SegmentId, compacting_path, contents::Contents, watermarks},
};

/// Writes the segment that takes a damaged one's place. A crash before its name leaves nothing that counts.
pub(super) async fn rebuild<E: Env>(
    env: &E,
    config: &LaneConfig,
    composed: &Composed,
    id: SegmentId,
    place: Place,
) -> Result<(), DiskError> {
    let mut contents = Contents::new();
    let mut end = SEGMENT_HEADER_BYTES;
    for_each_entry(composed, id, |header, payload| {
        contents.add(end, header, payload);
        end += header.stride() as u64;
    });
    let bytes = (end + contents.footer_bytes(0, 0)).next_multiple_of(4096) + SEGMENT_TRAILER_BYTES;
    let path = compacting_path(&config.directory, id);
    let file = env.disk().create(path.clone(), bytes).await?;
    let segment = Segment { covers: Some(place), ..Segment::empty(id, path.clone(), file) };
    segment.contents.replace(Some(contents));
    let written = async {
        write_entries(&segment, composed, id).await?;
        segment.written.set(end);
        write_footer(&segment).await.map(drop)
    };
    if let Err(error) = written.await {
        drop(segment);
        // What cannot be removed now is removed by the next start.
        let _ = env.disk().remove(path).await;
        return Err(error);
    }
    let is_sparse = composed.pieces.iter().any(|piece| match piece {
        Piece::Gap { .. } => true,
        Piece::Entry(found) => found.header.kind == EntryKind::Sparse,
    });
    name_file(env, config, id, &segment.file, Some(place), is_sparse).await.map(drop)
}

async fn write_entries<F: File>(
    segment: &Segment<F>,
    composed: &Composed,
    id: SegmentId,
) -> Result<(), DiskError> {
    let mut chunks = vec![Vec::new()];
    for_each_entry(composed, id, |header, payload| {
        if chunks.last().is_some_and(|chunk: &Vec<u8>| chunk.len() as u64 >= CHUNK_BYTES) {
            chunks.push(Vec::new());
        }
        let Some(chunk) = chunks.last_mut() else { return };
        chunk.extend_from_slice(&header.encode(payload));
        chunk.extend_from_slice(payload);
        let length = header.length as usize;
        chunk.resize(chunk.len() + stride(length) - length, 0);
    });
    let mut position = SEGMENT_HEADER_BYTES;
    for chunk in chunks {
        let bytes = chunk.len() as u64;
        segment.file.write(position, vec![Bytes::from(chunk)], WriteMode::Cached).await?;
        position += bytes;
    }
    segment.file.flush().await
}

/// Visits the entries of the replacement in their order: the mark that a copy begins with, what is known of numbers, and then the owners.
fn for_each_entry(composed: &Composed, id: SegmentId, mut visit: impl FnMut(&EntryHeader, &[u8])) {
    let header =
        |kind, owner, numbers: std::ops::Range<SequenceNumber>, append_time, payload: &[u8]| EntryHeader {
            length: u32::try_from(ENTRY_HEADER_BYTES + payload.len())
                .expect("payloads of this file are small"),
            kind,
            key_id: 0,
            record_count: u32::try_from(numbers.end.since(numbers.start))
                .expect("checked when it was composed"),
            owner,
            base_sequence: numbers.start,
            append_time,
            segment_epoch: id,
            durable_before: 0,
        };
    let none = SequenceNumber(0)..SequenceNumber(0);
    let time = first_time(composed);
    visit(&header(EntryKind::Watermarks, OwnerId(0), none.clone(), time, &[]), &[]);
    for rows in composed.watermarks.chunks(WATERMARK_ROWS_MAX) {
        let payload = watermarks::encode(rows);
        visit(&header(EntryKind::Watermarks, OwnerId(0), none.clone(), time, &payload), &payload);
    }
    let no_records = encode_sparse(&[], &[]);
    for piece in &composed.pieces {
        match piece {
            Piece::Gap { owner, from, to, time } => {
                visit(&header(EntryKind::Sparse, *owner, *from..*to, *time, &no_records), &no_records);
            }
            Piece::Entry(found) => {
                let payload = composed.case.salvaged.entry(found).get(ENTRY_HEADER_BYTES..);
                let payload = payload.expect("the entry was found there");
                visit(&EntryHeader { segment_epoch: id, durable_before: 0, ..found.header }, payload);
            }
        }
    }
}

/// Points count times from here.
fn first_time(composed: &Composed) -> Timestamp {
    let times = composed.pieces.iter().map(|piece| match piece {
        Piece::Gap { time, .. } => *time,
        Piece::Entry(found) => found.header.append_time,
    });
    times.min().unwrap_or_default()
}
