//! Tests of `routing`: known MD5 values, Kinesis's even split, gaps and overlaps.

use proptest::prelude::*;

use super::*;

fn range(start: u128, end: u128) -> HashKeyRange {
    HashKeyRange { start: HashKey(start), end: HashKey(end) }
}

fn table(ranges: &[(u128, u128)]) -> Result<RoutingTable, RoutingError> {
    RoutingTable::new(
        (0..).map(ShardIndex).zip(ranges).map(|(index, (start, end))| (range(*start, *end), index)),
    )
}

/// The test suite of RFC 1321.
#[test]
fn hash_key_is_the_md5_of_the_partition_key() {
    let check =
        |key: &str, expected: u128| assert_eq!(HashKey::of(key.as_bytes()), HashKey(expected), "{key}");
    check("", 0xd41d8cd98f00b204e9800998ecf8427e);
    check("a", 0x0cc175b9c0f1b6a831c399e269772661);
    check("abc", 0x900150983cd24fb0d6963f7d28e17f72);
    check("message digest", 0xf96b697d7cb7938d525a2f31aaf161d0);
    check("abcdefghijklmnopqrstuvwxyz", 0xc3fcd3d76192e4007dfb496cca67e13b);
}

#[test]
fn space_is_split_as_kinesis_splits_it() {
    let check = |ends: &[u128]| {
        let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
        let last = std::iter::once(340282366920938463463374607431768211455);
        let expected: Vec<_> =
            starts.zip(ends.iter().copied().chain(last)).map(|(start, end)| range(start, end)).collect();
        assert_eq!(HashKeyRange::split_evenly(ends.len() as u32 + 1), expected);
    };
    check(&[]);
    check(&[170141183460469231731687303715884105727]);
    check(&[113427455640312821154458202477256070484, 226854911280625642308916404954512140969]);
    check(&[
        85070591730234615865843651857942052863,
        170141183460469231731687303715884105727,
        255211775190703847597530955573826158591,
    ]);
    check(&[
        68056473384187692692674921486353642290,
        136112946768375385385349842972707284581,
        204169420152563078078024764459060926872,
        272225893536750770770699685945414569163,
    ]);
    assert_eq!(HashKeyRange::split_evenly(0), []);
}

#[test]
fn range_holds_both_its_ends() {
    let range = range(5, 7);
    assert_eq!([4, 5, 7, 8].map(|key| range.contains(HashKey(key))), [false, true, true, false]);
}

#[test]
fn ranges_that_do_not_cover_the_space_once_are_refused() {
    let check = |ranges: &[(u128, u128)], expected| assert_eq!(table(ranges).map(|_| ()), Err(expected));
    let gap = |at| RoutingError::Gap { at: HashKey(at) };
    let overlap = |at| RoutingError::Overlap { at: HashKey(at) };
    check(&[], gap(0));
    check(&[(1, u128::MAX)], gap(0));
    check(&[(0, 4), (6, u128::MAX)], gap(5));
    check(&[(0, u128::MAX - 1)], gap(u128::MAX));
    check(&[(0, 5), (5, u128::MAX)], overlap(5));
    check(&[(0, u128::MAX), (0, u128::MAX)], overlap(0));
    check(&[(0, u128::MAX), (9, 10)], overlap(9));
    check(&[(0, u128::MAX), (u128::MAX, u128::MAX)], overlap(u128::MAX));
    check(&[(4, 2), (0, u128::MAX)], RoutingError::Reversed { start: HashKey(4), end: HashKey(2) });
}

#[test]
fn keys_go_to_the_shard_of_their_hash_in_whatever_order_shards_are_listed() {
    let half = u128::MAX / 2;
    let table = table(&[(half + 1, u128::MAX), (0, half)]).expect("covers the space");
    assert_eq!(table.shards().collect::<Vec<_>>(), [ShardIndex(1), ShardIndex(0)]);
    assert_eq!(table.route(b"a"), ShardIndex(1), "0cc1… is in the lower half");
    assert_eq!(table.route(b"abc"), ShardIndex(0), "9001… is in the upper half");
    assert_eq!(table.shard_of(HashKey(half)), ShardIndex(1));
    assert_eq!(table.shard_of(HashKey(half + 1)), ShardIndex(0));
    assert_eq!(table.shard_of(HashKey::MAX), ShardIndex(0));
}

proptest! {
    #[test]
    fn even_split_routes_every_key_to_the_range_that_holds_it(shards in 1_u32..600, key: [u8; 8]) {
        let ranges = HashKeyRange::split_evenly(shards);
        let table = RoutingTable::new(ranges.iter().copied().zip((0..).map(ShardIndex))).expect("no gap, no overlap");
        let holding = ranges.iter().position(|range| range.contains(HashKey::of(&key))).expect("one holds it");
        prop_assert_eq!(table.route(&key), ShardIndex(holding as u32));
        let widths: Vec<_> = ranges.iter().map(|range| range.end.0 - range.start.0).collect();
        let last = widths.len() - 1;
        prop_assert!(widths[..last].windows(2).all(|pair| pair[0] == pair[1]));
        prop_assert!(widths[last] >= widths[0] && widths[last] - widths[0] < u128::from(shards));
    }

    #[test]
    fn arbitrary_ranges_route_or_are_refused(
        ends in prop::collection::vec((any::<u128>(), any::<u128>()), 0..6),
        key: u128,
    ) {
        if let Ok(table) = table(&ends) {
            let _shard = table.shard_of(HashKey(key));
        }
    }
}
