//! Seeds: a workload in the simulated world, crashed and opened again many times under the reference model.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use tidemill_storage::{
    Env, FetchError, Lane, LaneConfig, LaneHealth, OpenError, RecoveryReport, Retention,
    sim::{Crash, Faults, Sim, SimEnv},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

use crate::{
    model::Model,
    record::{payload, read_all, seen},
};

/// What a seed does beside the crashes.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    faults: Faults,
    retention: Retention,
    /// Owners differ in their retentions, so that segments are dead in part: one keeps everything, one little, others as `retention` says.
    mixed: bool,
    compaction_bytes_per_second: u64,
    grouping_age: Duration,
    owners: u64,
    payload_bytes_max: u64,
    /// All payloads have the same size: new entries end where old ones did, so that old bytes behind them could come back.
    one_size: bool,
    lives: u64,
    /// Steps of a life at most.
    steps_max: u64,
    crashes: Crashes,
}

impl Scenario {
    fn retention_of(&self, owner: OwnerId) -> Retention {
        match owner.0 % 4 {
            1 if self.mixed => Retention::FOREVER,
            2 if self.mixed => Retention { age: Duration::MAX, bytes: Some(3000) },
            _ => self.retention,
        }
    }

    /// The same while nothing may expire by age.
    fn frozen_retention_of(&self, owner: OwnerId) -> Retention {
        Retention { age: Duration::MAX, ..self.retention_of(owner) }
    }
}

/// How lives end.
#[derive(Clone, Copy, Debug)]
enum Crashes {
    Drawn,
    Power,
    /// What a killed process left half done is used, and then the power is cut.
    KillThenPower,
}

impl Crashes {
    fn end_of(self, life: u64, sim: &Sim) -> Crash {
        let kill = match self {
            Self::Drawn => sim.draw(2) == 0,
            Self::Power => false,
            Self::KillThenPower => life.is_multiple_of(2),
        };
        if kill { Crash::Process } else { Crash::Power }
    }
}

fn scenario(sim: &Sim) -> Scenario {
    let faults = match sim.draw(4) {
        0 => Faults {
            flush_failures: 20_000,
            write_failures: 10_000,
            read_failures: 5_000,
            ..Faults::default()
        },
        1 => Faults { capacity_bytes: Some(32 * 1024 * (3 + sim.draw(5))), ..Faults::default() },
        _ => Faults::default(),
    };
    let bytes = (sim.draw(2) == 0).then(|| 1 + sim.draw(60_000));
    let age = if sim.draw(3) == 0 { Duration::from_millis(200 + sim.draw(2000)) } else { Duration::MAX };
    Scenario {
        faults,
        retention: Retention { age, bytes },
        mixed: sim.draw(2) == 0,
        compaction_bytes_per_second: 100_000 << sim.draw(8),
        grouping_age: Duration::from_millis(sim.draw(3) * 1000),
        owners: 1 + sim.draw(5),
        payload_bytes_max: 64 << sim.draw(6),
        one_size: sim.draw(2) == 0,
        lives: 9,
        steps_max: 4000,
        crashes: Crashes::Drawn,
    }
}

fn config(scenario: &Scenario) -> LaneConfig {
    LaneConfig {
        compaction_bytes_per_second: scenario.compaction_bytes_per_second,
        grouping_age: scenario.grouping_age,
        ..LaneConfig::test_min(PathBuf::from("/lane"), LaneId(1))
    }
}

/// Opens the lane; a disk that fails to read is tried again, as an operator would.
async fn open(env: &SimEnv, scenario: &Scenario) -> (Lane<SimEnv>, RecoveryReport) {
    for _ in 0..200 {
        match Lane::open(env.clone(), config(scenario)).await {
            Ok((lane, report)) => {
                for owner in (1..=scenario.owners).map(OwnerId) {
                    lane.adopt(owner, scenario.frozen_retention_of(owner));
                }
                // Those of earlier lives, whose end the crash has undone, as the server's catalog would tell.
                let visitors = lane.owners().into_iter().filter(|owner| *owner >= VISITORS);
                visitors.for_each(|owner| lane.forget(owner));
                return (lane, report);
            }
            Err(OpenError::Disk(_)) => env.sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("the lane does not open: {error}"),
        }
    }
    panic!("the lane never opens");
}

