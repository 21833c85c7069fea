//! Which streams a run has, how fast they are written and how long they keep their records, so that together they hold a constant amount.
//!
//! Three streams share every lane: one keeps its records for an age, one keeps so many bytes of each shard, and of the third one shard is bound by its bytes and
//! the other one by its age. A segment so holds records of four lives.

use std::time::Duration;

use super::FlowError;

/// The shortest age that a server takes.
pub(crate) const AGE: Duration = Duration::from_secs(60);

/// A stream of the run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamPlan {
    pub(crate) name: &'static str,
    pub(crate) age: Option<Duration>,
    /// Bytes that each shard keeps.
    pub(crate) bytes: Option<u64>,
    /// Bytes written to each shard in a second.
    pub(crate) rates: Vec<f64>,
}

/// Divides what is to be live and what is written in a second among the streams.
pub(crate) fn plan(live_bytes: u64, bytes_per_second: u64) -> Result<Vec<StreamPlan>, FlowError> {
    let (live, rate) = (live_bytes as f64, bytes_per_second as f64);
    let aged = live / 3.0 / AGE.as_secs_f64();
    let quiet = live / 24.0 / AGE.as_secs_f64();
    let rest = rate - aged - quiet;
    if rest < rate / 4.0 {
        let least = (aged + quiet) * 4.0 / 3.0;
        return Err(FlowError::Options(format!(
            "at this rate the streams that keep a minute would be nearly all of the flow: write {least:.0} bytes a second at least"
        )));
    }
    let eighth = live_bytes / 8;
    Ok(vec![
        StreamPlan { name: "aged", age: Some(AGE), bytes: None, rates: vec![aged / 2.0; 2] },
        StreamPlan { name: "sized", age: None, bytes: Some(eighth), rates: vec![rest * 0.6 / 4.0; 4] },
        StreamPlan { name: "both", age: Some(AGE), bytes: Some(eighth), rates: vec![rest * 0.4, quiet] },
    ])
}

#[cfg(test)]
mod tests;
