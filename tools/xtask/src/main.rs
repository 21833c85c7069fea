//! `cargo xtask`: what a developer and the continuous integration run, written in Rust and kept in the tree.
//!
//! Owns the order of the checks (`pipeline`), the conventions that no compiler knows (`tidy`), the generated
//! code (`codegen`) and the long runs of the simulator and the fuzzers (`campaign`). Leaves out everything
//! that a user of the server needs: that is the `tidemill` binary.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is this program's only output")]

mod campaign;
mod codegen;
mod pipeline;
mod preconditions;
mod process;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Tidemill.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that CI runs, in its order, up to the first failure.
    Test {
        /// Run this step alone; repeat it for several.
        #[arg(long, value_name = "STEP")]
        only: Vec<pipeline::Step>,
    },
    /// The conventions of the tree: layers, homes of crates, sizes, words, links.
    Tidy,
    /// Generate the accessors of the native protocol's messages and the tables of AWS services.
    Codegen {
        /// Write nothing; fail if the file in the tree is not what the schema gives.
        #[arg(long)]
        check: bool,
    },
    /// Take over a service model of botocore (service-2.json, unpacked), without its documentation.
    Model {
        /// The model.
        file: std::path::PathBuf,
        /// What the service is called here.
        service: String,
        /// A model with the service's names in the query protocol and the codes of its errors there.
        #[arg(long)]
        query: Option<std::path::PathBuf>,
    },
    /// Run the storage simulator over many seeds.
    Sim(campaign::SimArguments),
    /// Run the fuzz targets for longer than the smoke test does.
    Fuzz(campaign::FuzzArguments),
}

fn main() -> ExitCode {
    let root = process::root();
    let outcome = match Arguments::parse().command {
        // The steps have told already what failed.
        Command::Test { only } => {
            return if pipeline::run(&root, &only) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Command::Tidy => tidy::run(&root),
        Command::Codegen { check: false } => codegen::write(&root),
        Command::Codegen { check: true } => codegen::check(&root).map(|drift| println!("{drift}")),
        Command::Model { file, service, query } => {
            codegen::take_over(&root, &file, &service, query.as_deref())
        }
        Command::Sim(arguments) => campaign::simulate(&root, &arguments),
        Command::Fuzz(arguments) => campaign::fuzz(&root, &arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
