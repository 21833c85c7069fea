//! The simulated disk.
//!
//! # Fault model, and what must survive each fault
//! - **Power cut.** Of the 512-byte sectors written since the last flush of their file, any subset is on the disk, also of one write; operations in flight count as
//!   written. Of the changes of names since the last directory sync, any prefix is. What was flushed or synced is there. Acknowledged durable entries must survive.
//! - **Killed process.** Operations in flight are done in part; everything else is in the page cache. All acknowledged entries must survive.
//! - **Failed flush.** An error once; the pages stay readable, count as clean, and never reach the disk unless they are written again. Nothing that the flush
//!   covered may be acknowledged as durable, then or later.
//! - **Delayed flush.** It ends seconds later, and other operations before it. Nothing changes but the order.
//! - **Failed write.** An error; any subset of its sectors was written, or the first ones. As for a failed flush.
//! - **Full disk.** Making a file, or making it larger, fails beyond the capacity. Appends are refused before anything is numbered, and work again when there is room.
//! - **Failed or short read.** An error once. The reader is told; nothing is concluded from it.
//! - **Cold pages.** Clean pages leave the memory at any time, and after a power cut none is there. Touching a view of a page that is not in memory would stop
//!   the core: it is a mistake of the engine's and ends the run.
//! - **Failed change of a name, open, list or directory sync.** An error once, and what was asked is done or not. Whatever the lane does then, nothing that
//!   was acknowledged is lost.
//! - **Bit rot**, in any part of a file: header, entry header, payload, rows and points of a footer, trailer, unused space. The device changes, and what is in memory
//!   when it comes from the device again. Wrong bytes are never served; what cannot be read is an error that names the file and the place; everything
//!   else can be read, at once or after a repair, and no number is given out twice.
//! - **Clock jumps**, forward and back, by a second to years (`sim/wall.rs`). Append times never fall; what readers no longer see stays so; nothing goes before it is over by
//!   the latest that the wall clock has shown, and what is over goes although the clock has fallen.
//! - **A lie** (off unless a test asks): the model of the tests must notice.
//!
//! Left out: misdirected writes.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    World,
    faults::{Fault, Lie},
    file::SimFile,
    forge::dress_up,
    image::{InodeId, NameChange},
};
use crate::{
    env::{Access, Disk},
    error::{Cause, DiskError, Operation},
};

pub(super) const ERROR_IO: i32 = rustix::io::Errno::IO.raw_os_error();
const ERROR_FULL: i32 = rustix::io::Errno::NOSPC.raw_os_error();
const ERROR_NO_FILE: i32 = rustix::io::Errno::NOENT.raw_os_error();
const ERROR_EXISTS: i32 = rustix::io::Errno::EXIST.raw_os_error();

/// The disk of a simulated world.
#[derive(Clone)]
pub struct SimDisk(pub(super) Rc<World>);

/// How an operation on names ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Done, and an error all the same.
    DoneAndFailed,
    Failed,
}

fn failed(operation: Operation, path: &Path, number: i32) -> DiskError {
    DiskError { operation, path: path.to_owned(), offset: 0, cause: Cause::Os(number) }
}

impl SimDisk {
    async fn operate(&self, operation: Operation, path: &Path) -> Outcome {
        self.0.note(&[operation as u8]);
        self.0.note(path.as_os_str().as_encoded_bytes());
        self.0.delay().await;
        self.outcome(operation)
    }

    fn outcome(&self, operation: Operation) -> Outcome {
        let rate = self.0.disk.borrow().faults.name_failures;
        // A start lists once and opens many files.
        let times = if operation == Operation::List { 8 } else { 1 };
        if !self.0.happens(rate * times) {
            return Outcome::Done;
        }
        self.0.inject(match operation {
            Operation::Create | Operation::CreateDirectory | Operation::Resize => Fault::FailedCreate,
            Operation::Open | Operation::Map => Fault::FailedOpen,
            Operation::Rename => Fault::FailedRename,
            Operation::Remove => Fault::FailedRemove,
            Operation::SyncDirectory => Fault::FailedDirectorySync,
            Operation::List => Fault::FailedList,
            Operation::Write
            | Operation::Flush
            | Operation::WriteBack
            | Operation::Read
            | Operation::Populate => {
                unreachable!("an operation on the bytes of a file has no name to fail")
            }
        });
        if self.0.draw(2) == 0 { Outcome::Failed } else { Outcome::DoneAndFailed }
    }

