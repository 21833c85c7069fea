//! Steps against a model of a stream: traffic over its keys in, shards out.

use proptest::prelude::*;

use super::*;

const RATES: Quota = Quota {
    write_bytes_per_second: 1_000_000,
    write_records_per_second: 1_000,
    read_bytes_per_second: 2_000_000,
};
/// How often the model looks.
const PERIOD: Duration = Duration::from_secs(10);

/// A stream and its governor; traffic is bytes per second for each part of the space.
struct Model {
    governor: Governor,
    now: Duration,
    open: BTreeMap<HashKey, (ShardIndex, HashKey)>,
    next: u32,
    bounds: Bounds,
}

impl Model {
    fn new(shards: u32, bounds: Bounds) -> Self {
        let ranges = HashKeyRange::split_evenly(shards).into_iter().zip(0..);
        let open = ranges.map(|(range, index)| (range.start, (ShardIndex(index), range.end))).collect();
        Self { governor: Governor::default(), now: Duration::ZERO, open, next: shards, bounds }
    }

    fn loads(&self, traffic: &[u64]) -> Vec<Load> {
        let parts = HashKeyRange::split_evenly(traffic.len() as u32);
        let of = |range: HashKeyRange| -> u64 {
            let shared = parts.iter().zip(traffic).map(|(part, bytes)| {
                let (start, end) = (part.start.max(range.start).0, part.end.min(range.end).0);
                // In parts of 2^64, which keeps the product within 128 bits.
                let overlap = if start <= end { ((end - start) >> 64) as u64 } else { 0 };
                let whole = ((part.end.0 - part.start.0) >> 64) as u64;
                (u128::from(*bytes) * u128::from(overlap) / u128::from(whole.max(1))) as u64
            });
            shared.sum()
        };
        let load = |(start, (shard, end)): (&HashKey, &(ShardIndex, HashKey))| {
            let range = HashKeyRange { start: *start, end: *end };
            let step = width(range) / HEAT_PARTS as u128;
            let part = |at: usize| {
                let start = start.0 + step * at as u128;
                let end = if at + 1 == HEAT_PARTS { end.0 } else { start + step - 1 };
                of(HashKeyRange { start: HashKey(start), end: HashKey(end) })
            };
            let bytes_per_second = of(range);
            Load {
                shard: *shard,
                range,
                bytes_per_second: bytes_per_second.min(RATES.write_bytes_per_second),
                records_per_second: 0,
                is_throttled: bytes_per_second > RATES.write_bytes_per_second,
                heat: std::array::from_fn(part),
            }
        };
        self.open.iter().map(load).collect()
    }

    /// Looks once, does what is decided, and checks that it can be done.
    fn look(&mut self, traffic: &[u64]) -> Vec<Step> {
        self.now += PERIOD;
        let steps = self.governor.decide(self.now, RATES, self.bounds, &self.loads(traffic));
        for step in &steps {
            match *step {
                Step::Split { shard, at } => {
                    let (start, (_, end)) = self.find(shard);
                    assert!(start < at && at <= end, "{step:?} does not divide {start} to {end}");
                    self.open.insert(start, (ShardIndex(self.next), HashKey(at.0 - 1)));
                    self.open.insert(at, (ShardIndex(self.next + 1), end));
                    self.next += 2;
                }
                Step::Merge { shard, adjacent } => {
                    let ((start, (_, middle)), (second, (_, end))) = (self.find(shard), self.find(adjacent));
                    assert_eq!(middle.0 + 1, second.0, "{step:?} are no neighbours");
                    self.open.remove(&second);
                    self.open.insert(start, (ShardIndex(self.next), end));
                    self.next += 1;
                }
            }
        }
        steps
    }

    fn find(&self, shard: ShardIndex) -> (HashKey, (ShardIndex, HashKey)) {
        let found = self.open.iter().find(|(_, (index, _))| *index == shard);
        let (start, of) = found.expect("steps are about open shards, each once");
        (*start, *of)
    }
}

const FEW: Bounds = Bounds { floor: 4, ceiling: 64 };

