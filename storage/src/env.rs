//! The one seam to the world: disk, clock, chance and tasks.
//!
//! Owns the traits that the engine is written against. Two implementations of the disk exist, `disk::RingDisk` on
//! io_uring and `sim::SimDisk`; environments are `local::LocalEnv`, `sim::SimEnv` and the server's executor. Leaves out any policy:
//! what is written, when and why is the lane's business.

use std::{
    future::Future,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use tidemill_wire::Timestamp;

use crate::error::DiskError;

/// What a lane needs from the place it runs in. Single-threaded: nothing here has to be `Send`.
pub trait Env: Clone + 'static {
    /// The disk.
    type Disk: Disk;

    /// The disk that the lane's files are on.
    fn disk(&self) -> &Self::Disk;
    /// Wall clock. It may jump; the lane has a clock of its own that never falls.
    fn now(&self) -> Timestamp;
    /// A clock that never falls, from an arbitrary zero.
    fn monotonic(&self) -> Duration;
    /// Runs a task on this core until it ends. The task must not be dropped while the environment lives.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// Runs a task that can wait: it gets its turn when no request wants the core.
    fn spawn_background(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn(task);
    }
    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
    /// A number nobody can foresee, or the next draw of a seed.
    fn random_u64(&self) -> u64;
}

/// Whether the bytes of a write must be on stable storage before it completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// In the page cache: survives the process, not the power.
    Cached,
    /// On stable storage, these bytes and whatever is needed to find them again.
    Durable,
}

/// Whether a file may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only: never changes the file, needs no permission to write.
    Read,
    /// Read and write.
    Write,
}

/// Files and directories. Operations never block the calling core, except `list` and `create_directory`, which run at start only.
///
/// Names of a directory are stable after `sync_directory` completes, not before.
pub trait Disk: Clone + 'static {
    /// An open, mapped file.
    type File: File;

    /// Makes a file that is not there yet, with all its space allocated, and maps it.
    /// A full disk is an error here and never later.
    fn create(&self, path: PathBuf, bytes: u64) -> impl Future<Output = Result<Self::File, DiskError>>;
    /// Opens and maps a file.
    fn open(&self, path: PathBuf, access: Access) -> impl Future<Output = Result<Self::File, DiskError>>;
    /// Names in a directory, sorted.
    fn list(&self, directory: &Path) -> Result<Vec<String>, DiskError>;
    /// Makes a directory and its ancestors, and leaves what is there as it is.
    fn create_directory(&self, directory: &Path) -> Result<(), DiskError>;
    /// Renames an open file, over another if there is one.
    fn rename(&self, file: &Self::File, to: PathBuf) -> impl Future<Output = Result<(), DiskError>>;
    /// Removes a file's name; its space is free when nothing holds the file any more.
    fn remove(&self, path: PathBuf) -> impl Future<Output = Result<(), DiskError>>;
    /// Gives a file that nobody has open this size, with all its space allocated, and makes it if it is not there. What it holds then is
    /// of no use to anybody. A full disk is an error, and the file stays as large as it was.
    fn resize(&self, path: PathBuf, bytes: u64) -> impl Future<Output = Result<(), DiskError>>;
    /// Makes the names in a directory stable.
    fn sync_directory(&self, directory: PathBuf) -> impl Future<Output = Result<(), DiskError>>;
}

/// A file of fixed size that is mapped for reading and written through the page cache. Clones are the same open file.
pub trait File: Clone + 'static {
    /// Writes `buffers` one after the other from `position`, all of them or an error.
    fn write(
        &self,
        position: u64,
        buffers: Vec<Bytes>,
        mode: WriteMode,
    ) -> impl Future<Output = Result<(), DiskError>>;
    /// Makes everything stable whose write completed before this call.
    fn flush(&self) -> impl Future<Output = Result<(), DiskError>>;
    /// Has the disk begin with what was written to a window, so that a later flush finds less to do. Makes nothing stable. An error means what one of a flush means: what
    /// was written there may be lost. What fails after this has returned is told by the next flush or durable write; what lacked memory only is left to it.
    fn write_back(&self, window: Range<u64>) -> impl Future<Output = Result<(), DiskError>>;
    /// The bytes of some windows, one after the other, so that nobody waits for the disk when they are touched. What is in memory is a view, the rest is
    /// read, without displacing what others have in memory. Windows lie within the file.
    fn fetch(&self, windows: Vec<Range<u64>>) -> impl Future<Output = Result<Vec<Bytes>, DiskError>>;
    /// Reads exactly `bytes` bytes from `position`, as they are in the page cache.
    fn read(&self, position: u64, bytes: usize) -> impl Future<Output = Result<Bytes, DiskError>>;
    /// Brings a window into memory, so that touching its view does not wait for the disk.
    fn populate(&self, window: Range<u64>) -> impl Future<Output = Result<(), DiskError>>;
    /// Whether touching a window would not wait for the disk at this moment.
    fn is_resident(&self, window: Range<u64>) -> bool;
    /// The bytes of a window, without a copy where the environment can. Whoever touches them sees to it that they are in memory. They must not be written while a view of them is held.
    /// A window outside the file is cut to the file.
    fn view(&self, window: Range<u64>) -> Bytes;
    /// Whether somebody still holds a view.
    fn is_viewed(&self) -> bool;
    /// Size of the file.
    fn bytes(&self) -> u64;
}