    fn file(&self, path: PathBuf, inode: InodeId) -> SimFile {
        SimFile::new(Rc::clone(&self.0), path, inode)
    }
}

/// The answer to an operation that was tried.
fn answer(outcome: Outcome, operation: Operation, path: &Path) -> Result<(), DiskError> {
    if outcome == Outcome::Done { Ok(()) } else { Err(failed(operation, path, ERROR_IO)) }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn create(&self, path: PathBuf, bytes: u64) -> Result<SimFile, DiskError> {
        let outcome = self.operate(Operation::Create, &path).await;
        let inode = {
            let mut disk = self.0.disk.borrow_mut();
            if disk.names.contains_key(&path) {
                return Err(failed(Operation::Create, &path, ERROR_EXISTS));
            }
            if disk.faults.capacity_bytes.is_some_and(|capacity| disk.used_bytes() + bytes > capacity) {
                self.0.inject(Fault::FullDisk);
                return Err(failed(Operation::Create, &path, ERROR_FULL));
            }
            if outcome == Outcome::Failed {
                return Err(failed(Operation::Create, &path, ERROR_IO));
            }
            disk.create(path.clone(), bytes)
        };
        answer(outcome, Operation::Create, &path)?;
        Ok(self.file(path, inode))
    }

    async fn open(&self, path: PathBuf, _access: Access) -> Result<SimFile, DiskError> {
        let outcome = self.operate(Operation::Open, &path).await;
        answer(outcome, Operation::Open, &path)?;
        let inode = self.0.disk.borrow().names.get(&path).copied();
        inode.map(|inode| self.file(path.clone(), inode)).ok_or(failed(Operation::Open, &path, ERROR_NO_FILE))
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, DiskError> {
        answer(self.outcome(Operation::List), Operation::List, directory)?;
        let disk = self.0.disk.borrow();
        let inside = disk.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_directory(&self, _directory: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    async fn rename(&self, file: &SimFile, to: PathBuf) -> Result<(), DiskError> {
        let from = file.path.borrow().clone();
        let outcome = self.operate(Operation::Rename, &to).await;
        let mut disk = self.0.disk.borrow_mut();
        if disk.names.get(&from) != Some(&file.inode) {
            return Err(failed(Operation::Rename, &from, ERROR_NO_FILE));
        }
        if outcome != Outcome::Failed {
            disk.change_name(NameChange::Rename(from.clone(), to.clone()));
        }
        if outcome == Outcome::Done {
            if disk.faults.lie == Some(Lie::OldEpochs)
                && let Some(inode) = disk.inodes.get_mut(&file.inode)
            {
                inode.forge(|bytes| dress_up(bytes, &from, &to));
            }
            file.path.replace(to);
        }
        answer(outcome, Operation::Rename, &from)
    }

    async fn remove(&self, path: PathBuf) -> Result<(), DiskError> {
        let outcome = self.operate(Operation::Remove, &path).await;
        let mut disk = self.0.disk.borrow_mut();
        if !disk.names.contains_key(&path) {
            return Err(failed(Operation::Remove, &path, ERROR_NO_FILE));
        }
        if outcome != Outcome::Failed {
            disk.change_name(NameChange::Remove(path.clone()));
        }
        answer(outcome, Operation::Remove, &path)
    }

    async fn resize(&self, path: PathBuf, bytes: u64) -> Result<(), DiskError> {
        let outcome = self.operate(Operation::Resize, &path).await;
        let mut disk = self.0.disk.borrow_mut();
        let before = disk.names.get(&path).map_or(0, |inode| disk.inodes[inode].bytes());
        let others = disk.used_bytes() - before;
        if disk.faults.capacity_bytes.is_some_and(|capacity| others + bytes > capacity) {
            self.0.inject(Fault::FullDisk);
            return Err(failed(Operation::Resize, &path, ERROR_FULL));
        }
        if outcome != Outcome::Failed {
            disk.resize(path.clone(), bytes);
        }
        answer(outcome, Operation::Resize, &path)
    }

    async fn sync_directory(&self, directory: PathBuf) -> Result<(), DiskError> {
        let begun = self.0.disk.borrow().names_changed();
        let outcome = self.operate(Operation::SyncDirectory, &directory).await;
        let mut disk = self.0.disk.borrow_mut();
        if outcome != Outcome::Failed && disk.faults.lie != Some(Lie::DirectorySync) {
            disk.settle_names(begun);
        }
        answer(outcome, Operation::SyncDirectory, &directory)
    }
}
