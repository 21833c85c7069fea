//! Key compaction in the simulated world: keyed owners among ordinary ones, lives that end in a crash, and a model of what may go.
//!
//! The model: what is read was sent, unchanged, in order, under its number; what went never comes back; the last record of each key that must be there is
//! there, and if a tombstone is gone, nothing of its key is left. At the end, with no faults and some time, nothing is left that could go.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use tidemill_storage::{
    AppendError, Appended, Env, KeyCompaction, Lane, LaneConfig, LaneHealth, OpenError, Retention,
    sim::{Crash, Fault, Faults, Lie, Sim, SimEnv},
};
use tidemill_wire::{
    LaneId, OwnerId, SequenceNumber,
    batch::{BatchBuilder, Compression},
    entry::EntryRun,
    message::Ack,
    numbered::NumberedBatch,
};

use crate::{
    record::payload,
    seeds::{Tally, check_with, fails},
};

/// An ordinary owner between the keyed ones; what it has goes at once.
const FILLER: OwnerId = OwnerId(100);

/// A record that was sent: its key, none for 0, and whether it is a tombstone.
#[derive(Clone, Copy, Debug)]
struct Row {
    key: u64,
    is_tombstone: bool,
}

/// A batch that was sent.
#[derive(Clone, Debug)]
struct Sent {
    rows: Vec<Row>,
    ack: Ack,
    answer: Option<Result<Appended, AppendError>>,
}

/// One owner.
#[derive(Default)]
struct KeyModel {
    sent: BTreeMap<u64, Sent>,
    next_label: u64,
    /// Records that are known to be in the log, or to have been: label, index within the batch, and milliseconds at which it was taken, if known.
    placed: BTreeMap<u64, (u64, usize, Option<u64>)>,
    /// Tombstones of batches without an answer, of which nothing else was seen: the key, and when it was taken.
    strangers: BTreeMap<u64, (u64, u64)>,
    /// Numbers of records that went.
    gone: BTreeSet<u64>,
}

fn data_of(label: u64, index: usize) -> String {
    format!("{label}/{index}/{}", "x".repeat((label * 13 % 300) as usize))
}

fn key_of(row: Row) -> String {
    if row.key == 0 { String::new() } else { format!("key-{}", row.key) }
}

impl KeyModel {
    fn send(&mut self, rows: Vec<Row>, ack: Ack, codec: Compression) -> (u64, Bytes) {
        self.next_label += 1;
        let label = self.next_label;
        let mut builder = BatchBuilder::new();
        for (index, row) in rows.iter().enumerate() {
            let data = if row.is_tombstone { String::new() } else { data_of(label, index) };
            builder.push(key_of(*row).as_bytes(), data.as_bytes(), None).expect("small");
        }
        let batch = builder.build(codec).expect("records");
        self.sent.insert(label, Sent { rows, ack, answer: None });
        (label, batch)
    }

    fn answer(&mut self, label: u64, answer: Result<Appended, AppendError>) {
        if let Ok(appended) = &answer {
            self.place(appended.base_sequence.0, label, Some(appended.append_time.0));
        }
        self.sent.get_mut(&label).expect("it was sent").answer = Some(answer);
    }

    fn place(&mut self, base: u64, label: u64, time: Option<u64>) {
        for index in 0..self.sent[&label].rows.len() {
            let before = self.placed.entry(base + index as u64).or_insert((label, index, time));
            assert_eq!(
                (before.0, before.1),
                (label, index),
                "number {} has two records",
                base + index as u64
            );
            before.2 = before.2.or(time);
        }
    }

