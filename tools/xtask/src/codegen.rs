//! The code generated from the native protocol's schema and from the models of AWS services, and the guards against its drifting away.
//!
//! The first needs no tool: the generated file carries a checksum of its schema and one of its own code, so a
//! schema changed without `cargo xtask codegen`, or a file changed by hand, fails everywhere. The second
//! regenerates the file with the pinned `flatc` and compares; it is left out, and said to be, where the tool
//! cannot be installed.

mod aws;
mod flatc;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) use aws::take_over;

const SCHEMA: &str = "client/wire/schema/native.fbs";
const GENERATED: &str = "client/wire/src/generated.rs";
const REMEDY: &str = "run `cargo xtask codegen` and commit the result";

/// Lints that flatc's output does not keep. Its unsafe code is sound for verified buffers only, which is why
/// the `message` module alone uses it, behind the verifier.
const ATTRIBUTES: &str = "#![allow(
    unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, unreachable_pub, dead_code, unused_imports,
    non_camel_case_types, mismatched_lifetime_syntaxes, clippy::all, clippy::undocumented_unsafe_blocks,
    clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value,
    reason = \"flatc writes this file\"
)]\n\n";

/// What the check of the generated file could establish.
pub(crate) enum Drift {
    /// flatc gives exactly the file in the tree.
    None,
    /// The checksums agree, but flatc could not be run for the reason given.
    NotRegenerated(String),
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drift::None => write!(f, "{GENERATED} is what {SCHEMA} gives"),
            Drift::NotRegenerated(reason) => {
                write!(
                    f,
                    "skipped: comparing {GENERATED} with flatc's output ({reason}); its checksums agree"
                )
            }
        }
    }
}

/// Regenerates the files.
///
/// # Errors
/// flatc could not be installed or refuses the schema, or the file could not be written.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    aws::write(root)?;
    let flatc = flatc::ensure(root).map_err(|missing| missing.0)?;
    let text = generate(root, &flatc)?;
    if fs::read_to_string(root.join(GENERATED)).is_ok_and(|present| present == text) {
        println!("{GENERATED} is up to date");
        return Ok(());
    }
    fs::write(root.join(GENERATED), text).map_err(|error| format!("{GENERATED}: {error}"))?;
    println!("{GENERATED} written");
    Ok(())
}

/// Checks the files in the tree against their sources.
///
/// # Errors
/// The file is not what the schema gives, or `CI=true` is set and flatc could not be installed.
pub(crate) fn check(root: &Path) -> Result<Drift, String> {
    aws::check(root)?;
    let schema = read(root, SCHEMA)?;
    let present = read(root, GENERATED)?;
    check_checksums(&schema, &present)?;
    let flatc = match flatc::ensure(root) {
        Ok(flatc) => flatc,
        Err(missing) if std::env::var_os("CI").is_some_and(|value| value == "true") => {
            return Err(format!("{}; CI has to compare {GENERATED} with flatc's output", missing.0));
        }
        Err(missing) => return Ok(Drift::NotRegenerated(missing.0)),
    };
    if generate(root, &flatc)? == present {
        Ok(Drift::None)
    } else {
        Err(format!("{GENERATED}:1: differs from what flatc {} makes of {SCHEMA}: {REMEDY}", flatc::VERSION))
    }
}

fn generate(root: &Path, flatc: &Path) -> Result<String, String> {
    let schema = read(root, SCHEMA)?;
    let output = root.join("target/tools/generated");
    let arguments = ["--rust", "--warnings-as-errors", "-o"];
    crate::process::capture(Command::new(flatc).args(arguments).arg(&output).arg(root.join(SCHEMA)))?;
    let raw = output.join("native_generated.rs");
    let raw = fs::read_to_string(&raw).map_err(|error| format!("{}: {error}", raw.display()))?;
    Ok(assemble(&schema, &rustfmt(root, &format!("{ATTRIBUTES}{raw}"))?))
}

fn rustfmt(root: &Path, code: &str) -> Result<String, String> {
    let mut command = Command::new("rustfmt");
    command.args(["--emit", "stdout"]).current_dir(root).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("`rustfmt`: {error}"))?;
    let mut input = child.stdin.take().expect("standard input is piped above");
    let written = std::thread::scope(|scope| {
        // rustfmt reads all of its input before it writes, but nothing promises that, so both ends run at
        // once.
        let writer = scope.spawn(move || input.write_all(code.as_bytes()));
        let output = child.wait_with_output();
        (writer.join().expect("writing to a pipe does not panic"), output)
    });
    let (Ok(()), Ok(output)) = written else { return Err("`rustfmt` broke off".to_owned()) };
    if !output.status.success() {
        return Err(format!("`rustfmt` ended with {} on flatc's output", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("`rustfmt`: {error}"))
}

fn assemble(schema: &str, code: &str) -> String {
    format!(
        "//! Accessors of the native protocol's messages, generated by `cargo xtask codegen` from `schema/native.fbs`.\n\
         //!\n\
         //! Not edited by hand: the checksums below are compared on every test run.\n\
         {}\n\n{code}",
        checksum_line(schema, code)
    )
}

fn checksum_line(schema: &str, code: &str) -> String {
    let [schema, code] = [schema, code].map(|text| crc32fast::hash(text.as_bytes()));
    format!("// crc32 of schema {schema:08x}, of code {code:08x}")
}

fn check_checksums(schema: &str, generated: &str) -> Result<(), String> {
    let Some((header, code)) = generated.split_once("\n\n") else {
        return Err(format!("{GENERATED}:1: has no header: {REMEDY}"));
    };
    let present = header.lines().last().unwrap_or_default();
    let expected = checksum_line(schema, code);
    if present == expected {
        return Ok(());
    }
    let line = header.lines().count();
    Err(format!(
        "{GENERATED}:{line}: `{present}` where {SCHEMA} and the code below give `{expected}`: {REMEDY}"
    ))
}

fn read(root: &Path, path: &str) -> Result<String, String> {
    fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
}
