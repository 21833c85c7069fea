//! Tests of `numbered`: golden bytes, what is left of batches of every layout, lying counts and offsets.

use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, Compression};
use crate::ids::{OwnerId, Timestamp};
use crate::samples::{self, hex};

const BASE: u64 = 1_000;

fn header(kind: EntryKind, payload: &[u8], span: u32) -> EntryHeader {
    EntryHeader {
        length: (ENTRY_HEADER_BYTES + payload.len()) as u32,
        kind,
        key_id: 0,
        record_count: span,
        owner: OwnerId(5),
        base_sequence: SequenceNumber(BASE),
        append_time: Timestamp(1),
        segment_epoch: 6,
        durable_before: 0,
    }
}

fn parse(kind: EntryKind, payload: &[u8], span: u32) -> Result<Option<NumberedBatch>, NumberedError> {
    NumberedBatch::parse(&header(kind, payload, span), Bytes::copy_from_slice(payload))
}

fn sparse(payload: &[u8], span: u32) -> NumberedBatch {
    parse(EntryKind::Sparse, payload, span).expect("a sparse batch").expect("of a kind with records")
}

fn batch(records: &[(&str, &str)], compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (key, data) in records {
        builder.push(key.as_bytes(), data.as_bytes(), None).expect("room");
    }
    builder.build(compression).expect("has records")
}

fn check_error(payload: &[u8], span: u32, expected: NumberedError) {
    assert_eq!(parse(EntryKind::Sparse, payload, span).map(|_| ()), Err(expected));
}

