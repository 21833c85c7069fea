//! No owner is missed, few others are met, and memory is bounded.

use tidemill_wire::{SequenceNumber, Timestamp};

use super::*;

fn row(owner: u64) -> OwnerRow {
    OwnerRow {
        owner: OwnerId(owner),
        first: SequenceNumber(0),
        next: SequenceNumber(1),
        first_time: Timestamp(0),
        last_time: Timestamp(0),
        payload_bytes: 1,
        first_point: 0,
        point_count: 1,
    }
}

#[test]
fn nobody_is_missed_and_hardly_anybody_else_is_met() {
    for count in [0, 1, 3, 40, 1000, FILTER_OWNERS_MAX as u64] {
        let rows: Vec<OwnerRow> = (0..count).map(|number| row(number * 3)).collect();
        let mut filter = OwnerFilter::for_owners(rows.len()).expect("not too many");
        rows.iter().for_each(|row| filter.insert(row));
        assert!(rows.iter().all(|row| filter.may_contain(row.owner)), "{count} owners");
        assert!(filter.words.len() * 8 <= FILTER_BITS_MAX / 8, "{count} owners");
        assert!(filter.words.len() * 8 <= 8.max(4 * count as usize), "{count} owners");
        let met = (0..30_000).filter(|number| filter.may_contain(OwnerId(number * 3 + 1))).count();
        assert!(met <= 300, "{met} of 30000 others beside {count}");
    }
}

#[test]
fn too_many_owners_and_rows_without_entries_have_none() {
    assert!(OwnerFilter::for_owners(FILTER_OWNERS_MAX + 1).is_none());
    let mut filter = OwnerFilter::for_owners(1).expect("a filter");
    filter.insert(&OwnerRow { point_count: 0, ..row(5) });
    assert!(!filter.may_contain(OwnerId(5)));
}
