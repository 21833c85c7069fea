//! Long runs of what the tests run briefly: the storage simulator over many seeds, the fuzz targets for many seconds.
//!
//! Both are ordinary tests that take their size from the environment, so a failing seed or input is repeated by
//! `cargo test` as well. Refuses a run in which no test would take part.

use std::path::Path;

use clap::Args;

use crate::process::{capture, cargo, run};

/// How many seeds, and where they start.
#[derive(Args)]
pub(crate) struct SimArguments {
    /// Number of seeds.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// First seed; a failing run prints the seed to give here.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Run with optimisation: slower to build, faster from some thousand seeds on.
    #[arg(long)]
    release: bool,
}

/// Which fuzz targets, and for how long.
#[derive(Args)]
pub(crate) struct FuzzArguments {
    /// One target; all of them without it.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Run with optimisation: slower to build, more inputs a second.
    #[arg(long)]
    release: bool,
}

/// Runs the simulator.
///
/// # Errors
/// A seed failed, or there is no simulator test.
pub(crate) fn simulate(root: &Path, arguments: &SimArguments) -> Result<(), String> {
    let test = ["test", "--package", "tidemill-storage", "--test", "it", "sim"];
    let variables = [
        ("TIDEMILL_SIM_SEEDS", arguments.seeds.to_string()),
        ("TIDEMILL_SIM_FROM", arguments.from.to_string()),
    ];
    run_tests(root, &test, arguments.release, &variables)
}

/// Runs the fuzz targets.
///
/// # Errors
/// A target failed, or there is no fuzz test.
pub(crate) fn fuzz(root: &Path, arguments: &FuzzArguments) -> Result<(), String> {
    let test = ["test", "--package", "tidemill-wire", "--package", "tidemill-storage", "fuzz_smoke"];
    let mut variables = vec![("TIDEMILL_FUZZ_SECONDS", arguments.seconds.to_string())];
    variables.extend(arguments.target.clone().map(|target| ("TIDEMILL_FUZZ_TARGET", target)));
    run_tests(root, &test, arguments.release, &variables)
}

fn run_tests(root: &Path, test: &[&str], release: bool, variables: &[(&str, String)]) -> Result<(), String> {
    let command = |after: &str| {
        let mut command = cargo(root, test);
        command.args(release.then_some("--release")).args(["--", after]).envs(variables.iter().cloned());
        command
    };
    // A filter that matches nothing succeeds in cargo, which would make an empty run look like a clean one.
    if !capture(&mut command("--list"))?.lines().any(|line| line.ends_with(": test")) {
        return Err(format!("`cargo {}` selects no test", test.join(" ")));
    }
    run(&mut command("--nocapture"))
}
