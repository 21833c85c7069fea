//! What a replay of data that is on the disk only does to the appends of the same core.
//!
//! `cargo run --release -p tidemill-storage --example cold_replay -- DIRECTORY [GIGABYTES] [SECONDS] [READERS]` fills a lane, drops it from the page
//! cache, waits for the spare segment, and then has phases of so many seconds in turns: durable appends alone, and the same beside readers that replay as fast as they can, all on
//! one core. Prints a row per phase and the ratio of the append latencies. Appends come in at a fixed rate and are timed from when they were due.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::{
    fs::{Advice, fadvise},
    thread::{CpuSet, sched_setaffinity},
};
use tidemill_storage::{Env, Lane, LaneConfig, Retention, local::LocalEnv};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

const REPLAYED: OwnerId = OwnerId(1);
const APPENDED: OwnerId = OwnerId(2);
const FILL_ENTRY_BYTES: usize = 256 << 10;
const APPEND_BYTES: usize = 4 << 10;
const APPENDS_PER_SECOND: u32 = 1000;
const FETCH_BYTES: usize = 1 << 20;
/// A segment takes the appends of all phases: a roll makes the next spare, which would fall upon one phase or another.
const SEGMENT_BYTES: u64 = 512 << 20;
/// Turns of a phase without and a phase with a replay: short and many, so that what else the machine does falls upon both.
const TURNS: usize = 40;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned())).join("cold_replay");
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (gigabytes, seconds, readers) = (number(4), number(1), number(2));
    let mut cpus = CpuSet::new();
    cpus.set(0);
    sched_setaffinity(None, &cpus)?;
    let env = LocalEnv::new()?;
    let config =
        LaneConfig { segment_bytes: SEGMENT_BYTES, ..LaneConfig::production(directory.clone(), LaneId(0)) };
    env.block_on(fill(&env, &config, gigabytes << 30));
    evict(&directory)?;
    let bench = env.block_on(Bench::open(&env, config));
    println!("| phase | appends | p50 ms | p99 ms | max ms | replayed MB/s | bytes from disk per byte |");
    println!("|---|---|---|---|---|---|---|");
    // What the filling left to the disk is not measured.
    rustix::fs::sync();
    bench.phase("warm-up", Duration::from_secs(seconds), readers)?;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut without = bench.phase("appends alone", Duration::from_secs(seconds), 0)?;
        evict(&directory)?;
        let mut with = bench.phase("beside a cold replay", Duration::from_secs(seconds), readers)?;
        ratios.push(percentile(&mut with, 0.99) / percentile(&mut without, 0.99));
        alone.append(&mut without);
        beside.append(&mut with);
    }
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let (alone, beside) = (percentile(&mut alone, part), percentile(&mut beside, part));
        println!(
            "{name}: {alone:.3} ms alone, {beside:.3} ms beside the replay, ratio {:.2}",
            beside / alone
        );
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!("ratio of the p99 within a turn, from the least to the most: {ratios:.2?}");
    env.block_on(bench.lane.close());
    drop(bench);
    env.stop();
    std::fs::remove_dir_all(directory)
}

async fn fill(env: &LocalEnv, config: &LaneConfig, bytes: u64) {
    let (lane, _) = Lane::open(env.clone(), config.clone()).await.expect("opened");
    lane.adopt(REPLAYED, Retention::FOREVER);
    let mut payload = vec![0; FILL_ENTRY_BYTES];
    for chunk in payload.chunks_exact_mut(8) {
        chunk.copy_from_slice(&env.random_u64().to_le_bytes());
    }
    let payload = Bytes::from(payload);
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..bytes / FILL_ENTRY_BYTES as u64 {
        waiting.push_back(lane.append(REPLAYED, payload.clone(), 1, Ack::Written));
        if waiting.len() > 32
            && let Some(first) = waiting.pop_front()
        {
            first.await.expect("appended");
        }
    }
    for append in waiting {
        append.await.expect("appended");
    }
    // What is measured begins at the beginning of a segment, and of one that was filled with zeroes to its end as those of a lane that keeps up are: a lane
    // that has to wait for its next segment takes it half filled, and then each append changes the file's extents on the disk too.
    while lane.stats().segments_spare == 0 {
        env.sleep(Duration::from_millis(10)).await;
    }
    let begun = lane.stats().segments_unsealed + lane.stats().segments_sealed;
    while lane.stats().segments_unsealed + lane.stats().segments_sealed == begun {
        lane.append(REPLAYED, payload.clone(), 1, Ack::Written).await.expect("appended");
    }
    lane.close().await;
}

