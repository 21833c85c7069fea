//! Tests of `entry`: golden bytes, every flipped bit, runs that end early.

use proptest::prelude::*;

use super::*;
use crate::samples::{self, hex};

const HEADER: EntryHeader = EntryHeader {
    length: 67,
    kind: EntryKind::Watermarks,
    key_id: 0x0102,
    record_count: 0x0304_0506,
    owner: OwnerId(0x0708_090a_0b0c_0d0e),
    base_sequence: SequenceNumber(0x1112_1314_1516_1718),
    append_time: Timestamp(0x2122_2324_2526_2728),
    segment_epoch: 0x3132_3334_3536_3738,
    durable_before: 0x4142_4344_4546_4748,
};

fn check_error(bytes: &[u8], expected: EntryError) {
    assert_eq!(EntryHeader::verify(bytes), Err(expected));
    let mut run = EntryRun::new(Bytes::copy_from_slice(bytes));
    assert_eq!(run.next(), Some(Err(expected)));
    assert_eq!(run.next(), None, "nothing is read behind damage");
}

/// An entry with some bytes replaced and the checksum made to fit.
fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut entry = samples::entry(b"payload", 1, 1);
    entry[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = crc32fast::hash(&entry[4..71]);
    entry[..4].copy_from_slice(&checksum.to_le_bytes());
    entry
}

#[test]
fn entry_has_the_documented_layout() {
    let expected =
        hex("c8a61404 43000000 01 02 0201 06050403 0e0d0c0b0a090807 1817161514131211 2827262524232221
         3837363534333231 4847464544434241 0000000000000000");
    let header = HEADER.encode(b"abc");
    assert_eq!(header[4..], expected[4..]);
    assert_eq!(header[..4], expected[..4], "the checksum is that of python's zlib.crc32");
    let whole = [header.as_slice(), b"abc"].concat();
    assert_eq!(EntryHeader::verify(&whole), Ok(HEADER));
    assert_eq!((HEADER.stride(), HEADER.payload_bytes()), (72, 3));
    assert_eq!(HEADER.next_sequence().0, 0x1112_1314_1516_1718 + 0x0304_0506);
}

#[test]
#[should_panic(expected = "an entry tells its length")]
fn entry_that_lies_about_its_length_is_never_written() {
    let _header = HEADER.encode(b"ab");
}

#[test]
fn each_flipped_bit_is_found() {
    let entry = samples::entry(b"payload", 7, 3);
    for bit in 0..71 * 8 {
        let mut damaged = entry.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(EntryHeader::verify(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn each_missing_byte_is_found() {
    let entry = samples::entry(b"payload", 7, 3);
    for found in 1..64 {
        check_error(&entry[..found], EntryError::Truncated { needed: 64, found });
    }
    for found in 64..71 {
        check_error(&entry[..found], EntryError::Truncated { needed: 71, found });
    }
    assert!(EntryHeader::verify(&entry[..71]).is_ok(), "padding is not part of the entry");
}

#[test]
fn lying_fields_are_refused_each_with_its_error() {
    check_error(&[0; 64], EntryError::Length { length: 0 });
    check_error(&forged(4, &63_u32.to_le_bytes()), EntryError::Length { length: 63 });
    let needed = u32::MAX as usize;
    check_error(&forged(4, &[0xff; 4]), EntryError::Truncated { needed, found: 72 });
    check_error(&forged(8, &[2]), EntryError::Version { version: 2 });
    check_error(&forged(9, &[0]), EntryError::Kind { kind: 0 });
    check_error(&forged(9, &[4]), EntryError::Kind { kind: 4 });
    let (base, count) = (SequenceNumber(u64::MAX), 1);
    check_error(&forged(24, &[0xff; 8]), EntryError::Sequence { base, count });
    let mut damaged = samples::entry(b"payload", 1, 1);
    let expected = u32::from_le_bytes([damaged[0], damaged[1], damaged[2], damaged[3]]);
    damaged[70] ^= 1;
    let found = crc32fast::hash(&damaged[4..71]);
    check_error(&damaged, EntryError::Checksum { expected, found });
}

#[test]
fn last_sequence_number_can_be_reached() {
    let entry = forged(24, &(u64::MAX - 1).to_le_bytes());
    assert_eq!(
        EntryHeader::verify(&entry).map(|header| header.next_sequence()),
        Ok(SequenceNumber(u64::MAX))
    );
}

#[test]
fn run_yields_entries_in_order_and_stops_at_damage() {
    let mut run =
        [samples::entry(b"one", 0, 1), samples::entry(b"", 1, 0), samples::entry(b"three", 1, 2)].concat();
    let read = |run: &[u8]| EntryRun::new(Bytes::copy_from_slice(run)).collect::<Vec<_>>();
    let payloads: Vec<_> = read(&run).into_iter().map(|entry| entry.expect("valid").1).collect();
    assert_eq!(payloads, ["one", "", "three"]);
    let second = samples::entry(b"one", 0, 1).len();
    run[second] ^= 1;
    let found = read(&run);
    assert!(matches!(found.as_slice(), [Ok(_), Err(EntryError::Checksum { .. })]), "{found:?}");
}

#[test]
fn run_may_end_without_padding() {
    let entry = samples::entry(b"one", 0, 1);
    let found: Vec<_> = EntryRun::new(Bytes::copy_from_slice(&entry[..67])).collect();
    assert!(matches!(found.as_slice(), [Ok((_, payload))] if payload == "one"), "{found:?}");
    assert_eq!(EntryRun::new(Bytes::new()).count(), 0);
}

fn any_header() -> impl Strategy<Value = (EntryHeader, Vec<u8>)> {
    let kinds = prop::sample::select(vec![EntryKind::Batch, EntryKind::Watermarks, EntryKind::Sparse]);
    let numbers = (any::<u16>(), any::<u32>(), any::<[u64; 5]>(), kinds);
    (numbers, prop::collection::vec(any::<u8>(), 0..100)).prop_map(|((key_id, count, n, kind), payload)| {
        let header = EntryHeader {
            length: (ENTRY_HEADER_BYTES + payload.len()) as u32,
            kind,
            key_id,
            record_count: count,
            owner: OwnerId(n[0]),
            base_sequence: SequenceNumber(n[1].min(u64::MAX - u64::from(count))),
            append_time: Timestamp(n[2]),
            segment_epoch: n[3],
            durable_before: n[4],
        };
        (header, payload)
    })
}

proptest! {
    #[test]
    fn header_and_payload_come_back((header, payload) in any_header()) {
        let bytes = [header.encode(&payload).as_slice(), &payload].concat();
        let mut put = BytesMut::from(&b"before"[..]);
        header.put(&payload, &mut put);
        let padded = [&b"before"[..], &bytes, &[0; 8][..stride(bytes.len()) - bytes.len()]].concat();
        prop_assert_eq!(&put[..], &padded[..]);
        prop_assert_eq!(EntryHeader::decode(&bytes), Ok(header));
        prop_assert_eq!(EntryHeader::verify(&bytes), Ok(header));
        let found: Vec<_> = EntryRun::new(bytes.into()).collect();
        prop_assert_eq!(found, [Ok((header, Bytes::from(payload)))]);
    }

    #[test]
    fn arbitrary_bytes_are_entries_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _header = EntryHeader::decode(&bytes);
        prop_assert!(EntryRun::new(bytes.into()).count() <= 3);
    }
}
