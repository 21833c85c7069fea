//! How fast an append becomes durable: a copy into a writable map and a flush, or one gathered write.
//!
//! `cargo run --release -p tidemill-storage --example append_paths -- DIRECTORY [SECONDS]`. Prints the rows of the table in
//! `docs/decisions/0001-how-bytes-reach-a-segment.md`. The file is written once with zeroes first, as segments are.
#![allow(unsafe_code, reason = "the way that was not taken needs a writable map")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tidemill_storage::{
    Disk, Env, File as _,
    env::{Access, WriteMode},
    local::LocalEnv,
};

const FILE_BYTES: usize = 256 << 20;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let env = LocalEnv::new()?;
    let (map_path, write_path) = (directory.join("append_paths.map"), directory.join("append_paths.write"));
    let mapped = zeroed(&map_path)?;
    drop(zeroed(&write_path)?);
    let written =
        env.block_on(env.disk().open(write_path.clone(), Access::Write)).map_err(io::Error::other)?;
    // SAFETY: the file is this program's own, and nobody shrinks it.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&mapped) }?;
    println!("| bytes | copy into the map, fdatasync: p50 / p99 | gathered write, RWF_DSYNC: p50 / p99 |");
    println!("|---|---|---|");
    for bytes in [4 << 10, 64 << 10, 1 << 20] {
        let payload = Bytes::from(vec![7; bytes]);
        let (start, mut position) = (Instant::now(), 0);
        let (mut map_times, mut write_times) = (Vec::new(), Vec::new());
        // One after the other, so that whatever else the machine does meets both.
        while start.elapsed() < Duration::from_secs(seconds) {
            map_times.push(timed(|| {
                map[position..position + bytes].copy_from_slice(&payload);
                Ok(rustix::fs::fdatasync(mapped.as_fd())?)
            })?);
            write_times.push(timed(|| {
                let buffers = vec![payload.slice(..64), payload.slice(64..)];
                let write = written.write(position as u64, buffers, WriteMode::Durable);
                env.block_on(write).map_err(io::Error::other)
            })?);
            position = (position + bytes) % (FILE_BYTES - bytes);
        }
        println!("| {bytes} | {} | {} |", percentiles(&mut map_times), percentiles(&mut write_times));
    }
    std::fs::remove_file(map_path)?;
    std::fs::remove_file(write_path)
}

fn zeroed(path: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&[0; 1 << 20])?;
    }
    file.sync_all()?;
    Ok(file)
}

fn timed(append: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let start = Instant::now();
    append()?;
    Ok(start.elapsed())
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    format!("{:.2} / {:.2} ms", at(0.5), at(0.99))
}
