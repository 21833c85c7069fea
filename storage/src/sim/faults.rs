//! What may go wrong in a simulated world, and how often it did.
//!
//! Owns the names and the counts of all faults, so that a run can show that none of them is silently missing, and the lies that a disk tells when a
//! test asks what would notice them.

use std::cell::RefCell;

/// What may fail, in cases per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Flushes, and the flush of a durable write.
    pub flush_failures: u32,
    /// Flushes that take up to two seconds.
    pub flush_delays: u32,
    /// Writes: of a failed one any subset of its sectors is in the file, of a short one the first.
    pub write_failures: u32,
    /// Reads and populates: an error, or fewer bytes than asked for.
    pub read_failures: u32,
    /// Making, opening, renaming, removing and listing files, and flushes of the directory. What was asked may be done all the same.
    pub name_failures: u32,
    /// Jumps of the wall clock, in cases per million times that the world waits.
    pub clock_jumps: u32,
    /// Bytes of all files together; `None` for as many as wanted.
    pub capacity_bytes: Option<u64>,
    /// What the disk pretends. A test that runs with a lie expects the model to notice.
    pub lie: Option<Lie>,
}

/// Something that a disk says or does so that a promise of the engine is void, as if the engine had left out a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Flushes of every kind do nothing and say that they did.
    Flush,
    /// Plain flushes work; a write that carries its own flush is only a write.
    DurableWrite,
    /// Write-back that fails is said to have gone well, as if nobody looked at its error.
    WriteBack,
    /// Flushes of a directory do nothing and say that they did.
    DirectorySync,
    /// Flushes of what compaction writes do nothing: its sources go before it is stable.
    CompactionFlush,
    /// A file that is used again comes with its old entries dressed up as the new segment's, as if epochs were not compared.
    OldEpochs,
    /// Watermarks are written with no number in them, as if they were left out.
    Watermarks,
    /// Bits that rot in a payload come with the checksum that fits them, as if checksums were not compared.
    RotWithChecksum,
    /// Instead of bits that rot, everything from an entry on is gone without a trace, as if a start cut the log there and told nobody.
    SilentCut,
    /// Bits rot elsewhere than the world says, as if errors named the wrong place.
    RotElsewhere,
    /// Entries are written with the time that the wall clock shows, also where it has fallen.
    WallTimes,
    /// The wall clock that the engine sees is up to a minute ahead of the world's, as if records went before they are over.
    EarlyClock,
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are in `NAMES`")]
pub enum Fault {
    Kill,
    PowerCut,
    TornWrite,
    LostSector,
    LostName,
    FailedFlush,
    DelayedFlush,
    FailedWriteBack,
    FailedWrite,
    ShortWrite,
    FailedRead,
    ShortRead,
    FailedPopulate,
    FullDisk,
    FailedCreate,
    FailedOpen,
    FailedRename,
    FailedRemove,
    FailedDirectorySync,
    FailedList,
    EvictedPage,
    ClockForward,
    ClockBack,
    RotHeader,
    RotEntryHeader,
    RotPayload,
    RotRows,
    RotPoints,
    RotTrailer,
    RotUnused,
}

impl Fault {
    /// Every kind, with its name in the table of a run.
    pub const NAMES: [(Self, &'static str); 30] = [
        (Self::Kill, "process killed"),
        (Self::PowerCut, "power cut"),
        (Self::TornWrite, "write in flight done in part"),
        (Self::LostSector, "unflushed sector lost"),
        (Self::LostName, "unflushed change of a name lost"),
        (Self::FailedFlush, "flush failed"),
        (Self::DelayedFlush, "flush delayed"),
        (Self::FailedWriteBack, "early write-back failed"),
        (Self::FailedWrite, "write failed"),
        (Self::ShortWrite, "write short"),
        (Self::FailedRead, "read failed"),
        (Self::ShortRead, "read short"),
        (Self::FailedPopulate, "populate failed"),
        (Self::FullDisk, "disk full"),
        (Self::FailedCreate, "create failed"),
        (Self::FailedOpen, "open failed"),
        (Self::FailedRename, "rename failed"),
        (Self::FailedRemove, "remove failed"),
        (Self::FailedDirectorySync, "directory sync failed"),
        (Self::FailedList, "list failed"),
        (Self::EvictedPage, "clean page evicted"),
        (Self::ClockForward, "clock jumped forward"),
        (Self::ClockBack, "clock jumped back"),
        (Self::RotHeader, "bit rot in a segment header"),
        (Self::RotEntryHeader, "bit rot in an entry header"),
        (Self::RotPayload, "bit rot in a payload"),
        (Self::RotRows, "bit rot in a footer's rows"),
        (Self::RotPoints, "bit rot in a footer's points"),
        (Self::RotTrailer, "bit rot in a trailer"),
        (Self::RotUnused, "bit rot in unused space"),
    ];

    /// What it is called in the table of a run.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(fault, _)| *fault == self).map_or("", |(_, name)| name)
    }
}

/// The kinds that rot bits, by what they hit.
pub const ROT: [Fault; 7] = [
    Fault::RotHeader,
    Fault::RotEntryHeader,
    Fault::RotPayload,
    Fault::RotRows,
    Fault::RotPoints,
    Fault::RotTrailer,
    Fault::RotUnused,
];

/// How often each kind of fault happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injected([u64; Fault::NAMES.len()]);

impl Injected {
    /// How often one kind happened.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Takes in the counts of another world.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Every kind by name.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::NAMES.into_iter().map(|(fault, name)| (name, self.of(fault)))
    }
}

/// The counts of a world that is running.
#[derive(Default)]
pub(super) struct Counter(RefCell<Injected>);

impl Counter {
    pub(super) fn count(&self, fault: Fault, times: u64) {
        self.0.borrow_mut().0[fault as usize] += times;
    }

    pub(super) fn counts(&self) -> Injected {
        self.0.borrow().clone()
    }
}
