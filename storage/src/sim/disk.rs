//! The simulated disk.
//!
//! # Fault model, and what must survive each fault
//! - **Power cut.** Of the 512-byte sectors written since the last flush of their file, any subset is on the disk, also of one write; operations in flight count as
//!   written. Of the changes of names since the last directory sync, any prefix is. What was flushed or synced is there. Acknowledged durable entries must survive.
//! - **Killed process.** Operations in flight are done in part; everything else is in the page cache. All acknowledged entries must survive.
//! - **Failed flush.** An error once; the pages stay readable, count as clean, and never reach the disk unless they are written again. Nothing that the flush
//!   covered may be acknowledged as durable, then or later.
//! - **Failed write.** An error; any subset of its sectors was written. As for a failed flush.
//! - **Full disk.** Making a file fails beyond the capacity. Appends are refused before anything is numbered, and work again when there is room.
//! - **Failed read.** An error once. The reader is told; nothing is concluded from it.
//! - **A lying flush** (a switch, off unless a test asks): nothing is flushed and no error is given, for all files or for those that compaction writes.
//!   The model of the tests must notice.
//!
//! Left out: bits that flip at rest (real-disk tests overwrite files for that) and misdirected writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
};

use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use super::{Crash, World};
use crate::{
    env::{Access, Disk, File, WriteMode},
    error::{Cause, DiskError, Operation},
};

const SECTOR_BYTES: usize = 512;
const ERROR_IO: i32 = rustix::io::Errno::IO.raw_os_error();
const ERROR_FULL: i32 = rustix::io::Errno::NOSPC.raw_os_error();
const ERROR_NO_FILE: i32 = rustix::io::Errno::NOENT.raw_os_error();
const ERROR_EXISTS: i32 = rustix::io::Errno::EXIST.raw_os_error();

/// What may fail, in cases per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Flushes, and the flush of a durable write.
    pub flush_failures: u32,
    /// Writes.
    pub write_failures: u32,
    /// Reads and populates.
    pub read_failures: u32,
    /// Bytes of all files together; `None` for as many as wanted.
    pub capacity_bytes: Option<u64>,
    /// Flushes do nothing and say that they did.
    pub lying_flushes: bool,
    /// Flushes of what compaction writes do nothing and say that they did: its sources go before it is stable.
    pub lying_compaction: bool,
}

type InodeId = u64;

#[derive(Default)]
pub(super) struct DiskState {
    pub(super) faults: Faults,
    inodes: BTreeMap<InodeId, Inode>,
    names: BTreeMap<PathBuf, InodeId>,
    stable_names: BTreeMap<PathBuf, InodeId>,
    name_changes: Vec<NameChange>,
    /// Writes that were begun and have not completed.
    writes: BTreeMap<u64, (InodeId, u64, Vec<Bytes>)>,
    next: u64,
}

