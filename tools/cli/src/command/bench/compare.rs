//! `tidemill bench compare`.

use std::path::PathBuf;

use clap::Args;
use tidemill_bench::{Comparison, read_report};

use super::failed;
use crate::failure::Outcome;
use crate::output::Output;

/// The two runs.
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The run that is compared with, as --json has printed it.
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// The run that is compared.
    #[arg(value_name = "B.json")]
    b: PathBuf,
}

impl Compare {
    pub(super) fn run(&self, output: Output) -> Outcome {
        let read = |path| read_report(path).map_err(|error| failed(&error));
        let comparison = Comparison::new(&read(&self.a)?, &read(&self.b)?).map_err(|error| failed(&error))?;
        output.print(&comparison, ToString::to_string)
    }
}
