//! What a seed does: owners that append and read, lives that end in a crash, and the reference model that looks after each.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use futures_util::future::Either;
use tidemill_storage::{
    Env, FetchError, Lane, LaneConfig, LaneHealth, OpenError, RecoveryReport, Retention,
    sim::{Crash, Faults, Sim, SimEnv},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

use crate::{
    model::{Ages, Model},
    record::{payload, read_all, seen, times},
    seeds::Tally,
    sink::Told,
};

/// What a seed does beside the crashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) faults: Faults,
    pub(crate) retention: Retention,
    /// Owners differ in their retentions, so that segments are dead in part: one keeps everything, one little, others as `retention` says.
    pub(crate) mixed: bool,
    pub(crate) compaction_bytes_per_second: u64,
    pub(crate) grouping_age: Duration,
    /// `u64::MAX` for a lane without checkpoints.
    pub(crate) checkpoint_rows_min: u64,
    pub(crate) owners: u64,
    pub(crate) payload_bytes_max: u64,
    /// All payloads have the same size: new entries end where old ones did, so that old bytes behind them could come back.
    pub(crate) one_size: bool,
    pub(crate) lives: u64,
    /// Steps of a life at most.
    pub(crate) steps_max: u64,
    pub(crate) crashes: Crashes,
    /// Bits that rot on the device while a life goes on.
    pub(crate) rots: u64,
}

impl Scenario {
    pub(crate) fn retention_of(&self, owner: OwnerId) -> Retention {
        match owner.0 % 4 {
            1 if self.mixed => Retention::FOREVER,
            2 if self.mixed => Retention { age: Duration::MAX, bytes: Some(3000) },
            _ => self.retention,
        }
    }

    /// The same while nothing may expire by age.
    pub(crate) fn frozen_retention_of(&self, owner: OwnerId) -> Retention {
        Retention { age: Duration::MAX, ..self.retention_of(owner) }
    }
}

/// How lives end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crashes {
    Drawn,
    Power,
    /// What a killed process left half done is used, and then the power is cut.
    KillThenPower,
    /// The power is cut, and the starts after that are killed several times before one comes through.
    PowerThenKills,
}

impl Crashes {
    pub(crate) fn end_of(self, life: u64, sim: &Sim) -> Crash {
        let kill = match self {
            Self::Drawn => sim.draw(2) == 0,
            Self::Power | Self::PowerThenKills => false,
            Self::KillThenPower => life.is_multiple_of(2),
        };
        if kill { Crash::Process } else { Crash::Power }
    }
}

pub(crate) fn scenario(sim: &Sim) -> Scenario {
    let failures = Faults {
        flush_failures: 10_000 << sim.draw(2),
        write_failures: 5_000 << sim.draw(2),
        read_failures: 10_000 << sim.draw(2),
        name_failures: 10_000 << sim.draw(4),
        ..Faults::default()
    };
    let capacity_bytes = Some(32 * 1024 * (3 + sim.draw(5)));
    let faults = match sim.draw(6) {
        0 => failures,
        1 => Faults { capacity_bytes, ..Faults::default() },
        2 => Faults { flush_delays: 50_000, ..Faults::default() },
        3 => Faults { capacity_bytes, flush_delays: 20_000, ..failures },
        _ => Faults::default(),
    };
    let bytes = (sim.draw(2) == 0).then(|| 1 + sim.draw(60_000));
    let age = if sim.draw(3) == 0 { Duration::from_millis(200 + sim.draw(2000)) } else { Duration::MAX };
    let clock_jumps = if sim.draw(4) == 0 { 3_000 } else { 0 };
    Scenario {
        faults: Faults { clock_jumps, ..faults },
        retention: Retention { age, bytes },
        mixed: sim.draw(2) == 0,
        compaction_bytes_per_second: 100_000 << sim.draw(8),
        grouping_age: Duration::from_millis(sim.draw(3) * 1000),
        checkpoint_rows_min: if sim.draw(3) == 0 { u64::MAX } else { 1 + sim.draw(20) },
        owners: 1 + sim.draw(5),
        payload_bytes_max: 64 << sim.draw(6),
        one_size: sim.draw(2) == 0,
        lives: 9,
        steps_max: 4000,
        crashes: Crashes::Drawn,
        rots: 0,
    }
}

pub(crate) fn config(scenario: &Scenario) -> LaneConfig {
    LaneConfig {
        compaction_bytes_per_second: scenario.compaction_bytes_per_second,
        grouping_age: scenario.grouping_age,
        checkpoint_rows_min: scenario.checkpoint_rows_min,
        // Room for durable groups of several steps.
        group_bytes_max: 16 << 10,
        ..LaneConfig::test_min(PathBuf::from("/lane"), LaneId(1))
    }
}

