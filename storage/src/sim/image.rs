//! What is on the simulated device and what is in its page cache.
//!
//! Owns the files and names of a simulated disk as they are now and as they would be after a power cut. Leaves out when something happens and what
//! fails: that is the disk's.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use super::{
    Crash,
    faults::{Counter, Fault, Faults},
};

pub(super) const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = crate::limits::PAGE_BYTES as usize;
/// Pages that leave the memory together at most.
const EVICTED_PAGES_MAX: u64 = 8;

pub(super) type InodeId = u64;

#[derive(Default)]
pub(super) struct DiskState {
    pub(super) faults: Faults,
    pub(super) inodes: BTreeMap<InodeId, Inode>,
    pub(super) names: BTreeMap<PathBuf, InodeId>,
    stable_names: BTreeMap<PathBuf, InodeId>,
    name_changes: Vec<NameChange>,
    /// How many changes of names came to the disk before those.
    names_settled: u64,
    /// Writes that were begun and have not completed.
    pub(super) writes: BTreeMap<u64, (InodeId, u64, Vec<Bytes>)>,
    next: u64,
}

/// One file.
pub(super) struct Inode {
    /// The page cache.
    cached: Vec<u8>,
    /// The device.
    stable: Vec<u8>,
    /// Sectors that differ, with the number of the write that made them so.
    pub(super) dirty: BTreeMap<usize, u64>,
    /// Pages were lost and nobody was told: the next flush or durable write is.
    pub(super) owes_error: bool,
    /// Pages that are not in memory. Never one that the device does not have: what a failed flush left is not forgotten so soon.
    absent: BTreeSet<usize>,
    /// Bytes of the device that are not what was written.
    rotten: BTreeSet<usize>,
    /// The page cache as the last view saw it, until it is written.
    snapshot: Option<Bytes>,
    /// What somebody may still look at.
    views: Vec<(Range<u64>, Weak<Bytes>)>,
}