/// One owner's client: bursts of appends, each awaited in order, and reads between.
async fn client(
    env: SimEnv,
    lane: Lane<SimEnv>,
    model: Rc<RefCell<Model>>,
    owner: OwnerId,
    scenario: Scenario,
) {
    let draw = |bound: u64| env.random_u64() % bound;
    loop {
        let burst: Vec<_> = (0..1 + draw(6))
            .map(|_| {
                let ack = if draw(2) == 0 { Ack::Durable } else { Ack::Written };
                let count = 1 + draw(3) as u32;
                let size = if scenario.one_size {
                    scenario.payload_bytes_max
                } else {
                    draw(scenario.payload_bytes_max)
                };
                let bytes = 8 + size as usize;
                let label = model.borrow_mut().send(owner, bytes, count, ack);
                (label, lane.append(owner, payload(label, bytes), count, ack))
            })
            .collect();
        for (label, append) in burst {
            let answer = append.await;
            model.borrow_mut().answer(owner, label, answer);
        }
        if matches!(lane.health(), LaneHealth::Poisoned { .. }) {
            return;
        }
        read(&lane, &model, owner, draw(100), 1 + draw(9000) as usize).await;
        env.sleep(Duration::from_micros(draw(20_000))).await;
    }
}

/// Owners from here on are there for a part of a life only.
const VISITORS: OwnerId = OwnerId(1000);

/// An owner that comes, leaves something between the others' entries, and is forgotten.
async fn visit(env: SimEnv, lane: Lane<SimEnv>, owner: OwnerId) {
    lane.adopt(owner, Retention::FOREVER);
    for label in 0..1 + env.random_u64() % 30 {
        // Whether it is taken is for others to test.
        let _ = lane.append(owner, payload(label, 1000), 1, Ack::Written).await;
        env.sleep(Duration::from_millis(env.random_u64() % 10)).await;
    }
    lane.pause_compaction(true);
    env.sleep(Duration::from_millis(env.random_u64() % 100)).await;
    lane.forget(owner);
    lane.pause_compaction(false);
}

async fn read(lane: &Lane<SimEnv>, model: &Rc<RefCell<Model>>, owner: OwnerId, place: u64, bytes_max: usize) {
    let bounds = lane.bounds(owner).expect("an adopted owner");
    assert!(bounds.oldest <= bounds.next);
    let from = SequenceNumber(bounds.oldest.0 + bounds.next.since(bounds.oldest) * place / 100);
    match lane.fetch(owner, from, bytes_max).await {
        Ok(fetched) => model.borrow_mut().read(owner, &seen(owner, &fetched)),
        Err(FetchError::Disk(_)) => {}
        Err(error) => panic!("fetch from {from}: {error}"),
    }
}

/// Reads everything back and has the model judge it.
async fn inspect(lane: &Lane<SimEnv>, model: &Rc<RefCell<Model>>, scenario: &Scenario, crash: Crash) {
    for owner in (1..=scenario.owners).map(OwnerId) {
        // A fetch from the very beginning tells the oldest number exactly.
        let oldest = lane.fetch(owner, SequenceNumber(0), 1).await.expect("fetched").oldest;
        let entries = read_all(lane, owner, 3000).await;
        let bounds = lane.bounds(owner).expect("an adopted owner");
        if scenario.retention_of(owner) == Retention::FOREVER {
            assert_eq!(oldest, SequenceNumber(0), "nothing may expire");
            assert!(entries.first().is_none_or(|entry| entry.base == oldest), "nothing may expire");
        }
        let oldest = entries.first().map_or(bounds.next, |entry| entry.base).max(oldest);
        model.borrow_mut().recover(owner, oldest.0, bounds.next.0, &entries, crash);
    }
}

