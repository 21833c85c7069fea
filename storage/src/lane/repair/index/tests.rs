//! What is told of owners by a table of which some rows are broken.

use tidemill_wire::{SequenceNumber, Timestamp};

use super::*;

fn row(owner: u64) -> OwnerRow {
    OwnerRow {
        owner: OwnerId(owner),
        first: SequenceNumber(owner),
        next: SequenceNumber(owner + 5),
        first_time: Timestamp(1),
        last_time: Timestamp(2),
        payload_bytes: 100,
        first_point: 0,
        point_count: 1,
    }
}

/// Of each owner below ten: `r` for a row, `-` for none, `?` where it cannot be told.
fn check(index: &Index, expected: &str) {
    let told: String = (0..10)
        .map(|owner| match index.row(OwnerId(owner)) {
            Some(Some(found)) => {
                assert_eq!(found, row(owner));
                'r'
            }
            Some(None) => '-',
            None => '?',
        })
        .collect();
    assert_eq!(told, expected);
}

fn of(owners: &[Option<u64>]) -> Index {
    Index::of_rows(owners.iter().map(|owner| owner.map(row)))
}

fn mentioned(owners: &[u64]) -> BTreeSet<OwnerId> {
    owners.iter().copied().map(OwnerId).collect()
}

#[test]
fn broken_rows_are_of_owners_between_the_sound_ones() {
    check(&Index::nothing(), "??????????");
    check(&Index::whole(vec![row(2), row(7)]), "--r----r--");
    check(&of(&[Some(2), Some(7)]), "--r----r--");
    check(&of(&[Some(2), None, Some(7)]), "--r????r--");
    check(&of(&[None, Some(2), Some(7), None]), "??r----r??");
    check(&of(&[Some(2), None, Some(3)]), "--rr------");
    // Rows that do not rise are no table.
    check(&of(&[Some(7), None, Some(2)]), "??????????");
    assert!(of(&[]).is_whole() && !of(&[]).is_nothing() && Index::nothing().is_nothing());
}

#[test]
fn broken_rows_are_of_those_who_are_mentioned_if_these_are_as_many() {
    let settled = |rows: &[Option<u64>], owners: &[u64]| {
        let mut index = of(rows);
        index.settle(&mentioned(owners));
        index
    };
    check(&settled(&[Some(2), None, Some(7)], &[2, 4]), "--r-?--r--");
    check(&settled(&[Some(2), None, None, Some(7)], &[2, 4]), "--r????r--");
    check(&settled(&[Some(2), None, None, Some(7)], &[4, 6]), "--r-?-?r--");
    check(&settled(&[None, Some(2)], &[0]), "?-r-------");
    // All is told of a table without entries.
    let mut nothing = Index::nothing();
    nothing.settle(&mentioned(&[3]));
    check(&nothing, "??????????");
}

#[test]
fn rows_that_something_else_tells_fill_holes() {
    let mut index = of(&[Some(2), None, Some(7), None]);
    index.add(row(4));
    check(&index, "--r-r--r??");
    index.add(row(3));
    check(&index, "--r-r--r??");
    let mut nothing = Index::nothing();
    nothing.add(row(4));
    check(&nothing, "????r?????");
    assert!(!nothing.is_nothing() && !nothing.is_whole());
}
