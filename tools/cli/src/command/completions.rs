//! `tidemill completions`: what a shell needs to complete our command lines.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::{CommandError, Outcome};

/// Print a script that teaches a shell to complete tidemill's command lines
///
/// For bash: `tidemill completions bash > ~/.local/share/bash-completion/completions/tidemill`
/// For fish: `tidemill completions fish > ~/.config/fish/completions/tidemill.fish`
/// For zsh: `tidemill completions zsh > "${fpath[1]}/_tidemill"`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "tidemill", &mut script);
        std::io::stdout().lock().write_all(&script).map_err(|error| CommandError::output(&error))
    }
}
