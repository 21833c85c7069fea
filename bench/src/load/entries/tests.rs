//! A run is counted exactly, and one that is torn, reordered or short is refused.

use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind};
use tidemill_wire::message::Fetched;
use tidemill_wire::numbered::encode_sparse;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::walk;
use crate::error::BenchError;

/// One entry of `records` records of `bytes` bytes under a key of three.
fn entry(base: u64, records: u32, bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.push(b"key", &vec![7; bytes], None).unwrap();
    }
    framed(EntryKind::Batch, base, records, &builder.build(Compression::None).unwrap())
}

fn framed(kind: EntryKind, base: u64, numbers: u32, payload: &[u8]) -> Vec<u8> {
    let header = EntryHeader {
        length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).unwrap(),
        kind,
        key_id: 0,
        record_count: numbers,
        owner: OwnerId(1),
        base_sequence: SequenceNumber(base),
        append_time: Timestamp(0),
        segment_epoch: 1,
        durable_before: 0,
    };
    let mut bytes = header.encode(payload).to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(header.stride(), 0);
    bytes
}

fn fetched(from: u64, next: u64) -> Fetched {
    Fetched {
        from_sequence: SequenceNumber(from),
        next_sequence: SequenceNumber(next),
        oldest_sequence: SequenceNumber(0),
        end_sequence: SequenceNumber(100),
        closed: false,
    }
}

fn check(fetched: &Fetched, run: &[Vec<u8>], expected: Result<u64, &str>) {
    let found = walk(fetched, &run.concat(), |_, _| {}).map_err(|error| error.to_string());
    assert_eq!(found, expected.map_err(str::to_owned));
}

#[test]
fn keys_and_data_are_counted_and_nothing_else() {
    check(&fetched(0, 0), &[], Ok(0));
    check(&fetched(0, 2), &[entry(0, 2, 10)], Ok(23));
    check(&fetched(0, 7), &[entry(0, 2, 10), entry(2, 2, 10), entry(4, 3, 100)], Ok(23 + 23 + 303));
    // The run begins with the entry that holds the wanted record.
    check(&fetched(1, 2), &[entry(0, 2, 10)], Ok(23));
}

#[test]
fn records_that_are_missing_or_come_twice_are_refused() {
    let gap = "fetched run has records from 3 where 2 is due";
    check(&fetched(0, 5), &[entry(0, 2, 1), entry(3, 2, 1)], Err(gap));
    let twice = "fetched run has records from 0 where 2 is due";
    check(&fetched(0, 4), &[entry(0, 2, 1), entry(0, 2, 1)], Err(twice));
    let late = "fetched run has records from 1 where 0 is due";
    check(&fetched(0, 3), &[entry(1, 2, 1)], Err(late));
    let short = "fetched run has records from 2 where 3 is due";
    check(&fetched(0, 3), &[entry(0, 2, 1)], Err(short));
}

#[test]
fn what_compaction_took_is_not_missing() {
    let payload =
        encode_sparse(&[1, 4], &entry(0, 2, 10)[ENTRY_HEADER_BYTES..ENTRY_HEADER_BYTES + 24 + 8 + 23]);
    let sparse = framed(EntryKind::Sparse, 2, 5, &payload);
    let empty = framed(EntryKind::Sparse, 7, 93, &encode_sparse(&[], &[]));
    check(&fetched(0, 100), &[entry(0, 2, 10), sparse, empty], Ok(23 + 23));
}

#[test]
fn torn_and_foreign_bytes_are_refused_with_their_place() {
    let whole = entry(0, 2, 10);
    let first = whole.len();
    let mut run = [whole, entry(2, 2, 10)].concat();
    run.truncate(run.len() - 20);
    let torn = walk(&fetched(0, 4), &run, |_, _| {});
    assert!(matches!(torn, Err(BenchError::Entry { offset, .. }) if offset == first), "{torn:?}");
    let mut foreign = entry(0, 2, 10);
    foreign[ENTRY_HEADER_BYTES] ^= 1;
    let refused = walk(&fetched(0, 2), &foreign, |_, _| {});
    assert!(matches!(refused, Err(BenchError::StoredBatch { base: SequenceNumber(0), .. })), "{refused:?}");
}
