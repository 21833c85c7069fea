//! What a cursor gives follows without overlap, and what is missing is named.

use bytes::{BufMut, BytesMut};
use tidemill_wire::OwnerId;
use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, stride};
use tidemill_wire::numbered::encode_sparse;

use super::*;

/// A log entry of `count` records from `base`, each its own number.
fn entry(base: u64, count: u64, time: u64) -> Bytes {
    entry_with(base, count, time, |_| {})
}

fn entry_with(base: u64, count: u64, time: u64, change: impl FnOnce(&mut EntryHeader)) -> Bytes {
    let mut builder = BatchBuilder::new();
    for number in base..base + count {
        builder.push(b"", number.to_string().as_bytes(), None).expect("small");
    }
    let payload = builder.build(Compression::None).expect("has records");
    let mut header = EntryHeader {
        length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).expect("small"),
        kind: EntryKind::Batch,
        key_id: 0,
        record_count: u32::try_from(count).expect("small"),
        owner: OwnerId(1),
        base_sequence: SequenceNumber(base),
        append_time: Timestamp(time),
        segment_epoch: 0,
        durable_before: 0,
    };
    change(&mut header);
    whole(&header, &payload)
}

fn whole(header: &EntryHeader, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&header.encode(payload)[..]);
    bytes.put_slice(payload);
    bytes.resize(stride(bytes.len()), 0);
    bytes.freeze()
}

/// What compaction has left of `count` numbers from `base`: the records with these, each its own number.
fn sparse(base: u64, count: u32, left: &[u64]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for number in left {
        builder.push(b"", number.to_string().as_bytes(), None).expect("small");
    }
    let offsets: Vec<u32> = left.iter().map(|number| (number - base) as u32).collect();
    let payload = encode_sparse(&offsets, &builder.build(Compression::None).unwrap_or_default());
    let header = EntryHeader {
        length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).expect("small"),
        kind: EntryKind::Sparse,
        key_id: 0,
        record_count: count,
        owner: OwnerId(1),
        base_sequence: SequenceNumber(base),
        append_time: Timestamp(1),
        segment_epoch: 0,
        durable_before: 0,
    };
    whole(&header, &payload)
}

fn run(entries: &[Bytes]) -> Bytes {
    Bytes::from(entries.concat())
}

fn answer(from: u64, next: u64, end: u64) -> Fetched {
    Fetched {
        from_sequence: SequenceNumber(from),
        next_sequence: SequenceNumber(next),
        oldest_sequence: SequenceNumber(0),
        end_sequence: SequenceNumber(end),
        closed: false,
    }
}

fn at(sequence: u64, until: Option<u64>) -> Cursor {
    Cursor::new(ShardIndex(0), Position::Sequence(SequenceNumber(sequence)), until.map(SequenceNumber), None)
}

fn show(accepted: Accepted) -> String {
    let pieces = accepted.pieces.into_iter().map(|piece| match piece {
        Piece::Gap(Gap { from, to, .. }) => format!("gap {from}..{to}"),
        Piece::Entry(entry) => {
            let (first, next) = (entry.first.0, entry.next.0);
            let batch = entry.into_batch(ShardIndex(0)).expect("not compressed");
            assert_eq!(batch.next_sequence().0, next);
            let lowest = batch.first_sequence().0;
            let records: Vec<_> = batch.collect();
            for record in &records {
                assert_eq!(record.data, record.sequence.to_string());
            }
            let numbers: Vec<u64> = records.iter().map(|record| record.sequence.0).collect();
            assert_eq!((numbers.first(), numbers.is_sorted()), (Some(&lowest), true));
            if (first..next).eq(numbers.iter().copied()) {
                format!("{first}..{next}")
            } else {
                format!("{numbers:?} of {first}..{next}")
            }
        }
    });
    let mut shown: Vec<_> = pieces.collect();
    shown.extend(accepted.damage.map(|error| format!("error: {error}")));
    shown.join(" ")
}

#[track_caller]
fn check(mut cursor: Cursor, fetched: &Fetched, entries: &[Bytes], expected: &str, next: u64) {
    assert_eq!(show(cursor.accept(fetched, run(entries))), expected);
    assert_eq!(cursor.next(), Some(SequenceNumber(next)));
}

#[test]
fn entries_are_trimmed_to_what_is_new() {
    let entries = [entry(0, 5, 1), entry(5, 5, 2), entry(10, 5, 3)];
    check(at(0, None), &answer(0, 15, 15), &entries, "0..5 5..10 10..15", 15);
    check(at(7, None), &answer(7, 15, 15), &entries, "7..10 10..15", 15);
    check(at(15, None), &answer(15, 15, 15), &entries, "", 15);
    check(at(3, Some(12)), &answer(3, 15, 15), &entries, "3..5 5..10 10..12", 12);
    check(at(3, Some(5)), &answer(3, 15, 15), &entries, "3..5", 5);
}

#[test]
fn what_is_missing_is_a_gap_wherever_it_is() {
    check(at(2, None), &answer(5, 10, 10), &[entry(5, 5, 1)], "gap 2..5 5..10", 10);
    check(at(0, None), &answer(0, 10, 10), &[entry(0, 3, 1), entry(5, 5, 1)], "0..3 gap 3..5 5..10", 10);
    check(at(2, None), &answer(2, 6, 6), &[], "gap 2..6", 6);
    check(at(2, None), &answer(9, 9, 9), &[], "gap 2..9", 9);
    check(at(2, Some(4)), &answer(9, 9, 9), &[], "gap 2..4", 4);
    check(at(2, Some(7)), &answer(2, 12, 12), &[entry(2, 3, 1), entry(9, 3, 1)], "2..5 gap 5..7", 7);
}

