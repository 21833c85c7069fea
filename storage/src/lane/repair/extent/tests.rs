//! What an owner has in a replacement, from what is left and what others tell.

use tidemill_wire::{
    OwnerId,
    entry::{EntryHeader, EntryKind},
};

use super::*;

/// An entry of two records, whose place goes by their numbers.
fn entry(first: u64) -> Found {
    let header = EntryHeader {
        length: 100,
        kind: EntryKind::Batch,
        key_id: 0,
        record_count: 2,
        owner: OwnerId(1),
        base_sequence: SequenceNumber(first),
        append_time: Timestamp(first),
        segment_epoch: 7,
        durable_before: 0,
    };
    Found { position: 4096 + first * 52, header }
}

/// Entries without an index, of an owner that has records up to 100 before.
fn rest(entries: &[u64], lost: Range<u64>) -> Rest {
    Rest {
        entries: entries.iter().map(|first| entry(*first)).collect(),
        borrowed: Vec::new(),
        row: None,
        lost: vec![lost],
        may_be_sparse: false,
        before: Known { next: SequenceNumber(100), is_live: true, last_time: Timestamp(0) },
        later: None,
        told: SequenceNumber(0),
    }
}

/// The numbers, and the first ones of the entries.
fn check(rest: Rest, expected: (Option<u64>, u64, &[u64])) {
    let extent = rest.extent();
    let firsts: Vec<u64> = extent.entries.iter().map(|found| found.header.base_sequence.0).collect();
    assert_eq!((extent.start.map(|start| start.0), extent.end.0, &*firsts), expected);
}

const LOST: Range<u64> = 4096..4296;

#[test]
fn numbers_that_lost_bytes_can_have_held_are_missed() {
    let later = Some(SequenceNumber(150));
    check(Rest { later, ..rest(&[146, 148], LOST) }, (Some(100), 150, &[146, 148]));
    check(Rest { later, ..rest(&[], LOST) }, (Some(100), 150, &[]));
    // Without an end as many as the lost bytes can have held.
    check(rest(&[], LOST), (Some(100), 150, &[]));
}

#[test]
fn numbers_that_they_cannot_have_held_are_gone_with_what_was_before() {
    let later = Some(SequenceNumber(404));
    check(Rest { later, ..rest(&[400, 402], LOST) }, (Some(400), 404, &[400, 402]));
    check(Rest { later, ..rest(&[], LOST) }, (None, 100, &[]));
    // Nor can what is lost behind the first entry.
    let behind = 4096 + 150 * 52 + 104..30_000;
    check(Rest { later, ..rest(&[150], behind) }, (Some(150), 404, &[150]));
    // A sparse entry may have taken any number of them.
    check(Rest { later, may_be_sparse: true, ..rest(&[400, 402], LOST) }, (Some(100), 404, &[400, 402]));
}

#[test]
fn numbers_behind_the_last_entry_are_missed_only_if_bytes_behind_it_are_lost() {
    let later = Some(SequenceNumber(110));
    let behind = 4096 + 102 * 52 + 104..20_000;
    check(Rest { later, ..rest(&[100, 102], behind.clone()) }, (Some(100), 110, &[100, 102]));
    check(Rest { later, ..rest(&[100, 102], LOST) }, (Some(100), 104, &[100, 102]));
    check(rest(&[100, 102], LOST), (Some(100), 104, &[100, 102]));
    check(rest(&[100, 102], behind.start..behind.start + 80), (Some(100), 124, &[100, 102]));
    // More than there was room for: retention has taken what was between.
    let later = Some(SequenceNumber(200));
    check(
        Rest { later, ..rest(&[100, 102], behind.start..behind.start + 80) },
        (Some(100), 104, &[100, 102]),
    );
}

#[test]
fn entries_whose_numbers_were_given_out_again_are_none() {
    let later = Some(SequenceNumber(102));
    check(Rest { later, ..rest(&[100, 102, 104], LOST) }, (Some(100), 102, &[100]));
    check(Rest { later, ..rest(&[100, 101], LOST) }, (Some(100), 102, &[100]));
}

#[test]
fn what_is_borrowed_fills_gaps_and_goes_no_further_back_than_lost_bytes_can() {
    let borrowed = |firsts: &[u64]| firsts.iter().map(|first| entry(*first)).collect();
    check(Rest { borrowed: borrowed(&[102]), ..rest(&[100, 104], LOST) }, (Some(100), 106, &[100, 102, 104]));
    let before = Known::default();
    let gone = |firsts: &[u64]| Rest { before, borrowed: borrowed(firsts), ..rest(&[104], LOST) };
    check(gone(&[102]), (Some(102), 106, &[102, 104]));
    // Each takes 104 bytes.
    check(gone(&[100, 102]), (Some(102), 106, &[102, 104]));
    check(gone(&[20]), (Some(104), 106, &[104]));
    // An index tells what there was.
    let row = OwnerRow {
        owner: OwnerId(1),
        first: SequenceNumber(100),
        next: SequenceNumber(110),
        first_time: Timestamp(3),
        last_time: Timestamp(4),
        payload_bytes: 500,
        first_point: 0,
        point_count: 1,
    };
    check(Rest { row: Some(Some(row)), ..gone(&[100]) }, (Some(100), 110, &[100, 104]));
}
