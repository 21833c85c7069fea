//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod compaction;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod ingest;
pub(crate) mod log;
pub(crate) mod queue;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod stream;
pub(crate) mod tail;

use std::future::Future;

use crate::arguments::{Arguments, Command};
use crate::failure::{CommandError, Exit, Outcome};
use crate::logging;
use crate::output::Output;

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    let Arguments { global, command } = arguments;
    let output = Output::new(global.json);
    // The server's log is set up by its own configuration.
    if !matches!(command, Command::Serve(_)) {
        logging::start_client(global.verbose);
    }
    match command {
        Command::Serve(serve) => serve.run(output, global.verbose),
        Command::Demo(demo) => demo.run(output),
        Command::Stream(stream) => stream.run(&global.server, output),
        Command::Queue(queue) => queue.run(&global.server, output),
        Command::Ingest(ingest) => ingest.run(&global.server, output),
        Command::Tail(tail) => tail.run(&global.server, output),
        Command::Replay(replay) => replay.run(&global.server, output),
        Command::Compaction(compaction) => compaction.run(output),
        Command::Log(log) => log.run(output),
        Command::Bench(bench) => bench.run(&global.server, output),
        Command::Doctor(doctor) => doctor.run(output),
        Command::Config(config) => config.run(output),
        Command::Completions(completions) => completions.run(),
    }
}

/// Runs a command's future. Two threads: one for its connections, one for what it does with the records.
fn block_on<T>(future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| CommandError::because(Exit::Failure, "cannot start the runtime", &error))?;
    let outcome = runtime.block_on(future);
    // A thread that waits for standard input must not keep the program.
    runtime.shutdown_background();
    outcome
}
