//! Reads the inputs on a thread of its own and hands on chunks of lines, following files as `tail -F` does.
//!
//! Without following, files are read one after the other to their end. With it, every file stays open, and twice
//! a second the names are looked at again:
//! - a name that leads to another file (rotation by rename and create): the old file is read to its end, and on until
//!   nothing has come for [`ROTATED_QUIET`], because its writer may not have noticed; its last line counts without a newline;
//! - a file that is shorter than what was read (truncation): it is read from its beginning;
//! - a name that appears late is opened when it does.
//!
//! Truncation that is made up for between two looks cannot be seen. Leaves out decompression.

mod open;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::checkpoint::{Head, Identity, Mark};
use super::input::Input;
use super::lines::{Chunk, LineTooLong, LongLines, Splitter};
use crate::failure::{CommandError, Exit, Outcome};

use open::{OpenFile, identity_of};

/// Bytes of one read: large enough that the system call does not show, small enough to stay in the cache.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// Pause when no file had anything.
const IDLE_PAUSE: Duration = Duration::from_millis(50);
/// Pause between two looks at the names.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a file that lost its name must be quiet before it is closed.
const ROTATED_QUIET: Duration = Duration::from_secs(5);
/// Blocks of one file in a row while others wait.
const BLOCKS_PER_TURN: usize = 64;

/// What the reader tells.
#[derive(Debug)]
pub(crate) enum Message {
    /// A file is read from now on. Sources are numbered in the order in which they are opened, from 0.
    Opened {
        /// Where it is, and how far it was ingested before; standard input and pipes have none.
        mark: Option<Mark>,
        /// The path as a key.
        name: Arc<[u8]>,
        /// Bytes that are there to be read, if known.
        bytes: Option<u64>,
    },
    /// Lines of a file.
    Lines {
        source: usize,
        chunk: Chunk,
        /// The file's fingerprint, with its first chunk.
        head: Option<Head>,
    },
    /// The file starts over: what follows begins at its offset 0.
    Truncated { source: usize },
    /// A file is read to its end; `is_gone` if no name leads to it any more.
    Closed { source: usize, is_gone: bool },
    /// The reader cannot go on.
    Failed(CommandError),
}

/// How the inputs are read.
#[derive(Clone, Debug)]
pub(crate) struct ReaderOptions {
    pub(crate) inputs: Vec<Input>,
    pub(crate) follow: bool,
    pub(crate) line_bytes_max: usize,
    pub(crate) long_lines: LongLines,
    /// How far files were ingested before.
    pub(crate) marks: Vec<Mark>,
    /// Set from outside to end the reading.
    pub(crate) stop: Arc<AtomicBool>,
}

/// The reading thread's state.
struct Reader {
    options: ReaderOptions,
    sender: Sender<Message>,
    open: Vec<OpenFile>,
    sources: usize,
    /// Files that were closed, or read before this run.
    known: Vec<Mark>,
    /// Files that were read to their end in this run.
    read: BTreeSet<Identity>,
    /// Files that could not be opened, and were named in a warning.
    unopened: BTreeSet<PathBuf>,
}

/// Why a block could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    LineTooLong(#[from] LineTooLong),
}

/// Why reading ends early.
enum Stop {
    /// Nobody wants more.
    Unwanted,
    Failed(CommandError),
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

/// Reads until the inputs end, or until stopped; runs on a thread that may block.
pub(crate) fn read(options: ReaderOptions, sender: Sender<Message>) {
    let known = options.marks.clone();
    let mut reader = Reader {
        options,
        sender,
        open: Vec::new(),
        sources: 0,
        known,
        read: BTreeSet::new(),
        unopened: BTreeSet::new(),
    };
    if let Err(Stop::Failed(error)) = reader.run() {
        // If nobody listens any more, nobody misses the reason.
        _ = reader.sender.blocking_send(Message::Failed(error));
    }
}

impl Reader {
    fn run(&mut self) -> Result<(), Stop> {
        if self.options.follow { self.follow() } else { self.read_once() }
    }

