//! The map holds what was put in, and spreads owners as they are numbered in practice.

use std::collections::BTreeSet;

use super::*;

fn filled(owners: impl Iterator<Item = u64>) -> OwnerMap<u64> {
    let mut map = OwnerMap::default();
    for owner in owners {
        *map.get_or_insert_with(OwnerId(owner), || 0) += owner;
    }
    map
}

#[test]
fn what_is_put_in_is_found_and_what_is_removed_is_not() {
    let mut map = filled((0..1000).chain(0..10));
    assert_eq!(map.len(), 1000);
    assert_eq!((map.get(&OwnerId(7)), map.get(&OwnerId(70))), (Some(&14), Some(&70)));
    assert_eq!(
        (map.remove(&OwnerId(7)), map.remove(&OwnerId(7)), map.remove(&OwnerId(1000))),
        (Some(14), None, None)
    );
    assert_eq!((map.len(), map.get(&OwnerId(7))), (999, None));
    assert_eq!(map.get_mut(&OwnerId(8)), Some(&mut 16));
    let empty = OwnerMap::<u64>::default();
    assert_eq!((empty.len(), empty.get(&OwnerId(1)), empty.iter().count()), (0, None, 0));
}

#[test]
fn the_parts_together_are_the_whole() {
    let map = filled(0..1000);
    let parts: BTreeSet<OwnerId> =
        (0..OWNER_MAP_PARTS).flat_map(|part| map.part(part).map(|(owner, _)| owner)).collect();
    assert_eq!(parts, (0..1000).map(OwnerId).collect());
    assert_eq!(map.iter().count(), 1000);
    let mut map = map;
    let taken: usize = std::iter::from_fn(|| map.take_part()).map(|part| part.len()).sum();
    assert_eq!((taken, map.len()), (1000, 0));
}

#[test]
fn dense_and_strided_owners_are_spread() {
    for stride in [1, 2, 4, 64, 128, 1000] {
        let map = filled((0..100_000).map(|number| number * stride));
        let largest = (0..OWNER_MAP_PARTS).map(|part| map.part(part).count()).max();
        assert!(largest < Some(100_000 / OWNER_MAP_PARTS * 2), "{largest:?} in one part at stride {stride}");
    }
}