/// Opens the lane; a disk that fails to read is tried again, as an operator would.
pub(crate) async fn open(env: &SimEnv, scenario: &Scenario) -> (Lane<SimEnv>, RecoveryReport) {
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
pub(crate) async fn client(
    env: SimEnv,
    lane: Lane<SimEnv>,
    model: Rc<RefCell<Model>>,
    owner: OwnerId,
    scenario: Scenario,
) {
    let draw = |bound: u64| env.random_u64() % bound;
    // Half of the owners are told by a sink, the others by a future for each entry.
    let told = owner.0.is_multiple_of(2).then(Rc::<Told>::default);
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
                let append = match &told {
                    Some(told) => Either::Left(told.append(&lane, label, owner, (label, bytes), count, ack)),
                    None => Either::Right(lane.append(owner, payload(label, bytes), count, ack)),
                };
                (label, append)
            })
            .collect();
        for (label, append) in burst {
            let answer = append.await;
            model.borrow_mut().answer(owner, label, answer);
        }
        if matches!(lane.health(), LaneHealth::Poisoned { .. }) {
            return;
        }
        let (place, bytes_max) = (draw(100), 1 + draw(9000) as usize);
        read((&env, &lane), &model, (owner, scenario.retention_of(owner)), place, bytes_max).await;
        read_time((&env, &lane), &model, owner, draw(100)).await;
        env.sleep(Duration::from_micros(draw(20_000))).await;
    }
}

/// Owners from here on are there for a part of a life only.
pub(crate) const VISITORS: OwnerId = OwnerId(1000);