/// How often a seed came to the places that matter.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    torn_tails: u64,
    dropped_entries: u64,
    scanned_entries: u64,
    sealed: u64,
    retired: u64,
    recycled: u64,
    refused: u64,
    poisoned: u64,
    compactions: u64,
    given_up: u64,
    /// Lives that began with what a compaction had not finished.
    unfinished: u64,
    /// Segments found beside the copy of what is in them.
    superseded: u64,
    compacted: u64,
}

impl Reached {
    fn open(&mut self, report: &RecoveryReport) {
        self.torn_tails += u64::from(report.torn_tail.is_some());
        self.dropped_entries += report.torn_tail.as_ref().map_or(0, |tail| tail.entries_dropped);
        self.scanned_entries += report.entries_scanned;
        self.unfinished += report.compactions_unfinished;
        self.superseded += report.segments_superseded;
        self.compacted += report.segments_compacted;
    }

    fn end(&mut self, lane: &Lane<SimEnv>) {
        let stats = lane.stats();
        self.sealed += stats.segments_sealed;
        self.retired += stats.retired_segments;
        self.recycled += stats.recycled_segments;
        self.compactions += stats.compactions;
        self.given_up += stats.compaction_setbacks;
        self.refused += u64::from(matches!(lane.health(), LaneHealth::Full { .. }));
        self.poisoned += u64::from(matches!(lane.health(), LaneHealth::Poisoned { .. }));
    }

    fn counts(&self) -> [u64; 13] {
        let Self { torn_tails, dropped_entries, scanned_entries, sealed, retired, recycled, .. } = *self;
        let Self { refused, poisoned, compactions, given_up, unfinished, superseded, compacted, .. } = *self;
        [
            torn_tails,
            dropped_entries,
            scanned_entries,
            sealed,
            retired,
            recycled,
            refused,
            poisoned,
            compactions,
            given_up,
            unfinished,
            superseded,
            compacted,
        ]
    }
}

/// Runs one seed to its end and returns the sum over its history.
fn run(seed: u64, change: impl Fn(&mut Scenario), reached: &mut Reached) -> u32 {
    let sim = Sim::new(seed);
    let mut scenario = scenario(&sim);
    change(&mut scenario);
    let model = Rc::new(RefCell::new(Model::default()));
    let mut crash = Crash::Process;
    for life in 0..scenario.lives {
        let env = sim.env();
        // The check after a crash must see what is there, so nothing fails and nothing expires by age meanwhile.
        sim.set_faults(Faults {
            read_failures: 0,
            flush_failures: 0,
            write_failures: 0,
            capacity_bytes: None,
            ..scenario.faults
        });
        let lane = sim.run(async {
            let (lane, report) = open(&env, &scenario).await;
            reached.open(&report);
            if life > 0 {
                inspect(&lane, &model, &scenario, crash).await;
            }
            lane
        });
        let lane = lane.expect("no crash was asked for");
        sim.set_faults(scenario.faults);
        for owner in (1..=scenario.owners).map(OwnerId) {
            lane.adopt(owner, scenario.retention_of(owner));
            // Owners that rest for a whole life lose all their segments, and must keep their numbers.
            if owner.0 > 1 && sim.draw(3) == 0 {
                continue;
            }
            env.spawn(client(env.clone(), lane.clone(), Rc::clone(&model), owner, scenario));
        }
        if scenario.mixed {
            env.spawn(visit(env.clone(), lane.clone(), OwnerId(VISITORS.0 + life)));
        }
        // Short lives meet what the process before left half done.
        let steps = if sim.draw(2) == 0 { 300 } else { scenario.steps_max };
        sim.stop_after(10 + sim.draw(steps));
        let closes = sim.draw(5) == 0;
        let ended = sim.run(async {
            if closes {
                env.sleep(Duration::from_millis(sim.draw(500))).await;
                lane.close().await;
            }
            env.sleep(Duration::from_secs(10)).await;
        });
        reached.end(&lane);
        drop((ended, lane));
        crash = scenario.crashes.end_of(life, &sim);
        sim.crash(crash);
        if sim.draw(4) == 0 {
            // Killed again while it recovers.
            sim.stop_after(1 + sim.draw(60));
            let _ = sim.run(open(&env, &scenario));
            let again = scenario.crashes.end_of(sim.draw(2), &sim);
            sim.crash(again);
            // What a power cut may take is gone, whether it came first or last.
            crash = if again == Crash::Power { again } else { crash };
        }
    }
    let next: u64 = model.borrow().owners.len() as u64;
    sim.note(&next.to_le_bytes());
    sim.history()
}

