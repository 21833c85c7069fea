//! What splits, merges and scalings make of shards.

use proptest::prelude::*;
use tidemill_wire::routing::RoutingTable;

use super::super::tests::{DEFAULTS, LIMITS, NODE, name, new};
use super::super::{Catalog, MemoryCatalog};
use super::*;

const MANY: Limits = Limits { shards_per_stream: 4_096, ..LIMITS };

fn logs(limits: Limits, shards: u32) -> MemoryCatalog {
    let mut catalog = MemoryCatalog::new(NODE, limits, DEFAULTS);
    catalog.create_stream(new("logs", shards), Timestamp(1)).expect("the name is free");
    catalog
}

/// Carries out a change at a time; each parent ends at its index times ten.
fn change(catalog: &mut MemoryCatalog, change: ShardChange, at: u64) -> Result<Stream, ReshardError> {
    let planned = catalog.plan_reshard(&name("logs"), change)?;
    let ends = planned.parents().iter().map(|parent| (*parent, SequenceNumber(u64::from(parent.get()) * 10)));
    let ends = Ends { at: Timestamp(at), ends: ends.collect() };
    Ok(catalog.reshard(planned, &ends)?)
}

fn refused(catalog: &mut MemoryCatalog, asked: ShardChange) -> String {
    change(catalog, asked, 9).expect_err("it is refused").to_string()
}

fn shard(stream: &Stream, index: u32) -> Shard {
    *stream.shards.iter().find(|shard| shard.index == ShardIndex(index)).expect("it is there")
}

#[test]
fn a_split_makes_two_of_one() {
    let mut catalog = logs(LIMITS, 2);
    let at = HashKey(1000);
    let stream =
        change(&mut catalog, ShardChange::Split { shard: ShardIndex(0), at }, 5).expect("it is open");
    assert_eq!((stream.shards.len(), stream.map_version), (4, 2));
    let parent = shard(&stream, 0);
    assert_eq!(parent.closed, Some(ShardEnd { at: Timestamp(5), next: SequenceNumber(0) }));
    let (low, high) = (shard(&stream, 2), shard(&stream, 3));
    assert_eq!((low.range.start, low.range.end), (HashKey(0), HashKey(999)));
    assert_eq!((high.range.start, high.range.end), (at, parent.range.end));
    for child in [low, high] {
        assert_eq!((child.parent, child.adjacent_parent), (Some(ShardIndex(0)), None));
        assert_eq!((child.opened, child.closed), (Timestamp(5), None));
    }
    assert_eq!((low.lane.get(), high.lane.get()), (0, 2), "the lanes with the fewest open shards");
}

#[test]
fn a_merge_makes_one_of_two_neighbours_in_either_order() {
    for (one, other) in [(0, 1), (1, 0)] {
        let mut catalog = logs(LIMITS, 3);
        let merge = ShardChange::Merge { shard: ShardIndex(one), adjacent: ShardIndex(other) };
        let stream = change(&mut catalog, merge, 5).expect("they are neighbours");
        let child = shard(&stream, 3);
        assert_eq!((child.parent, child.adjacent_parent), (Some(ShardIndex(one)), Some(ShardIndex(other))));
        assert_eq!((child.range.start, child.range.end), (HashKey(0), shard(&stream, 1).range.end));
        assert_eq!(shard(&stream, 1).closed, Some(ShardEnd { at: Timestamp(5), next: SequenceNumber(10) }));
    }
}