#[derive(Clone)]
pub(super) enum NameChange {
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

/// Holds the bytes of a view, so that the file knows whether any is left.
struct View(Arc<Bytes>);

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Inode {
    fn new(bytes: usize) -> Self {
        Self {
            cached: vec![0; bytes],
            stable: vec![0; bytes],
            dirty: BTreeMap::new(),
            owes_error: false,
            absent: BTreeSet::new(),
            rotten: BTreeSet::new(),
            snapshot: None,
            views: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cached.len() as u64
    }

    /// Changes what is in the page cache and on the device, as no write does.
    pub(super) fn forge(&mut self, change: impl FnOnce(&mut [u8])) {
        change(&mut self.cached);
        self.stable.copy_from_slice(&self.cached);
        self.snapshot = None;
    }

    /// Writes the sectors that `take` chooses.
    pub(super) fn put(
        &mut self,
        position: u64,
        buffers: &[Bytes],
        number: u64,
        mut take: impl FnMut() -> bool,
    ) {
        let bytes = buffers.concat();
        let start = position as usize;
        let written = position..position + bytes.len() as u64;
        let viewed = self.held().any(|held| held.start < written.end && written.start < held.end);
        assert!(!viewed, "bytes {written:?} are written while a view of them is held");
        self.snapshot = None;
        self.bring_in(&written);
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

    /// Ends the writing back of sectors that were dirty when it began: what was written since is dirty still. They are on the device now, or lost; one that somebody
    /// else lost meanwhile is clean, and nobody writes it.
    pub(super) fn clean(&mut self, sectors: &BTreeMap<usize, u64>, written: bool) {
        for (sector, number) in sectors {
            if written && self.dirty.contains_key(sector) {
                self.settle(*sector);
            }
            if self.dirty.get(sector) == Some(number) {
                self.dirty.remove(sector);
            }
        }
    }

    pub(super) fn settle(&mut self, sector: usize) {
        let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(self.cached.len());
        // What is written anew is sound, unless the wrong byte had come into memory.
        let (stable, cached) = (&self.stable, &self.cached);
        self.rotten.retain(|at| !range.contains(at) || stable[*at] == cached[*at]);
        self.stable[range.clone()].copy_from_slice(&self.cached[range]);
    }

    /// What the device holds.
    pub(super) fn device(&self) -> &[u8] {
        &self.stable
    }

    /// Whether one of these bytes of the device is not what was written.
    pub(super) fn is_rotten(&self, window: Range<usize>) -> bool {
        window.start < window.end && self.rotten.range(window).next().is_some()
    }

    /// All bytes of the device that are not what was written.
    pub(super) fn rotten(&self) -> impl Iterator<Item = usize> {
        self.rotten.iter().copied()
    }

    /// Says that a byte is rotten, or that it is sound again.
    pub(super) fn mark_rotten(&mut self, at: usize) {
        if !self.rotten.remove(&at) {
            self.rotten.insert(at);
        }
    }

    /// Flips a bit of the device. What is in memory stays as it is until it leaves it.
    pub(super) fn rot(&mut self, at: usize, bit: u32) {
        self.stable[at] ^= 1 << bit;
        if self.absent.contains(&(at / PAGE_BYTES)) {
            self.cached[at] ^= 1 << bit;
            self.snapshot = None;
        }
    }

    /// Forgets those of some pages that the device has. Returns how many.
    fn evict(&mut self, pages: Range<usize>) -> u64 {
        let before = self.absent.len();
        for page in pages {
            let range = page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(self.cached.len());
            // What was written over rotten bytes is not forgotten before it is on the device.
            let sectors = range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES);
            let is_dirty = self.dirty.range(sectors).next().is_some();
            let same = |at: usize| self.stable[at] == self.cached[at] || self.rotten.contains(&at);
            if self.stable[range.clone()] == self.cached[range.clone()] {
                self.absent.insert(page);
            } else if !is_dirty && self.is_rotten(range.clone()) && range.clone().all(same) {
                self.cached[range.clone()].copy_from_slice(&self.stable[range]);
                self.snapshot = None;
                self.absent.insert(page);
            }
        }
        (self.absent.len() - before) as u64
    }

    pub(super) fn bring_in(&mut self, window: &Range<u64>) {
        for page in pages_of(window) {
            self.absent.remove(&page);
        }
    }

    pub(super) fn is_resident(&self, window: &Range<u64>) -> bool {
        self.absent.range(pages_of(window)).next().is_none()
    }

    /// Bytes that are read past the page cache.
    pub(super) fn copy(&self, window: Range<u64>) -> Bytes {
        let end = window.end.min(self.bytes());
        let start = window.start.min(end);
        Bytes::copy_from_slice(&self.cached[start as usize..end as usize])
    }

    pub(super) fn view(&mut self, window: Range<u64>) -> Bytes {
        assert!(self.is_resident(&window), "a page in {window:?} is on the disk only");
        let end = window.end.min(self.bytes());
        let start = window.start.min(end);
        let whole = self.snapshot.get_or_insert_with(|| Bytes::copy_from_slice(&self.cached));
        let part = Arc::new(whole.slice(start as usize..end as usize));
        self.views.retain(|(_, view)| view.strong_count() > 0);
        self.views.push((start..end, Arc::downgrade(&part)));
        Bytes::from_owner(View(part))
    }

    /// Windows that somebody holds a view of.
    pub(super) fn held(&self) -> impl Iterator<Item = &Range<u64>> {
        self.views.iter().filter(|(_, view)| view.strong_count() > 0).map(|(window, _)| window)
    }
}

/// The pages that a window touches.
fn pages_of(window: &Range<u64>) -> Range<usize> {
    let start = window.start as usize / PAGE_BYTES;
    start..if window.is_empty() { start } else { (window.end as usize).div_ceil(PAGE_BYTES) }
}

impl DiskState {
    /// Forgets some pages of some file, as when others need the memory. Returns how many.
    pub(super) fn evict(&mut self, draw: impl Fn(u64) -> u64) -> u64 {
        let index = draw(self.inodes.len() as u64) as usize;
        let Some(inode) = self.inodes.values_mut().nth(index) else { return 0 };
        let pages = inode.cached.len().div_ceil(PAGE_BYTES);
        let start = draw(pages as u64) as usize;
        inode.evict(start..pages.min(start + 1 + draw(EVICTED_PAGES_MAX) as usize))
    }

    /// Writes everything back, and keeps no page in memory.
    pub(super) fn forget_pages(&mut self) {
        for inode in self.inodes.values_mut() {
            for sector in std::mem::take(&mut inode.dirty).into_keys() {
                inode.settle(sector);
            }
            inode.evict(0..inode.cached.len().div_ceil(PAGE_BYTES));
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn create(&mut self, path: PathBuf, bytes: u64) -> InodeId {
        let inode = self.number();
        self.inodes.insert(inode, Inode::new(bytes as usize));
        self.change_name(NameChange::Create(path, inode));
        inode
    }

    /// Puts another file under the name: a power cut leaves the one or the other, as it may leave either size.
    pub(super) fn resize(&mut self, path: PathBuf, bytes: u64) {
        let before = self.names.get(&path).map_or_else(Vec::new, |inode| self.inodes[inode].cached.clone());
        let inode = self.create(path, bytes);
        let mut content = before;
        content.resize(bytes as usize, 0);
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.forge(|bytes| bytes.copy_from_slice(&content));
        }
    }

    /// Puts a file there that is stable, in place of another if there is one.
    pub(super) fn put_file(&mut self, path: PathBuf, bytes: &[u8]) {
        let inode = self.create(path, bytes.len() as u64);
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.forge(|content| content.copy_from_slice(bytes));
        }
        self.settle_names(self.names_changed());
    }

    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = self.names.iter().map(|(path, inode)| (path.clone(), self.inodes[inode].cached.clone()));
        files.collect()
    }

    pub(super) fn change_name(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Changes of names so far.
    pub(super) fn names_changed(&self) -> u64 {
        self.names_settled + self.name_changes.len() as u64
    }

    /// Makes the first so many changes of names stable, of all that ever were.
    pub(super) fn settle_names(&mut self, changes: u64) {
        let count = changes.saturating_sub(self.names_settled) as usize;
        for change in self.name_changes.drain(..count) {
            change.apply(&mut self.stable_names);
        }
        self.names_settled += count as u64;
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let inodes: BTreeSet<InodeId> = self.names.values().copied().collect();
        inodes.iter().map(|inode| self.inodes[inode].bytes()).sum()
    }

    pub(super) fn crash(&mut self, crash: Crash, random: &mut ChaCha8Rng, counter: &Counter) {
        for (number, (inode, position, buffers)) in std::mem::take(&mut self.writes) {
            if let Some(inode) = self.inodes.get_mut(&inode) {
                let whole = random.next_u64().is_multiple_of(3);
                counter.count(Fault::TornWrite, u64::from(!whole));
                inode.put(position, &buffers, number, || whole || random.next_u64().is_multiple_of(2));
            }
        }
        match crash {
            Crash::Process => counter.count(Fault::Kill, 1),
            Crash::Power => {
                counter.count(Fault::PowerCut, 1);
                self.cut_power(random, counter);
            }
        }
    }

    fn cut_power(&mut self, random: &mut ChaCha8Rng, counter: &Counter) {
        let changes = self.name_changes.len() as u64;
        let kept = random.next_u64() % (changes + 1);
        self.settle_names(self.names_settled + kept);
        counter.count(Fault::LostName, changes - kept);
        self.name_changes.clear();
        self.names = self.stable_names.clone();
        let named: BTreeSet<InodeId> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
        for inode in self.inodes.values_mut() {
            // How much was written back before the cut differs from file to file.
            let odds = 1 + random.next_u64() % 4;
            for sector in std::mem::take(&mut inode.dirty).into_keys() {
                if random.next_u64().is_multiple_of(odds) {
                    inode.settle(sector);
                } else {
                    counter.count(Fault::LostSector, 1);
                }
            }
            inode.cached.copy_from_slice(&inode.stable);
            inode.owes_error = false;
            inode.snapshot = None;
            inode.evict(0..inode.cached.len().div_ceil(PAGE_BYTES));
        }
    }
}
