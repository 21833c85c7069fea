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
    path::PathBuf,
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
    let path = directory.join("append_paths.tmp");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&[0; 1 << 20])?;
    }
    file.sync_all()?;
    println!("| bytes | copy into the map, fdatasync: p50 / p99 | gathered write, RWF_DSYNC: p50 / p99 |");
    println!("|---|---|---|");
    for bytes in [4 << 10, 64 << 10, 1 << 20] {
        let limit = Duration::from_secs(seconds);
        let mapped = map_and_flush(&file, bytes, limit)?;
        let written = gathered_write(&path, bytes, limit)?;
        println!("| {bytes} | {mapped} | {written} |");
    }
    std::fs::remove_file(path)
}

fn map_and_flush(file: &File, bytes: usize, limit: Duration) -> io::Result<String> {
    // SAFETY: the file is this program's own, and nobody shrinks it.
    let mut map = unsafe { memmap2::MmapMut::map_mut(file) }?;
    let payload = vec![7; bytes];
    measure(bytes, limit, |position| {
        map[position..position + bytes].copy_from_slice(&payload);
        Ok(rustix::fs::fdatasync(file.as_fd())?)
    })
}

fn gathered_write(path: &std::path::Path, bytes: usize, limit: Duration) -> io::Result<String> {
    let env = LocalEnv::new()?;
    let opened = env.block_on(env.disk().open(path.to_owned(), Access::Write));
    let file = opened.map_err(io::Error::other)?;
    let payload = Bytes::from(vec![9; bytes]);
    measure(bytes, limit, |position| {
        let buffers = vec![payload.slice(..64), payload.slice(64..)];
        env.block_on(file.write(position as u64, buffers, WriteMode::Durable)).map_err(io::Error::other)
    })
}

fn measure(
    bytes: usize,
    limit: Duration,
    mut append: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<String> {
    let (start, mut times, mut position) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < limit {
        let begun = Instant::now();
        append(position)?;
        times.push(begun.elapsed());
        position = (position + bytes) % (FILE_BYTES - bytes);
    }
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    Ok(format!("{:.2} / {:.2} ms", at(0.5), at(0.99)))
}
