//! Tests of `batch`: golden bytes, round trips of every layout and codec, lying offsets and lengths.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ids::Timestamp;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_DATA_RAW_BYTES_MAX, BATCH_RECORDS_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX,
};
use crate::samples::{self, hex};

type Row = (Vec<u8>, Vec<u8>, Option<u64>);

const CODECS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

fn row(key: &str, data: &str, timestamp: Option<u64>) -> Row {
    (key.into(), data.into(), timestamp)
}

fn built(rows: &[Row], codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (key, data, timestamp) in rows {
        builder.push(key, data, timestamp.map(Timestamp)).expect("within the limits");
    }
    let expected = builder.bytes();
    let bytes = builder.build(codec).expect("has records");
    assert!(bytes.len() == expected || codec != Compression::None && bytes.len() < expected);
    assert!(builder.is_empty() && builder.build(codec).is_none());
    bytes
}

fn check_rows(bytes: &Bytes, expected: &[Row]) {
    let batch = BatchView::parse(bytes.clone()).expect("a valid batch");
    assert_eq!(batch.count() as usize, expected.len());
    assert_eq!(batch.bytes(), bytes);
    let shared = expected.iter().all(|(key, _, _)| *key == expected[0].0);
    assert_eq!(batch.one_key(), shared.then_some(expected[0].0.as_slice()));
    for (index, (key, _, _)) in (0..).zip(expected) {
        assert_eq!(batch.key(index), key);
    }
    let records = batch.records().expect("valid data");
    assert_eq!(records.len(), expected.len());
    for (record, (key, data, timestamp)) in records.zip(expected) {
        assert_eq!((record.key.as_ref(), record.data.as_ref()), (key.as_slice(), data.as_slice()));
        assert_eq!(record.timestamp, timestamp.map(Timestamp));
    }
    let last =
        batch.into_records().expect("valid data").nth(expected.len() - 1).expect("as many as announced");
    assert_eq!(last.data, expected[expected.len() - 1].1);
}

fn check_golden(rows: &[Row], expected: &str) {
    let expected = hex(expected);
    assert_eq!(built(rows, Compression::None), expected);
    check_rows(&expected.into(), rows);
}

fn check_error(bytes: impl Into<Bytes>, expected: BatchError) {
    assert_eq!(BatchView::parse(bytes.into()).map(|_| ()), Err(expected));
}

#[test]
fn batch_has_the_documented_layout() {
    check_golden(
        &[row("k1", "abc", None), row("key2", "", None), row("", "de", None)],
        "544d4231 00 00 0000 03000000 06000000 05000000 05000000
         03000000 03000000 05000000  02000000 06000000 06000000  6b316b657932  6162636465",
    );
}

#[test]
fn batch_of_one_key_with_timestamps_has_the_documented_layout() {
    check_golden(
        &[row("k", "abc", Some(1)), row("k", "de", Some(0x0102_0304_0506_0708))],
        "544d4231 00 03 0000 02000000 01000000 05000000 05000000
         0100000000000000 0807060504030201  03000000 05000000  6b  6162636465",
    );
}

/// The compressed columns are written by hand from the formats' descriptions, so any decoder must read them.
#[test]
fn compressed_batches_have_the_documented_layout() {
    let rows = [row("", &"a".repeat(20), None)];
    // LZ4: one literal, a match of 14 bytes at distance 1, five literals.
    let lz4 =
        hex("544d4231 01 01 0000 01000000 00000000 0a000000 14000000 14000000 1a 61 0100 50 6161616161");
    check_rows(&lz4.into(), &rows);
    // Zstandard: magic, single segment of 20 bytes, one last RLE block.
    let zstd =
        hex("544d4231 02 01 0000 01000000 00000000 0a000000 14000000 14000000 28b52ffd 20 14 a30000 61");
    check_rows(&zstd.into(), &rows);
}

#[test]
fn lying_headers_are_refused_each_with_its_error() {
    let valid =
        built(&[row("k1", "abc", None), row("key2", "", None), row("", "de", None)], Compression::None);
    let check = |at: usize, bytes: &[u8], expected| {
        let mut lie = valid.to_vec();
        lie[at..at + bytes.len()].copy_from_slice(bytes);
        check_error(lie, expected);
    };
    check(0, b"TMB2", BatchError::Magic { found: *b"TMB2" });
    check(4, &[3], BatchError::Compression { found: 3 });
    check(5, &[4], BatchError::Flags { found: 4 });
    check(6, &[0, 1], BatchError::Flags { found: 0x1_0000 });
    check(8, &[0; 4], BatchError::RecordCount { found: 0 });
    check(8, &[1, 0, 1, 0], BatchError::RecordCount { found: BATCH_RECORDS_MAX + 1 });
    check(8, &[4], BatchError::Length { expected: 67, found: 59 });
    check(12, &[0xff; 4], BatchError::Length { expected: 48 + 5 + u64::from(u32::MAX), found: 59 });
    check(16, &[6, 0, 0, 0, 6], BatchError::Length { expected: 60, found: 59 });
    check(20, &[6], BatchError::RawLength { stored: 5, raw: 6 });
    check(5, &[FLAG_TIMESTAMPS], BatchError::Length { expected: 83, found: 59 });
    check(5, &[FLAG_ONE_KEY], BatchError::Length { expected: 47, found: 59 });
    for found in 0..24 {
        check_error(valid.slice(..found), BatchError::Length { expected: 24, found });
    }
    for found in 24..59 {
        check_error(valid.slice(..found), BatchError::Length { expected: 59, found });
    }
}

