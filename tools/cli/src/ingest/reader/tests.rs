//! Files under the reader's eyes: read, rotated, cut, late, and gone on with.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};

use super::{Message, ReaderOptions, read};
use crate::failure::CommandError;
use crate::ingest::checkpoint::Mark;
use crate::ingest::input::Input;
use crate::ingest::lines::LongLines;

/// Longer than any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Reading {
    messages: Receiver<Message>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    lines: Vec<String>,
    /// How far each source is, from where it was opened.
    marks: Vec<Option<Mark>>,
    failure: Option<CommandError>,
}

impl Reading {
    fn start(inputs: &[String], follow: bool, marks: Vec<Mark>) -> Self {
        let (sender, messages) = channel(4);
        let stop = Arc::new(AtomicBool::new(false));
        let options = ReaderOptions {
            inputs: Input::parse(inputs).expect("the inputs are well formed"),
            follow,
            line_bytes_max: 1_000,
            long_lines: LongLines::Split,
            marks,
            stop: stop.clone(),
        };
        let thread = std::thread::spawn(move || read(options, sender));
        Self { messages, stop, thread: Some(thread), lines: Vec::new(), marks: Vec::new(), failure: None }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Opened { mark, .. } => self.marks.push(mark),
            Message::Lines { source, chunk, head } => {
                self.lines.extend(
                    (0..chunk.len()).map(|index| String::from_utf8_lossy(chunk.line(index)).into_owned()),
                );
                if let Some(mark) = &mut self.marks[source] {
                    mark.offset = chunk.end();
                    mark.head = head.unwrap_or(mark.head.clone());
                }
            }
            Message::Failed(error) => self.failure = Some(error),
            Message::Truncated { .. } | Message::Closed { .. } => {}
        }
    }

    /// All lines up to the end of the inputs.
    fn finish(mut self) -> (Vec<String>, Vec<Mark>, Option<CommandError>) {
        while let Some(message) = self.messages.blocking_recv() {
            self.take(message);
        }
        (std::mem::take(&mut self.lines), self.marks.drain(..).flatten().collect(), self.failure.take())
    }

    /// Waits until exactly these lines have come.
    #[track_caller]
    fn expect(&mut self, lines: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        while self.lines.len() < lines.len() && Instant::now() < deadline {
            match self.messages.try_recv() {
                Ok(message) => self.take(message),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        assert_eq!(self.lines, lines);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.messages.close();
        while self.messages.blocking_recv().is_some() {}
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the reader does not panic");
        }
    }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn argument(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("it is writable");
    file.write_all(text.as_bytes()).expect("it is writable");
}

#[test]
fn files_are_read_once_each_and_in_order() {
    let folder = Folder::new();
    append(&folder.path("b.log"), "3\n4");
    append(&folder.path("a.log"), "1\n2\n");
    let inputs = [folder.argument("*.log"), folder.argument("a.log")];
    let (lines, marks, failure) = Reading::start(&inputs, false, Vec::new()).finish();
    assert_eq!(lines, ["1", "2", "3", "4"]);
    assert!(failure.is_none());
    let offsets: Vec<u64> = marks.iter().map(|mark| mark.offset).collect();
    assert_eq!(offsets, [4, 3], "a file that is named again is not opened again");
}

#[test]
fn missing_files_are_told() {
    let folder = Folder::new();
    for name in ["none.log", "*.log"] {
        let (lines, _, failure) = Reading::start(&[folder.argument(name)], false, Vec::new()).finish();
        assert_eq!((lines.len(), failure.map(|error| error.code())), (0, Some(3)), "{name}");
    }
}

#[test]
fn reading_goes_on_at_a_mark() {
    let folder = Folder::new();
    append(&folder.path("log"), "1\n2\n");
    let (_, marks, _) = Reading::start(&[folder.argument("log")], false, Vec::new()).finish();
    append(&folder.path("log"), "3\n");
    let (lines, ..) = Reading::start(&[folder.argument("log")], false, marks.clone()).finish();
    assert_eq!(lines, ["3"]);

    // Rotated while nobody looked: first the rest of the old file under its new name, then the new one.
    append(&folder.path("log"), "4\n");
    fs::rename(folder.path("log"), folder.path("log.1")).expect("it is there");
    append(&folder.path("log"), "5\n");
    let (lines, ..) = Reading::start(&[folder.argument("log")], false, marks.clone()).finish();
    assert_eq!(lines, ["3", "4", "5"]);

    // The same inode with another beginning is another file.
    let file = OpenOptions::new().write(true).truncate(true).open(folder.path("log.1")).expect("it is there");
    drop(file);
    append(&folder.path("log.1"), "new content\n");
    let mut moved = marks;
    moved[0].path = folder.path("log.1");
    let (lines, ..) = Reading::start(&[folder.argument("log.1")], false, moved).finish();
    assert_eq!(lines, ["new content"]);
}

#[test]
fn following_crosses_rotation_and_waits_for_the_end_of_a_line() {
    let folder = Folder::new();
    let log = folder.path("app.log");
    append(&log, "1\n");
    let mut reading = Reading::start(&[folder.argument("app.log")], true, Vec::new());
    reading.expect(&["1"]);
    append(&log, "2\n3 beg");
    reading.expect(&["1", "2"]);
    append(&log, "un\n");
    reading.expect(&["1", "2", "3 begun"]);
    // The writer keeps the old file for a while, as writers do until they are told.
    let mut old = OpenOptions::new().append(true).open(&log).expect("it is there");
    fs::rename(&log, folder.path("app.log.1")).expect("it is there");
    old.write_all(b"4\n").expect("it is open");
    append(&log, "5\n");
    reading.expect(&["1", "2", "3 begun", "4", "5"]);
    old.write_all(b"late\n").expect("it is open");
    reading.expect(&["1", "2", "3 begun", "4", "5", "late"]);
    append(&log, "6\n");
    reading.expect(&["1", "2", "3 begun", "4", "5", "late", "6"]);
}

#[test]
fn following_starts_over_after_truncation() {
    let folder = Folder::new();
    let log = folder.path("app.log");
    append(&log, "one\ntwo\n");
    let mut reading = Reading::start(&[folder.argument("app.log")], true, Vec::new());
    reading.expect(&["one", "two"]);
    File::create(&log).expect("it is writable");
    append(&log, "3\n");
    reading.expect(&["one", "two", "3"]);
    append(&log, "4\n");
    reading.expect(&["one", "two", "3", "4"]);
}

#[test]
fn following_finds_late_files_by_name_and_pattern() {
    let folder = Folder::new();
    let mut reading =
        Reading::start(&[folder.argument("late.log"), folder.argument("*.txt")], true, Vec::new());
    reading.expect(&[]);
    append(&folder.path("late.log"), "1\n");
    reading.expect(&["1"]);
    append(&folder.path("a.txt"), "2\n");
    reading.expect(&["1", "2"]);
}
