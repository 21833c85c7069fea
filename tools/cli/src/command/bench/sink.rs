//! `tidemill bench sink`: the server behind the ceiling of HTTP, started by a run and ended with it.

use std::io::Read;

use clap::Args;
use serde::Serialize;
use tidemill_server::boot::start_sink;

use crate::failure::{CommandError, Exit, Outcome};
use crate::output::Output;

/// The most that an answer may have: that of GetRecords.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Answer every request with the same bytes, which come in on standard input behind their length in eight bytes. Ends when standard input does.
#[derive(Debug, Args)]
pub(super) struct Sink {
    /// The core that it runs on.
    #[arg(long, value_name = "N")]
    core: usize,
}

/// Where it listens.
#[derive(Serialize)]
struct Listening {
    http: String,
}

impl Sink {
    pub(super) fn run(self, output: Output) -> Outcome {
        let broke = |error: std::io::Error| CommandError::because(Exit::Failure, "no answer to give", &error);
        let mut input = std::io::stdin().lock();
        let mut length = [0; 8];
        input.read_exact(&mut length).map_err(broke)?;
        let length = u64::from_le_bytes(length);
        if length > ANSWER_BYTES_MAX {
            let message = format!("an answer of {length} bytes, at most {ANSWER_BYTES_MAX} are given");
            return Err(CommandError::new(Exit::Usage, message));
        }
        let mut answer = Vec::new();
        input.by_ref().take(length).read_to_end(&mut answer).map_err(broke)?;
        let address = start_sink(self.core, answer.into());
        let address =
            address.map_err(|error| CommandError::because(Exit::Failure, "cannot listen", &error))?;
        output.print(&Listening { http: address.to_string() }, |listening| listening.http.clone())?;
        // Whoever started it holds the other end, and lets go of it in any case.
        input.read_to_end(&mut Vec::new()).map(drop).map_err(broke)
    }
}