#[test]
fn lying_offsets_are_refused_each_with_its_error() {
    let valid =
        built(&[row("k1", "abc", None), row("key2", "", None), row("", "de", None)], Compression::None);
    let check = |at: usize, end: u32, expected| {
        let mut lie = valid.to_vec();
        lie[at..at + 4].copy_from_slice(&end.to_le_bytes());
        check_error(lie, expected);
    };
    let offset =
        |column, record, end, previous, limit| BatchError::Offset { record, column, end, previous, limit };
    check(24, 6, offset("data", 0, 6, 0, 5));
    check(28, 2, offset("data", 1, 2, 3, 5));
    check(32, u32::MAX, offset("data", 2, u32::MAX, 3, 5));
    check(32, 4, BatchError::Leftover { column: "data", length: 5, end: 4 });
    check(36, 7, offset("key", 0, 7, 0, 6));
    check(40, 1, offset("key", 1, 1, 2, 6));
    check(44, 5, offset("key", 2, 5, 6, 6));
    check(44, 7, offset("key", 2, 7, 6, 6));
}

#[test]
fn batch_over_its_limit_is_refused() {
    let mut large = built(&[row("", "a", None)], Compression::None).to_vec();
    large.resize(BATCH_BYTES_MAX as usize + 1, 0);
    check_error(large, BatchError::TooLarge { found: BATCH_BYTES_MAX as usize + 1 });
}

#[test]
fn keys_over_their_limit_are_refused_in_both_layouts() {
    let limit = KEY_BYTES_MAX as u32;
    let forged = |flags: u8, ends: &[u32]| {
        let mut bytes =
            [&MAGIC[..], &[0, flags, 0, 0], &1_u32.to_le_bytes(), &(limit + 1).to_le_bytes(), &[0; 8]]
                .concat();
        bytes.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
        bytes.resize(bytes.len() + KEY_BYTES_MAX + 1, b'k');
        bytes
    };
    let expected = BatchError::Offset { record: 0, column: "key", end: limit + 1, previous: 0, limit };
    check_error(forged(FLAG_ONE_KEY, &[0]), expected);
    check_error(forged(0, &[0, limit + 1]), expected);
}

/// A batch of one record whose compressed data column and its claims are given.
fn compressed(codec: Compression, stored: &[u8], raw: u32) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &[codec as u8, FLAG_ONE_KEY, 0, 0]].concat();
    for field in [1, 0, stored.len() as u32, raw, raw] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(stored);
    bytes
}

#[test]
fn batch_cannot_claim_more_raw_data_than_its_codec_could_reach() {
    let check = |codec, stored: usize, raw, refused: bool| {
        let found = BatchView::parse(compressed(codec, &vec![0; stored], raw).into()).map(|_| ());
        let lie = BatchError::RawLength { stored: stored as u32, raw };
        assert_eq!(found, if refused { Err(lie) } else { Ok(()) }, "{codec} {stored} {raw}");
    };
    check(Compression::Lz4, 10, 2_550, false);
    check(Compression::Lz4, 10, 2_551, true);
    check(Compression::Zstd, 10, 327_680, false);
    check(Compression::Zstd, 10, 327_681, true);
    check(Compression::Lz4, 0, 1, true);
    check(Compression::Zstd, 1 << 20, BATCH_DATA_RAW_BYTES_MAX + 1, true);
    check(Compression::Lz4, 1 << 20, u32::MAX, true);
}