#[test]
fn a_position_that_is_no_number_begins_without_a_gap() {
    for position in [Position::Oldest, Position::Timestamp(Timestamp(7))] {
        let mut cursor = Cursor::new(ShardIndex(0), position, None, None);
        assert_eq!(cursor.next(), None);
        let accepted = cursor.accept(&answer(5, 10, 10), run(&[entry(3, 7, 1)]));
        assert_eq!(accepted.start, SequenceNumber(5));
        assert_eq!(show(accepted), "5..10");
    }
}

#[test]
fn bounds_end_the_shard_and_are_told_from_its_close() {
    assert_eq!(at(5, Some(5)).end(), Some(End::Bound), "before anything is asked");
    let mut bounded = at(0, Some(5));
    bounded.accept(&answer(0, 5, 9), run(&[entry(0, 5, 1)]));
    assert_eq!((bounded.end(), bounded.is_caught_up()), (Some(End::Bound), false));

    let mut timed = Cursor::new(ShardIndex(0), Position::Oldest, None, Some(Timestamp(2)));
    let accepted = timed.accept(&answer(0, 10, 10), run(&[entry(0, 5, 1), entry(5, 5, 2)]));
    assert_eq!(show(accepted), "0..5");
    assert_eq!((timed.end(), timed.next()), (Some(End::Bound), Some(SequenceNumber(5))));

    let mut late = Cursor::new(ShardIndex(0), Position::Timestamp(Timestamp(1)), None, Some(Timestamp(2)));
    let accepted = late.accept(&answer(5, 10, 10), run(&[entry(5, 5, 2)]));
    assert_eq!(show(accepted), "", "what lies behind the bound is not missing");
    assert_eq!((late.end(), late.next()), (Some(End::Bound), Some(SequenceNumber(5))));

    let mut closed = at(0, None);
    closed.accept(&Fetched { closed: true, ..answer(0, 5, 5) }, run(&[entry(0, 5, 1)]));
    assert_eq!((closed.end(), closed.is_caught_up()), (Some(End::Closed), true));
}

#[test]
fn damage_ends_an_answer_after_what_is_whole() {
    let mut broken = BytesMut::from(&entry(5, 5, 1)[..]);
    broken[70] ^= 4;
    let damaged = broken.freeze();
    let mut cursor = at(0, None);
    let shown = show(cursor.accept(&answer(0, 10, 10), run(&[entry(0, 5, 1), damaged])));
    assert!(shown.starts_with("0..5 error: shard 0, at or after record 5: entry checksum"), "{shown}");
    assert_eq!(cursor.next(), Some(SequenceNumber(5)));

    let miscounted = entry_with(0, 5, 1, |header| header.record_count = 4);
    let shown = show(at(0, None).accept(&answer(0, 4, 4), miscounted));
    assert!(shown.ends_with("entry numbers 4 records, its batch has 5"), "{shown}");

    let encrypted = entry_with(0, 5, 1, |header| header.key_id = 3);
    let shown = show(at(0, None).accept(&answer(0, 5, 5), encrypted));
    assert!(shown.ends_with("entry is encrypted with key 3"), "{shown}");

    let shown = show(at(0, None).accept(&answer(0, 5, 5), entry(0, 5, 1).slice(..40)));
    assert!(shown.contains("entry needs 64 bytes, found 40"), "{shown}");
}

#[test]
fn what_compaction_took_is_no_gap() {
    let entries = [entry(0, 3, 1), sparse(3, 10, &[5, 9]), sparse(13, 1000, &[]), sparse(1013, 7, &[1019])];
    let (left, right) = ("[5, 9] of 3..13", "[1019] of 1013..1020");
    check(at(0, None), &answer(0, 1020, 1020), &entries, &format!("0..3 {left} {right}"), 1020);
    check(at(6, None), &answer(6, 1020, 1020), &entries, &format!("[9] of 6..13 {right}"), 1020);
    check(at(10, None), &answer(10, 1020, 1020), &entries[1..], right, 1020);
    check(at(500, None), &answer(500, 1013, 1020), &entries[2..3], "", 1013);
    check(at(4, Some(9)), &answer(4, 1020, 1020), &entries[1..], "[5] of 4..9", 9);
    check(at(10, Some(700)), &answer(10, 1020, 1020), &entries[1..], "", 700);
    check(at(1, None), &answer(3, 13, 13), &entries[1..2], &format!("gap 1..3 {left}"), 13);
}

#[test]
fn a_batch_is_cut_to_a_count_of_records() {
    let mut cursor = at(4, None);
    let accepted = cursor.accept(&answer(4, 13, 13), sparse(3, 10, &[3, 5, 9, 12]));
    let Some(Piece::Entry(entry)) = accepted.pieces.into_iter().next() else { panic!("there are records") };
    let mut batch = entry.into_batch(ShardIndex(0)).expect("not compressed");
    batch.truncate(5);
    assert_eq!((batch.len(), batch.first_sequence().0, batch.next_sequence().0), (3, 5, 13));
    batch.truncate(2);
    assert_eq!(
        (batch.len(), batch.next_sequence().0),
        (2, 12),
        "the next reader goes on at the first one left out"
    );
    assert_eq!(batch.map(|record| record.sequence.0).collect::<Vec<_>>(), [5, 9]);
}

#[test]
fn watermarks_are_passed_over() {
    let watermarks =
        entry_with(0, 1, 1, |header| (header.kind, header.record_count) = (EntryKind::Watermarks, 0));
    check(at(0, None), &answer(0, 5, 5), &[watermarks, entry(0, 5, 1)], "0..5", 5);
}
