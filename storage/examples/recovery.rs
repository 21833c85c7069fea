//! How long a lane takes from a killed process to its first append, for little data and for much.
//!
//! `cargo run --release -p tidemill-storage --example recovery -- DIRECTORY [GIBIBYTES …]` fills a lane for each number of gibibytes (1 and 10 unless
//! told), kills the process that wrote it, and opens it again and again in processes that are killed after one durable append: with the files in the page
//! cache, and with what it holds of them dropped. The log ends at the same place of its last segment each time. Prints medians and ranges.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use tidemill_storage::{Env, Lane, LaneConfig, Retention, local::LocalEnv};
use tidemill_wire::{LaneId, OwnerId, message::Ack};

const OWNER: OwnerId = OwnerId(1);
const ENTRY_BYTES: usize = 256 << 10;
/// Entries in the segment that is not full when the process is killed.
const TAIL_ENTRIES: usize = 256;
const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = PathBuf::from(arguments.first().map_or(".", String::as_str)).join("recovery");
    match arguments.get(1).map(String::as_str) {
        Some("fill") => fill(&directory, arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(1)),
        Some("open") => open(&directory),
        _ => compare(&directory, &arguments),
    }
}

fn compare(directory: &Path, arguments: &[String]) -> io::Result<()> {
    let mut sizes: Vec<u64> = arguments.iter().skip(1).filter_map(|text| text.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1, 10];
    }
    println!("| data | page cache | segments | recovery ms (range) | first append ms (range) |");
    println!("|---|---|---|---|---|");
    for size in sizes {
        // Whatever is left of a run that was stopped.
        drop(std::fs::remove_dir_all(directory));
        run_killed(directory, &["fill", &size.to_string()])?;
        for cold in [false, true] {
            let (mut recoveries, mut appends, mut segments) = (Vec::new(), Vec::new(), 0.0);
            for _ in 0..ROUNDS {
                settle(directory, cold)?;
                let line = run_killed(directory, &["open"])?;
                let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
                let &[count, recovery, append] = numbers.as_slice() else {
                    return Err(io::Error::other(format!("the process that opens the lane says {line:?}")));
                };
                segments = count;
                recoveries.push(recovery);
                appends.push(append);
            }
            let cache = if cold { "dropped" } else { "warm" };
            println!("| {size} GiB | {cache} | {segments} | {} | {} |", show(recoveries), show(appends));
        }
    }
    std::fs::remove_dir_all(directory)
}

/// Runs this program in a process of its own and kills it when it has said a line.
fn run_killed(directory: &Path, arguments: &[&str]) -> io::Result<String> {
    let parent = directory.parent().unwrap_or(Path::new("."));
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg(parent).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    child.kill()?;
    child.wait()?;
    Ok(line.trim().to_owned())
}

/// Lets the disk come to rest, and drops the files from the page cache if asked to.
fn settle(directory: &Path, cold: bool) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        if cold {
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn fill(directory: &Path, gibibytes: u64) -> io::Result<()> {
    let env = LocalEnv::new()?;
    let config = LaneConfig::production(directory.to_owned(), LaneId(0));
    let full = (gibibytes << 30) / config.segment_bytes;
    env.block_on(async {
        let (lane, _) = Lane::open(env.clone(), config).await.map_err(io::Error::other)?;
        lane.adopt(OWNER, Retention::FOREVER);
        let payload = Bytes::from(vec![7; ENTRY_BYTES]);
        let mut waiting = VecDeque::new();
        let mut tail = 0;
        while tail < TAIL_ENTRIES {
            let stats = lane.stats();
            // The segment after the last full one was begun.
            tail += usize::from(stats.segments_sealed + stats.segments_unsealed > full);
            waiting.push_back(lane.append(OWNER, payload.clone(), 1, Ack::Written));
            while waiting.len() > 16
                && let Some(first) = waiting.pop_front()
            {
                first.await.map_err(io::Error::other)?;
            }
        }
        for append in waiting {
            append.await.map_err(io::Error::other)?;
        }
        while lane.stats().segments_unsealed > 1 {
            env.sleep(Duration::from_millis(10)).await;
        }
        lane.append(OWNER, payload, 1, Ack::Durable).await.map_err(io::Error::other)?;
        say("filled")?;
        env.sleep(Duration::from_secs(3600)).await;
        Ok(())
    })
}

fn open(directory: &Path) -> io::Result<()> {
    let env = LocalEnv::new()?;
    let config = LaneConfig::production(directory.to_owned(), LaneId(0));
    env.block_on(async {
        let start = Instant::now();
        let (lane, report) = Lane::open(env.clone(), config).await.map_err(io::Error::other)?;
        let recovered = start.elapsed();
        lane.adopt(OWNER, Retention::FOREVER);
        let payload = Bytes::from(vec![7; 1024]);
        lane.append(OWNER, payload, 1, Ack::Durable).await.map_err(io::Error::other)?;
        let segments = report.segments_sealed + report.segments_scanned;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        say(&format!("{segments} {:.1} {:.1}", milliseconds(recovered), milliseconds(start.elapsed())))?;
        env.sleep(Duration::from_secs(3600)).await;
        Ok(())
    })
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

fn show(mut times: Vec<f64>) -> String {
    times.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    format!("{:.0} ({:.0}–{:.0})", at(times.len() / 2), at(0), at(times.len().saturating_sub(1)))
}