    /// Takes in a record that was read. A tombstone does not say which one it is, if nobody told.
    fn see(&mut self, number: u64, key: &str, data: &str, time: u64) {
        assert!(!self.gone.contains(&number), "record {number} came back");
        if let Some((label, index)) = data.split_once('/').and_then(|(label, rest)| {
            Some((label.parse().ok()?, rest.split_once('/')?.0.parse::<usize>().ok()?))
        }) {
            assert!(self.sent.contains_key(&label), "{label} was never sent or was lost before");
            self.place(number - index as u64, label, Some(time));
            assert_eq!(data, data_of(label, index), "record {number} is not what was sent");
        }
        let known = self.placed.get(&number).map(|(label, index, _)| self.sent[label].rows[*index]);
        let row = known.unwrap_or_else(|| {
            let key = key.strip_prefix("key-").map_or(0, |key| key.parse().expect("a key"));
            self.strangers.insert(number, (key, time));
            Row { key, is_tombstone: true }
        });
        assert_eq!((key, data.is_empty()), (key_of(row).as_str(), row.is_tombstone), "record {number}");
    }

    /// Takes in all records below `next`, as they were read at `now`; not at one moment, unless the read is `whole`: a slow reader may see a record and
    /// come too late for its tombstone.
    fn judge(&mut self, rows: &[ReadRow], next: u64, now: u64, tombstone_age: u64, is_whole: bool) {
        assert!(rows.is_sorted_by(|left, right| left.number < right.number), "numbers rise");
        for row in rows {
            self.see(row.number, &row.key, &row.data, row.time);
        }
        let present: BTreeMap<u64, &ReadRow> = rows.iter().map(|row| (row.number, row)).collect();
        let mut last_present: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows {
            last_present.insert(&row.key, row.number);
        }
        let mut last_known: BTreeMap<u64, (u64, Row, Option<u64>)> = BTreeMap::new();
        for (number, (label, index, time)) in self.placed.range(..next) {
            let row = self.sent[label].rows[*index];
            if row.key == 0 {
                assert!(present.contains_key(number), "record {number} without a key is gone");
            }
            last_known.insert(row.key, (*number, row, *time));
            if !present.contains_key(number) {
                self.gone.insert(*number);
            }
        }
        for (number, (key, time)) in self.strangers.range(..next) {
            let last = last_known.entry(*key).or_insert((
                *number,
                Row { key: *key, is_tombstone: true },
                Some(*time),
            ));
            if last.0 < *number {
                *last = (*number, Row { key: *key, is_tombstone: true }, Some(*time));
            }
        }
        for (number, row, time) in last_known.into_values().filter(|(_, row, _)| is_whole && row.key != 0) {
            let key = key_of(row);
            let last = last_present.get(key.as_str()).copied();
            if last.is_some_and(|last| last >= number) {
                continue;
            }
            let is_over =
                row.is_tombstone && time.is_none_or(|time| time.saturating_add(tombstone_age) <= now);
            assert!(
                is_over,
                "the last record of {key}, {number} of {time:?}, {row:?}, is gone at {now}, {last:?} is there"
            );
            assert_eq!(last, None, "a record of {key} is there again, its tombstone {number} is not");
        }
    }

    /// Takes what is there after a crash as what there is.
    fn recover(&mut self, rows: &[ReadRow], next: u64, crash: Crash) {
        for (label, sent) in &self.sent {
            let Some(Ok(appended)) = &sent.answer else { continue };
            if crash == Crash::Process || sent.ack == Ack::Durable {
                let end = appended.base_sequence.0 + sent.rows.len() as u64;
                assert!(end <= next, "numbers do not go on behind {label}: {next}");
            }
        }
        self.placed.retain(|number, _| *number < next);
        self.strangers.retain(|number, _| *number < next);
        for row in rows {
            self.see(row.number, &row.key, &row.data, row.time);
        }
        let placed: BTreeSet<u64> = self.placed.values().map(|(label, ..)| *label).collect();
        // What did not survive never existed. A batch of tombstones alone, without an answer, may be there and not be known.
        self.sent.retain(|label, _| placed.contains(label));
        for sent in self.sent.values_mut() {
            sent.ack = Ack::Durable;
        }
        for (label, sent) in &mut self.sent {
            let number = self.placed.iter().find(|(_, (placed, ..))| placed == label);
            if let (Some((number, (_, index, time))), false) = (number, matches!(sent.answer, Some(Ok(_)))) {
                let base_sequence = (number - *index as u64).into();
                let append_time = time.unwrap_or(0).into();
                sent.answer = Some(Ok(Appended { base_sequence, append_time }));
            }
        }
    }
}

