//! Long runs of what the tests run briefly: the storage simulator over many seeds, the fuzz targets for many
//! seconds.
//!
//! Both are ordinary tests that take their size from the environment, so a failing seed or input is repeated
//! by `cargo test` as well. Refuses a run in which no test would take part.

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use clap::Args;

use crate::process::{capture, cargo, run};

/// The packages that have fuzz targets, and the file where each lists them.
const FUZZ_LISTS: &[(&str, &str)] =
    &[("tidemill-wire", "client/wire/src/fuzz.rs"), ("tidemill-storage", "storage/src/fuzz.rs")];

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
/// A target failed, or there is none of the name given.
pub(crate) fn fuzz(root: &Path, arguments: &FuzzArguments) -> Result<(), String> {
    let mut chosen = Vec::new();
    let mut known = Vec::new();
    for (package, list) in FUZZ_LISTS {
        let text = fs::read_to_string(root.join(list)).map_err(|error| format!("{list}: {error}"))?;
        let targets = targets(&text);
        if arguments.target.as_ref().is_none_or(|target| targets.contains(target)) {
            chosen.extend(["--package", package]);
        }
        known.extend(targets);
    }
    if chosen.is_empty() {
        return Err(format!("no such fuzz target; there are: {}", known.join(", ")));
    }
    let test = [&["test", "--lib", "--tests"], chosen.as_slice(), &["fuzz_smoke"]].concat();
    let mut variables = vec![("TIDEMILL_FUZZ_SECONDS", arguments.seconds.to_string())];
    variables.extend(arguments.target.clone().map(|target| ("TIDEMILL_FUZZ_TARGET", target)));
    run_tests(root, &test, arguments.release, &variables)
}

/// The names in the list of targets, which this program reads rather than link every package that has
/// parsers.
fn targets(text: &str) -> Vec<String> {
    let list = text.split_once("TARGETS").map_or("", |(_, after)| after);
    let list = list.split_once("];").map_or("", |(list, _)| list);
    list.split("(\"").skip(1).filter_map(|entry| Some(entry.split_once('"')?.0.to_owned())).collect()
}

fn run_tests(root: &Path, test: &[&str], release: bool, variables: &[(&str, String)]) -> Result<(), String> {
    let command = |after: &str| {
        let mut command = cargo(root, test);
        command.args(release.then_some("--release")).args(["--", after]).envs(variables.iter().cloned());
        command
    };
    // A filter that matches nothing succeeds in cargo, which would make an empty run look like a clean one.
    if !capture(command("--list").stderr(Stdio::inherit()))?.lines().any(|line| line.ends_with(": test")) {
        return Err(format!("`cargo {}` selects no test", test.join(" ")));
    }
    run(&mut command("--nocapture"))
}
