//! `tidemill`: the server and its tools in one program.
//!
//! Owns the process: arguments, runtime, logging, exit code. What a command does is in `command`, one file each; what
//! several need is beside it, named by what it is.

mod admin;
mod arguments;
mod command;
mod connection;
mod demo;
mod failure;
mod flow;
mod hosting;
mod ingest;
mod latency;
mod logging;
mod output;
mod quantity;
mod settings;
mod signal;
mod time;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// A request over HTTP takes and gives back blocks of some kilobytes, which the C library's allocator merges and splits each time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match command::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(line) = error.report() {
                output::note(line);
            }
            ExitCode::from(error.code())
        }
    }
}
