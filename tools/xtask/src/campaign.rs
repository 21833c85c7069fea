//! Long runs of what the tests run briefly: the storage simulator over many seeds, the fuzz targets for many
//! seconds.
//!
//! Both are ordinary tests that take their size from the environment, so a failing seed or input is repeated
//! by `cargo test` as well. Refuses a run in which no test would take part.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::{fmt, fs};

use clap::Args;

use crate::process::{capture, cargo, relay};

/// The packages that have fuzz targets, and the file where each lists them.
const FUZZ_LISTS: &[(&str, &str)] = &[
    ("tidemill-wire", "client/wire/src/fuzz.rs"),
    ("tidemill-storage", "storage/src/fuzz.rs"),
    ("tidemill-server", "server/src/protocol/aws/fuzz.rs"),
    ("tidemill-server", "server/src/service/catalog/fuzz.rs"),
    ("tidemill-server", "server/src/service/queue/fuzz.rs"),
];

/// How many seeds, and where they start.
#[derive(Args)]
pub(crate) struct SimArguments {
    /// Number of seeds.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// First seed.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// One seed alone; a failing run prints it.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Only scenarios whose test has this in its name.
    #[arg(long, value_name = "PART", default_value = "simulate")]
    only: String,
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

/// Runs the simulator: each scenario with so many seeds. Prints how often each fault was injected and each situation reached, over all of them.
///
/// # Errors
/// A seed failed, or there is no simulator test.
pub(crate) fn simulate(root: &Path, arguments: &SimArguments) -> Result<(), String> {
    let test = ["test", "--package", "tidemill-storage", "--test", "it", &arguments.only];
    let variables = match arguments.seed {
        Some(seed) => vec![("TIDEMILL_SIM_SEED", seed.to_string())],
        None => vec![
            ("TIDEMILL_SIM_SEEDS", arguments.seeds.to_string()),
            ("TIDEMILL_SIM_FROM", arguments.from.to_string()),
        ],
    };
    let mut counts = Counts::default();
    let outcome = run_tests(root, &test, arguments.release, &variables, |line| counts.take(line));
    print!("{counts}");
    outcome
}

/// How often something happened, by name, over all tests of a run.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Takes in a line of a test. Returns whether it was a count.
    fn take(&mut self, line: &str) -> bool {
        let count = line.strip_prefix("sim-count ").and_then(|rest| rest.split_once(' '));
        let Some((Ok(count), name)) = count.map(|(count, name)| (count.parse::<u64>(), name)) else {
            return false;
        };
        *self.0.entry(name.to_owned()).or_default() += count;
        true
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{count:>12} {name}"))
    }
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
    run_tests(root, &test, arguments.release, &variables, |_| false)
}

/// The names in the list of targets, which this program reads rather than link every package that has
/// parsers.
fn targets(text: &str) -> Vec<String> {
    let list = text.split_once("TARGETS").map_or("", |(_, after)| after);
    let list = list.split_once("];").map_or("", |(list, _)| list);
    list.split("(\"").skip(1).filter_map(|entry| Some(entry.split_once('"')?.0.to_owned())).collect()
}

/// Runs tests and passes on what they write, but for the lines that `take` takes.
fn run_tests(
    root: &Path,
    test: &[&str],
    release: bool,
    variables: &[(&str, String)],
    take: impl FnMut(&str) -> bool,
) -> Result<(), String> {
    let command = |after: &str| {
        let mut command = cargo(root, test);
        command.args(release.then_some("--release")).args(["--", after]).envs(variables.iter().cloned());
        command
    };
    // A filter that matches nothing succeeds in cargo, which would make an empty run look like a clean one.
    if !capture(command("--list").stderr(Stdio::inherit()))?.lines().any(|line| line.ends_with(": test")) {
        return Err(format!("`cargo {}` selects no test", test.join(" ")));
    }
    relay(&mut command("--nocapture"), take)
}
