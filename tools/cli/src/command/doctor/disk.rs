//! The data directory: is it there, on what file system, with how much room, and how long a durable write takes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemill_server::config::Config;
use tidemill_storage::env::WriteMode;
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Disk, DiskError, Env, File};

use super::finding::Finding;
use crate::latency::Latencies;
use crate::quantity::{show_bytes, show_span};

const PROBE_BYTES: u64 = 1 << 20;
const PROBE_WRITE_BYTES: u64 = 4 << 10;
const PROBE_WRITES: u64 = 100;
/// A slow disk must not keep the doctor.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);
/// Beyond this a person notices every acknowledgement.
const SLOW_FLUSH: Duration = Duration::from_millis(20);
/// A flush that takes less did not reach a disk.
const IMPLAUSIBLE_FLUSH: Duration = Duration::from_micros(10);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let wanted = &config.data.directory;
    let directory = match nearest_present(wanted) {
        Ok(directory) => directory,
        Err(error) => {
            return vec![Finding::fail(
                "data directory",
                format!("{}: {error}", wanted.display()),
                ACCESS_ADVICE,
            )];
        }
    };
    let mut findings = vec![access(wanted, &directory)];
    findings.extend(file_system(&directory));
    findings.extend(room(config, &directory));
    findings.push(flush(&directory));
    findings
}

const ACCESS_ADVICE: &str = "choose another with --data, or let this user write to it";

/// The directory, or the nearest above it that is there.
fn nearest_present(directory: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(directory)?;
    let present = absolute.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    Ok(present.to_owned())
}

fn access(wanted: &Path, present: &Path) -> Finding {
    let shown = wanted.display();
    if !present.is_dir() {
        return Finding::fail(
            "data directory",
            format!("{} is not a directory", present.display()),
            "choose another with --data",
        );
    }
    if let Err(error) =
        rustix::fs::access(present, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
    {
        return Finding::fail("data directory", format!("{}: {error}", present.display()), ACCESS_ADVICE);
    }
    let state = if wanted.exists() { "is there" } else { "will be made" };
    Finding::ok("data directory", format!("{shown} {state} and can be written"))
}

fn file_system(directory: &Path) -> Option<Finding> {
    // The longest mount point that the path begins with is the one that holds it.
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    let (_, kind) =
        mounts.filter(|(point, _)| directory.starts_with(point)).max_by_key(|(point, _)| point.len())?;
    let advice = match kind.as_str() {
        "tmpfs" | "ramfs" => "it is memory: everything is gone when the machine stops",
        "nfs" | "nfs4" | "cifs" | "fuse" | "9p" => {
            "a remote file system makes flushes slow and locks unsure; use a local disk"
        }
        "btrfs" | "zfs" => {
            "it copies on write, so room that was allocated can still run out, and every flush costs more; ext4 or XFS is better"
        }
        "overlay" => "it is a container's own layer: it goes with the container, so mount a volume",
        _ => return Some(Finding::ok("file system", kind)),
    };
    Some(Finding::warn("file system", kind, advice))
}

fn room(config: &Config, directory: &Path) -> Option<Finding> {
    let status = rustix::fs::statvfs(directory).ok()?;
    let free = status.f_bavail.saturating_mul(status.f_frsize);
    let whole = status.f_blocks.saturating_mul(status.f_frsize);
    let lanes = config
        .data
        .lanes
        .map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64), u64::from);
    // Each lane begins with the segment that it fills and the one that comes next.
    let needed = lanes * config.storage.segment_size * 2;
    let found = format!("{} of {} free", show_bytes(free), show_bytes(whole));
    if free < needed {
        let advice = format!(
            "{lanes} lanes begin with {}: free some, or lower storage.segment_size",
            show_bytes(needed)
        );
        return Some(Finding::fail("free space", found, advice));
    }
    if free < whole / 10 {
        return Some(Finding::warn(
            "free space",
            found,
            "appends are refused when it runs out; shorten the retention or add room",
        ));
    }
    Some(Finding::ok("free space", found))
}

fn flush(directory: &Path) -> Finding {
    const WHAT: &str = "durable write";
    let measured = LocalEnv::new().map_err(|error| error.to_string()).and_then(|env| {
        let path = directory.join(format!(".tidemill-doctor-{}", std::process::id()));
        env.block_on(time_writes(&env, path)).map_err(|error| crate::failure::chain(&error))
    });
    let percentiles = match measured.map(|latencies| latencies.percentiles()) {
        Ok(Some(percentiles)) => percentiles,
        Ok(None) => return Finding::warn(WHAT, "not measured", "the disk is very slow"),
        Err(reason) => {
            return Finding::fail(WHAT, reason, "the server writes like this: choose another data directory");
        }
    };
    let found = format!("4 KiB: {} ({} writes)", percentiles.text(), percentiles.samples);
    let typical = Duration::from_micros(percentiles.p50_us);
    if typical > SLOW_FLUSH {
        let advice = format!(
            "each durable acknowledgement waits {} or more: use an SSD, or `--ack written`",
            show_span(typical)
        );
        return Finding::warn(WHAT, found, advice);
    }
    if typical < IMPLAUSIBLE_FLUSH {
        return Finding::warn(
            WHAT,
            found,
            "this is too fast for a disk: a power cut may lose what was acknowledged",
        );
    }
    Finding::ok(WHAT, found)
}

/// Times durable writes as the server makes them: into a file that was written before.
async fn time_writes(env: &LocalEnv, path: PathBuf) -> Result<Latencies, DiskError> {
    let file = env.disk().create(path.clone(), PROBE_BYTES).await?;
    let written = write_all(&file).await;
    env.disk().remove(path).await?;
    written
}

async fn write_all(file: &impl File) -> Result<Latencies, DiskError> {
    let latencies = Latencies::default();
    let zeroes = |bytes: u64| vec![Bytes::from(vec![0; usize::try_from(bytes).unwrap_or(0)])];
    file.write(0, zeroes(PROBE_BYTES), WriteMode::Durable).await?;
    let started = Instant::now();
    for index in 0..PROBE_WRITES {
        let position = index * PROBE_WRITE_BYTES % PROBE_BYTES;
        let before = Instant::now();
        file.write(position, zeroes(PROBE_WRITE_BYTES), WriteMode::Durable).await?;
        latencies.add(before.elapsed());
        if started.elapsed() > PROBE_TIME_MAX {
            break;
        }
    }
    Ok(latencies)
}
