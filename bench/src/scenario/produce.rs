//! Appends: as many as the server takes, or as many as are offered.

use super::{Outcome, Scenario, ramp};
use crate::error::BenchError;
use crate::load::{Flow, Part, Target};
use crate::options::Options;
use crate::watch::Watch;
use crate::workload::check_batch;

pub(super) fn run(
    options: &Options,
    target: &mut Target,
    watch: &mut dyn Watch,
) -> Result<Outcome, BenchError> {
    if options.http.is_none() {
        check_batch(options, &target.welcome)?;
    }
    ramp::run(Scenario::Produce, options, target, watch, &mut |name, rate, target| {
        let mut part = Part::new(name, Flow::In, options);
        part.appenders(options, target, rate, false, false)?;
        Ok(part)
    })
}
