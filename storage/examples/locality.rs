//! How many bytes come from the disk for each byte of a shard that is replayed, before and after compaction has grouped the entries by owner.
//!
//! `cargo run --release -p tidemill-storage --example locality -- DIRECTORY [OWNERS] [MEBIBYTES] [ENTRY_BYTES]` fills a lane with the entries of so many
//! owners in turns, replays some owners with nothing of the files in the page cache, lets compaction group everything, and replays the same owners
//! again. Bytes from the disk are those that the kernel counts for this process, index included.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use tidemill_storage::{Env, Lane, LaneConfig, Retention, local::LocalEnv};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

const FETCH_BYTES: usize = 1 << 20;
/// Owners that are replayed.
const REPLAYED: u64 = 20;
/// Appends that are in flight while the lane is filled.
const IN_FLIGHT: usize = 4096;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned())).join("locality");
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (owners, mebibytes, entry_bytes) = (number(1000), number(1024), number(1024));
    let env = LocalEnv::new()?;
    let config = LaneConfig {
        compaction_bytes_per_second: 0,
        grouping_age: Duration::ZERO,
        upkeep_interval: Duration::from_millis(200),
        ..LaneConfig::production(directory.clone(), LaneId(0))
    };
    env.block_on(fill(&env, &config, owners, mebibytes << 20, entry_bytes as usize))?;
    println!("| log | segments | replayed MB | bytes from disk per byte | MB/s |");
    println!("|---|---|---|---|---|");
    replay("as appended", &env, &config, owners)?;
    let compacting = LaneConfig { compaction_bytes_per_second: 4 << 30, ..config.clone() };
    env.block_on(group(&env, &compacting, owners))?;
    replay("grouped", &env, &config, owners)?;
    std::fs::remove_dir_all(directory)
}

async fn open(env: &LocalEnv, config: &LaneConfig, owners: u64) -> io::Result<Lane<LocalEnv>> {
    let (lane, _) = Lane::open(env.clone(), config.clone()).await.map_err(io::Error::other)?;
    (1..=owners).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
    Ok(lane)
}

async fn fill(
    env: &LocalEnv,
    config: &LaneConfig,
    owners: u64,
    bytes: u64,
    entry_bytes: usize,
) -> io::Result<()> {
    let lane = open(env, config, owners).await?;
    let payload = Bytes::from(vec![7; entry_bytes]);
    let mut waiting = VecDeque::new();
    for number in 0..bytes / entry_bytes as u64 {
        waiting.push_back(lane.append(OwnerId(1 + number % owners), payload.clone(), 1, Ack::Written));
        while waiting.len() > IN_FLIGHT
            && let Some(first) = waiting.pop_front()
        {
            first.await.map_err(io::Error::other)?;
        }
    }
    for append in waiting {
        append.await.map_err(io::Error::other)?;
    }
    lane.close().await;
    Ok(())
}

/// Lets compaction work until it finds nothing more to group.
async fn group(env: &LocalEnv, config: &LaneConfig, owners: u64) -> io::Result<()> {
    let lane = open(env, config, owners).await?;
    let (mut done, mut idle) = (0, Instant::now());
    while idle.elapsed() < Duration::from_secs(5) {
        env.sleep(Duration::from_millis(200)).await;
        let stats = lane.stats();
        if stats.compacted_segments + stats.rewritten_bytes != done {
            (done, idle) = (stats.compacted_segments + stats.rewritten_bytes, Instant::now());
        }
    }
    lane.close().await;
    Ok(())
}

fn replay(name: &str, env: &LocalEnv, config: &LaneConfig, owners: u64) -> io::Result<()> {
    evict(&config.directory)?;
    let lane = env.block_on(open(env, config, owners))?;
    let (start, from_disk) = (Instant::now(), read_bytes()?);
    let delivered: usize = env.block_on(async {
        let mut delivered = 0;
        for number in 0..REPLAYED.min(owners) {
            // Spread over all, so that none is another's neighbour.
            let owner = OwnerId(1 + number * owners / REPLAYED.min(owners));
            let end = lane.bounds(owner).map_err(io::Error::other)?.next;
            let mut at = SequenceNumber(0);
            while at < end {
                let fetched = lane.fetch(owner, at, FETCH_BYTES).await.map_err(io::Error::other)?;
                at = fetched.next;
                delivered += fetched.bytes;
            }
        }
        Ok::<usize, io::Error>(delivered)
    })?;
    let megabytes = delivered as f64 / 1e6;
    println!(
        "| {name} | {} | {megabytes:.1} | {:.2} | {:.0} |",
        lane.stats().segments_sealed,
        (read_bytes()? - from_disk) as f64 / delivered as f64,
        megabytes / start.elapsed().as_secs_f64(),
    );
    env.block_on(lane.close());
    Ok(())
}

/// Drops what is on the disk and not mapped from the page cache.
fn evict(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Bytes that this process has had read from disks.
fn read_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|number| number.parse().ok()).ok_or(io::ErrorKind::InvalidData.into())
}