struct ReadRow {
    number: u64,
    key: String,
    data: String,
    time: u64,
}

/// All records of an owner, and the number up to which they were read. `None` where the disk failed.
async fn read(lane: &Lane<SimEnv>, owner: OwnerId, bytes_max: usize) -> Option<(Vec<ReadRow>, u64)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let end = lane.bounds(owner).expect("adopted").next;
    let (mut rows, mut next) = (Vec::new(), SequenceNumber(0));
    while next < end {
        let fetched = lane.fetch(owner, next, bytes_max).await.ok()?;
        assert_eq!(fetched.from, next, "nothing is over its time");
        assert!(fetched.next > next, "there is more");
        let mut number = None;
        for entry in fetched.entries.iter().flat_map(|run| EntryRun::new(run.clone())) {
            let (header, payload) = entry.expect("a whole entry");
            assert!(number.is_none_or(|number| header.base_sequence == number), "numbers are dense");
            number = Some(header.next_sequence());
            let batch = NumberedBatch::parse(&header, payload).expect("valid").expect("records");
            for (number, record) in batch.into_records().expect("valid data") {
                if number >= next {
                    let (key, data) = (text(record.key), text(record.data));
                    rows.push(ReadRow { number: number.0, key, data, time: header.append_time.0 });
                }
            }
        }
        assert_eq!(number, Some(fetched.next));
        next = fetched.next;
    }
    Some((rows, next.0))
}

#[derive(Clone, Copy, Debug)]
struct Scenario {
    faults: Faults,
    keyed: u64,
    keys: u64,
    tombstone_age: Duration,
    lag: Duration,
    table_bytes: u64,
    bytes_per_second: u64,
    grouping_age: Duration,
    lives: u64,
    power_only: bool,
}

type Models = Rc<RefCell<BTreeMap<OwnerId, KeyModel>>>;

impl Scenario {
    fn of(sim: &Sim) -> Self {
        let faults = match sim.draw(4) {
            0 => Faults {
                write_failures: 5_000,
                read_failures: 5_000,
                flush_failures: 5_000,
                ..Faults::default()
            },
            1 => Faults { capacity_bytes: Some(32 * 1024 * (8 + sim.draw(8))), ..Faults::default() },
            _ => Faults::default(),
        };
        Self {
            faults,
            keyed: 1 + sim.draw(3),
            keys: 2 << sim.draw(7),
            tombstone_age: Duration::from_millis([0, 200, 2_000, 3_600_000][sim.draw(4) as usize]),
            lag: Duration::from_millis([50, 400, 3_600_000][sim.draw(3) as usize]),
            table_bytes: [2_000, 8_000, 1 << 20][sim.draw(3) as usize],
            bytes_per_second: 200_000 << sim.draw(8),
            grouping_age: Duration::from_millis(sim.draw(3) * 1000),
            lives: 7,
            power_only: false,
        }
    }

    fn config(&self) -> LaneConfig {
        LaneConfig {
            compaction_bytes_per_second: self.bytes_per_second,
            grouping_age: self.grouping_age,
            key_compaction_lag: self.lag,
            key_table_bytes_max: self.table_bytes,
            ..LaneConfig::test_min(PathBuf::from("/lane"), LaneId(1))
        }
    }

    fn owners(&self) -> impl Iterator<Item = OwnerId> + use<> {
        (1..=self.keyed).map(OwnerId)
    }

