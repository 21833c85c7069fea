//! What an ingest has done so far, counted by its tasks and shown by others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::quantity::{per_second, show_bytes, show_count, show_counted, show_rate, show_span};

/// Counters of a running ingest.
#[derive(Debug)]
pub(crate) struct Counts {
    started: Instant,
    files: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    acknowledged_lines: AtomicU64,
    acknowledged_bytes: AtomicU64,
    lines_without_key: AtomicU64,
    pieces: AtomicU64,
    /// Bytes of the files that were opened, line ends included, and how many of them were read.
    file_bytes: AtomicU64,
    file_bytes_read: AtomicU64,
    /// The whole is not known: a pipe, or files that are followed.
    is_endless: bool,
}

/// The result of an ingest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Files, and standard input, that were read.
    pub(crate) files: u64,
    /// Records that the server has acknowledged.
    pub(crate) records: u64,
    /// Bytes of their data.
    pub(crate) bytes: u64,
    /// Lines that the key rule found no key in.
    pub(crate) lines_without_key: u64,
    /// Records beyond one a line, from lines over the bound.
    pub(crate) split_pieces: u64,
    /// Time from the first read to the last acknowledgement.
    pub(crate) elapsed_ms: u64,
    pub(crate) bytes_per_second: u64,
    pub(crate) records_per_second: u64,
}

impl Counts {
    /// Begins at zero.
    pub(crate) fn new(is_endless: bool) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started: Instant::now(),
            files: zero(),
            lines: zero(),
            bytes: zero(),
            acknowledged_lines: zero(),
            acknowledged_bytes: zero(),
            lines_without_key: zero(),
            pieces: zero(),
            file_bytes: zero(),
            file_bytes_read: zero(),
            is_endless,
        }
    }

    pub(super) fn opened(&self, bytes: Option<u64>) {
        add(&self.files, 1);
        add(&self.file_bytes, bytes.unwrap_or(0));
    }

    pub(super) fn read(&self, lines: u64, bytes: u64, file_bytes: u64) {
        add(&self.lines, lines);
        add(&self.bytes, bytes);
        add(&self.file_bytes_read, file_bytes);
    }

    pub(super) fn acknowledged(&self, lines: u64, bytes: u64) {
        add(&self.acknowledged_lines, lines);
        add(&self.acknowledged_bytes, bytes);
    }

    pub(super) fn without_key(&self, lines: u64) {
        add(&self.lines_without_key, lines);
    }

    pub(super) fn pieces(&self, pieces: u64) {
        add(&self.pieces, pieces);
    }

    /// Lines and bytes that are acknowledged.
    pub(crate) fn done(&self) -> (u64, u64) {
        (get(&self.acknowledged_lines), get(&self.acknowledged_bytes))
    }

    /// How many of how many bytes of the files are read, where the whole is known.
    pub(crate) fn progress(&self) -> Option<(u64, u64)> {
        (!self.is_endless).then(|| (get(&self.file_bytes_read), get(&self.file_bytes)))
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The result as it is now.
    pub(crate) fn summary(&self) -> Summary {
        let (records, bytes) = self.done();
        let elapsed = self.elapsed();
        Summary {
            files: get(&self.files),
            records,
            bytes,
            lines_without_key: get(&self.lines_without_key),
            split_pieces: get(&self.pieces),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            bytes_per_second: per_second(bytes, elapsed),
            records_per_second: per_second(records, elapsed),
        }
    }
}

impl Summary {
    /// The result in words.
    pub(crate) fn describe(&self) -> String {
        let elapsed = Duration::from_millis(self.elapsed_ms);
        let mut text = format!(
            "{}, {} from {} in {} ({}, {} records/s)",
            show_counted(self.records, "record"),
            show_bytes(self.bytes),
            show_counted(self.files, "file"),
            show_span(elapsed),
            show_rate(self.bytes_per_second, Duration::from_secs(1)),
            show_count(self.records_per_second),
        );
        if self.lines_without_key > 0 {
            text += &format!(
                "\n{} without a key went to any shard",
                show_counted(self.lines_without_key, "line")
            );
        }
        if self.split_pieces > 0 {
            text +=
                &format!("\nlines over the bound made {} more", show_counted(self.split_pieces, "record"));
        }
        text
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
