//! `cargo xtask test`: the checks in their order, cheap ones first, up to the first failure.
//!
//! Promises that CI runs nothing that this does not, and that the last line counts the steps.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::process::{cargo, run as run_command};
use crate::{codegen, preconditions, tidy};

/// One step, in the order of running.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Compilers, kernel features and limits.
    Machine,
    /// rustfmt changes nothing.
    Format,
    /// The conventions of the tree.
    Tidy,
    /// Generated code is what its schema gives.
    Codegen,
    /// Clippy on every target, warnings as errors.
    Clippy,
    /// Unit, property, simulator, fuzz smoke, integration and documentation tests, on the real binary.
    Test,
}

/// Runs the steps, or those named, and tells whether all of them passed.
pub(crate) fn run(root: &Path, only: &[Step]) -> bool {
    let started = Instant::now();
    let mut passed = 0;
    let mut failed = 0;
    let mut notes = Vec::new();
    for &step in Step::value_variants().iter().filter(|step| only.is_empty() || only.contains(step)) {
        let name = name(step);
        println!("==> {name}");
        let began = Instant::now();
        let outcome = perform(root, step);
        let elapsed = seconds(began.elapsed());
        match outcome {
            Ok(note) => {
                println!("<== {name}: passed in {elapsed}");
                passed += 1;
                notes.extend(note.map(|note| format!("{name}: {note}")));
            }
            Err(message) => {
                println!("{message}");
                println!("<== {name}: FAILED in {elapsed}; by itself: `cargo xtask test --only {name}`");
                failed += 1;
                break;
            }
        }
    }
    for note in notes {
        println!("{note}");
    }
    println!("these steps took {}", seconds(started.elapsed()));
    println!("{passed} passed, {failed} failed");
    failed == 0
}

/// Performs a step; a note is something that the summary has to repeat.
fn perform(root: &Path, step: Step) -> Result<Option<String>, String> {
    match step {
        Step::Machine => preconditions::check()?,
        Step::Format => run_command(&mut cargo(root, &["fmt", "--all", "--check"]))
            .map_err(|message| format!("{message}: `cargo fmt --all` mends it"))?,
        Step::Tidy => tidy::run(root)?,
        Step::Codegen => {
            let drift = codegen::check(root)?;
            println!("{drift}");
            return Ok(matches!(drift, codegen::Drift::NotRegenerated(_)).then(|| drift.to_string()));
        }
        Step::Clippy => {
            let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
            run_command(&mut cargo(root, &arguments))?;
        }
        // Cargo builds the binary before the integration tests that run it.
        Step::Test => run_command(&mut cargo(root, &["test", "--workspace"]))?,
    }
    Ok(None)
}

fn name(step: Step) -> String {
    step.to_possible_value().expect("no step is hidden from the command line").get_name().to_owned()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
