//! What goes to standard error while a command runs; the home of the tracing subscriber.
//!
//! Promises that a standard error that takes nothing any more (a closed pipe, a full disk) costs lines of the log and nothing else, and that
//! a server's panic is in its log.

use std::io::{IsTerminal, stderr};
use std::panic::PanicHookInfo;

use tidemill_server::config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Sets up the log of a client command: warnings, or more by `--verbose`.
pub(crate) fn start_client(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    start(LogFormat::Text, level);
}

/// Sets up the log of a server by its configuration; `--verbose` raises the level.
pub(crate) fn start_server(format: LogFormat, level: LogLevel, verbose: u8) {
    let configured = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let asked = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    start(format, configured.max(asked));
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        note_panic(info);
        told(info);
    }));
}

fn note_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        thread = thread.name().unwrap_or("without a name"),
        place,
        reason = info.payload_as_str().unwrap_or("not told"),
        "a thread panics"
    );
}

fn start(format: LogFormat, level: LevelFilter) {
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    // The subscriber would tell of a line that it cannot write on standard error itself, with a macro that panics there.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).log_internal_errors(false);
    let started = match format {
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second log of the same process has nowhere to go, and the first goes on.
    drop(started);
}
