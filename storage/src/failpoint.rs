//! Failpoints: a debug build that is asked to kills its own process at the n-th step of a kind at the disk.
//!
//! Owns the names of the steps and the count. The disk's seam, and the thread of the server's catalog, pass through here before and after each step that changes
//! something, so tests of the real binary crash between any two of them. Promises that a release build has none of it: `arm` refuses there, and the steps cost nothing.
//!
//! A failpoint is written `when:step:kind:n`, such as `after:rename:compacting:1`: *when* is `before`, `amid` (half of a write's bytes) or
//! `after`, *step* and *kind* are those of [`Step`] and [`Kind`], and *n* counts from 1.

use std::{path::Path, str::FromStr, sync::OnceLock, sync::atomic::AtomicU64};

mod between;

pub(crate) use between::between;
pub use between::{Interposed, Work, interpose};

/// Whether this build has failpoints.
pub const COMPILED: bool = cfg!(debug_assertions);

/// When a step kills the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing of it is done.
    Before,
    /// A write that moved half of its bytes.
    Amid,
    /// It is done, and nobody knows.
    After,
}

/// What is done to a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Step {
    Create,
    Rename,
    Remove,
    /// A file is made larger or smaller, or made.
    Resize,
    /// The names of a directory are made stable.
    SyncDirectory,
    Flush,
    /// A write that is none of the next two.
    Write,
    /// The first page of a file is written and made stable.
    WriteHeader,
    /// The last page of a file is written and made stable, which seals a segment.
    WriteTrailer,
    /// A change of the catalog is made durable.
    Commit,
    /// All cores are told of one.
    Tell,
}

/// What a file is, by the name that it has before the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the suffixes of a lane's files")]
pub enum Kind {
    Segment,
    Preparing,
    Compacting,
    Reserve,
    /// A directory, or any other file.
    Other,
}

/// Where the process kills itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failpoint {
    when: When,
    step: Step,
    kind: Kind,
    count: u64,
}

/// Why a failpoint is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailpointError {
    /// The text names none.
    #[error("{text:?} is no failpoint: expected when:step:kind:n, such as after:rename:compacting:1")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// A build that serves.
    #[error("failpoint {text:?} was asked for, and this release build has none")]
    Release {
        /// What was given.
        text: String,
    },
    /// Another one is set.
    #[error("a failpoint is set already")]
    Armed,
}

impl FromStr for Failpoint {
    type Err = FailpointError;

    fn from_str(text: &str) -> Result<Self, FailpointError> {
        let malformed = || FailpointError::Malformed { text: text.to_owned() };
        let mut words = text.split(':');
        let mut word = || words.next().ok_or_else(malformed);
        let when = match word()? {
            "before" => When::Before,
            "amid" => When::Amid,
            "after" => When::After,
            _ => return Err(malformed()),
        };
        let step = match word()? {
            "create" => Step::Create,
            "rename" => Step::Rename,
            "remove" => Step::Remove,
            "resize" => Step::Resize,
            "sync_directory" => Step::SyncDirectory,
            "flush" => Step::Flush,
            "write" => Step::Write,
            "write_header" => Step::WriteHeader,
            "write_trailer" => Step::WriteTrailer,
            "commit" => Step::Commit,
            "tell" => Step::Tell,
            _ => return Err(malformed()),
        };
        let kind = match word()? {
            "segment" => Kind::Segment,
            "preparing" => Kind::Preparing,
            "compacting" => Kind::Compacting,
            "reserve" => Kind::Reserve,
            "other" => Kind::Other,
            _ => return Err(malformed()),
        };
        let count: u64 = word()?.parse().map_err(|_| malformed())?;
        let is_write = matches!(step, Step::Write | Step::WriteHeader | Step::WriteTrailer);
        let sound = words.next().is_none() && count > 0 && (when != When::Amid || is_write);
        if sound { Ok(Self { when, step, kind, count }) } else { Err(malformed()) }
    }
}

static ARMED: OnceLock<(Failpoint, AtomicU64)> = OnceLock::new();

/// Sets the failpoint of this process. There can be one, and none in a release build.
pub fn arm(text: &str) -> Result<(), FailpointError> {
    if !COMPILED {
        return Err(FailpointError::Release { text: text.to_owned() });
    }
    ARMED.set((text.parse()?, AtomicU64::new(0))).map_err(|_| FailpointError::Armed)
}

/// A step on its way.
#[must_use]
pub struct Passage(Option<When>);

/// Enters a step, or ends the process before it.
pub fn enter(step: Step, path: &Path) -> Passage {
    if !COMPILED {
        return Passage(None);
    }
    let Some((point, reached)) = ARMED.get() else { return Passage(None) };
    if point.step != step || point.kind != kind_of(path) {
        return Passage(None);
    }
    let count = reached.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
    if count != point.count {
        return Passage(None);
    }
    if point.when == When::Before {
        die();
    }
    Passage(Some(point.when))
}

impl Passage {
    /// Whether only a part of the step is to be done, and then `die` called.
    pub(crate) fn ends_amid(&self) -> bool {
        self.0 == Some(When::Amid)
    }

    /// Leaves the step, or ends the process after it.
    pub fn leave(self) {
        if self.0.is_some() {
            die();
        }
    }
}

fn kind_of(path: &Path) -> Kind {
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("segment") => Kind::Segment,
        Some("preparing") => Kind::Preparing,
        Some("compacting") => Kind::Compacting,
        Some("reserve") => Kind::Reserve,
        _ => Kind::Other,
    }
}

/// Ends the process as `kill -9` does.
fn die() -> ! {
    // It cannot fail for the process itself, and the abort ends it all the same.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort();
}

#[cfg(test)]
mod tests;
