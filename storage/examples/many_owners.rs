//! What a hundred thousand owners cost a lane, beside one.
//!
//! `cargo run --release -p tidemill-storage --example many_owners -- DIRECTORY [OWNERS [SECONDS [ROUNDS [SEGMENT_MIB]]]]`
//!
//! First a lane is filled with some hundred records of each owner, closed and opened again: the memory that an idle owner takes, and the time of a start.
//! Then a lane with one owner and one with OWNERS take turns at ROUNDS rounds of SECONDS each: 64 appends of 1 KiB in flight, acknowledged as durable.
//! Records expire after a while, so that segments roll, are sealed, expire and come back meanwhile. Whatever else the
//! machine does meets both, so the ratios stand where the rates do not.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::{
    cell::{Cell, RefCell},
    error::Error,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use rustix::time::{ClockId, clock_gettime};
use tidemill_storage::{Env, Lane, LaneConfig, Retention, local::LocalEnv};
use tidemill_wire::{LaneId, OwnerId, message::Ack};

/// Appends that are waited for at a time.
const IN_FLIGHT: u64 = 64;
/// Bytes of each append.
const PAYLOAD_BYTES: usize = 1024;
/// How long records are kept while rates are measured.
const AGE: Duration = Duration::from_secs(4);
/// Entries of each owner while memory is measured, and records in each.
const IDLE_ENTRIES: u64 = 6;
const IDLE_RECORDS: u32 = 50;

type Failure = Box<dyn Error>;

struct Plan {
    directory: PathBuf,
    owners: u64,
    round: Duration,
    rounds: usize,
    segment_bytes: u64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(argument) => argument.parse(),
        None => Ok(default),
    };
    let plan = Plan {
        directory: PathBuf::from(arguments.first().map_or(".", String::as_str)).join("many_owners"),
        owners: number(1, 100_000)?.max(1),
        round: Duration::from_secs(number(2, 2)?),
        rounds: usize::try_from(number(3, 5)?)?,
        segment_bytes: number(4, 64)? << 20,
    };
    if fs::exists(&plan.directory)? {
        fs::remove_dir_all(&plan.directory)?;
    }
    let env = LocalEnv::new()?;
    env.block_on(memory(&env, &plan))?;
    env.block_on(rates(&env, &plan))?;
    fs::remove_dir_all(&plan.directory)?;
    Ok(())
}

/// One lane under load and what came of it.
struct Side {
    lane: Lane<LocalEnv>,
    owners: u64,
    next: Rc<Cell<u64>>,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Side {
    async fn new(env: &LocalEnv, plan: &Plan, number: u32, owners: u64) -> Result<Self, Failure> {
        let lane = open(env, plan, number).await?;
        let start = Instant::now();
        let retention = Retention { age: AGE, bytes: None };
        (0..owners).for_each(|owner| lane.adopt(OwnerId(owner), retention));
        println!("adopted      {owners} owners in {:.1} ms", millis(start.elapsed()));
        Ok(Self { lane, owners, next: Rc::default(), rates: Vec::new(), cpu_us: Vec::new() })
    }

    async fn round(&mut self, env: &LocalEnv, time: Duration, payload: &Bytes) -> Result<(), Failure> {
        let (start, cpu, before) = (Instant::now(), cpu_of(ClockId::ProcessCPUTime), self.next.get());
        load(&self.lane, &self.next, self.owners, payload, || start.elapsed() < time).await?;
        let appends = (self.next.get() - before) as f64;
        self.rates.push(appends / start.elapsed().as_secs_f64());
        self.cpu_us.push((cpu_of(ClockId::ProcessCPUTime) - cpu).as_secs_f64() * 1e6 / appends);
        // What is left to do belongs to this side.
        env.sleep(Duration::from_millis(200)).await;
        Ok(())
    }
}

async fn rates(env: &LocalEnv, plan: &Plan) -> Result<(), Failure> {
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let mut one = Side::new(env, plan, 1, 1).await?;
    let mut many = Side::new(env, plan, 2, plan.owners).await?;
    for round in 0..=plan.rounds {
        one.round(env, plan.round, &payload).await?;
        many.round(env, plan.round, &payload).await?;
        if round == 0 {
            // New segments and first records.
            [&mut one, &mut many].into_iter().for_each(|side| {
                side.rates.clear();
                side.cpu_us.clear();
            });
        }
    }
    for side in [&mut one, &mut many] {
        let (rate, cpu) = (median(&mut side.rates), median(&mut side.cpu_us));
        let stats = side.lane.stats();
        println!(
            "append       {} owners: {rate:.0} appends/s, {cpu:.1} µs of processor each; {} groups, segments: {} retired, {} recycled, {} made, {} compactions of {}",
            side.owners,
            stats.groups,
            stats.retired_segments,
            stats.recycled_segments,
            stats.created_segments,
            stats.compactions,
            stats.compacted_segments
        );
    }
    let ratio = median(&mut many.rates) / median(&mut one.rates);
    let cpu = median(&mut many.cpu_us) / median(&mut one.cpu_us);
    println!(
        "ratio        {ratio:.2} of the appends, {cpu:.2} of the processor time, {} owners to one",
        many.owners
    );
    stalls(env, plan, &mut many, &payload).await?;
    one.lane.close().await;
    many.lane.close().await;
    Ok(())
}

/// How long the lane's tasks keep the thread from others, by the thread's own clock, which other processes do not disturb.
async fn stalls(env: &LocalEnv, plan: &Plan, side: &mut Side, payload: &Bytes) -> Result<(), Failure> {
    let (gaps, over) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(false)));
    let (found, ended, clock) = (Rc::clone(&gaps), Rc::clone(&over), env.clone());
    env.spawn(async move {
        let mut last = cpu_of(ClockId::ThreadCPUTime);
        while !ended.get() {
            clock.sleep(Duration::from_micros(1)).await;
            let now = cpu_of(ClockId::ThreadCPUTime);
            found.borrow_mut().push(now - last);
            last = now;
        }
    });
    side.round(env, plan.round * 2, payload).await?;
    over.set(true);
    env.sleep(Duration::from_millis(1)).await;
    let mut gaps = gaps.borrow_mut();
    gaps.sort_unstable();
    let at = |from_end: usize| millis(gaps.iter().rev().nth(from_end).copied().unwrap_or_default());
    println!(
        "turns        longest {:.2} ms, then {:.2}, 10th {:.2}, 100th {:.2} of {}",
        at(0),
        at(1),
        at(9),
        at(99),
        gaps.len()
    );
    Ok(())
}