/// An owner that comes, leaves something between the others' entries, and is forgotten.
pub(crate) async fn visit(env: SimEnv, lane: Lane<SimEnv>, owner: OwnerId) {
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

/// Reads from some place of what an owner has, by number.
async fn read(
    (env, lane): (&SimEnv, &Lane<SimEnv>),
    model: &Rc<RefCell<Model>>,
    (owner, retention): (OwnerId, Retention),
    place: u64,
    bytes_max: usize,
) {
    let bounds = lane.bounds(owner).expect("an adopted owner");
    assert!(bounds.oldest <= bounds.next);
    let from = SequenceNumber(bounds.oldest.0 + bounds.next.since(bounds.oldest) * place / 100);
    let asked = env.wall();
    match lane.fetch(owner, from, bytes_max).await {
        Ok(fetched) => {
            let mut model = model.borrow_mut();
            model.read(owner, &seen(owner, &fetched));
            let span = Ages { retention, asked, latest: env.latest() };
            model.read_times(owner, &times(&fetched), fetched.oldest, span);
        }
        Err(FetchError::Disk(_)) => {}
        Err(FetchError::Damaged(damage)) if env.explains(&damage) => {}
        Err(error) => panic!("fetch from {from}: {error}"),
    }
}

/// Looks for the first number of some time that an owner's entries have.
async fn read_time(
    (env, lane): (&SimEnv, &Lane<SimEnv>),
    model: &Rc<RefCell<Model>>,
    owner: OwnerId,
    place: u64,
) {
    let Some(time) = model.borrow().time_at(owner, place) else { return };
    match lane.sequence_at(owner, time).await {
        Ok(found) => {
            let oldest = lane.bounds(owner).expect("an adopted owner").oldest;
            model.borrow().check_time(owner, time, found, oldest);
        }
        Err(FetchError::Disk(_)) => {}
        Err(FetchError::Damaged(damage)) if env.explains(&damage) => {}
        Err(error) => panic!("what was taken at {time}: {error}"),
    }
}

/// Reads everything back and has the model judge it.
pub(crate) async fn inspect(
    lane: &Lane<SimEnv>,
    model: &Rc<RefCell<Model>>,
    scenario: &Scenario,
    crash: Crash,
) {
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
pub(crate) struct Reached {
    pub(crate) torn_tails: u64,
    pub(crate) dropped_entries: u64,
    pub(crate) scanned_entries: u64,
    pub(crate) sealed: u64,
    pub(crate) retired: u64,
    lookups: u64,
    checkpoints: u64,
    listed: u64,
    expiry_lookups: u64,
    pub(crate) recycled: u64,
    pub(crate) refused: u64,
    pub(crate) poisoned: u64,
    pub(crate) compactions: u64,
    pub(crate) given_up: u64,
    /// Lives that began with what a compaction had not finished.
    pub(crate) unfinished: u64,
    /// Segments found beside the copy of what is in them.
    pub(crate) superseded: u64,
    pub(crate) compacted: u64,
}

impl Reached {
    pub(crate) fn open(&mut self, report: &RecoveryReport) {
        self.torn_tails += u64::from(report.torn_tail.is_some());
        self.dropped_entries += report.torn_tail.as_ref().map_or(0, |tail| tail.entries_dropped);
        self.scanned_entries += report.entries_scanned;
        self.unfinished += report.compactions_unfinished;
        self.superseded += report.segments_superseded;
        self.compacted += report.segments_compacted;
        self.listed += u64::from(report.owners_listed > 0);
    }

    pub(crate) fn end(&mut self, lane: &Lane<SimEnv>) {
        let stats = lane.stats();
        self.sealed += stats.segments_sealed;
        self.retired += stats.retired_segments;
        self.lookups += stats.index_lookups;
        self.checkpoints += stats.checkpoints;
        self.expiry_lookups += stats.expiry_lookups;
        self.recycled += stats.recycled_segments;
        self.compactions += stats.compactions;
        self.given_up += stats.setbacks.total() - stats.setbacks.too_large;
        self.refused += u64::from(matches!(lane.health(), LaneHealth::Full { .. }));
        self.poisoned += u64::from(matches!(lane.health(), LaneHealth::Poisoned { .. }));
    }

    pub(crate) fn counts(&self) -> [(&'static str, u64); 17] {
        let Self { torn_tails, dropped_entries, scanned_entries, sealed, retired, recycled, .. } = *self;
        let Self { lookups, expiry_lookups, checkpoints, listed, .. } = *self;
        let Self { refused, poisoned, compactions, given_up, unfinished, superseded, compacted, .. } = *self;
        [
            ("torn tail cut", torn_tails),
            ("entry behind a cut dropped", dropped_entries),
            ("entry scanned", scanned_entries),
            ("segment sealed", sealed),
            ("segment retired", retired),
            ("place of a record looked up", lookups),
            ("checkpoint of the index written", checkpoints),
            ("start from a checkpoint of the index", listed),
            ("expiry where the index has no span", expiry_lookups),
            ("segment used again", recycled),
            ("life ended with a full disk", refused),
            ("life ended poisoned", poisoned),
            ("compaction done", compactions),
            ("compaction given up", given_up),
            ("unfinished compaction found", unfinished),
            ("superseded segment found", superseded),
            ("compacted segment found", compacted),
        ]
    }
}

/// Has the next start end before its time, or several of them. Returns the crash whose losses count.
fn interrupt_starts(sim: &Sim, env: &SimEnv, scenario: &Scenario, crash: Crash) -> Crash {
    let starts = match scenario.crashes {
        Crashes::PowerThenKills => sim.draw(6),
        _ => u64::from(sim.draw(4) == 0),
    };
    let mut worst = crash;
    for _ in 0..starts {
        sim.stop_after(1 + sim.draw(60));
        let _ = sim.run(open(env, scenario));
        let again = match scenario.crashes {
            Crashes::PowerThenKills => Crash::Process,
            crashes => crashes.end_of(sim.draw(2), sim),
        };
        sim.crash(again);
        // What a power cut may take is gone, whether it came first or last.
        worst = if again == Crash::Power { again } else { worst };
    }
    worst
}

/// A life: opens the lane, has what is there judged, and lets clients at it until it crashes.
pub(crate) fn live(
    sim: &Sim,
    scenario: &Scenario,
    model: &Rc<RefCell<Model>>,
    (life, crash): (u64, Crash),
    tally: &mut Tally,
) -> Crash {
    tally.count("life", 1);
    let env = sim.env();
    // The check after a crash must see what is there, so nothing fails and nothing expires by age meanwhile.
    sim.set_faults(Faults { lie: scenario.faults.lie, ..Faults::default() });
    let lane = sim.run(async {
        let (lane, report) = open(&env, scenario).await;
        tally.reached.open(&report);
        if life > 0 {
            inspect(&lane, model, scenario, crash).await;
        }
        lane
    });
    let lane = lane.expect("no crash was asked for");
    sim.set_faults(scenario.faults);
    model.borrow_mut().begin();
    for owner in (1..=scenario.owners).map(OwnerId) {
        lane.adopt(owner, scenario.retention_of(owner));
        // Owners that rest for a whole life lose all their segments, and must keep their numbers.
        if owner.0 > 1 && sim.draw(3) == 0 {
            continue;
        }
        env.spawn(client(env.clone(), lane.clone(), Rc::clone(model), owner, *scenario));
    }
    if scenario.mixed {
        env.spawn(visit(env.clone(), lane.clone(), OwnerId(VISITORS.0 + life)));
    }
    if scenario.rots > 0 {
        env.spawn(decay(env.clone(), scenario.rots));
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
    tally.reached.end(&lane);
    drop((ended, lane));
    let crash = scenario.crashes.end_of(life, sim);
    sim.crash(crash);
    crash
}

/// Lets some bits rot, now and then.
async fn decay(env: SimEnv, rots: u64) {
    for _ in 0..rots {
        env.sleep(Duration::from_millis(env.random_u64() % 300)).await;
        _ = env.rot();
    }
}

/// Runs one seed to its end and returns the sum over its history.
pub(crate) fn run(seed: u64, change: impl Fn(&mut Scenario), tally: &mut Tally) -> u32 {
    let sim = Sim::new(seed);
    let mut scenario = scenario(&sim);
    change(&mut scenario);
    let model = Rc::new(RefCell::new(Model::default()));
    let mut crash = Crash::Process;
    for life in 0..scenario.lives {
        crash = live(&sim, &scenario, &model, (life, crash), tally);
        crash = interrupt_starts(&sim, &sim.env(), &scenario, crash);
    }
    let next: u64 = model.borrow().owners.len() as u64;
    sim.note(&next.to_le_bytes());
    tally.end(&sim);
    sim.history()
}
