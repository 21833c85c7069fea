//! How far each file is acknowledged, for the checkpoint.
//!
//! Invariant: an offset only covers lines whose acknowledgements have come, in the order of the file; the
//! acknowledging task takes them in that order.

use std::path::PathBuf;

use super::checkpoint::{Checkpoint, Head, Mark};
use crate::failure::{CommandError, Outcome};

/// The checkpoint of a running ingest.
#[derive(Debug)]
pub(crate) struct Positions {
    checkpoint: Checkpoint,
    path: PathBuf,
    /// By source; `None` for what has no place to go on from.
    sources: Vec<Option<Mark>>,
    is_dirty: bool,
}

impl Positions {
    /// Goes on from a checkpoint, which is kept in a file. It counts as changed, so that a file that cannot be written is
    /// found before anything is sent.
    pub(crate) fn new(checkpoint: Checkpoint, path: PathBuf) -> Self {
        Self { checkpoint, path, sources: Vec::new(), is_dirty: true }
    }

    /// How far each file was ingested.
    pub(crate) fn marks(&self) -> &[Mark] {
        self.checkpoint.marks()
    }

    /// A source, in the order of their numbers.
    pub(crate) fn opened(&mut self, mark: Option<Mark>) {
        self.checkpoint_mark(mark.clone());
        self.sources.push(mark);
    }

    /// The fingerprint of a source is known.
    pub(crate) fn identified(&mut self, source: usize, head: Head) {
        if let Some(Some(mark)) = self.sources.get_mut(source) {
            mark.head = head;
        }
    }

    /// Everything before `offset` is acknowledged.
    pub(crate) fn acknowledged(&mut self, source: usize, offset: u64) {
        if let Some(Some(mark)) = self.sources.get_mut(source) {
            mark.offset = offset;
            let mark = mark.clone();
            self.checkpoint_mark(Some(mark));
        }
    }

    /// The file has ended; one that no name leads to is left out from now on.
    pub(crate) fn closed(&mut self, source: usize, is_gone: bool) {
        if let Some(mark) = self.sources.get_mut(source).and_then(Option::take).filter(|_| is_gone) {
            self.checkpoint.forget(mark.identity);
            self.is_dirty = true;
        }
    }

    fn checkpoint_mark(&mut self, mark: Option<Mark>) {
        if let Some(mark) = mark {
            self.checkpoint.set(mark);
            self.is_dirty = true;
        }
    }

    /// What is to be written, if anything has changed since the last time.
    pub(crate) fn take_changes(&mut self) -> Option<(Checkpoint, PathBuf)> {
        std::mem::take(&mut self.is_dirty).then(|| (self.checkpoint.clone(), self.path.clone()))
    }

    /// Writes what has changed.
    pub(crate) fn save(&mut self) -> Outcome {
        let Some((checkpoint, path)) = self.take_changes() else { return Ok(()) };
        checkpoint
            .save(&path)
            .map_err(|error| CommandError::at_path(&path, &error).while_doing("cannot write the checkpoint"))
    }
}
