//! Which logs a demo ingests: the files given, or this machine's own, or a made-up one.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::generator::write_access_log;
use crate::failure::{CommandError, Exit, Outcome};
use crate::ingest::input::Input;
use crate::ingest::key::KeyRule;
use crate::quantity::show_bytes;

const SYSTEM_LOGS: &str = "/var/log";
/// Less than this in all shows nothing.
const SYSTEM_BYTES_MIN: u64 = 1_000_000;
const SYSTEM_BYTES_MAX: u64 = 256_000_000;
const GENERATED_BYTES: u64 = 128_000_000;
/// How much of a file tells whether it is text.
const SAMPLE_BYTES: u64 = 8 << 10;
/// Folders below the first that are looked into.
const DEPTH_MAX: usize = 4;

/// What is ingested.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) inputs: Vec<Input>,
    /// What it is, in words.
    pub(crate) what: String,
    /// The key that suits it.
    pub(crate) key: KeyRule,
}

/// Chooses. A log that is made up is written into `folder`.
pub(crate) fn choose(arguments: &[String], bytes: Option<u64>, folder: &Path) -> Outcome<Source> {
    if !arguments.is_empty() {
        let what = format!("the files given: {}", arguments.join(" "));
        return Ok(Source { inputs: Input::parse(arguments)?, what, key: KeyRule::File });
    }
    let found = text_files(Path::new(SYSTEM_LOGS), bytes.unwrap_or(SYSTEM_BYTES_MAX));
    let found_bytes: u64 = found.iter().map(|(_, bytes)| bytes).sum();
    if found_bytes >= SYSTEM_BYTES_MIN {
        let files = if found.len() == 1 { "file" } else { "files" };
        let what = format!("{} {files} of {} from {SYSTEM_LOGS}", found.len(), show_bytes(found_bytes));
        return Ok(Source {
            inputs: found.into_iter().map(|(path, _)| Input::Path(path)).collect(),
            what,
            key: KeyRule::File,
        });
    }
    let path = folder.join("access.log");
    generate(&path, bytes.unwrap_or(GENERATED_BYTES))?;
    let what = format!(
        "a made-up access log of {} ({SYSTEM_LOGS} has only {} of readable text)",
        show_bytes(fs::metadata(&path).map_or(0, |metadata| metadata.len())),
        show_bytes(found_bytes)
    );
    Ok(Source { inputs: vec![Input::Path(path)], what, key: KeyRule::Field(1) })
}

fn generate(path: &Path, bytes: u64) -> Outcome {
    let write = || {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        write_access_log(&mut out, bytes)?;
        out.flush()
    };
    write().map_err(|error| CommandError::because(Exit::Failure, path.display(), &error))
}

/// Readable text files in a folder and below with their sizes, in order of their names, of `bytes_max` bytes in all at
/// most. Links are not followed.
pub(crate) fn text_files(folder: &Path, bytes_max: u64) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    collect(folder, DEPTH_MAX, &mut found);
    found.sort();
    let mut left = bytes_max;
    found.retain(|(_, bytes)| {
        let fits = *bytes <= left;
        left -= if fits { *bytes } else { 0 };
        fits
    });
    found
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, u64)>) {
    // What may not be read is not this user's to show.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && depth > 0 => collect(&path, depth - 1, found),
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 && is_text(&path) => {
                found.push((path, metadata.len()));
            }
            _ => {}
        }
    }
}

/// Whether a file begins like text: no control characters but those that lay out lines.
fn is_text(path: &Path) -> bool {
    let mut sample = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SAMPLE_BYTES).read_to_end(&mut sample));
    let is_binary = |byte: &u8| *byte < 32 && !matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b);
    read.is_ok() && !sample.iter().any(is_binary)
}
