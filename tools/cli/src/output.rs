//! What a command prints: lines and tables for people, JSON for programs, records for both.
//!
//! Promises that standard output holds the result and nothing else; progress, notes and errors go to standard error.
//! Nothing is written through `print!`, so a reader that goes away is an error that the commands pass on.

pub(crate) mod record;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use crate::failure::{CommandError, Outcome};

pub(crate) use table::Table;

/// Standard output, and the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    is_json: bool,
}

impl Output {
    /// Output for people, or as JSON.
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(self) -> bool {
        self.is_json
    }

    /// Prints one JSON value on a line of its own, or what `human` makes of the same result.
    pub(crate) fn print<T: Serialize>(self, value: &T, human: impl FnOnce(&T) -> String) -> Outcome {
        if self.is_json {
            return self.line(&json(value)?);
        }
        let text = human(value);
        let text = text.trim_end_matches('\n');
        if text.is_empty() { Ok(()) } else { self.line(text) }
    }

    /// Prints a line, whatever the form, and lets it out at once.
    pub(crate) fn line(self, text: &str) -> Outcome {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| CommandError::output(&error))
    }
}

/// A buffer before standard output for many small writes; what is left in it is lost without a flush.
pub(crate) fn buffered() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(256 << 10, io::stdout().lock())
}

/// A line on standard error, for people. A terminal that is gone is nobody's news.
pub(crate) fn note(text: impl fmt::Display) {
    _ = writeln!(io::stderr(), "{text}");
}

/// Whether people watch standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

fn json<T: Serialize>(value: &T) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| {
        CommandError::because(crate::failure::Exit::Failure, "cannot write the result as JSON", &error)
    })
}
