//! One bit is told wherever it flips, and two are none.

use tidemill_wire::Timestamp;

use super::*;

const ID: SegmentId = 7;

fn entry(kind: EntryKind, payload: &[u8]) -> (EntryHeader, Vec<u8>) {
    let header = EntryHeader {
        length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).expect("small"),
        kind,
        key_id: 0,
        record_count: 3,
        owner: OwnerId(0x0102),
        base_sequence: SequenceNumber(40),
        append_time: Timestamp(1_000),
        segment_epoch: ID,
        durable_before: 4096,
    };
    let mut bytes = header.encode(payload).to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    (header, bytes)
}

fn find_all(bytes: &[u8]) -> Traces {
    let lost = 0..bytes.len() as u64;
    find(bytes, &[lost], ID)
}

#[test]
fn each_bit_of_an_entry_is_told() {
    for payload in [&b"tide"[..], &[0xa5; 333]] {
        let (header, whole) = entry(EntryKind::Batch, payload);
        for bit in 0..(ENTRY_HEADER_BYTES + payload.len()) * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let traces = find_all(&bytes);
            assert_eq!(traces.entries, [Found { position: 0, header }], "bit {bit}");
            assert_eq!(traces.unknown, [], "bit {bit}");
        }
    }
}

#[test]
fn two_bits_are_not_told() {
    let (_, whole) = entry(EntryKind::Batch, &[0x5a; 200]);
    for (one, other) in [(3, 900), (8 * 20, 8 * 21), (700, 701), (8 * 40, 8 * 41), (33, 8 * 100)] {
        let mut bytes = whole.clone();
        bytes[one / 8] ^= 1 << (one % 8);
        bytes[other / 8] ^= 1 << (other % 8);
        let traces = find_all(&bytes);
        assert!(traces.entries.is_empty(), "bits {one} and {other}");
        assert_eq!(traces.unknown, std::slice::from_ref(&(0..bytes.len() as u64)));
    }
}

#[test]
fn what_lies_between_is_unknown_and_numbers_without_records_are_read() {
    let (header, batch) = entry(EntryKind::Sparse, &[1; 50]);
    let rows = watermarks::encode(&[(OwnerId(5), SequenceNumber(1 << 40))]);
    let (_, mut numbers) = entry(EntryKind::Watermarks, &rows);
    numbers[ENTRY_HEADER_BYTES + 13] ^= 4;
    let mut bytes = vec![0xee; 24];
    bytes.extend_from_slice(&batch);
    bytes[24 + 70] ^= 1;
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&numbers);
    let traces = find_all(&bytes);
    assert_eq!(traces.entries, [Found { position: 24, header }]);
    assert_eq!(traces.watermarks, [(OwnerId(5), SequenceNumber(1 << 40))]);
    let behind = 24 + batch.len() as u64;
    assert_eq!(traces.unknown, [0..24, behind..behind + 16]);
    // One that does not lie wholly where entries are lost is none.
    assert!(find(&bytes, std::slice::from_ref(&(24..100)), ID).entries.is_empty());
}
