//! How a command fails: an exit code that a script can act on, and one line for people.
//!
//! Promises one line on standard error, `tidemill: what: why: why that`, never a backtrace. The table of codes is here
//! and nowhere else; the help text prints it.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io;

use tidemill_wire::message::ErrorCode;

/// What the exit code of the process says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that has no code of its own.
    Failure = 1,
    /// The command line or the configuration is wrong; clap uses the same number.
    Usage = 2,
    /// No such stream, shard, queue, file or data directory.
    NotFound = 3,
    /// The server understood and declined: throttled, full, busy, a limit, a name that is taken.
    Refused = 4,
    /// Stored bytes are damaged, or records are missing or out of order.
    Damaged = 5,
    /// No server answers.
    Unreachable = 6,
    /// Stopped by a signal before the work was done.
    Interrupted = 130,
}

/// The table of exit codes, as the help text prints it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done; also when the reader of the output goes away
  1    failed, for a reason that has no code of its own
  2    the command line or the configuration is wrong
  3    no such stream, shard, queue, file or data directory
  4    the server declined: throttled, full, busy, a limit, a name that is taken
  5    stored bytes are damaged, or records are missing or out of order
  6    no server answers
  130  stopped by a signal before the work was done";

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    message: String,
    /// The reader of standard output has gone, which is how `| head` ends a program.
    is_broken_pipe: bool,
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, CommandError>;

impl CommandError {
    /// A failure in words of our own.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), is_broken_pipe: false }
    }

    /// A failure with its causes.
    pub(crate) fn because(exit: Exit, what: impl fmt::Display, cause: &dyn Error) -> Self {
        Self::new(exit, format!("{what}: {}", chain(cause)))
    }

    /// A failure of the file system at a path.
    pub(crate) fn at_path(path: &std::path::Path, cause: &io::Error) -> Self {
        let exit = if cause.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failure };
        Self::because(exit, path.display(), cause)
    }

    /// Writing to standard output failed.
    pub(crate) fn output(cause: &io::Error) -> Self {
        let is_broken_pipe = cause.kind() == io::ErrorKind::BrokenPipe;
        Self { is_broken_pipe, ..Self::because(Exit::Failure, "cannot write to standard output", cause) }
    }

    /// Says what was being done.
    pub(crate) fn while_doing(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What the process exits with.
    pub(crate) fn code(&self) -> u8 {
        if self.is_broken_pipe { 0 } else { self.exit as u8 }
    }

    /// The exit as a word of the table.
    #[cfg(test)]
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The line for people, or nothing when the failure is nobody's news.
    pub(crate) fn report(&self) -> Option<String> {
        (!self.is_broken_pipe).then(|| format!("tidemill: {}", self.message.replace('\n', " ")))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The exit for a refusal by the server.
pub(crate) fn exit_of(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::UnknownStream
        | ErrorCode::UnknownShard
        | ErrorCode::BeyondEnd
        | ErrorCode::UnknownQueue
        | ErrorCode::UnknownMove => Exit::NotFound,
        ErrorCode::StreamExists
        | ErrorCode::LimitExceeded
        | ErrorCode::BatchTooLarge
        | ErrorCode::WriteThrottled
        | ErrorCode::ReadThrottled
        | ErrorCode::Overloaded
        | ErrorCode::TooManyInFlight
        | ErrorCode::DiskFull
        | ErrorCode::LanePoisoned
        | ErrorCode::ShuttingDown
        | ErrorCode::ShardClosed
        | ErrorCode::ShardMoving
        | ErrorCode::RoutingRefused
        | ErrorCode::QueueExists
        | ErrorCode::QueueDeletedRecently
        | ErrorCode::InFlightLimit
        | ErrorCode::MessageTooLarge
        | ErrorCode::MoveRunning
        | ErrorCode::InvalidReceipt
        | ErrorCode::NotInFlight => Exit::Refused,
        ErrorCode::Damaged => Exit::Damaged,
        // A value that the server does not allow came from the command line.
        ErrorCode::InvalidRequest => Exit::Usage,
        ErrorCode::Internal
        | ErrorCode::UnknownRequest
        | ErrorCode::UnsupportedVersion
        | ErrorCode::HelloExpected
        | ErrorCode::InvalidBatch
        | ErrorCode::UnknownSubscription
        | ErrorCode::Unsubscribed
        | ErrorCode::Unrecognized => Exit::Failure,
    }
}

/// An error and its causes in one line. A cause that its parent's text already ends with is not said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