    async fn open(&self, env: &SimEnv) -> Lane<SimEnv> {
        for _ in 0..200 {
            match Lane::open(env.clone(), self.config()).await {
                Ok((lane, _)) => {
                    lane.adopt(FILLER, Retention { age: Duration::MAX, bytes: Some(1000) });
                    for owner in self.owners() {
                        lane.adopt(owner, Retention::FOREVER);
                        lane.compact_keys(owner, Some(KeyCompaction { tombstone_age: self.tombstone_age }));
                    }
                    return lane;
                }
                Err(OpenError::Disk(_)) => env.sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("the lane does not open: {error}"),
            }
        }
        panic!("the lane never opens");
    }

    fn age_ms(&self) -> u64 {
        self.tombstone_age.as_millis() as u64
    }
}

async fn client(env: SimEnv, lane: Lane<SimEnv>, models: Models, owner: OwnerId, scenario: Scenario) {
    let draw = |bound: u64| env.random_u64() % bound;
    for turn in 0.. {
        let burst: Vec<_> = (0..1 + draw(5))
            .map(|_| {
                let row = |_| Row { key: draw(scenario.keys), is_tombstone: draw(5) == 0 };
                let rows: Vec<Row> = (0..1 + draw(6)).map(row).collect();
                let count = rows.len() as u32;
                let codec = [Compression::None, Compression::Lz4, Compression::Zstd][draw(3) as usize];
                let ack = if draw(2) == 0 { Ack::Durable } else { Ack::Written };
                let mut models = models.borrow_mut();
                let (label, batch) = models.entry(owner).or_default().send(rows, ack, codec);
                (label, lane.append(owner, batch, count, ack))
            })
            .collect();
        for (label, append) in burst {
            let answer = append.await;
            models.borrow_mut().entry(owner).or_default().answer(label, answer);
        }
        if matches!(lane.health(), LaneHealth::Poisoned { .. }) {
            return;
        }
        if turn % 8 == 7 {
            look(&env, &lane, &models, owner, 500 + draw(9000) as usize, &scenario).await;
        }
        env.sleep(Duration::from_micros(draw(30_000))).await;
    }
}

/// Reads everything of an owner and has the model judge it.
async fn look(
    env: &SimEnv,
    lane: &Lane<SimEnv>,
    models: &Models,
    owner: OwnerId,
    bytes_max: usize,
    scenario: &Scenario,
) -> Option<Vec<ReadRow>> {
    let before = lane.stats().compactions;
    let (rows, next) = read(lane, owner, bytes_max).await?;
    let now = env.now().0;
    // A compaction that has led the index elsewhere meanwhile has been counted after this.
    env.sleep(Duration::from_millis(5)).await;
    let (mut models, is_whole) = (models.borrow_mut(), lane.stats().compactions == before);
    models.entry(owner).or_default().judge(&rows, next, now, scenario.age_ms(), is_whole);
    Some(rows)
}

async fn fill(env: SimEnv, lane: Lane<SimEnv>) {
    for label in 0.. {
        // Whether it is taken is for others to test.
        let _ = lane.append(FILLER, payload(label, 500), 1, Ack::Written).await;
        env.sleep(Duration::from_millis(env.random_u64() % 20)).await;
        if matches!(lane.health(), LaneHealth::Poisoned { .. }) {
            return;
        }
    }
}

/// Reads everything, has the model judge it, and takes it as what there is.
async fn inspect(env: &SimEnv, lane: &Lane<SimEnv>, models: &Models, scenario: &Scenario, crash: Crash) {
    for owner in scenario.owners() {
        let (rows, next) = read(lane, owner, 3000).await.expect("no fault is injected");
        let mut models = models.borrow_mut();
        let model = models.entry(owner).or_default();
        model.recover(&rows, next, crash);
        model.judge(&rows, next, env.now().0, scenario.age_ms(), true);
    }
}