#[test]
fn a_stream_grows_with_its_traffic_and_shrinks_slowly_when_it_goes() {
    let mut model = Model::new(4, FEW);
    for _ in 0..30 {
        model.look(&[500_000; 16]);
    }
    // 8 MB a second, with twice as much for what may come.
    assert!((16..=32).contains(&model.open.len()), "{}", model.open.len());
    let grown = model.open.len();
    let quiet = COLD_TIME.as_secs() / PERIOD.as_secs();
    for _ in 0..quiet - 1 {
        assert_eq!(model.look(&[0; 16]), [], "it may come again");
    }
    let mut merges = 0;
    for _ in 0..20_000 {
        let steps = model.look(&[0; 16]);
        assert!(steps.len() <= 1 && steps.iter().all(|step| matches!(step, Step::Merge { .. })));
        merges += steps.len();
    }
    assert_eq!((merges, model.open.len()), (grown - 4, 4));
}

#[test]
fn a_hot_part_of_the_keys_is_split_where_its_traffic_is() {
    let mut model = Model::new(4, FEW);
    let mut traffic = [0; 64];
    traffic[5] = 3_000_000;
    for _ in 0..30 {
        model.look(&traffic);
    }
    let (start, end) = (HashKeyRange::split_evenly(64)[5].start, HashKeyRange::split_evenly(64)[5].end);
    let inside = model.open.iter().filter(|(from, (_, to))| **from <= end && *to >= start).count();
    assert!(inside >= 6, "{inside} shards for 3 MB a second");
    let loads = model.loads(&traffic);
    assert!(loads.iter().all(|load| !load.is_throttled), "{loads:?}");
    assert!(model.open.len() <= inside + 8, "{} in all: cold keys cost few shards", model.open.len());
}

#[test]
fn one_hot_key_does_not_take_all_shards() {
    let mut governor = Governor::default();
    let mut range = HashKeyRange::split_evenly(1)[0];
    let mut splits = 0;
    for at in 1..200 {
        let mut heat = [0; HEAT_PARTS];
        heat[0] = 1;
        let load = Load {
            shard: ShardIndex(at),
            range,
            bytes_per_second: 0,
            records_per_second: 0,
            is_throttled: true,
            heat,
        };
        let bounds = Bounds { floor: 1, ceiling: 1_000 };
        let Some(Step::Split { at, .. }) =
            governor.decide(PERIOD * at, RATES, bounds, &[load]).first().copied()
        else {
            break;
        };
        range.end = HashKey(at.0 - 1);
        splits += 1;
    }
    assert!((1..=6).contains(&splits), "{splits}");
}

#[test]
fn missing_shards_are_made_of_the_widest() {
    let mut model = Model::new(1, Bounds { floor: 6, ceiling: 64 });
    for _ in 0..4 {
        model.look(&[0; 4]);
    }
    assert_eq!(model.open.len(), 6);
    let mut bounded = Model::new(1, Bounds { floor: 6, ceiling: 3 });
    for _ in 0..4 {
        bounded.look(&[0; 4]);
    }
    assert_eq!(bounded.open.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn steps_keep_their_bounds(
        shards in 1_u32..20,
        floor in 1_u32..10,
        more in 0_u32..20,
        phases in prop::collection::vec((prop::collection::vec(0_u64..4_000_000, 1..24), 1_u32..200), 1..8),
    ) {
        let mut model = Model::new(shards, Bounds { floor, ceiling: floor + more });
        for (traffic, looks) in phases {
            for _ in 0..looks {
                let before = model.open.len() as u32;
                model.look(&traffic);
                let after = model.open.len() as u32;
                prop_assert!(after <= before.max(floor + more), "{before} to {after}");
                prop_assert!(after >= before.min(floor), "{before} to {after}");
                let covers = model.open.iter().try_fold(0_u128, |next, (start, (_, end))| {
                    (start.0 == next).then(|| end.0.wrapping_add(1))
                });
                prop_assert_eq!(covers, Some(0), "the shards cover the keys");
            }
        }
    }

    #[test]
    fn steady_traffic_comes_to_rest(traffic in prop::collection::vec(0_u64..1_500_000, 1..8), shards in 1_u32..16) {
        let mut model = Model::new(shards, Bounds { floor: 4, ceiling: 400 });
        for _ in 0..3_000 {
            model.look(&traffic);
        }
        for _ in 0..500 {
            prop_assert_eq!(model.look(&traffic), []);
        }
        prop_assert!(model.loads(&traffic).iter().all(|load| !load.is_throttled));
    }
}
