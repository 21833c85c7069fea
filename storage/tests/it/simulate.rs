//! Seeds: a workload in the simulated world, crashed and opened again many times under the reference model.

use std::time::Duration;

use tidemill_storage::{
    AppendError, Env, LaneHealth, Retention,
    sim::{Fault, Faults, Lie, ROT, Sim},
};
use tidemill_wire::{OwnerId, message::Ack};

use crate::{
    record::{payload, read_all},
    seeds::{Tally, check, fails},
    workload::{Crashes, Scenario, open, run},
};

/// Faults that a run with everything must inject: all but rot, which has a model of its own.
fn all_faults() -> Vec<Fault> {
    let all = Fault::NAMES.iter().map(|(fault, _)| *fault);
    all.filter(|fault| !ROT.contains(fault)).collect()
}

/// Situations that a run with everything must reach.
const ALL_REACHED: [&str; 17] = [
    "torn tail cut",
    "entry behind a cut dropped",
    "entry scanned",
    "segment sealed",
    "segment retired",
    "place of a record looked up",
    "checkpoint of the index written",
    "start from a checkpoint of the index",
    "expiry where the index has no span",
    "segment used again",
    "life ended with a full disk",
    "life ended poisoned",
    "compaction done",
    "compaction given up",
    "unfinished compaction found",
    "superseded segment found",
    "compacted segment found",
];

#[test]
fn no_seed_loses_or_repeats_what_was_acknowledged() {
    let tally = check("mixed", 0, 450, |_| {});
    tally.assert_reached(20, &ALL_REACHED);
    tally.assert_injected(10, &all_faults());
}

/// In half of the seeds segments fill within a few entries; lives are over within a few hundred steps.
fn dies_young(scenario: &mut Scenario) {
    *scenario = Scenario {
        faults: Faults::default(),
        retention: Retention::FOREVER,
        mixed: false,
        payload_bytes_max: if scenario.owners.is_multiple_of(2) { 4000 } else { scenario.payload_bytes_max },
        one_size: true,
        lives: 8,
        steps_max: 200,
        crashes: if scenario.one_size { Crashes::KillThenPower } else { Crashes::Drawn },
        ..*scenario
    };
}

#[test]
fn what_a_killed_process_left_half_done_survives_a_power_cut() {
    let tally = check("killed, then cut", 0, 600, dies_young);
    tally.assert_reached(20, &["torn tail cut", "entry scanned"]);
    tally.assert_injected(
        10,
        &[Fault::Kill, Fault::PowerCut, Fault::TornWrite, Fault::LostSector, Fault::LostName],
    );
}

/// Starts are killed at each of their steps after a cut of the log, and what the last of them had not made stable goes with the power.
#[test]
fn a_cut_stays_where_it_is_when_starts_are_killed() {
    let tally = check("killed starts", 0, 300, |scenario| {
        dies_young(scenario);
        scenario.crashes = Crashes::PowerThenKills;
    });
    tally.assert_reached(20, &["torn tail cut"]);
}

#[test]
fn one_seed_has_one_history() {
    let history = |seed| run(seed, |_| {}, &mut Tally::default());
    for seed in 1000..1010 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
    assert_ne!(history(1000), history(1001));
}

#[test]
fn a_flush_that_lies_is_noticed() {
    let caught = (0..20).filter(|seed| {
        let lie = |scenario: &mut Scenario| {
            scenario.faults = Faults { lie: Some(Lie::Flush), ..Faults::default() };
            scenario.crashes = Crashes::Power;
        };
        fails(|| {
            run(*seed, lie, &mut Tally::default());
        })
    });
    assert!(caught.count() > 10);
}

/// How many of `seeds` seeds notice that the disk lies.
fn caught(seeds: u64, lie: Lie) -> usize {
    let notices = |seed: &u64| {
        let change = |scenario: &mut Scenario| {
            if lie == Lie::OldEpochs || seed.is_multiple_of(2) {
                // Segments come round fast, and old entries end where new ones do.
                scenario.retention = Retention { age: Duration::MAX, bytes: Some(3000) };
                scenario.one_size = true;
                scenario.payload_bytes_max = scenario.payload_bytes_max.max(1000);
            }
            if lie == Lie::Watermarks {
                // Owners that rest lose all of their segments.
                scenario.retention = Retention { age: Duration::from_millis(200), bytes: None };
                scenario.owners = 6;
            }
            // A checkpoint tells numbers as well.
            scenario.checkpoint_rows_min = u64::MAX;
            scenario.faults = Faults { lie: Some(lie), ..Faults::default() };
            scenario.crashes = Crashes::Power;
        };
        fails(|| {
            run(*seed, change, &mut Tally::default());
        })
    };
    (0..seeds).filter(notices).count()
}

/// Each lie stands for a step that the engine would leave out. A model that did not notice would prove nothing about the step.
#[test]
fn what_a_step_left_out_does_is_noticed() {
    let lies = [Lie::DurableWrite, Lie::WriteBack, Lie::DirectorySync, Lie::OldEpochs];
    // Numbers are told in more than one place, so few runs need those of the watermarks: 31 of 400.
    for (lie, seeds) in lies.map(|lie| (lie, 60)).into_iter().chain([(Lie::Watermarks, 200)]) {
        let caught = caught(seeds, lie);
        assert!(caught >= 3, "{lie:?} was noticed by {caught} of {seeds} seeds");
    }
}

