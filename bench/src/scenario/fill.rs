//! Appends what is missing of the bytes that a reader wants to find.

use std::time::Duration;

use crate::error::BenchError;
use crate::load::{Flow, Part, PartEnd, Target};
use crate::options::{Keys, Options};
use crate::watch::Watch;
use crate::workload::check_batch;

pub(super) fn run(options: &Options, target: &mut Target, watch: &mut dyn Watch) -> Result<(), BenchError> {
    let held: u64 = target.stream.shards.iter().map(|shard| shard.bytes).sum();
    let missing = options.fill_bytes.saturating_sub(held);
    if missing == 0 {
        return Ok(());
    }
    let kept = target.stream.retention_bytes.saturating_mul(target.stream.shards.len() as u64);
    if kept > 0 && options.fill_bytes > kept {
        return Err(BenchError::Option { option: "fill", value: options.fill_bytes, min: 0, max: kept });
    }
    // Every shard gets its part, whatever the connections that read.
    let connections = options.connections.max(u32::try_from(target.open_shards()?.len()).unwrap_or(1));
    let options = Options { connections, keys: Keys::PerShard, ..options.clone() };
    check_batch(&options, &target.welcome)?;
    watch.note(&format!("appending {missing} bytes to read"));
    let mut part = Part::new("fill", Flow::In, &options);
    (part.warm_up, part.end) = (Duration::ZERO, PartEnd::Bytes(missing));
    part.appenders(&options, target, None, false, false)?;
    part.run(&options, target, watch)?;
    target.stream = target.describe(&options)?;
    Ok(())
}
