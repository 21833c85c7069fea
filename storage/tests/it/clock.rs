//! Clocks that jump: what becomes of order, of retention and of reads by time.

use std::time::Duration;

use tidemill_storage::{
    Env, Lane, Retention,
    sim::{Crash, Fault, Faults, Lie, Sim, SimEnv},
};
use tidemill_wire::{OwnerId, SequenceNumber, message::Ack};

use crate::{
    record::{payload, times},
    seeds::{Tally, check, fails},
    simulate::plain,
    workload::{Crashes, Scenario, config, run},
};

const OWNER: OwnerId = OwnerId(1);
const AGE: Duration = Duration::from_secs(60);
const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

/// Ages from a second to a year, and a clock that jumps some times in each life.
fn jumps_often(scenario: &mut Scenario) {
    let seconds =
        [1, 60, 24 * 3600, 365 * 24 * 3600][scenario.payload_bytes_max.trailing_zeros() as usize % 4];
    scenario.faults = Faults { clock_jumps: 10_000, ..Faults::default() };
    scenario.retention = Retention { age: Duration::from_secs(seconds), bytes: None };
    scenario.lives = 5;
}

#[test]
fn simulate_clock_jumps_break_neither_order_nor_retention() {
    let tally = check("jumping clock", 0, 250, jumps_often);
    tally.assert_injected(10, &[Fault::ClockForward, Fault::ClockBack, Fault::Kill, Fault::PowerCut]);
    tally.assert_reached(20, &["segment retired", "compaction done"]);
}

#[test]
fn simulate_clock_jumps_have_one_history_for_one_seed() {
    let history = |seed| run(seed, jumps_often, &mut Tally::default());
    for seed in 1000..1006 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
    assert_ne!(history(1000), history(1001));
}

/// How many of 40 seeds notice a lie.
fn caught(lie: Lie) -> usize {
    let tells = |scenario: &mut Scenario| {
        jumps_often(scenario);
        scenario.faults.lie = Some(lie);
        if lie == Lie::EarlyClock {
            scenario.retention.age = Duration::from_secs(1);
        }
        scenario.crashes = Crashes::Power;
    };
    let notices = |seed: &u64| {
        fails(|| {
            run(*seed, tells, &mut Tally::default());
        })
    };
    (0..40).filter(notices).count()
}

#[test]
fn simulate_clock_that_the_engine_gets_wrong_is_noticed() {
    for lie in [Lie::WallTimes, Lie::EarlyClock] {
        let caught = caught(lie);
        assert!(caught >= 10, "{lie:?} was noticed by {caught} of 40 seeds");
    }
}

async fn open(env: &SimEnv) -> Lane<SimEnv> {
    let (lane, _) = Lane::open(env.clone(), config(&plain())).await.expect("opened");
    lane.adopt(OWNER, Retention { age: AGE, bytes: None });
    lane
}

/// Appends records of 1000 bytes, and returns when the last one was taken.
async fn fill(lane: &Lane<SimEnv>, numbers: std::ops::Range<u64>) -> tidemill_wire::Timestamp {
    let mut last = tidemill_wire::Timestamp(0);
    for number in numbers {
        let taken = lane.append(OWNER, payload(number, 1000), 1, Ack::Durable).await.expect("appended");
        assert_eq!(taken.base_sequence, SequenceNumber(number));
        assert!(taken.append_time >= last, "times never fall");
        last = taken.append_time;
    }
    last
}

async fn oldest(lane: &Lane<SimEnv>) -> u64 {
    lane.fetch(OWNER, SequenceNumber(0), 1).await.expect("fetched").oldest.0
}

#[test]
fn records_go_when_they_are_over_although_the_clock_has_fallen_back() {
    let sim = Sim::new(1);
    let env = sim.env();
    let done = sim.run(async {
        let lane = open(&env).await;
        sim.jump_clock(4 * YEAR_MS);
        fill(&lane, 0..100).await;
        sim.jump_clock(-4 * YEAR_MS);
        fill(&lane, 100..200).await;
        env.sleep(AGE / 2).await;
        assert_eq!(oldest(&lane).await, 0, "nothing is over");
        let full = lane.stats().disk_bytes;
        env.sleep(AGE).await;
        assert_eq!(oldest(&lane).await, 200, "all is over by the time that went by");
        assert!(lane.stats().disk_bytes < full / 2, "{} of {full}", lane.stats().disk_bytes);
        lane.close().await;
    });
    assert!(done.is_some());
}

#[test]
fn a_jump_forward_is_believed_and_what_went_for_it_stays_hidden() {
    let sim = Sim::new(2);
    let env = sim.env();
    let done = sim.run(async {
        let lane = open(&env).await;
        fill(&lane, 0..5).await;
        sim.jump_clock(YEAR_MS);
        assert_eq!(oldest(&lane).await, 5, "all is over by the wall clock");
        let jumped = env.wall();
        assert!(fill(&lane, 5..10).await >= jumped);
        sim.jump_clock(-YEAR_MS);
        assert_eq!(oldest(&lane).await, 5, "what was hidden stays so");
        fill(&lane, 10..15).await;
    });
    assert!(done.is_some());
    // The log tells the next start how far the clock had come.
    sim.crash(Crash::Power);
    let done = sim.run(async {
        let lane = open(&env).await;
        assert_eq!(oldest(&lane).await, 5);
        let fetched = lane.fetch(OWNER, SequenceNumber(5), 1 << 20).await.expect("fetched");
        let taken = times(&fetched);
        assert!(taken.len() == 10 && taken.is_sorted_by_key(|(_, _, time)| *time), "{taken:?}");
        fill(&lane, 15..16).await;
        lane.close().await;
    });
    assert!(done.is_some());
}

#[test]
fn reads_by_time_find_the_first_record_of_a_time_whatever_the_clock_did() {
    let sim = Sim::new(3);
    let env = sim.env();
    let done = sim.run(async {
        let lane = open(&env).await;
        let mut taken = Vec::new();
        for (number, jump) in (0..40).zip([0, 20_000, -15_000, 3000, -9000].into_iter().cycle()) {
            sim.jump_clock(jump);
            taken.push(fill(&lane, number..number + 1).await);
            env.sleep(Duration::from_millis(50)).await;
        }
        let oldest = oldest(&lane).await;
        for time in &taken {
            let first = taken.iter().position(|other| other >= time).expect("it is one of them") as u64;
            assert_eq!(lane.sequence_at(OWNER, *time).await, Ok(SequenceNumber(first.max(oldest))));
        }
        lane.close().await;
    });
    assert!(done.is_some());
}
