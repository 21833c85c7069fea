//! All fuzz targets over mutations of valid bytes, from a fixed seed, within a second.

use tidemill_wire::{
    LaneId, OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use super::*;
use crate::segment::footer::OwnerRow;

/// Valid bytes for each target, to begin the mutations with.
fn valid() -> Vec<Vec<u8>> {
    let header = SegmentHeader {
        lane: LaneId(1),
        id: 1,
        segment_bytes: 1 << 20,
        created: Timestamp(5),
        covers: None,
        is_sparse: false,
    }
    .encode();
    let trailer = Trailer {
        id: 1,
        entries_end: 8192,
        footer_position: 9000,
        owner_count: 2,
        point_count: 3,
        owners_crc: 4,
        points_crc: 5,
        entry_count: 6,
        first_time: Timestamp(7),
        last_time: Timestamp(8),
    };
    let mut rows = Vec::new();
    for owner in 0..3 {
        OwnerRow {
            owner: OwnerId(owner),
            first: SequenceNumber(1),
            next: SequenceNumber(2),
            first_time: Timestamp(3),
            last_time: Timestamp(4),
            payload_bytes: 5,
            first_point: 0,
            point_count: 0,
        }
        .encode_into(&mut rows);
    }
    let mut entries = Vec::new();
    for n in 0..6_u64 {
        let payload =
            if n == 3 { watermarks::encode(&[(OwnerId(1), SequenceNumber(9))]) } else { vec![7; 24] };
        let header = EntryHeader {
            length: (ENTRY_HEADER_BYTES + payload.len()) as u32,
            kind: match n {
                3 => EntryKind::Watermarks,
                4 => EntryKind::Sparse,
                _ => EntryKind::Batch,
            },
            key_id: 0,
            record_count: 2,
            owner: OwnerId(n % 2),
            base_sequence: SequenceNumber(n),
            append_time: Timestamp(n),
            segment_epoch: 1,
            durable_before: 4096,
        };
        entries.extend_from_slice(&header.encode(&payload));
        entries.extend_from_slice(&payload);
        entries.resize(entries.len().next_multiple_of(8), 0);
    }
    vec![header, trailer.encode(), rows, entries, b"0000000000000001.segment".to_vec()]
}

#[test]
fn smoke() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // Xorshift: the same mutations in each run, without a generator from elsewhere.
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    let seeds = valid();
    for (name, target) in TARGETS {
        for seed in &seeds {
            for _ in 0..400 {
                let mut bytes = seed.clone();
                for _ in 0..draw() % 4 {
                    let at = (draw() % bytes.len() as u64) as usize;
                    match draw() % 3 {
                        0 => bytes[at] = draw() as u8,
                        1 => bytes[at] ^= 1 << (draw() % 8),
                        _ => bytes.truncate(at.max(1)),
                    }
                }
                let run = std::panic::catch_unwind(|| target(&bytes));
                assert!(run.is_ok(), "target {name} with {bytes:?}");
            }
        }
        target(&[]);
    }
}