/// Slow compactions, so that most crashes come during one; owners of all kinds of retention in each segment.
fn compacts_always(scenario: &mut Scenario) {
    *scenario = Scenario {
        mixed: true,
        owners: 2 + scenario.owners,
        compaction_bytes_per_second: 100_000 + scenario.compaction_bytes_per_second / 8,
        payload_bytes_max: scenario.payload_bytes_max.max(512),
        ..*scenario
    };
}

#[test]
fn crashes_during_compaction_lose_and_repeat_nothing() {
    let tally = check("compacting", 5000, 300, compacts_always);
    tally.assert_reached(
        20,
        &[
            "compaction done",
            "compaction given up",
            "unfinished compaction found",
            "superseded segment found",
            "compacted segment found",
        ],
    );
}

#[test]
fn sources_that_go_before_their_copy_is_stable_are_noticed() {
    let caught = (5000..5040).filter(|seed| {
        let lie = |scenario: &mut Scenario| {
            compacts_always(scenario);
            scenario.faults = Faults { lie: Some(Lie::CompactionFlush), ..Faults::default() };
            scenario.crashes = Crashes::Power;
        };
        fails(|| {
            run(*seed, lie, &mut Tally::default());
        })
    });
    assert!(caught.count() > 10);
}

/// One owner that keeps everything.
pub(crate) fn plain() -> Scenario {
    Scenario {
        faults: Faults::default(),
        retention: Retention::FOREVER,
        mixed: false,
        compaction_bytes_per_second: 1 << 20,
        checkpoint_rows_min: 8,
        grouping_age: Duration::MAX,
        owners: 1,
        payload_bytes_max: 64,
        one_size: false,
        lives: 9,
        steps_max: 4000,
        crashes: Crashes::Drawn,
        rots: 0,
    }
}

#[test]
fn compaction_makes_room_on_a_full_disk() {
    // Where the reserve itself is lost to a full disk, it stays full until retention frees a whole segment.
    let freed = (0..100).filter(|seed| fill_a_disk(*seed)).count();
    assert!(freed == 100, "{freed} of 100 disks were freed");
}

/// Returns whether the disk took everything in the end.
fn fill_a_disk(seed: u64) -> bool {
    let sim = Sim::new(seed);
    let env = sim.env();
    let scenario = Scenario { owners: 2, ..plain() };
    sim.set_faults(Faults { capacity_bytes: Some(6 * 32 * 1024), ..Faults::default() });
    let (kept, passing) = (OwnerId(1), OwnerId(2));
    let done = sim.run(async {
        let (lane, _) = open(&env, &scenario).await;
        lane.adopt(passing, Retention { age: Duration::MAX, bytes: Some(3000) });
        let (mut refusals, mut compactions_when_full) = (0, 0);
        for label in 0..3000 {
            // Without compaction the few bytes of one owner would keep every file of the other.
            let (owner, bytes) = if label % 20 == 0 { (kept, 10) } else { (passing, 1000) };
            while let Err(error) = lane.append(owner, payload(label, bytes), 1, Ack::Durable).await {
                assert_eq!(error, AppendError::DiskFull { needed: 32 * 1024 });
                refusals += 1;
                if refusals == 1000 {
                    return false;
                }
                let before = lane.stats().compactions;
                env.sleep(Duration::from_millis(50)).await;
                compactions_when_full += lane.stats().compactions - before;
            }
        }
        assert!(refusals > 0 && compactions_when_full > 0, "{refusals} {compactions_when_full}");
        let entries = read_all(&lane, kept, 5000).await;
        assert!(
            entries.len() == 150 && entries.iter().zip(0..).all(|(e, n)| e.payload == payload(n * 20, 10))
        );
        true
    });
    done.expect("no crash was asked for")
}

#[test]
fn a_full_disk_refuses_and_serves_again_when_there_is_room() {
    let sim = Sim::new(7);
    let env = sim.env();
    let scenario = plain();
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
        assert_eq!(refusal, AppendError::DiskFull { needed: 32 * 1024 });
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
    let scenario = plain();
    let done = sim.run(async {
        let (lane, _) = open(&env, &scenario).await;
        lane.append(OwnerId(1), payload(1, 100), 1, Ack::Durable).await.expect("appended");
        sim.set_faults(Faults { flush_failures: 1_000_000, ..Faults::default() });
        let waiting: Vec<_> =
            (2..30).map(|n| lane.append(OwnerId(1), payload(n, 100), 1, Ack::Durable)).collect();
        for append in waiting {
            assert!(matches!(append.await, Err(AppendError::Poisoned { .. })));
        }
        sim.set_faults(Faults::default());
        let after = lane.append(OwnerId(1), payload(30, 100), 1, Ack::Written).await;
        assert!(matches!(after, Err(AppendError::Poisoned { .. })));
        assert_eq!(read_all(&lane, OwnerId(1), 1000).await.len(), 1);
        lane.close().await;
    });
    assert!(done.is_some());
}