#[test]
fn data_that_does_not_inflate_to_what_the_batch_says_is_refused() {
    let raw = b"abcabcabcabcabcabcabcabcabcabcabcabc".repeat(8);
    let size = raw.len() as u32;
    let check = |codec: Compression, stored: &[u8], raw: u32, expected: Option<CompressionError>| {
        let batch = BatchView::parse(compressed(codec, stored, raw).into()).expect("the columns add up");
        let found = batch.records().map(|_| ()).expect_err("the data is a lie");
        match expected {
            Some(expected) => assert_eq!(found, expected),
            None => {
                assert!(matches!(found, CompressionError::Damaged { codec: c, .. } if c == codec), "{found}");
            }
        }
    };
    for codec in [Compression::Lz4, Compression::Zstd] {
        let stored = codec.deflate(&raw).expect("smaller");
        let (expected, found) = (size as usize + 1, size as usize);
        check(codec, &stored, size + 1, Some(CompressionError::Length { codec, expected, found }));
        check(codec, &stored, size - 1, None);
        check(codec, &stored[..stored.len() - 1], size, None);
        check(codec, b"\xff\xff\xff\xff\xff", size, None);
    }
}

#[test]
fn data_that_does_not_shrink_is_stored_as_it_is() {
    for codec in CODECS {
        let bytes = built(&[row("k", "xyz", None)], codec);
        assert_eq!(BatchView::parse(bytes).expect("valid").compression(), Compression::None);
    }
    let repeated = built(&[row("k", &"x".repeat(1_000), None)], Compression::Lz4);
    let batch = BatchView::parse(repeated).expect("valid");
    assert_eq!(batch.compression(), Compression::Lz4);
    assert!(batch.payload_bytes() < 100, "quotas count what is stored");
}

#[test]
fn compression_is_named_in_words() {
    for codec in CODECS {
        assert_eq!(codec.to_string().parse(), Ok(codec));
        assert_eq!(Compression::from_byte(codec as u8), Some(codec));
    }
    assert_eq!("gzip".parse::<Compression>(), Err(UnknownCompression { found: "gzip".to_owned() }));
}

fn check_push(
    builder: &mut BatchBuilder,
    (key, data): (&[u8], &[u8]),
    time: Option<u64>,
    expected: BuildError,
) {
    let before = (builder.records(), builder.bytes(), builder.payload_bytes());
    assert_eq!(builder.push(key, data, time.map(Timestamp)), Err(expected));
    assert_eq!((builder.records(), builder.bytes(), builder.payload_bytes()), before);
}

#[test]
fn record_that_does_not_fit_leaves_the_batch_as_it_was() {
    let mut builder = BatchBuilder::default();
    let (key, data) = (vec![0; KEY_BYTES_MAX + 1], vec![0; RECORD_BYTES_MAX as usize + 1]);
    check_push(&mut builder, (&key, b""), None, BuildError::KeyTooLong { bytes: key.len() });
    check_push(&mut builder, (b"", &data), None, BuildError::RecordTooLarge { bytes: data.len() });
    builder
        .push(&key[1..], &data[1..], Some(Timestamp(1)))
        .expect("the largest record fits a batch of its own");
    check_push(&mut builder, (b"", b""), None, BuildError::MixedTimestamps);
    let full = BuildError::Full { records: 1, bytes: builder.bytes() };
    check_push(&mut builder, (b"", &data[1..]), Some(1), full);
    builder.clear();
    builder.push(b"", b"", None).expect("room");
    check_push(&mut builder, (b"", b""), Some(1), BuildError::MixedTimestamps);
}

#[test]
fn batch_may_be_exactly_as_long_as_its_limit() {
    let mut builder = BatchBuilder::new();
    builder.push(b"a", &vec![0; RECORD_BYTES_MAX as usize], None).expect("room");
    // The second key makes both be spelled out: 8 bytes of ends for each record.
    let rest = BATCH_BYTES_MAX as usize - BATCH_HEADER_BYTES - RECORD_BYTES_MAX as usize - 2 - 16;
    let full = BuildError::Full { records: 1, bytes: builder.bytes() };
    check_push(&mut builder, (b"b", &vec![0; rest + 1]), None, full);
    builder.push(b"b", &vec![0; rest], None).expect("room to the last byte");
    assert_eq!(builder.bytes(), BATCH_BYTES_MAX as usize);
    let bytes = builder.build(Compression::None).expect("has records");
    assert_eq!(BatchView::parse(bytes).expect("valid").count(), 2);
}

#[test]
fn batch_holds_its_most_records() {
    let mut builder = BatchBuilder::new();
    for _ in 0..BATCH_RECORDS_MAX {
        builder.push(b"", b"", None).expect("room");
    }
    let full = BuildError::Full { records: BATCH_RECORDS_MAX, bytes: builder.bytes() };
    check_push(&mut builder, (b"", b""), None, full);
    let bytes = builder.build(Compression::Zstd).expect("has records");
    assert_eq!(bytes.len(), BATCH_HEADER_BYTES + 4 * BATCH_RECORDS_MAX as usize);
    let mut records = BatchView::parse(bytes).expect("valid").into_records().expect("nothing to inflate");
    assert!(records.nth(usize::MAX).is_none() && records.next().is_none());
}

