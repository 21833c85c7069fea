//! Running other programs from the root of the tree.
//!
//! Promises that a failure names the command line and how it ended, so that a reader can run it again by
//! hand.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the tree, two folders above this package.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `run` and `test`; the compiled-in path serves a binary that is started
    // directly.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.ancestors().nth(2).expect("this package lies two folders below the root").to_path_buf()
}

/// A cargo command in `root`, with the cargo that runs this program.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(arguments);
    command
}

/// Runs a command with this program's terminal.
///
/// # Errors
/// The command line, and how it ended or why it could not be started.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("`{}`: {error}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", line(command))) }
}

/// Runs a command and returns what it wrote to standard output.
///
/// # Errors
/// The command line, how it ended and what it wrote to standard error.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("`{}`: {error}", line(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        // Nothing is quoted where the command wrote its complaint to the terminal itself.
        Err(format!("`{}` ended with {}\n{}", line(command), output.status, complaint.trim())
            .trim_end()
            .to_owned())
    }
}

/// Runs a command with this program's terminal, but for the lines of standard error that `take` takes.
///
/// # Errors
/// The command line, and how it ended or why it could not be started.
pub(crate) fn relay(command: &mut Command, mut take: impl FnMut(&str) -> bool) -> Result<(), String> {
    let name = line(command);
    let failed = |error| format!("`{name}`: {error}");
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(output) = child.stderr.take() {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            if !take(&text) {
                eprintln!("{text}");
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("`{name}` ended with {status}")) }
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