#[test]
fn what_cannot_be_changed_so_is_refused_with_its_reason() {
    let mut catalog = logs(LIMITS, 4);
    let split = |shard, at| ShardChange::Split { shard: ShardIndex(shard), at: HashKey(at) };
    let merge =
        |shard, adjacent| ShardChange::Merge { shard: ShardIndex(shard), adjacent: ShardIndex(adjacent) };
    assert_eq!(refused(&mut catalog, split(9, 5)), "there is no shard 9");
    let quarter = u128::MAX / 4;
    assert_eq!(refused(&mut catalog, split(0, 0)), format!("hash key 0 does not divide 0 to {quarter}"));
    let beyond = format!("hash key {} does not divide 0 to {quarter}", quarter + 1);
    assert_eq!(refused(&mut catalog, split(0, quarter + 1)), beyond);
    assert_eq!(refused(&mut catalog, merge(0, 2)), "shards 0 and 2 are not neighbours");
    assert_eq!(refused(&mut catalog, merge(0, 0)), "shards 0 and 0 are not neighbours");
    assert_eq!(refused(&mut catalog, merge(0, 7)), "there is no shard 7");
    let scale = |shards| ShardChange::Scale { shards };
    let range = "expected half to twice as many";
    assert_eq!(refused(&mut catalog, scale(9)), format!("4 open shards cannot become 9: {range}"));
    assert_eq!(refused(&mut catalog, scale(1)), format!("4 open shards cannot become 1: {range}"));
    change(&mut catalog, scale(8), 5).expect("it is twice as many");
    assert_eq!(refused(&mut catalog, split(0, 5)), "shard 0 is closed");
    assert_eq!(refused(&mut catalog, scale(9)), "9 open shards are out of range: expected 1 to 8");
    let unknown = catalog.plan_reshard(&name("none"), scale(2)).expect_err("there is no such stream");
    assert_eq!(unknown.to_string(), "stream none does not exist");
}

#[test]
fn closed_shards_count_until_they_are_over() {
    let mut catalog = logs(MANY, 2_048);
    let scale = |shards| ShardChange::Scale { shards };
    change(&mut catalog, scale(1_024), 5).expect("3,072 shards");
    let limit = "there would be 5120 shards, of which those that are closed stay until their records are over; the limit is 4096";
    assert_eq!(refused(&mut catalog, scale(2_048)), limit);
    let day = DEFAULTS.retention.age.as_millis() as u64;
    assert_eq!(catalog.expire_shards(Timestamp(5 + day)).expect("memory takes it"), []);
    let expired = catalog.expire_shards(Timestamp(6 + day)).expect("memory takes it");
    assert_eq!((expired.len(), expired[0].shards.len(), expired[0].map_version), (1, 1_024, 3));
    change(&mut catalog, scale(2_048), 7 + day).expect("3,072 shards");
}

#[test]
fn shards_of_a_stream_that_keeps_all_are_never_over() {
    let mut catalog = MemoryCatalog::new(NODE, LIMITS, DEFAULTS);
    let mut keyed = new("logs", 1);
    keyed.settings.key_compaction = Some(tidemill_wire::message::KeyCompaction::On { tombstone_ms: 0 });
    catalog.create_stream(keyed, Timestamp(1)).expect("the name is free");
    change(&mut catalog, ShardChange::Scale { shards: 2 }, 5).expect("it is twice as many");
    assert_eq!(catalog.expire_shards(Timestamp(u64::MAX)).expect("memory takes it"), []);
}

#[test]
fn scaling_to_what_is_there_changes_nothing() {
    let catalog = logs(LIMITS, 4);
    let planned = catalog.plan_reshard(&name("logs"), ShardChange::Scale { shards: 4 }).expect("as many");
    assert_eq!(planned.parents(), []);
}

#[test]
fn scaling_makes_as_many_shards_as_it_needs() {
    let check = |from, to, all| {
        let mut catalog = logs(MANY, from);
        let stream = change(&mut catalog, ShardChange::Scale { shards: to }, 5).expect("half to twice");
        assert_eq!(stream.shards.len(), all, "{from} to {to}");
    };
    check(2, 4, 6);
    check(4, 2, 6);
    check(1, 2, 3);
    check(2, 3, 7);
    check(4, 5, 15);
    // Ten shards and twelve cuts: nine of the new shards lie across two old ones, of which two parts and then the whole are made.
    check(10, 13, 41);
    check(5, 3, 13);
}

fn asked() -> impl Strategy<Value = (u8, u32, u128)> {
    (0..3_u8, any::<u32>(), any::<u128>())
}

/// A change that fits the stream, drawn by numbers.
fn fitting(stream: &Stream, (kind, pick, at): (u8, u32, u128)) -> ShardChange {
    let mut open: Vec<&Shard> = stream.shards.iter().filter(|shard| shard.is_open()).collect();
    open.sort_by_key(|shard| shard.range.start);
    let count = open.len() as u32;
    let chosen = open[(pick % count) as usize];
    match kind {
        0 => ShardChange::Split { shard: chosen.index, at: HashKey(at) },
        1 => {
            let adjacent = open[((pick + 1) % count) as usize].index;
            ShardChange::Merge { shard: chosen.index, adjacent }
        }
        _ => ShardChange::Scale { shards: count.div_ceil(2) + pick % (2 * count) },
    }
}