fn seeds() -> u64 {
    std::env::var("TIDEMILL_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(150)
}

/// Runs a seed and tells which one it was if it fails.
fn check(seed: u64, reached: &mut Reached) -> u32 {
    check_changed(seed, |_| {}, reached)
}

fn check_changed(seed: u64, change: impl Fn(&mut Scenario), reached: &mut Reached) -> u32 {
    let run = std::panic::AssertUnwindSafe(|| run(seed, change, reached));
    std::panic::catch_unwind(run)
        .unwrap_or_else(|_| panic!("seed {seed} fails; run it alone with TIDEMILL_SIM_SEED={seed}"))
}

#[test]
fn no_seed_loses_or_repeats_what_was_acknowledged() {
    let mut reached = Reached::default();
    if let Some(seed) = std::env::var("TIDEMILL_SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        check(seed, &mut reached);
        return;
    }
    for seed in 0..seeds() {
        check(seed, &mut reached);
    }
    println!("{reached:?}");
    if seeds() >= 100 {
        assert!(reached.counts().iter().all(|count| *count > 10), "the seeds miss something: {reached:?}");
    }
}

/// In half of the seeds segments fill within a few entries; lives are over within a few hundred steps.
#[test]
fn what_a_killed_process_left_half_done_survives_a_power_cut() {
    let change = |scenario: &mut Scenario| {
        *scenario = Scenario {
            faults: Faults::default(),
            retention: Retention::FOREVER,
            mixed: false,
            compaction_bytes_per_second: scenario.compaction_bytes_per_second,
            grouping_age: scenario.grouping_age,
            payload_bytes_max: if scenario.owners.is_multiple_of(2) {
                4000
            } else {
                scenario.payload_bytes_max
            },
            owners: scenario.owners,
            one_size: true,
            lives: 8,
            steps_max: 200,
            crashes: if scenario.one_size { Crashes::KillThenPower } else { Crashes::Drawn },
        };
    };
    for seed in 0..4 * seeds() {
        check_changed(seed, change, &mut Reached::default());
    }
}

#[test]
fn one_seed_has_one_history() {
    let history = |seed| check(seed, &mut Reached::default());
    for seed in 1000..1010 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
    assert_ne!(history(1000), history(1001));
}

#[test]
fn a_flush_that_lies_is_noticed() {
    let caught = (0..20).filter(|seed| {
        let lie = |scenario: &mut Scenario| {
            scenario.faults = Faults { lying_flushes: true, ..Faults::default() };
            scenario.crashes = Crashes::Power;
        };
        std::panic::catch_unwind(|| run(*seed, lie, &mut Reached::default())).is_err()
    });
    assert!(caught.count() > 10);
}

/// Slow compactions, so that most crashes come during one; owners of all kinds of retention in each segment.
fn compacts_always(scenario: &mut Scenario) {
    *scenario = Scenario {
        faults: Faults { lying_flushes: false, ..scenario.faults },
        mixed: true,
        owners: 2 + scenario.owners,
        compaction_bytes_per_second: 100_000 + scenario.compaction_bytes_per_second / 8,
        payload_bytes_max: scenario.payload_bytes_max.max(512),
        ..*scenario
    };
}

#[test]
fn crashes_during_compaction_lose_and_repeat_nothing() {
    let mut reached = Reached::default();
    for seed in 5000..5000 + seeds() {
        check_changed(seed, compacts_always, &mut reached);
    }
    println!("{reached:?}");
    if seeds() >= 100 {
        let Reached { compactions, given_up, unfinished, superseded, compacted, .. } = reached;
        let counts = [compactions, given_up, unfinished, superseded, compacted];
        assert!(counts.iter().all(|count| *count > 20), "the seeds miss something: {reached:?}");
    }
}

#[test]
fn sources_that_go_before_their_copy_is_stable_are_noticed() {
    let caught = (5000..5040).filter(|seed| {
        let lie = |scenario: &mut Scenario| {
            compacts_always(scenario);
            scenario.faults = Faults { lying_compaction: true, ..Faults::default() };
            scenario.crashes = Crashes::Power;
        };
        std::panic::catch_unwind(|| run(*seed, lie, &mut Reached::default())).is_err()
    });
    assert!(caught.count() > 10);
}

#[test]
fn a_full_disk_refuses_and_serves_again_when_there_is_room() {
    let sim = Sim::new(7);
    let env = sim.env();
    let scenario = Scenario {
        faults: Faults::default(),
        retention: Retention::FOREVER,
        mixed: false,
        compaction_bytes_per_second: 1 << 20,
        grouping_age: Duration::MAX,
        owners: 1,
        payload_bytes_max: 64,
        one_size: false,
        lives: 9,
        steps_max: 4000,
        crashes: Crashes::Drawn,
    };
    sim.set_faults(Faults { capacity_bytes: Some(3 * 32 * 1024), ..Faults::default() });
    let owner = OwnerId(1);
    let done = sim.run(async {
        let (lane, _) = open(&env, &scenario).await;
        let mut taken = 0;
        let refusal = loop {
            match lane.append(owner, payload(taken, 1000), 1, Ack::Durable).await {
                Ok(appended) => assert_eq!(appended.base_sequence.0, taken),
                Err(error) => break error,
            }
            taken += 1;
        };
        assert_eq!(refusal, tidemill_storage::AppendError::DiskFull { needed: 32 * 1024 });
        assert_eq!(lane.health(), LaneHealth::Full { needed: 32 * 1024 });
        assert_eq!(read_all(&lane, owner, 5000).await.len() as u64, taken);
        sim.set_faults(Faults::default());
        env.sleep(Duration::from_millis(300)).await;
        assert_eq!(lane.health(), LaneHealth::Serving);
        let appended =
            lane.append(owner, payload(taken, 1000), 1, Ack::Durable).await.expect("there is room");
        assert_eq!(appended.base_sequence.0, taken);
        // Retention makes room as well: with a bound, a disk of three segments takes any number of appends.
        sim.set_faults(Faults { capacity_bytes: Some(4 * 32 * 1024), ..Faults::default() });
        lane.adopt(owner, Retention { age: Duration::MAX, bytes: Some(10_000) });
        for label in 0..500 {
            while lane.append(owner, payload(label, 1000), 1, Ack::Durable).await.is_err() {
                env.sleep(Duration::from_millis(50)).await;
            }
        }
    });
    assert!(done.is_some());
}

#[test]
fn a_failed_flush_poisons_and_nothing_is_acknowledged_after_it() {
    let sim = Sim::new(11);
    let env = sim.env();
    let scenario = Scenario {
        faults: Faults::default(),
        retention: Retention::FOREVER,
        mixed: false,
        compaction_bytes_per_second: 1 << 20,
        grouping_age: Duration::MAX,
        owners: 1,
        payload_bytes_max: 64,
        one_size: false,
        lives: 9,
        steps_max: 4000,
        crashes: Crashes::Drawn,
    };
    let done = sim.run(async {
        let (lane, _) = open(&env, &scenario).await;
        lane.append(OwnerId(1), payload(1, 100), 1, Ack::Durable).await.expect("appended");
        sim.set_faults(Faults { flush_failures: 1_000_000, ..Faults::default() });
        let waiting: Vec<_> =
            (2..30).map(|n| lane.append(OwnerId(1), payload(n, 100), 1, Ack::Durable)).collect();
        for append in waiting {
            assert!(matches!(append.await, Err(tidemill_storage::AppendError::Poisoned { .. })));
        }
        sim.set_faults(Faults::default());
        let after = lane.append(OwnerId(1), payload(30, 100), 1, Ack::Written).await;
        assert!(matches!(after, Err(tidemill_storage::AppendError::Poisoned { .. })));
        assert_eq!(read_all(&lane, OwnerId(1), 1000).await.len(), 1);
        lane.close().await;
    });
    assert!(done.is_some());
}
