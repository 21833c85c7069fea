//! Fuzz targets: every reader of bytes from the disk, in one list.
//!
//! A target takes any bytes and must neither panic nor allocate beyond a multiple of them. `smoke` runs all of them over mutations of valid bytes.

use bytes::Bytes;

use crate::{
    limits::SEGMENT_HEADER_BYTES,
    segment::{
        footer::decode_owner_table, header::SegmentHeader, load::scan_bytes, segment_id_of, trailer::Trailer,
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
    if let Some(rows) = decode_owner_table(bytes, points) {
        let mut encoded = Vec::new();
        rows.iter().for_each(|row| row.encode_into(&mut encoded));
        assert_eq!(encoded, bytes);
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

#[cfg(test)]
mod tests;
