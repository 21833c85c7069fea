//! Shell scripts, which no compiler sees: each is one that bash can read, and ends at the first command that fails.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Finding;
use super::tree::{File, Tree};

/// Without it a script goes on after a failure, and with what a failed command has not given.
const STRICT: &str = "set -euo pipefail";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().filter(|file| is_script(file)).flat_map(check_script).collect()
}

fn is_script(file: &File) -> bool {
    file.path.ends_with(".sh")
        || file.text.lines().next().is_some_and(|line| line.starts_with("#!") && line.ends_with("bash"))
}

fn check_script(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.text.lines().any(|line| line == STRICT) {
        let message = format!("goes on after a failure: say `{STRICT}` before the first command");
        findings.push(Finding::new(&file.path, 1, message));
    }
    match read(&file.text) {
        Ok(complaint) => {
            let first = complaint.lines().next();
            findings.extend(first.map(|first| Finding::new(&file.path, line_of(first), first)));
        }
        Err(error) => findings.push(Finding::new(&file.path, 1, format!("bash cannot be asked: {error}"))),
    }
    findings
}

/// What bash says of a script that it reads and does not run.
fn read(text: &str) -> std::io::Result<String> {
    let mut command = Command::new("bash");
    command.args(["-n", "-s"]).env("LC_ALL", "C");
    let mut bash = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut input = bash.stdin.take().expect("it is piped");
    // It stops to read where it finds a fault.
    _ = input.write_all(text.as_bytes());
    drop(input);
    let output = bash.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// From `bash: line 3: syntax error …`.
fn line_of(complaint: &str) -> usize {
    let digits = complaint.split_once("line ").and_then(|(_, rest)| rest.split(':').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(1)
}
