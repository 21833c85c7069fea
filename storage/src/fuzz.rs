//! Fuzz targets: every reader of bytes from the disk, in one list.
//!
//! A target takes any bytes and must neither panic nor allocate beyond a multiple of them. The tests run every target for a moment over mutations of valid
//! bytes; `cargo xtask fuzz` runs them for long.

mod directory;

use bytes::Bytes;
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use crate::{
    lane::{Traces, decode_checkpoint_body, find_traces, is_whole_checkpoint},
    limits::SEGMENT_HEADER_BYTES,
    segment::{
        bytes::Fields,
        footer::{OwnerRow, POINT_BYTES, Point, RowFormat, decode_owner_table},
        header::SegmentHeader,
        load::scan_bytes,
        segment_id_of,
        trailer::Trailer,
        watermarks,
    },
};

/// A target's name and what it does with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("segment_header", segment_header),
    ("segment_name", segment_name),
    ("trailer", trailer),
    ("owner_table", owner_table),
    ("watermarks", watermark_rows),
    ("recovery_scan", recovery_scan),
    ("footer_points", footer_points),
    ("footer_contents", footer_contents),
    ("checkpoint", checkpoint),
    ("repair_traces", repair_traces),
    ("lane_directory", directory::open_mutated),
];

fn segment_header(bytes: &[u8]) {
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
}

fn segment_name(bytes: &[u8]) {
    if let Ok(name) = std::str::from_utf8(bytes) {
        let _ = segment_id_of(name);
    }
}

fn trailer(bytes: &[u8]) {
    const FILE_BYTES: u64 = 1 << 20;
    if let Ok(trailer) = Trailer::decode(bytes, FILE_BYTES) {
        assert!(trailer.point_position(trailer.point_count) <= FILE_BYTES);
        assert_eq!(Trailer::decode(&trailer.encode(), FILE_BYTES), Ok(trailer));
    }
}

fn owner_table(bytes: &[u8]) {
    let points = bytes.first().map_or(0, |byte| u32::from(*byte));
    let encoded = |rows: &[OwnerRow], format: RowFormat| {
        let mut encoded = Vec::new();
        rows.iter().for_each(|row| format.encode_into(row, &mut encoded));
        encoded
    };
    for format in [RowFormat::Plain, RowFormat::Checked(1)] {
        if let Some(rows) = decode_owner_table(bytes, format, points) {
            assert_eq!(encoded(&rows, format), bytes);
            let checked = encoded(&rows, RowFormat::Checked(2));
            assert_eq!(decode_owner_table(&checked, RowFormat::Checked(2), points), Some(rows.clone()));
            assert!(rows.is_empty() || decode_owner_table(&checked, RowFormat::Checked(3), points).is_none());
        }
    }
}

/// The first bytes say how many segments and owners the others are taken for: no mutation finds a body's checksum.
fn checkpoint(bytes: &[u8]) {
    assert!(!is_whole_checkpoint(bytes) || bytes.starts_with(b"TIDECHKP"));
    let [segments, owners, body @ ..] = bytes else { return };
    let (segments, owners) = (u64::from(*segments), u64::from(*owners));
    if let Some(checkpoint) = decode_checkpoint_body(segments, owners, Fields(body)) {
        let found = checkpoint.counts();
        assert!(found.0 <= segments && found.1 == owners);
        assert!(48 * segments + 40 * owners <= body.len() as u64);
    }
}

fn watermark_rows(bytes: &[u8]) {
    let rows: Vec<_> = watermarks::decode(bytes).collect();
    assert_eq!(watermarks::encode(&rows), &bytes[..rows.len() * watermarks::WATERMARK_BYTES]);
}

/// The bytes stand for what follows the header page of segment 1.
fn recovery_scan(bytes: &[u8]) {
    let mut segment = vec![0; SEGMENT_HEADER_BYTES as usize];
    segment.extend_from_slice(bytes);
    let scanned = scan_bytes(&Bytes::from(segment), 1);
    assert!(scanned.end - SEGMENT_HEADER_BYTES <= bytes.len() as u64);
    assert!(scanned.stray.bytes <= bytes.len() as u64);
    for owner in scanned.contents.sorted_owners() {
        let part = scanned.contents.owner(owner).expect("a listed owner");
        assert!(part.points.iter().all(|point| point.end() <= scanned.end));
    }
}

