//! What is left keeps its number and its bytes, and all numbers stay taken.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use proptest::prelude::*;
use tidemill_wire::batch::{BatchBuilder, Compression};

use super::*;

const OWNER: OwnerId = OwnerId(3);

/// A record as the test knows it: number, key, data and append time.
type Row = (u64, String, String, u64);

fn entry(base: u64, time: u64, rows: &[(&str, &str)], compression: Compression) -> Entry {
    let mut builder = BatchBuilder::new();
    for (key, data) in rows {
        builder.push(key.as_bytes(), data.as_bytes(), None).expect("small");
    }
    let payload = builder.build(compression).expect("records");
    let header = EntryHeader {
        length: (ENTRY_HEADER_BYTES + payload.len()) as u32,
        kind: EntryKind::Batch,
        key_id: 0,
        record_count: rows.len() as u32,
        owner: OWNER,
        base_sequence: SequenceNumber(base),
        append_time: Timestamp(time),
        segment_epoch: 1,
        durable_before: 0,
    };
    (header, payload)
}

fn rows_of(entries: &[Entry]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (header, payload) in entries {
        assert_eq!(header.payload_bytes(), payload.len());
        let batch = NumberedBatch::parse(header, payload.clone()).expect("valid").expect("records");
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("text");
        for (number, record) in batch.into_records().expect("valid data") {
            rows.push((number.0, text(&record.key), text(&record.data), header.append_time.0));
        }
    }
    rows
}

/// A table of the last records, as a look at all of them makes it.
fn table_of(rows: &[Row]) -> KeyTable {
    let mut table = KeyTable::new([1, 2]);
    for (number, key, ..) in rows.iter().filter(|(_, key, ..)| !key.is_empty()) {
        table.put(table.fingerprint(OWNER, key.as_bytes()), SequenceNumber(*number), 1);
    }
    table
}

fn sift(table: &KeyTable, tombstones_before: Option<u64>, entries: &[Entry]) -> (Vec<Entry>, u64) {
    let mut sieve = Sieve::new(table, OWNER, tombstones_before.map(Timestamp));
    let mut left = Vec::new();
    for entry in entries {
        let mut push = std::pin::pin!(sieve.push(entry.clone(), &mut left));
        while push.as_mut().now_or_never().is_none() {}
    }
    sieve.finish(&mut left);
    let mut next = entries.first().map_or(0, |(header, _)| header.base_sequence.0);
    for (header, _) in &left {
        assert_eq!(header.base_sequence.0, next, "numbers are dense from entry to entry");
        next = header.next_sequence().0;
    }
    assert_eq!(Some(next), entries.last().map(|(header, _)| header.next_sequence().0));
    (left, sieve.dropped_records)
}