#[test]
fn sparse_batch_has_the_documented_layout() {
    let expected = hex("02000000  01000000 05000000
         544d4231 00 00 0000 02000000 04000000 03000000 03000000  01000000 03000000  02000000 04000000  6b316b32  616263");
    let batch = batch(&[("k1", "a"), ("k2", "bc")], Compression::None);
    assert_eq!(encode_sparse(&[1, 5], &batch), expected);
    assert_eq!(sparse_bytes(2, batch.len()), expected.len());
    let records = sparse(&expected, 6).into_records().expect("not compressed");
    let found: Vec<_> = records.map(|(number, record)| (number.0, record.key, record.data)).collect();
    assert_eq!(found, [(BASE + 1, "k1".into(), "a".into()), (BASE + 5, "k2".into(), "bc".into())]);
    assert_eq!(encode_sparse(&[], &[]), hex("00000000"));
}

#[test]
fn an_entry_may_have_numbers_and_no_record() {
    let empty = sparse(&encode_sparse(&[], &[]), 7);
    assert_eq!((empty.count(), empty.sequence(0).0, empty.batch().is_none()), (0, BASE + 7, true));
    assert_eq!(empty.records_before(SequenceNumber(u64::MAX)), 0);
    assert_eq!(empty.into_records().expect("nothing to inflate").count(), 0);
}

#[test]
fn records_are_found_by_their_numbers() {
    let rows = [("a", "1"), ("b", "2"), ("c", "3")];
    let full = batch(&rows, Compression::Lz4);
    let full = parse(EntryKind::Batch, &full, 3).expect("valid").expect("records");
    let sparse = sparse(&encode_sparse(&[3, 4, 9], &batch(&rows, Compression::None)), 12);
    let before = |batch: &NumberedBatch| {
        (0..14).map(|n| batch.records_before(SequenceNumber(BASE + n))).collect::<Vec<_>>()
    };
    assert_eq!(before(&full), [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    assert_eq!(before(&sparse), [0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3]);
    assert_eq!(sparse.records_before(SequenceNumber(0)), 0);

    let mut records = sparse.clone().into_records().expect("not compressed");
    records.skip_to(SequenceNumber(BASE + 4));
    assert_eq!((records.sequence().0, records.len()), (BASE + 4, 2));
    records.end_at(SequenceNumber(BASE + 9));
    assert_eq!(records.next().map(|(number, record)| (number.0, record.data)), Some((BASE + 4, "2".into())));
    assert_eq!((records.next(), records.len()), (None, 0));

    let mut records = sparse.into_records().expect("not compressed");
    assert_eq!((records.truncate(3), records.truncate(1)), (None, Some(SequenceNumber(BASE + 4))));
    assert_eq!(records.len(), 1);
}

#[test]
fn watermarks_hold_no_records() {
    assert!(matches!(parse(EntryKind::Watermarks, b"anything", 0), Ok(None)));
    assert_eq!(stored_bytes_of(&header(EntryKind::Watermarks, b"", 0), &[0; 64]), None);
}

#[test]
fn lying_counts_and_offsets_are_refused_each_with_its_error() {
    let two = batch(&[("a", "1"), ("b", "2")], Compression::None);
    check_error(&[], 9, NumberedError::Length { count: 0, found: 0 });
    check_error(&[1, 0, 0], 9, NumberedError::Length { count: 0, found: 3 });
    check_error(&[0; 5], 9, NumberedError::Length { count: 0, found: 5 });
    check_error(&[0xff; 20], 9, NumberedError::Length { count: u32::MAX, found: 20 });
    check_error(
        &encode_sparse(&[1, 1], &two),
        9,
        NumberedError::Offset { index: 1, offset: 1, least: 2, span: 9 },
    );
    check_error(
        &encode_sparse(&[3, 2], &two),
        9,
        NumberedError::Offset { index: 1, offset: 2, least: 4, span: 9 },
    );
    check_error(
        &encode_sparse(&[1, 9], &two),
        9,
        NumberedError::Offset { index: 1, offset: 9, least: 2, span: 9 },
    );
    check_error(&encode_sparse(&[0], &two), 9, NumberedError::Count { numbered: 1, found: 2 });
    check_error(
        &encode_sparse(&[0], &[]),
        9,
        NumberedError::Batch(BatchError::Length { expected: 24, found: 0 }),
    );
    let miscounted = parse(EntryKind::Batch, &two, 3).map(|_| ());
    assert_eq!(miscounted, Err(NumberedError::Count { numbered: 3, found: 2 }));
}

#[test]
fn each_flipped_or_missing_byte_of_the_offsets_is_seen_or_harmless() {
    let payload = encode_sparse(&[0, 5, 7], &batch(&[("a", "1"), ("b", "2"), ("c", "3")], Compression::None));
    for length in 0..payload.len() {
        assert!(parse(EntryKind::Sparse, &payload[..length], 9).is_err(), "{length} bytes");
    }
    for bit in 0..16 * 8 {
        let mut damaged = payload.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(Some(found)) = parse(EntryKind::Sparse, &damaged, 9) {
            let numbers: Vec<_> = (0..found.count()).map(|index| found.sequence(index)).collect();
            assert!(numbers.is_sorted_by(|left, right| left < right));
        }
    }
}

#[test]
fn quotas_count_keys_and_data_of_both_kinds() {
    for payload in samples::batches() {
        let view = BatchView::parse(payload.clone()).expect("a batch");
        let expected = Some(view.payload_bytes() as u64);
        let entry = samples::entry(&payload, 0, 9);
        assert_eq!(stored_bytes_of(&header(EntryKind::Batch, &payload, 9), &entry), expected);
        let sparse = encode_sparse(&[0, 1, 2, 3, 4, 5, 6, 7, 80], &payload);
        let entry = samples::entry_of(EntryKind::Sparse, &sparse, 0, 100);
        assert_eq!(stored_bytes_of(&header(EntryKind::Sparse, &sparse, 100), &entry), expected);
    }
    let empty = samples::entry_of(EntryKind::Sparse, &encode_sparse(&[], &[]), 0, 100);
    assert_eq!(stored_bytes_of(&header(EntryKind::Sparse, &[0; 4], 100), &empty), Some(0));
}

fn any_records() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>, u32, bool)>> {
    let key =
        prop_oneof![Just(Vec::new()), Just(b"same".to_vec()), prop::collection::vec(any::<u8>(), 0..20)];
    let data = prop_oneof![Just(vec![7; 300]), prop::collection::vec(any::<u8>(), 0..40)];
    prop::collection::vec((key, data, 1..1_000_u32, any::<bool>()), 1..40)
}

proptest! {
    /// What a selection leaves is what stood at its places, in every layout.
    #[test]
    fn what_is_left_is_unchanged_and_keeps_its_numbers(
        records in any_records(),
        codec in prop::sample::select(vec![Compression::None, Compression::Lz4, Compression::Zstd]),
        timestamps in any::<bool>(),
    ) {
        let mut builder = BatchBuilder::new();
        for (key, data, gap, _) in &records {
            builder.push(key, data, timestamps.then_some(Timestamp((*gap).into()))).expect("room");
        }
        let view = BatchView::parse(builder.build(codec).expect("records")).expect("a batch");
        let all: Vec<Record> = view.records().expect("valid").collect();
        let indexes: Vec<u32> = (0..).zip(&records).filter(|(_, record)| record.3).map(|(index, _)| index).collect();
        let mut next = 0;
        let offsets: Vec<u32> = indexes.iter().map(|index| {
            next += records[*index as usize].2;
            next - 1
        }).collect();
        let left = view.select(&indexes).expect("valid data");
        prop_assert_eq!(left.is_none(), indexes.is_empty());
        let payload = encode_sparse(&offsets, &left.unwrap_or_default());
        let found = sparse(&payload, next.max(1)).into_records().expect("valid data");
        prop_assert_eq!(found.len(), indexes.len());
        for ((number, record), (index, offset)) in found.zip(indexes.iter().zip(&offsets)) {
            prop_assert_eq!(number.0, BASE + u64::from(*offset));
            prop_assert_eq!(&record, &all[*index as usize]);
        }
    }

    #[test]
    fn arbitrary_bytes_are_records_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..200), span in any::<u32>()) {
        for kind in [EntryKind::Batch, EntryKind::Sparse, EntryKind::Watermarks] {
            if let Ok(Some(found)) = parse(kind, &bytes, span) {
                prop_assert!(found.into_records().map_or(0, |records| records.count()) < 200);
            }
        }
    }
}
