//! Appends what is missing of the bytes that a reader wants to find.

use std::time::Duration;

use crate::error::BenchError;
use crate::load::{Flow, Part, PartEnd, Target};
use crate::options::{Keys, Options};
use crate::watch::Watch;
use crate::workload::check_batch;

/// Appends of a connection in flight, where the load itself has another protocol.
const IN_FLIGHT: u32 = 8;
/// Connections that send messages at least: one at a time waits for the disk each time.
const SENDERS_MIN: u32 = 16;

pub(super) fn run(options: &Options, target: &mut Target, watch: &mut dyn Watch) -> Result<(), BenchError> {
    let held: u64 = target.stream.shards.iter().map(|shard| shard.bytes).sum();
    let missing = options.fill_bytes.saturating_sub(held);
    if missing == 0 {
        return Ok(());
    }
    if target.queue.is_some() {
        return send(missing, options, target, watch);
    }
    let kept = target.stream.retention_bytes.saturating_mul(target.stream.shards.len() as u64);
    if kept > 0 && options.fill_bytes > kept {
        return Err(BenchError::Option { option: "fill", value: options.fill_bytes, min: 0, max: kept });
    }
    // Every shard gets its part, whatever the connections that read.
    let connections = options.connections.max(u32::try_from(target.open_shards()?.len()).unwrap_or(1));
    let (in_flight, http) = match &options.http {
        // The way in says nothing about the way out.
        Some(_) => (IN_FLIGHT, None),
        None => (options.in_flight, None),
    };
    let options = Options { connections, keys: Keys::PerShard, in_flight, http, ..options.clone() };
    check_batch(&options, &target.welcome)?;
    watch.note(&format!("appending {missing} bytes to read"));
    let mut part = Part::new("fill", Flow::In, &options);
    (part.warm_up, part.end) = (Duration::ZERO, PartEnd::Bytes(missing));
    part.appenders(&options, target, None, false, false)?;
    part.run(&options, target, watch)?;
    target.stream = target.describe(&options)?;
    Ok(())
}

/// Sends messages of so many bytes.
fn send(bytes: u64, options: &Options, target: &Target, watch: &mut dyn Watch) -> Result<(), BenchError> {
    watch.note(&format!("sending messages of {bytes} bytes to receive"));
    let options = Options { connections: options.connections.max(SENDERS_MIN), ..options.clone() };
    let mut part = Part::new("fill", Flow::In, &options);
    (part.warm_up, part.end) = (Duration::ZERO, PartEnd::Bytes(bytes));
    part.appenders(&options, target, None, false, false)?;
    part.run(&options, target, watch).map(drop)
}