fn show(entries: &[Entry]) -> String {
    let shown = entries.iter().map(|(header, payload)| {
        let numbers: Vec<u64> = rows_of(&[(*header, payload.clone())]).iter().map(|row| row.0).collect();
        format!("{:?} {}+{} {numbers:?}", header.kind, header.base_sequence, header.record_count)
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn replaced_records_go_and_their_numbers_stay_taken() {
    let entries = [
        entry(10, 1, &[("a", "1"), ("b", "1"), ("c", "1")], Compression::None),
        entry(13, 2, &[("a", "2"), ("a", "3")], Compression::Lz4),
        entry(15, 3, &[("a", "4")], Compression::None),
        entry(16, 4, &[("b", "2"), ("", "kept"), ("a", "5")], Compression::None),
        entry(19, 5, &[("d", "1")], Compression::None),
    ];
    let (left, dropped) = sift(&table_of(&rows_of(&entries)), None, &entries);
    assert_eq!(show(&left), "Sparse 10+6 [12], Batch 16+3 [16, 17, 18], Batch 19+1 [19]");
    assert_eq!((dropped, left[0].0.append_time.0), (5, 1));
    assert_eq!(left[1], entries[3], "what loses nothing stays as it is, byte for byte");
    let again = sift(&table_of(&rows_of(&entries)), None, &left);
    assert_eq!((again.0, again.1), (left, 0), "once is enough");
}

#[test]
fn entries_without_a_record_begin_a_sparse_one_where_none_is_open() {
    let entries = [
        entry(0, 1, &[("z", "1")], Compression::None),
        entry(1, 2, &[("a", "1")], Compression::None),
        entry(2, 3, &[("a", "2"), ("a", "3")], Compression::None),
        entry(4, 4, &[("a", "4")], Compression::None),
    ];
    let (left, _) = sift(&table_of(&rows_of(&entries)), None, &entries);
    assert_eq!(show(&left), "Batch 0+1 [0], Sparse 1+3 [], Batch 4+1 [4]");
    assert_eq!(left[1].0.append_time.0, 2, "it has the time of the first");
}

#[test]
fn a_tombstone_goes_when_it_is_old_and_alone() {
    let entries = [
        entry(0, 10, &[("a", ""), ("b", "1"), ("b", "")], Compression::None),
        entry(3, 20, &[("c", ""), ("", "")], Compression::None),
    ];
    let table = table_of(&rows_of(&entries));
    let left = |before| show(&sift(&table, before, &entries).0);
    assert_eq!(left(None), "Sparse 0+3 [0, 2], Batch 3+2 [3, 4]");
    assert_eq!(left(Some(10)), "Sparse 0+3 [0, 2], Batch 3+2 [3, 4]");
    assert_eq!(left(Some(11)), "Sparse 0+3 [2], Batch 3+2 [3, 4]", "b's hides a record");
    assert_eq!(left(Some(21)), "Sparse 0+3 [2], Sparse 3+2 [4]", "without a key it is no tombstone");
}

#[test]
fn what_has_no_keys_passes_as_it_is() {
    let mut foreign = entry(1, 1, &[("a", "1")], Compression::None);
    foreign.1 = Bytes::from_static(b"no batch");
    foreign.0.length = (ENTRY_HEADER_BYTES + foreign.1.len()) as u32;
    let mut encrypted = entry(2, 1, &[("a", "1")], Compression::None);
    encrypted.0.key_id = 1;
    let mut damaged = entry(3, 1, &[("a", "1"), ("b", &"b".repeat(500))], Compression::Lz4);
    let mut bytes = damaged.1.to_vec();
    let last = bytes.len() - 1;
    bytes.truncate(last - 4);
    bytes[16] -= 5;
    damaged.1 = bytes.into();
    damaged.0.length -= 5;
    let mut table = KeyTable::new([1, 2]);
    let entries = [entry(0, 1, &[("a", "1")], Compression::None), foreign, encrypted, damaged];
    table.put(table.fingerprint(OWNER, b"a"), SequenceNumber(100), 1);
    let (left, dropped) = sift(&table, Some(1000), &entries);
    assert_eq!((&left[1..], dropped), (&entries[1..], 1));
}

fn any_batches() -> impl Strategy<Value = Vec<(Vec<(u8, u8)>, u8)>> {
    // Few keys, often without one; data is often absent.
    let record = (0..6_u8, 0..4_u8);
    prop::collection::vec((prop::collection::vec(record, 1..8), 0..3_u8), 1..30)
}

proptest! {
    /// Sifted in any two rounds, the last record of each key is there, unless it is an old tombstone, and nothing else is that could go.
    #[test]
    fn the_last_record_of_each_key_is_left(batches in any_batches(), first_round in 0..100_usize) {
        let mut entries = Vec::new();
        let mut base = 0;
        for (time, (records, codec)) in (0..).zip(&batches) {
            let rows: Vec<(String, String)> = records.iter().map(|(key, data)| {
                let key = if *key == 0 { String::new() } else { format!("key-{key}") };
                (key, if *data == 0 { String::new() } else { format!("data-{data}-{base}") })
            }).collect();
            let rows: Vec<(&str, &str)> = rows.iter().map(|(key, data)| (key.as_str(), data.as_str())).collect();
            let codec = [Compression::None, Compression::Lz4, Compression::Zstd][*codec as usize];
            entries.push(entry(base, time, &rows, codec));
            base += rows.len() as u64;
        }
        let all = rows_of(&entries);
        // A first round knows the keys of a part of the entries only.
        let known = rows_of(&entries[..first_round % (entries.len() + 1)]);
        let (left, _) = sift(&table_of(&known), None, &entries);
        let (left, dropped) = sift(&table_of(&rows_of(&left)), None, &left);
        let last: BTreeMap<&str, u64> = all.iter().map(|row| (row.1.as_str(), row.0)).collect();
        let expected: Vec<&Row> = all.iter().filter(|row| row.1.is_empty() || last[row.1.as_str()] == row.0).collect();
        let found = rows_of(&left);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        prop_assert!(dropped as usize <= all.len() - found.len());
        let (left, dropped) = sift(&table_of(&found), Some(u64::MAX), &left);
        prop_assert!(rows_of(&left).iter().all(|row| row.1.is_empty() || !row.2.is_empty()));
        prop_assert_eq!(rows_of(&left).len(), found.len() - dropped as usize);
    }
}
