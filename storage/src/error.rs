//! What can go wrong, one enum per operation.
//!
//! Owns the errors that leave the crate. A caller at fault gets a value to act on; a world at fault gets path, offset and both sides of the
//! disagreement. Leaves out wire codes: the server maps these exhaustively.

use std::path::PathBuf;

use tidemill_wire::{OwnerId, SequenceNumber};

/// What was asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the operations of `env::Disk` and `env::File`")]
pub enum Operation {
    Create,
    Open,
    Map,
    List,
    CreateDirectory,
    Rename,
    Remove,
    SyncDirectory,
    Resize,
    Write,
    Flush,
    WriteBack,
    Read,
    Populate,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Map => "map",
            Self::List => "list",
            Self::CreateDirectory => "create directory",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::SyncDirectory => "sync directory",
            Self::Resize => "resize",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::WriteBack => "write back",
            Self::Read => "read",
            Self::Populate => "populate",
        })
    }
}

/// Why an operation of the disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operating system's error number.
    Os(i32),
    /// The file ended, or the device took less, before all bytes were moved.
    Short {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes moved.
        moved: u64,
    },
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Os(number) => std::io::Error::from_raw_os_error(*number).fmt(f),
            Self::Short { wanted, moved } => write!(f, "moved {moved} of {wanted} bytes"),
        }
    }
}

/// An operation of the disk failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} of {} at offset {offset} failed: {cause}", path.display())]
pub struct DiskError {
    /// What was asked.
    pub operation: Operation,
    /// Of which file or directory.
    pub path: PathBuf,
    /// From which byte on, 0 where it does not apply.
    pub offset: u64,
    /// Why it failed.
    pub cause: Cause,
}

impl DiskError {
    /// Whether there was no room, which passes when space is freed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        const NO_SPACE: i32 = rustix::io::Errno::NOSPC.raw_os_error();
        const NO_QUOTA: i32 = rustix::io::Errno::DQUOT.raw_os_error();
        matches!(self.cause, Cause::Os(NO_SPACE | NO_QUOTA))
    }
}

/// Bytes on disk that are not what they must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at offset {offset}: expected {expected}, found {found}", path.display())]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The first byte that is wrong, or the start of the structure that holds it.
    pub offset: u64,
    /// What must be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Why a lane could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot work.
    #[error("lane configuration: {reason}")]
    Config {
        /// Which bound is broken.
        reason: String,
    },
    /// Bytes that had been made stable are wrong. Nothing was changed.
    #[error(transparent)]
    Damaged(Damage),
    /// A segment belongs to another lane.
    #[error("{} belongs to lane {found}, expected lane {expected}", path.display())]
    ForeignLane {
        /// The segment file.
        path: PathBuf,
        /// The lane that was to be opened.
        expected: u32,
        /// The lane in the file.
        found: u32,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The owner was never adopted, or was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("owner {owner} is not known to the lane")]
pub struct UnknownOwner {
    /// The owner asked for.
    pub owner: OwnerId,
}

/// Why an append was not taken, or not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The owner was never adopted, or was forgotten before the entry was numbered.
    #[error(transparent)]
    UnknownOwner(#[from] UnknownOwner),
    /// The entry is larger than the lane takes.
    #[error("entry of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the entry with its header.
        bytes: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The entry takes no sequence number, or more than the owner has left.
    #[error("an entry cannot take {record_count} sequence numbers")]
    RecordCount {
        /// How many were asked for.
        record_count: u32,
    },
    /// Too much is waiting to be written.
    #[error("{queued} bytes are waiting to be written, the limit is {limit}")]
    QueueFull {
        /// Bytes that wait.
        queued: u64,
        /// Bytes that may wait.
        limit: u64,
    },
    /// There is no room for another segment. Nothing was numbered; appends work again when space is freed.
    #[error("the disk is full: the next segment needs {needed} bytes")]
    DiskFull {
        /// Bytes that must be free.
        needed: u64,
    },
    /// A write or a flush failed. The entry may or may not be there after the lane is opened again.
    #[error("the lane refuses writes since a failure: {reason}")]
    Poisoned {
        /// The failure.
        reason: DiskError,
    },
    /// The lane is closing.
    #[error("the lane is closed")]
    Closed,
}

/// Why a fetch has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The owner was never adopted, or was forgotten.
    #[error(transparent)]
    UnknownOwner(#[from] UnknownOwner),
    /// The sequence number was not given out yet.
    #[error("sequence number {from} is beyond the end {end}")]
    BeyondEnd {
        /// The number asked for.
        from: SequenceNumber,
        /// The next number to be given out.
        end: SequenceNumber,
    },
    /// Stored bytes are wrong.
    #[error(transparent)]
    Damaged(Damage),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
