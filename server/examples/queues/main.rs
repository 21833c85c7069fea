//! What a queue costs under a backlog, and under receives that wait.
//!
//! `cargo run --release -p tidemill-server --example queues -- backlog DIRECTORY [MESSAGES [SECONDS]]`: a cycle sends a batch of ten, receives ten and deletes them; as many cycles
//! as a busy server has are under way, first with nothing waiting, then with MESSAGES.
//!
//! `cargo run --release -p tidemill-server --example queues -- waiters DIRECTORY [WAITERS]`: messages are sent one after the other, and each is received by the one that has waited
//! longest, which then waits anew. Connections are left out.
//!
//! `cargo run --release -p tidemill-server --example queues -- stream DIRECTORY [RECORDS [SHARDS]]`: RECORDS of a stream in SHARDS of a lane are received, ten at a time, and
//! acknowledged by a queue over it.
//!
//! One partition on one lane, everything durable.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

mod backlog;
mod fixture;
mod stream;
mod waiters;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tidemill_storage::local::LocalEnv;

use fixture::Failure;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(argument) => argument.parse(),
        None => Ok(default),
    };
    let directory = PathBuf::from(arguments.get(1).map_or(".", String::as_str)).join("queues");
    if fs::exists(&directory)? {
        fs::remove_dir_all(&directory)?;
    }
    let env = LocalEnv::new()?;
    match arguments.first().map(String::as_str) {
        Some("backlog") => {
            let (messages, time) = (number(2, 20_000_000)?, Duration::from_secs(number(3, 5)?));
            env.block_on(backlog::run(&env, &directory, messages, time))?;
        }
        Some("waiters") => env.block_on(waiters::run(&env, &directory, number(2, 50_000)?))?,
        Some("stream") => {
            let (records, shards) = (number(2, 1_000_000)?, u32::try_from(number(3, 1)?)?);
            env.block_on(stream::run(&env, &directory, records, shards))?;
        }
        other => return Err(format!("expected backlog, waiters or stream, found {other:?}").into()),
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}
