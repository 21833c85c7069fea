//! The command line: what holds for every command, and which commands there are.

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::command::{
    bench, compaction, completions, config, demo, doctor, ingest, log, queue, replay, serve, stream, tail,
};
use crate::connection::{SERVER_DEFAULT, parse_server};
use crate::failure::EXIT_CODES;

/// A log-structured streaming server: streams of records on one log per core.
///
/// `tidemill demo` shows it at work with the logs of this machine; `tidemill serve` runs a server, and the other
/// commands talk to one or look at its files.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, disable_help_subcommand = true, after_long_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Address of the server's native port.
    #[arg(long, global = true, env = "TIDEMILL_SERVER", value_name = "HOST[:PORT]", default_value = SERVER_DEFAULT, value_parser = parse_server)]
    pub(crate) server: String,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on standard error; twice says still more. RUST_LOG overrides it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
pub(crate) enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Stream(stream::Stream),
    Queue(queue::QueueCommand),
    Ingest(ingest::Ingest),
    Tail(tail::Tail),
    Replay(replay::Replay),
    Compaction(compaction::Compaction),
    Log(log::Log),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
    Config(config::Config),
    Completions(completions::Completions),
}

#[cfg(test)]
mod tests;