/// Drops the full segments from the page cache. The last one and the spare stay, as they do where they are written: an append into a page that is on the
/// disk only would have to read it.
fn evict(directory: &Path) -> io::Result<()> {
    let entries = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort_unstable();
    for path in paths.iter().rev().skip(2) {
        fadvise(&File::open(path)?, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

struct Bench {
    env: LocalEnv,
    lane: Lane<LocalEnv>,
    /// Where the next reader begins.
    next: Rc<Cell<u64>>,
    end: u64,
}

impl Bench {
    async fn open(env: &LocalEnv, config: LaneConfig) -> Self {
        let (lane, _) = Lane::open(env.clone(), config).await.expect("opened");
        lane.adopt(REPLAYED, Retention::FOREVER);
        lane.adopt(APPENDED, Retention::FOREVER);
        while lane.stats().segments_spare == 0 {
            env.sleep(Duration::from_millis(10)).await;
        }
        let end = lane.bounds(REPLAYED).expect("adopted").next.0;
        Self { env: env.clone(), lane, next: Rc::new(Cell::new(0)), end }
    }

    /// Appends for `time` beside so many readers. Returns the latencies of the appends.
    fn phase(&self, name: &str, time: Duration, readers: u64) -> io::Result<Vec<Duration>> {
        let (stop, delivered) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0_u64)));
        let from_disk = read_bytes()?;
        let start = Instant::now();
        for _ in 0..readers {
            self.env.spawn(replay(
                self.lane.clone(),
                Rc::clone(&self.next),
                self.end,
                Rc::clone(&stop),
                Rc::clone(&delivered),
            ));
        }
        let mut latencies = self.env.block_on(self.append(time));
        let elapsed = start.elapsed().as_secs_f64();
        stop.set(true);
        let bytes = delivered.get();
        let from_disk = (read_bytes()? - from_disk) as f64 / bytes.max(1) as f64;
        self.env.block_on(self.env.sleep(Duration::from_millis(200)));
        let at = |latencies: &mut Vec<Duration>, part| percentile(latencies, part);
        println!(
            "| {name} | {} | {:.3} | {:.3} | {:.3} | {:.0} | {:.2} |",
            latencies.len(),
            at(&mut latencies, 0.5),
            at(&mut latencies, 0.99),
            at(&mut latencies, 1.0),
            bytes as f64 / 1e6 / elapsed,
            if bytes == 0 { 0.0 } else { from_disk },
        );
        Ok(latencies)
    }

    async fn append(&self, time: Duration) -> Vec<Duration> {
        let payload = Bytes::from(vec![7; APPEND_BYTES]);
        let (start, latencies) = (Instant::now(), Rc::new(RefCell::new(Vec::new())));
        let count = time.as_secs() as u32 * APPENDS_PER_SECOND;
        for number in 0..count {
            let due = start + Duration::from_secs(1) / APPENDS_PER_SECOND * number;
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                self.env.sleep(wait).await;
            }
            let append = self.lane.append(APPENDED, payload.clone(), 1, Ack::Durable);
            let latencies = Rc::clone(&latencies);
            self.env.spawn(async move {
                append.await.expect("appended");
                latencies.borrow_mut().push(due.elapsed());
            });
        }
        while latencies.borrow().len() < count as usize {
            self.env.sleep(Duration::from_millis(1)).await;
        }
        latencies.take()
    }
}

/// Reads one stretch after the other that nobody has read, from the beginning again at the end.
async fn replay(
    lane: Lane<LocalEnv>,
    next: Rc<Cell<u64>>,
    end: u64,
    stop: Rc<Cell<bool>>,
    delivered: Rc<Cell<u64>>,
) {
    const STRETCH: u64 = 256;
    while !stop.get() {
        let (mut at, until) = (next.get(), (next.get() + STRETCH).min(end));
        next.set(if until == end { 0 } else { until });
        while at < until && !stop.get() {
            let fetched = lane.fetch(REPLAYED, SequenceNumber(at), FETCH_BYTES).await.expect("fetched");
            at = fetched.next.0;
            delivered.set(delivered.get() + fetched.bytes as u64);
        }
    }
}

/// Bytes that this process has had read from disks.
fn read_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|number| number.parse().ok()).ok_or(io::ErrorKind::InvalidData.into())
}

/// In milliseconds.
fn percentile(latencies: &mut [Duration], part: f64) -> f64 {
    latencies.sort_unstable();
    let index = (latencies.len().saturating_sub(1) as f64 * part) as usize;
    latencies.get(index).map_or(0.0, Duration::as_secs_f64) * 1e3
}