/// Seals everything, waits, and expects nothing that could go.
async fn settle(env: &SimEnv, lane: &Lane<SimEnv>, models: &Models, scenario: &Scenario) {
    for label in 0..24 {
        lane.append(FILLER, payload(label, 3000), 1, Ack::Written).await.expect("there is room");
    }
    let is_due = scenario.lag < Duration::from_secs(1);
    let mut surplus = None;
    for _ in 0..60 {
        env.sleep(Duration::from_secs(10)).await;
        surplus = None;
        for owner in scenario.owners() {
            let rows = look(env, lane, models, owner, 3000, scenario).await.expect("no fault is injected");
            let mut keys = BTreeSet::new();
            // Of those with equal keys the one that is read last is the last.
            let over = rows.iter().rev().find(|row| {
                let is_old = row.data.is_empty() && scenario.tombstone_age < Duration::from_secs(10);
                !row.key.is_empty() && (!keys.insert(&row.key) || is_old)
            });
            surplus = surplus.or(over.map(|row| (owner, row.number, row.key.clone())));
        }
        if surplus.is_none() || !is_due {
            return;
        }
    }
    panic!("{surplus:?} should be gone: {scenario:?} {:?}", lane.stats());
}

fn run(seed: u64, change: impl Fn(&mut Scenario), tally: &mut Tally) {
    let sim = Sim::new(seed);
    let mut scenario = Scenario::of(&sim);
    change(&mut scenario);
    let models = Models::default();
    let mut crash = Crash::Process;
    for life in 0..=scenario.lives {
        let env = sim.env();
        sim.set_faults(Faults { lie: scenario.faults.lie, ..Faults::default() });
        let lane = sim.run(async {
            let lane = scenario.open(&env).await;
            lane.pause_compaction(true);
            if life > 0 {
                inspect(&env, &lane, &models, &scenario, crash).await;
            }
            lane.pause_compaction(false);
            if life == scenario.lives {
                settle(&env, &lane, &models, &scenario).await;
            }
            lane
        });
        let lane = lane.expect("no crash was asked for");
        if life == scenario.lives {
            tally.count("record gone for its key", lane.stats().dropped_records);
            tally.count("last look at keys", lane.stats().key_rounds);
            break;
        }
        sim.set_faults(scenario.faults);
        for owner in scenario.owners() {
            env.spawn(client(env.clone(), lane.clone(), Rc::clone(&models), owner, scenario));
        }
        env.spawn(fill(env.clone(), lane.clone()));
        sim.stop_after(10 + sim.draw(if sim.draw(3) == 0 { 300 } else { 5000 }));
        sim.run(async { env.sleep(Duration::from_secs(20)).await });
        let stats = lane.stats();
        tally.count("record gone before a crash", stats.dropped_records);
        tally.count("look at keys", stats.key_rounds);
        tally.count("key compaction given up", stats.setbacks.total() - stats.setbacks.too_large);
        drop(lane);
        crash = if scenario.power_only || sim.draw(2) == 0 { Crash::Power } else { Crash::Process };
        sim.crash(crash);
    }
    tally.end(&sim);
}

#[test]
fn the_last_record_of_each_key_survives_crashes_and_what_could_go_is_gone() {
    let tally = check_with("keys", 20_000, 150, |seed, tally| run(seed, |_| {}, tally));
    tally.assert_reached(
        20,
        &[
            "record gone for its key",
            "record gone before a crash",
            "look at keys",
            "last look at keys",
            "key compaction given up",
        ],
    );
    tally.assert_injected(10, &[Fault::Kill]);
}

/// Compaction takes out what a later record replaces, so that one has to be stable before.
#[test]
fn replaced_records_that_go_too_early_are_noticed() {
    let caught = (21_000..21_030).filter(|seed| {
        let lie = |scenario: &mut Scenario| {
            scenario.faults = Faults { lie: Some(Lie::CompactionFlush), ..Faults::default() };
            scenario.power_only = true;
            scenario.bytes_per_second = 200_000;
        };
        fails(|| run(*seed, lie, &mut Tally::default()))
    });
    assert!(caught.count() > 5);
}