    /// Every input to its end, one after the other.
    fn read_once(&mut self) -> Result<(), Stop> {
        self.open_rotated()?;
        self.read_all_open()?;
        for input in self.options.inputs.clone() {
            if matches!(input, Input::Stdin) {
                self.read_stdin()?;
                continue;
            }
            let files = files_of(&input)?;
            if files.is_empty() {
                let Input::Pattern(pattern) = &input else { continue };
                return Err(CommandError::new(Exit::NotFound, format!("no file matches {pattern}")).into());
            }
            for path in files {
                self.open_path(&path)?;
                self.read_all_open()?;
            }
        }
        Ok(())
    }

    /// Every open file to its end, and closes it.
    fn read_all_open(&mut self) -> Result<(), Stop> {
        while let Some(mut file) = self.open.pop() {
            while self.read_block(&mut file)? {}
            self.close(file)?;
        }
        Ok(())
    }

    fn follow(&mut self) -> Result<(), Stop> {
        self.open_rotated()?;
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL) {
                self.look()?;
                looked = Some(Instant::now());
            }
            if !self.turn()? {
                self.check_stop()?;
                std::thread::sleep(IDLE_PAUSE);
            }
        }
    }

    /// Reads what there is in every file, rotated ones first; false if there was nothing.
    fn turn(&mut self) -> Result<bool, Stop> {
        let mut progressed = false;
        let mut files = std::mem::take(&mut self.open);
        // What was written before the rotation comes before what was written after.
        files.sort_by_key(|file| !file.is_rotated());
        for mut file in files {
            let mut blocks = 0;
            while blocks < BLOCKS_PER_TURN && self.read_block(&mut file)? {
                blocks += 1;
            }
            progressed |= blocks > 0;
            if file.is_rotated() && file.quiet_for() >= ROTATED_QUIET {
                self.close(file)?;
            } else {
                self.open.push(file);
            }
        }
        Ok(progressed)
    }

    /// Finds new files and files that lost their name or were cut.
    fn look(&mut self) -> Result<(), Stop> {
        for input in self.options.inputs.clone() {
            for path in files_of(&input)? {
                match std::fs::metadata(&path) {
                    Ok(metadata) => {
                        let identity = identity_of(&metadata);
                        match self.open.iter_mut().find(|file| file.identity() == identity) {
                            Some(file) => file.seen_at(&path),
                            None => self.open_path(&path)?,
                        }
                    }
                    // The name may come, or come back.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(CommandError::at_path(&path, &error).into()),
                }
            }
        }
        let mut truncated = Vec::new();
        for file in &mut self.open {
            file.check_name();
            if file.is_truncated() {
                truncated.push((file.source, file.finish()?));
                file.restart(&self.options);
            }
        }
        for (source, rest) in truncated {
            self.send_lines(source, rest, None)?;
            self.send(Message::Truncated { source })?;
        }
        Ok(())
    }

    /// Opens files that were rotated away while nobody looked, and have lines that were not ingested.
    fn open_rotated(&mut self) -> Result<(), Stop> {
        for mark in self.options.marks.clone() {
            let is_in_place =
                std::fs::metadata(&mark.path).is_ok_and(|now| identity_of(&now) == mark.identity);
            let is_wanted = self.options.inputs.iter().any(|input| input.names(&mark.path));
            if is_in_place || !is_wanted {
                continue;
            }
            if let Some(path) = open::find_by_identity(&mark) {
                tracing::info!(from = %mark.path.display(), to = %path.display(), "file was rotated, reading its rest");
                self.open_path(&path)?;
            }
        }
        Ok(())
    }

    fn open_path(&mut self, path: &Path) -> Result<(), Stop> {
        let failed = |error: io::Error| CommandError::at_path(path, &error);
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            // Between the look and the opening the name may have gone, and what may not be read today may be tomorrow.
            Err(error) if self.options.follow => {
                self.note_unopened(path, &error);
                return Ok(());
            }
            Err(error) => return Err(failed(error).into()),
        };
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(CommandError::new(Exit::Usage, format!("{}: is a directory", path.display())).into());
        }
        let identity = identity_of(&metadata);
        let is_read = !self.options.follow && self.read.contains(&identity);
        if is_read || self.open.iter().any(|open| open.identity() == identity) {
            return Ok(());
        }
        let known = self.known.iter().find(|mark| mark.identity == identity);
        let mark = open::resume(known, path, identity, &file, metadata.len()).map_err(failed)?;
        let source = self.next_source();
        let name = Arc::from(path.as_os_str().as_encoded_bytes());
        let bytes = metadata.is_file().then(|| metadata.len().saturating_sub(mark.offset));
        let open = OpenFile::new(source, file, mark, metadata.is_file(), &self.options);
        let mark = open.mark();
        self.open.push(open);
        self.send(Message::Opened { mark, name, bytes })
    }

    /// Says once for each file that it could not be opened.
    fn note_unopened(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound && self.unopened.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), %error, "file cannot be read, trying again");
        }
    }

    /// Reads one block and sends its lines; false at the end of the file.
    fn read_block(&mut self, file: &mut OpenFile) -> Result<bool, Stop> {
        self.check_stop()?;
        let (bytes, chunk) = file.read()?;
        let head = chunk.as_ref().and_then(|chunk| file.head_of(chunk));
        self.send_lines(file.source, chunk, head)?;
        Ok(bytes > 0)
    }

    fn close(&mut self, mut file: OpenFile) -> Result<(), Stop> {
        let rest = file.finish()?;
        let head = rest.as_ref().and_then(|chunk| file.head_of(chunk));
        self.send_lines(file.source, rest, head)?;
        let (source, mark, is_gone) = (file.source, file.mark(), file.is_gone());
        self.known.retain(|known| Some(known.identity) != mark.as_ref().map(|mark| mark.identity));
        self.read.extend(mark.as_ref().map(|mark| mark.identity));
        self.known.extend(mark.filter(|_| !is_gone));
        self.send(Message::Closed { source, is_gone })
    }

    fn read_stdin(&mut self) -> Result<(), Stop> {
        let source = self.next_source();
        self.send(Message::Opened { mark: None, name: Arc::from(&b"-"[..]), bytes: None })?;
        let mut splitter = Splitter::new(0, self.options.line_bytes_max, self.options.long_lines);
        let mut input = io::stdin().lock();
        loop {
            self.check_stop()?;
            let filled =
                splitter.fill(BLOCK_BYTES, |buffer| Ok::<_, ReadError>(read_some(&mut input, buffer)?));
            let (bytes, chunk) =
                filled.map_err(|error| CommandError::because(Exit::Failure, "standard input", &error))?;
            self.send_lines(source, chunk, None)?;
            if bytes == 0 {
                break;
            }
        }
        let rest = splitter
            .finish()
            .map_err(|error| CommandError::because(Exit::Failure, "standard input", &error))?;
        self.send_lines(source, rest, None)?;
        self.send(Message::Closed { source, is_gone: true })
    }

    fn send_lines(&self, source: usize, chunk: Option<Chunk>, head: Option<Head>) -> Result<(), Stop> {
        chunk.map_or(Ok(()), |chunk| self.send(Message::Lines { source, chunk, head }))
    }

    fn send(&self, message: Message) -> Result<(), Stop> {
        self.sender.blocking_send(message).map_err(|_| Stop::Unwanted)
    }

    fn check_stop(&self) -> Result<(), Stop> {
        if self.options.stop.load(Ordering::Relaxed) { Err(Stop::Unwanted) } else { Ok(()) }
    }

    fn next_source(&mut self) -> usize {
        self.sources += 1;
        self.sources - 1
    }
}

fn files_of(input: &Input) -> Outcome<Vec<PathBuf>> {
    input.files().map_err(|error| CommandError::because(Exit::Failure, "cannot list the input files", &error))
}

/// Reads once, over interruptions by signals.
pub(super) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize, io::Error> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
