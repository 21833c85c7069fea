//! More than a stream's quota allows, in both directions: how close to it what is admitted comes.
//!
//! What is refused of the appends is dropped, so that the offer never falls; readers go round and round and wait in the server. The burst that a
//! bucket holds at the beginning has to be used up in the warm-up.

use super::{Outcome, Scenario, outcome};
use crate::error::BenchError;
use crate::load::{Flow, Part, Target};
use crate::options::{Options, Rate};
use crate::report::QuotaReport;
use crate::watch::Watch;
use crate::workload::check_batch;

pub(super) fn run(
    options: &Options,
    target: &mut Target,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    check_batch(options, &target.welcome)?;
    let stream = options.stream.to_string();
    let quota = target.stream.quota;
    for (rate, what) in
        [(quota.write_bytes_per_second, "bytes in"), (quota.read_bytes_per_second, "bytes out")]
    {
        if rate == 0 {
            return Err(BenchError::NoQuota { stream, what });
        }
    }
    let Some(Rate::Fixed(rate)) = options.rate else {
        return Err(BenchError::NoEffect { option: "quota", needs: "a rate of appends that is offered" });
    };
    let shards = target.open_shards()?;
    let options = &Options { connections: options.connections.max(shards.len() as u32), ..options.clone() };
    let mut part = Part::new("quota", Flow::In, options);
    part.fetchers(options, target, &shards, None, true)?;
    part.appenders(options, target, Some(rate), false, true)?;
    let found = part.run(options, target, watch)?;
    let mut outcome = outcome(Scenario::Quota, options, target, vec![found]);
    let part = &outcome.report.parts[0];
    let admitted = part.answered;
    let per_record = admitted.bytes as f64 / (admitted.records as f64).max(1.0);
    let by_records = match quota.write_records_per_second {
        0 => f64::INFINITY,
        records => records as f64 * per_record,
    };
    let count = shards.len() as f64;
    let delivered = part.delivered.unwrap_or_default();
    outcome.report.quota = vec![
        exactness(
            "in",
            admitted.bytes as f64 / part.seconds,
            count * by_records.min(quota.write_bytes_per_second as f64),
        ),
        exactness("out", delivered.bytes as f64 / part.seconds, count * quota.read_bytes_per_second as f64),
    ];
    Ok(outcome)
}

fn exactness(direction: &str, admitted_per_second: f64, allowed_per_second: f64) -> QuotaReport {
    QuotaReport {
        direction: direction.to_owned(),
        admitted_per_second,
        allowed_per_second,
        error_percent: (admitted_per_second / allowed_per_second - 1.0) * 100.0,
    }
}