#[test]
fn no_shard_is_over_before_its_parents() {
    let mut catalog = logs(LIMITS, 1);
    let split = |shard, at: u128| ShardChange::Split { shard: ShardIndex(shard), at: HashKey(at) };
    change(&mut catalog, split(0, 1 << 127), 1_000).expect("it is open");
    // The clock is set back.
    let stream = change(&mut catalog, split(1, 1 << 126), 500).expect("it is open");
    let at = |index| shard(&stream, index).closed.map(|closed| closed.at);
    assert_eq!((at(0), at(1)), (Some(Timestamp(1_000)), Some(Timestamp(1_000))));
    assert_eq!(shard(&stream, 3).opened, Timestamp(1_000));
    let day = DEFAULTS.retention.age.as_millis() as u64;
    assert_eq!(catalog.expire_shards(Timestamp(day + 1_000)).expect("memory takes it"), []);
    let left = catalog.expire_shards(Timestamp(day + 1_001)).expect("memory takes it");
    assert_eq!(left[0].shards.iter().map(|shard| shard.index.get()).collect::<Vec<_>>(), [2, 3, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn indexes_and_owners_are_never_given_twice(steps in prop::collection::vec(asked(), 0..20)) {
        let mut catalog = logs(LIMITS, 3);
        let mut seen: BTreeMap<ShardIndex, Shard> = BTreeMap::new();
        for (time, step) in (2..).zip(steps) {
            let stream = catalog.stream(&name("logs")).expect("it is there").clone();
            let asked = fitting(&stream, step);
            let Ok(after) = change(&mut catalog, asked, time) else {
                prop_assert_eq!(catalog.stream(&name("logs")), Some(&stream));
                continue;
            };
            check_family(&stream, &after)?;
            for shard in after.shards.iter().filter(|shard| stream.shards.iter().all(|old| old.index != shard.index)) {
                prop_assert!(seen.insert(shard.index, *shard).is_none(), "index {} is given twice", shard.index);
            }
            // A day passes for some of them.
            if time % 5 == 0 {
                let day = DEFAULTS.retention.age.as_millis() as u64;
                let expired = catalog.expire_shards(Timestamp(day + time)).expect("memory takes it");
                prop_assert!(expired.iter().all(|left| left.shards.iter().any(Shard::is_open)));
            }
        }
        let owners: std::collections::BTreeSet<_> = seen.values().map(|shard| shard.owner).collect();
        prop_assert_eq!(owners.len(), seen.len());
        let restored = super::super::State::new(NODE, LIMITS, DEFAULTS)
            .restore(catalog.state().counters(), catalog.streams().cloned());
        prop_assert!(restored.is_ok(), "{:?}", restored.err());
    }
}

/// The open shards cover the keys, and whoever follows children from a closed shard comes to all of its keys and no others.
fn check_family(before: &Stream, after: &Stream) -> Result<(), TestCaseError> {
    let of = |stream: &Stream| {
        RoutingTable::new(
            stream.shards.iter().filter(|shard| shard.is_open()).map(|shard| (shard.range, shard.index)),
        )
    };
    prop_assert!(of(after).is_ok());
    prop_assert_eq!((&before.name, before.map_version + 1), (&after.name, after.map_version));
    for parent in after.shards.iter().filter(|shard| !shard.is_open()) {
        let is_child = |child: &&Shard| {
            child.parent == Some(parent.index) || child.adjacent_parent == Some(parent.index)
        };
        let children: Vec<&Shard> = after.shards.iter().filter(is_child).collect();
        prop_assert!(!children.is_empty());
        let overlap = |child: &&Shard| {
            let (start, end) =
                (child.range.start.max(parent.range.start), child.range.end.min(parent.range.end));
            end.0 - start.0
        };
        // Each child's part is one more than what is summed, which keeps the whole space in range.
        let parts = children.iter().map(overlap).sum::<u128>() + (children.len() as u128 - 1);
        prop_assert_eq!(parts, parent.range.end.0 - parent.range.start.0);
    }
    Ok(())
}
