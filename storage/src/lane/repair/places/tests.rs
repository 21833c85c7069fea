//! Where a segment without a header goes, by the numbers of its owners.

use super::*;

/// Owners with their numbers.
type Has<'a> = &'a [(u64, Range<u64>)];

/// A stretch of the log, by its first and its last segment.
type Stretch = (SegmentId, SegmentId);

fn numbers(has: Has) -> Numbers {
    let range = |range: &Range<u64>| SequenceNumber(range.start)..SequenceNumber(range.end);
    has.iter().map(|(owner, numbers)| (OwnerId(*owner), range(numbers))).collect()
}

/// Among segments that are each a number, the place of a compacted one, and what it has.
fn check(placed: &[(SegmentId, Option<Stretch>, Has)], id: SegmentId, has: Has, expected: Option<Stretch>) {
    let mut places = Places::default();
    for (id, covers, has) in placed {
        let (first, last) = covers.unwrap_or((*id, *id));
        let (place, is_compacted) = (Place { first, last }, covers.is_some());
        places.placed.insert(*id, Placed { place, is_compacted, numbers: numbers(has) });
    }
    let place = places.locate(id, &numbers(has), false);
    assert_eq!(place.map(|place| (place.first, place.last)), expected);
}

#[test]
fn without_what_it_replaced_it_goes_where_its_numbers_fit() {
    let log = [(1, None, &[(1, 0..10)][..]), (2, None, &[(1, 10..20), (2, 0..5)]), (6, None, &[(1, 40..50)])];
    check(&log, 9, &[(1, 20..40), (2, 5..7)], Some((3, 3)));
    check(&log, 9, &[(1, 50..60)], Some((7, 7)));
    // Its numbers cannot be before and behind, and between neighbours is no room.
    check(&log, 9, &[(1, 20..40), (2, 0..0)], None);
    check(&log[1..], 9, &[(1, 0..10)], Some((0, 0)));
    check(&[(1, None, &[(1, 0..5)]), (2, None, &[(1, 8..9)])], 9, &[(1, 5..8)], None);
}

#[test]
fn it_covers_what_it_replaced_and_what_lies_between() {
    let log = [
        (1, None, &[(1, 0..10)][..]),
        (3, None, &[(1, 10..20), (9, 0..50)]),
        (4, None, &[(9, 50..60)]),
        (5, None, &[(2, 5..9), (9, 60..70)]),
        (7, None, &[(1, 30..40), (9, 70..80)]),
    ];
    check(&log, 9, &[(1, 10..30), (2, 0..12)], Some((3, 5)));
    check(&log, 9, &[(2, 0..12)], Some((5, 5)));
    check(&log, 9, &[(1, 12..30)], Some((3, 3)));
    // What is older in the log can have no later numbers.
    check(&log, 9, &[(2, 0..12), (1, 0..5)], Some((1, 5)));
    check(&log[1..], 9, &[(2, 0..12), (1, 0..5)], None);
    // One that was made by compaction too is covered with its whole place.
    let nested = [(1, None, &[(1, 0..10)][..]), (8, Some((2, 6)), &[(1, 10..20)]), (7, None, &[(1, 20..30)])];
    check(&nested, 9, &[(1, 15..30)], Some((2, 7)));
}

#[test]
fn a_newer_one_with_the_same_numbers_has_replaced_it() {
    let placed = [(1, None, &[(1, 0..10)][..]), (3, None, &[(1, 10..20)]), (12, Some((1, 4)), &[(1, 5..20)])];
    check(&placed, 9, &[(1, 5..15)], Some((1, 4)));
    check(&placed, 9, &[(1, 2..7)], Some((1, 4)));
    // As has one that has left behind all that it had, where no other place is.
    let placed = [(1, None, &[(2, 0..3)][..]), (12, Some((2, 4)), &[(1, 5..20)])];
    check(&placed, 9, &[(1, 0..5), (2, 3..5)], Some((2, 4)));
    // The log knows no copies of its numbers.
    check(&[(12, None, &[(1, 5..20)])], 9, &[(1, 5..15)], None);
}