#[test]
fn shared_long_key_counts_once_until_another_key_comes() {
    let mut builder = BatchBuilder::new();
    let key = [b'k'; KEY_BYTES_MAX];
    for _ in 0..20_000 {
        builder.push(&key, b"", None).expect("room");
    }
    assert_eq!(builder.payload_bytes(), KEY_BYTES_MAX);
    let full = BuildError::Full { records: 20_000, bytes: builder.bytes() };
    check_push(&mut builder, (b"other", b""), None, full);
    builder.push(&key, b"", None).expect("still one key");
}

#[test]
#[should_panic(expected = "record 9 of a batch of 9")]
fn key_behind_the_last_record_is_a_mistake() {
    let batch = BatchView::parse(samples::batches()[0].clone()).expect("valid");
    let _key = batch.key(9);
}

#[test]
fn a_plan_without_records_gives_no_batch() {
    assert!(BatchPlan::default().begin().is_none());
}

#[test]
#[should_panic(expected = "the data is as long as was said")]
fn data_of_another_length_than_was_planned_is_a_mistake() {
    let mut plan = BatchPlan::new();
    plan.push(b"key", 2).expect("room");
    let filled = plan.begin().expect("has a record").fill(|out| {
        out.push(7);
        Ok::<_, ()>(())
    });
    assert_eq!(filled, Ok(()));
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let bytes = |most| prop::collection::vec(prop::sample::select(b"ab\xff\0".as_slice()), 0..most);
    let key = bytes(4);
    let shared = prop::option::of(bytes(4));
    let rows = prop::collection::vec((key, bytes(60), any::<u64>()), 1..40);
    (shared, any::<bool>(), rows).prop_map(|(shared, timed, rows)| {
        let row = |(key, data, time)| (shared.clone().unwrap_or(key), data, timed.then_some(time));
        rows.into_iter().map(row).collect()
    })
}

proptest! {
    #[test]
    fn rows_come_back_from_every_layout_and_codec(rows in any_rows()) {
        for codec in CODECS {
            check_rows(&built(&rows, codec), &rows);
        }
    }

    #[test]
    fn payload_is_keys_and_data_as_stored(rows in any_rows()) {
        let batch = BatchView::parse(built(&rows, Compression::None)).expect("valid");
        let data: usize = rows.iter().map(|row| row.1.len()).sum();
        let keys: usize = rows.iter().map(|row| row.0.len()).sum();
        let keys = batch.one_key().map_or(keys, <[u8]>::len);
        prop_assert_eq!(batch.payload_bytes(), keys + data);
        prop_assert_eq!(payload_bytes_of(batch.bytes()), Some((keys + data) as u64));
        prop_assert_eq!(payload_bytes_of(&batch.bytes()[1..]), None);
        prop_assert_eq!(data_offset_of(batch.bytes()), Some(batch.bytes().len() - data));
        prop_assert_eq!(data_offset_of(&batch.bytes()[1..]), None);
    }

    #[test]
    fn builder_is_as_new_after_each_batch(first in any_rows(), second in any_rows()) {
        let mut builder = BatchBuilder::new();
        for (rows, codec) in [(&first, Compression::Lz4), (&second, Compression::None)] {
            for (key, data, timestamp) in rows {
                builder.push(key, data, timestamp.map(Timestamp)).expect("room");
            }
            check_rows(&builder.build(codec).expect("has records"), rows);
        }
    }

    #[test]
    fn a_plan_gives_the_batch_that_a_builder_gives(rows in any_rows()) {
        let mut plan = BatchPlan::new();
        let rows: Vec<Row> = rows.into_iter().map(|(key, data, _)| (key, data, None)).collect();
        for (key, data, _) in &rows {
            plan.push(key, data.len()).expect("room");
        }
        prop_assert_eq!(plan.records() as usize, rows.len());
        let mut fill = plan.begin().expect("has records");
        for (_, data, _) in &rows {
            let Ok(()) = fill.fill(|out| { out.extend_from_slice(data); Ok::<_, std::convert::Infallible>(()) });
        }
        prop_assert_eq!(fill.finish(), built(&rows, Compression::None));
    }

    #[test]
    fn arbitrary_bytes_are_a_batch_or_an_error(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let with_magic = [&MAGIC[..], &[0, 0, 0, 0, 3, 0, 0, 0], &tail].concat();
        for bytes in [tail, with_magic] {
            if let Ok(batch) = BatchView::parse(bytes.into()) {
                prop_assert_eq!(batch.records().map_or(0, |records| records.count() as u32), batch.count());
            }
        }
    }

    #[test]
    fn mutated_batches_are_a_batch_or_an_error(
        which in 0..12_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = samples::batches()[which].to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(records) = BatchView::parse(bytes.into()).map(BatchView::into_records) {
            prop_assert!(records.map_or(9, Iterator::count) > 0);
        }
    }
}