async fn memory(env: &LocalEnv, plan: &Plan) -> Result<(), Failure> {
    let lane = open(env, plan, 3).await?;
    let before = anonymous_bytes()?;
    let start = Instant::now();
    (0..plan.owners).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
    println!(
        "adopted      {} owners in {:.1} ms, {}",
        plan.owners,
        millis(start.elapsed()),
        per_owner(plan, before)?
    );
    let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
    let next = Rc::new(Cell::new(0));
    load_records(&lane, &next, plan.owners, &payload, || next.get() < plan.owners * IDLE_ENTRIES).await?;
    env.sleep(Duration::from_secs(2)).await;
    let segments = lane.stats().segments_sealed + lane.stats().segments_unsealed;
    println!(
        "idle         {} records of each owner in {IDLE_ENTRIES} places, {segments} segments: {}",
        IDLE_ENTRIES * u64::from(IDLE_RECORDS),
        per_owner(plan, before)?
    );
    lane.close().await;
    drop(lane);
    let lane = reopen(env, plan).await?;
    lane.close().await;
    Ok(())
}

async fn reopen(env: &LocalEnv, plan: &Plan) -> Result<Lane<LocalEnv>, Failure> {
    let before = anonymous_bytes()?;
    let start = Instant::now();
    let lane = open(env, plan, 3).await?;
    let opened = start.elapsed();
    (0..plan.owners).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
    println!(
        "start        opened in {:.0} ms, owners adopted in {:.0} ms, {} more than after the close",
        millis(opened),
        millis(start.elapsed() - opened),
        per_owner(plan, before)?
    );
    Ok(lane)
}

async fn open(env: &LocalEnv, plan: &Plan, number: u32) -> Result<Lane<LocalEnv>, Failure> {
    let config = LaneConfig {
        segment_bytes: plan.segment_bytes,
        entry_bytes_max: 64 << 10,
        upkeep_interval: Duration::from_secs(1),
        ..LaneConfig::production(plan.directory.join(number.to_string()), LaneId(number))
    };
    Ok(Lane::open(env.clone(), config).await?.0)
}

async fn load(
    lane: &Lane<LocalEnv>,
    next: &Rc<Cell<u64>>,
    owners: u64,
    payload: &Bytes,
    go_on: impl Fn() -> bool,
) -> Result<(), Failure> {
    load_of(lane, next, owners, payload, 1, Ack::Durable, go_on).await
}

async fn load_records(
    lane: &Lane<LocalEnv>,
    next: &Rc<Cell<u64>>,
    owners: u64,
    payload: &Bytes,
    go_on: impl Fn() -> bool,
) -> Result<(), Failure> {
    load_of(lane, next, owners, payload, IDLE_RECORDS, Ack::Written, go_on).await
}

/// Keeps appends in flight, each to the next owner in turn.
async fn load_of(
    lane: &Lane<LocalEnv>,
    next: &Rc<Cell<u64>>,
    owners: u64,
    payload: &Bytes,
    records: u32,
    ack: Ack,
    go_on: impl Fn() -> bool,
) -> Result<(), Failure> {
    let appender = || async {
        while go_on() {
            let number = next.replace(next.get() + 1);
            // Neighbours in time are no neighbours in number.
            let owner = OwnerId(number.wrapping_mul(48_271) % owners);
            lane.append(owner, payload.clone(), records, ack).await?;
        }
        Ok::<_, Failure>(())
    };
    join_all((0..IN_FLIGHT).map(|_| appender())).await.into_iter().collect()
}

fn cpu_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory of the process that is no file's: what is mapped of segments is the page cache's.
fn anonymous_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}

fn per_owner(plan: &Plan, before: u64) -> Result<String, Failure> {
    let bytes = anonymous_bytes()? as i64 - before as i64;
    Ok(format!("{:.1} MB resident, {} bytes an owner", bytes as f64 / 1e6, bytes / plan.owners as i64))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
