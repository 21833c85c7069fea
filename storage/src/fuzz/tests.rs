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
        rows: RowFormat::Checked(1),
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
        let row = OwnerRow {
            owner: OwnerId(owner),
            first: SequenceNumber(1),
            next: SequenceNumber(2),
            first_time: Timestamp(3),
            last_time: Timestamp(4),
            payload_bytes: 5,
            first_point: 0,
            point_count: 0,
        };
        RowFormat::Plain.encode_into(&row, &mut rows);
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
    // A segment and an owner with one span.
    let mut checkpoint = vec![1, 1];
    for number in [1, 1, 1, 1, 100, 200, 7, 40, 1, 50, 1 | 1 << 32, 1, 30, 40, 150, 153, 50, 3 | 2 << 32_u64]
    {
        checkpoint.extend_from_slice(&u64::to_le_bytes(number));
    }
    vec![header, trailer.encode(), rows, entries, b"0000000000000001.segment".to_vec(), checkpoint]
}

/// Inputs are drawn from the same seed in each run.
struct Chance(u64);

impl Chance {
    fn draw(&mut self, bound: u64) -> u64 {
        // Xorshift: no generator from elsewhere is needed.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Valid bytes of some target, changed in some places, or nothing but chance.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.draw(4) == 0 {
            return (0..self.draw(160)).map(|_| self.draw(256) as u8).collect();
        }
        let mut bytes = seeds[self.draw(seeds.len() as u64) as usize].clone();
        for _ in 0..self.draw(4) {
            let at = self.draw(bytes.len() as u64) as usize;
            match self.draw(3) {
                0 => bytes[at] = self.draw(256) as u8,
                1 => bytes[at] ^= 1 << self.draw(8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    }
}

/// How often a target is run where nobody asks for more. To open a directory takes a thousand times as long as to read a trailer.
fn inputs_of(name: &str) -> u64 {
    if name == "lane_directory" { 300 } else { 3000 }
}

#[test]
#[allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a long run is told its time, and tells how far it came"
)]
fn fuzz_smoke() {
    let seconds = std::env::var("TIDEMILL_FUZZ_SECONDS").ok();
    let seconds: Option<u64> =
        seconds.map(|text| text.parse().expect("TIDEMILL_FUZZ_SECONDS is a number of seconds"));
    let only = std::env::var("TIDEMILL_FUZZ_TARGET").ok();
    let seeds = valid();
    for (name, target) in TARGETS {
        if only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let (start, mut inputs) = (std::time::Instant::now(), 0);
        let goes_on = |inputs| match seconds {
            Some(seconds) => start.elapsed().as_secs() < seconds,
            None => inputs < inputs_of(name),
        };
        target(&[]);
        while goes_on(inputs) {
            let bytes = chance.input(&seeds);
            inputs += 1;
            let run = std::panic::catch_unwind(|| target(&bytes));
            assert!(run.is_ok(), "target {name} fails at input {inputs}: {bytes:?}");
        }
        println!("fuzz target {name}: {inputs} inputs in {:?}", start.elapsed());
    }
}