struct Inode {
    /// The page cache.
    cached: Vec<u8>,
    /// The device.
    stable: Vec<u8>,
    /// Sectors that differ, with the number of the write that made them so.
    dirty: BTreeMap<usize, u64>,
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, InodeId),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, InodeId>) {
        match self {
            Self::Create(path, inode) => {
                names.insert(path, inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Inode {
    /// Writes the sectors that `take` chooses.
    fn put(&mut self, position: u64, buffers: &[Bytes], number: u64, mut take: impl FnMut() -> bool) {
        let bytes = buffers.concat();
        let start = position as usize;
        let mut at = start;
        while at < start + bytes.len() {
            let sector = at / SECTOR_BYTES;
            let end = ((sector + 1) * SECTOR_BYTES).min(start + bytes.len());
            if take() {
                self.cached[at..end].copy_from_slice(&bytes[at - start..end - start]);
                self.dirty.insert(sector, number);
            }
            at = end;
        }
    }

    fn settle(&mut self, sector: usize) {
        let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(self.cached.len());
        self.stable[range.clone()].copy_from_slice(&self.cached[range]);
    }
}

impl DiskState {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn change_name(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn used_bytes(&self) -> u64 {
        let inodes: BTreeSet<InodeId> = self.names.values().copied().collect();
        inodes.iter().map(|inode| self.inodes[inode].cached.len() as u64).sum()
    }

    pub(super) fn crash(&mut self, crash: Crash, random: &mut ChaCha8Rng) {
        for (number, (inode, position, buffers)) in std::mem::take(&mut self.writes) {
            if let Some(inode) = self.inodes.get_mut(&inode) {
                let whole = random.next_u64().is_multiple_of(3);
                inode.put(position, &buffers, number, || whole || random.next_u64().is_multiple_of(2));
            }
        }
        if crash == Crash::Process {
            return;
        }
        let kept = random.next_u64() % (self.name_changes.len() as u64 + 1);
        for change in std::mem::take(&mut self.name_changes).into_iter().take(kept as usize) {
            change.apply(&mut self.stable_names);
        }
        self.names = self.stable_names.clone();
        let named: BTreeSet<InodeId> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
        for inode in self.inodes.values_mut() {
            // How much was written back before the cut differs from file to file.
            let odds = 1 + random.next_u64() % 4;
            for sector in std::mem::take(&mut inode.dirty).into_keys() {
                if random.next_u64().is_multiple_of(odds) {
                    inode.settle(sector);
                }
            }
            inode.cached.copy_from_slice(&inode.stable);
        }
    }
}

/// The disk of a simulated world.
#[derive(Clone)]
pub struct SimDisk(pub(super) Rc<World>);

/// An open file of the simulated disk.
#[derive(Clone)]
pub struct SimFile {
    world: Rc<World>,
    inode: InodeId,
    bytes: u64,
    path: Rc<std::cell::RefCell<PathBuf>>,
}

fn failed(operation: Operation, path: &Path, number: i32) -> DiskError {
    DiskError { operation, path: path.to_owned(), offset: 0, cause: Cause::Os(number) }
}

impl SimDisk {
    async fn operate(&self, operation: Operation, path: &Path) {
        self.0.note(&[operation as u8]);
        self.0.note(path.as_os_str().as_encoded_bytes());
        self.0.delay().await;
    }

    fn file(&self, path: PathBuf, inode: InodeId) -> SimFile {
        let bytes = self.0.disk.borrow().inodes[&inode].cached.len() as u64;
        SimFile { world: Rc::clone(&self.0), inode, bytes, path: Rc::new(path.into()) }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn create(&self, path: PathBuf, bytes: u64) -> Result<SimFile, DiskError> {
        self.operate(Operation::Create, &path).await;
        let inode = {
            let mut disk = self.0.disk.borrow_mut();
            if disk.names.contains_key(&path) {
                return Err(failed(Operation::Create, &path, ERROR_EXISTS));
            }
            if disk.faults.capacity_bytes.is_some_and(|capacity| disk.used_bytes() + bytes > capacity) {
                return Err(failed(Operation::Create, &path, ERROR_FULL));
            }
            let inode = disk.number();
            let zeroes = vec![0; bytes as usize];
            disk.inodes
                .insert(inode, Inode { cached: zeroes.clone(), stable: zeroes, dirty: BTreeMap::new() });
            disk.change_name(NameChange::Create(path.clone(), inode));
            inode
        };
        Ok(self.file(path, inode))
    }

    async fn open(&self, path: PathBuf, _access: Access) -> Result<SimFile, DiskError> {
        self.operate(Operation::Open, &path).await;
        let inode = self.0.disk.borrow().names.get(&path).copied();
        inode.map(|inode| self.file(path.clone(), inode)).ok_or(failed(Operation::Open, &path, ERROR_NO_FILE))
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, DiskError> {
        let disk = self.0.disk.borrow();
        let inside = disk.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_directory(&self, _directory: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    async fn rename(&self, file: &SimFile, to: PathBuf) -> Result<(), DiskError> {
        let from = file.path.borrow().clone();
        self.operate(Operation::Rename, &to).await;
        let mut disk = self.0.disk.borrow_mut();
        if disk.names.get(&from) != Some(&file.inode) {
            return Err(failed(Operation::Rename, &from, ERROR_NO_FILE));
        }
        disk.change_name(NameChange::Rename(from, to.clone()));
        file.path.replace(to);
        Ok(())
    }

    async fn remove(&self, path: PathBuf) -> Result<(), DiskError> {
        self.operate(Operation::Remove, &path).await;
        let mut disk = self.0.disk.borrow_mut();
        if !disk.names.contains_key(&path) {
            return Err(failed(Operation::Remove, &path, ERROR_NO_FILE));
        }
        disk.change_name(NameChange::Remove(path));
        Ok(())
    }

    async fn sync_directory(&self, directory: PathBuf) -> Result<(), DiskError> {
        let begun = self.0.disk.borrow().name_changes.len();
        self.operate(Operation::SyncDirectory, &directory).await;
        let mut disk = self.0.disk.borrow_mut();
        // Another sync may have ended first.
        let done = begun.min(disk.name_changes.len());
        let changes: Vec<NameChange> = disk.name_changes.drain(..done).collect();
        for change in changes {
            change.apply(&mut disk.stable_names);
        }
        Ok(())
    }
}

impl SimFile {
    fn failed(&self, operation: Operation, offset: u64) -> DiskError {
        let path = self.path.borrow().clone();
        DiskError { operation, path, offset, cause: Cause::Os(ERROR_IO) }
    }

    fn fails(&self, rate: impl Fn(&Faults) -> u32) -> bool {
        let rate = rate(&self.world.disk.borrow().faults);
        rate > 0 && self.world.draw(1_000_000) < u64::from(rate)
    }

    /// Ends a flush of these sectors, which were dirty when it began.
    fn end_flush(&self, sectors: &BTreeMap<usize, u64>) -> Result<(), DiskError> {
        let fails = self.fails(|faults| faults.flush_failures);
        let compacting = self.path.borrow().extension().is_some_and(|extension| extension == "compacting");
        let mut disk = self.world.disk.borrow_mut();
        if disk.faults.lying_flushes || (disk.faults.lying_compaction && compacting) {
            return Ok(());
        }
        let Some(inode) = disk.inodes.get_mut(&self.inode) else { return Ok(()) };
        for (sector, number) in sectors {
            if !fails {
                inode.settle(*sector);
            }
            if inode.dirty.get(sector) == Some(number) {
                inode.dirty.remove(sector);
            }
        }
        drop(disk);
        if fails { Err(self.failed(Operation::Flush, 0)) } else { Ok(()) }
    }

    async fn wait_to_read(&self, operation: Operation, offset: u64) -> Result<(), DiskError> {
        self.world.note(&[operation as u8]);
        self.world.delay().await;
        if self.fails(|faults| faults.read_failures) { Err(self.failed(operation, offset)) } else { Ok(()) }
    }
}

impl File for SimFile {
    async fn write(&self, position: u64, buffers: Vec<Bytes>, mode: WriteMode) -> Result<(), DiskError> {
        let bytes: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        assert!(position + bytes <= self.bytes, "a file never grows");
        self.world.note(&position.to_le_bytes());
        buffers.iter().for_each(|buffer| self.world.note(buffer));
        let number = {
            let mut disk = self.world.disk.borrow_mut();
            let number = disk.number();
            disk.writes.insert(number, (self.inode, position, buffers));
            number
        };
        self.world.delay().await;
        let fails = self.fails(|faults| faults.write_failures);
        let dirty = {
            let mut disk = self.world.disk.borrow_mut();
            let (inode, position, buffers) =
                disk.writes.remove(&number).expect("a crash ends those who wait");
            let Some(inode) = disk.inodes.get_mut(&inode) else {
                return Err(self.failed(Operation::Write, 0));
            };
            inode.put(position, &buffers, number, || !fails || self.world.draw(2) == 0);
            let first = position as usize / SECTOR_BYTES;
            let last = (position + bytes).saturating_sub(1) as usize / SECTOR_BYTES;
            inode.dirty.range(first..=last).map(|(sector, number)| (*sector, *number)).collect()
        };
        if fails {
            return Err(self.failed(Operation::Write, position));
        }
        match mode {
            WriteMode::Cached => Ok(()),
            WriteMode::Durable => self.end_flush(&dirty),
        }
    }

    async fn flush(&self) -> Result<(), DiskError> {
        self.world.note(b"flush");
        let dirty = self.world.disk.borrow().inodes.get(&self.inode).map(|inode| inode.dirty.clone());
        self.world.delay().await;
        self.end_flush(&dirty.unwrap_or_default())
    }

    async fn read(&self, position: u64, bytes: usize) -> Result<Bytes, DiskError> {
        self.wait_to_read(Operation::Read, position).await?;
        let view = self.view(position..position.saturating_add(bytes as u64));
        if view.len() < bytes {
            let cause = Cause::Short { wanted: bytes as u64, moved: view.len() as u64 };
            return Err(DiskError { cause, ..self.failed(Operation::Read, position) });
        }
        Ok(view)
    }

    async fn populate(&self, window: Range<u64>) -> Result<(), DiskError> {
        self.wait_to_read(Operation::Populate, window.start).await
    }

    fn view(&self, window: Range<u64>) -> Bytes {
        let disk = self.world.disk.borrow();
        let cached = disk.inodes.get(&self.inode).map(|inode| inode.cached.as_slice()).unwrap_or_default();
        let end = window.end.min(cached.len() as u64) as usize;
        let start = (window.start as usize).min(end);
        Bytes::copy_from_slice(&cached[start..end])
    }

    fn is_viewed(&self) -> bool {
        false
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