fn footer_points(bytes: &[u8]) {
    for chunk in bytes.chunks(POINT_BYTES as usize) {
        let Some(point) = Point::decode(chunk) else {
            assert!(chunk.len() < POINT_BYTES as usize, "every sixteen bytes are a point");
            continue;
        };
        assert!(point.end() - point.position() == point.bytes());
        let mut encoded = Vec::new();
        point.encode_into(&mut encoded);
        assert_eq!(encoded, chunk);
    }
}

/// The bytes stand for the part of segment 1 in which entries are lost: what broken ones tell of it lies within, each thing in one place, and differs by one bit from what is there.
fn repair_traces(bytes: &[u8]) {
    let Traces { entries, record_counts, watermarks, unknown } = find_traces(bytes, 1);
    assert_eq!(entries.len(), record_counts.len());
    assert!(watermarks.len() * watermarks::WATERMARK_BYTES <= bytes.len());
    for (found, records) in entries.iter().zip(&record_counts) {
        let header = &found.header;
        assert!(header.segment_epoch == 1 && *records <= header.record_count);
        assert!(matches!(header.kind, EntryKind::Batch | EntryKind::Sparse));
        let start = usize::try_from(found.position).expect("within the bytes");
        let there = bytes.get(start..start + header.length as usize).expect("an entry lies within");
        // All of the header but its checksum, which the payload decides with it.
        let mended = header.encode(&there[ENTRY_HEADER_BYTES..]);
        let wrong_bits = mended[4..].iter().zip(&there[4..ENTRY_HEADER_BYTES]);
        assert!(wrong_bits.map(|(one, other)| (one ^ other).count_ones()).sum::<u32>() <= 1);
    }
    let mut parts: Vec<_> = entries
        .iter()
        .map(|found| found.position..found.position + found.header.stride() as u64)
        .chain(unknown)
        .collect();
    parts.sort_by_key(|part| part.start);
    assert!(parts.is_sorted_by(|one, next| one.end <= next.start));
    assert!(parts.last().is_none_or(|part| part.end <= (bytes.len() as u64).next_multiple_of(8)));
}

/// The bytes say what entries there are, each of them valid: of them a footer is made, which must be one, and lead to them.
fn footer_contents(bytes: &[u8]) {
    let segment = Bytes::from(valid_entries(bytes));
    let scanned = scan_bytes(&segment, 1);
    let (mut rows, mut points, mut table) = (Vec::new(), 0_u32, Vec::new());
    for owner in scanned.contents.sorted_owners() {
        let part = scanned.contents.owner(owner).expect("a listed owner");
        let row = part.row(owner, points);
        points += row.point_count;
        RowFormat::Checked(1).encode_into(&row, &mut table);
        let bytes: u64 = part.points.iter().map(Point::bytes).sum();
        assert!(bytes >= row.payload_bytes && row.first <= row.next);
        for point in part.points.iter() {
            let entry = segment.get(point.position() as usize..).unwrap_or_default();
            let header = EntryHeader::verify(entry).expect("a point leads to an entry");
            assert_eq!((header.owner, header.segment_epoch), (owner, 1));
        }
        rows.push(row);
    }
    assert_eq!(decode_owner_table(&table, RowFormat::Checked(1), points), Some(rows));
    assert_eq!(scanned.contents.footer_bytes(0, 0), table.len() as u64 + u64::from(points) * POINT_BYTES);
}

/// A segment whose entries are as eight bytes each say.
fn valid_entries(bytes: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; SEGMENT_HEADER_BYTES as usize];
    for chunk in bytes.chunks_exact(8).take(1000) {
        let payload = match chunk[0] % 8 {
            0 => watermarks::encode(&[(OwnerId(u64::from(chunk[1])), SequenceNumber(u64::from(chunk[2])))]),
            _ => vec![chunk[3]; usize::from(chunk[3]) * 4],
        };
        let header = EntryHeader {
            length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).expect("a short payload"),
            kind: match chunk[0] % 8 {
                0 => EntryKind::Watermarks,
                1 => EntryKind::Sparse,
                _ => EntryKind::Batch,
            },
            key_id: 0,
            record_count: u32::from(chunk[4]),
            owner: OwnerId(u64::from(chunk[1] % 8)),
            base_sequence: SequenceNumber(u64::from(chunk[2])),
            append_time: Timestamp(u64::from(chunk[5])),
            segment_epoch: 1,
            durable_before: u64::from(chunk[6]),
        };
        segment.extend_from_slice(&header.encode(&payload));
        segment.extend_from_slice(&payload);
        segment.resize(segment.len().next_multiple_of(8), 0);
    }
    segment
}

#[cfg(test)]
mod tests;
