//! An open file of the simulated disk.
//!
//! Owns how long an operation on a file takes, which of them fail, and what a failed one leaves behind.

use std::{cell::RefCell, collections::BTreeMap, ops::Range, path::PathBuf, rc::Rc};

use bytes::Bytes;

use super::{
    World,
    disk::ERROR_IO,
    faults::{Fault, Faults, Lie},
    forge::{with_times, without_watermarks},
    image::{Inode, InodeId, SECTOR_BYTES},
};
use crate::{
    env::{File, WriteMode},
    error::{Cause, DiskError, Operation},
};

/// An open file of the simulated disk.
#[derive(Clone)]
pub struct SimFile {
    pub(super) world: Rc<World>,
    pub(super) inode: InodeId,
    bytes: u64,
    pub(super) path: Rc<RefCell<PathBuf>>,
}

impl SimFile {
    pub(super) fn new(world: Rc<World>, path: PathBuf, inode: InodeId) -> Self {
        let bytes = world.disk.borrow().inodes[&inode].bytes();
        Self { world, inode, bytes, path: Rc::new(path.into()) }
    }

    fn failed(&self, operation: Operation, offset: u64) -> DiskError {
        let path = self.path.borrow().clone();
        DiskError { operation, path, offset, cause: Cause::Os(ERROR_IO) }
    }

    fn short(&self, operation: Operation, offset: u64, wanted: u64, moved: u64) -> DiskError {
        DiskError { cause: Cause::Short { wanted, moved }, ..self.failed(operation, offset) }
    }

    fn fails(&self, rate: impl Fn(&Faults) -> u32) -> bool {
        let rate = rate(&self.world.disk.borrow().faults);
        self.world.happens(rate)
    }

    /// Whether a flush of this file is only said to have happened.
    fn lies(&self, durable_write: bool) -> bool {
        match self.world.disk.borrow().faults.lie {
            Some(Lie::Flush) => true,
            Some(Lie::DurableWrite) => durable_write,
            Some(Lie::CompactionFlush) => {
                self.path.borrow().extension().is_some_and(|extension| extension == "compacting")
            }
            Some(_) | None => false,
        }
    }

    /// Ends a flush of these sectors, which were dirty when it began.
    async fn end_flush(&self, sectors: &BTreeMap<usize, u64>, durable_write: bool) -> Result<(), DiskError> {
        if self.fails(|faults| faults.flush_delays) {
            self.world.inject(Fault::DelayedFlush);
            self.world.pause(2_000_000).await;
        }
        let fails = self.fails(|faults| faults.flush_failures);
        if self.lies(durable_write) {
            return Ok(());
        }
        let mut disk = self.world.disk.borrow_mut();
        let Some(inode) = disk.inodes.get_mut(&self.inode) else { return Ok(()) };
        inode.clean(sectors, !fails);
        let owed = std::mem::take(&mut inode.owes_error);
        drop(disk);
        if !fails && !owed {
            return Ok(());
        }
        if fails {
            self.world.inject(Fault::FailedFlush);
        }
        Err(self.failed(Operation::Flush, 0))
    }

    fn bring_in(&self, window: &Range<u64>) {
        if let Some(inode) = self.world.disk.borrow_mut().inodes.get_mut(&self.inode) {
            inode.bring_in(window);
        }
    }

    /// Now and then others need the memory.
    fn make_room(&self) {
        if self.world.draw(8) == 0 {
            let evicted = self.world.disk.borrow_mut().evict(|bound| self.world.draw(bound));
            if evicted > 0 {
                self.world.inject(Fault::EvictedPage);
            }
        }
    }

    async fn wait_to_read(&self, operation: Operation, offset: u64) -> Result<(), DiskError> {
        self.world.note(&[operation as u8]);
        self.world.delay().await;
        self.make_room();
        if !self.fails(|faults| faults.read_failures) {
            return Ok(());
        }
        let fault = if operation == Operation::Read { Fault::FailedRead } else { Fault::FailedPopulate };
        self.world.inject(fault);
        Err(self.failed(operation, offset))
    }

    /// Puts the bytes of a write into the page cache when it ends. Returns the sectors that are dirty then.
    fn end_write(&self, number: u64) -> Result<BTreeMap<usize, u64>, DiskError> {
        let fails = self.fails(|faults| faults.write_failures);
        let (inode, position, buffers) =
            self.world.disk.borrow_mut().writes.remove(&number).expect("a crash ends those who wait");
        let bytes: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let first = position as usize / SECTOR_BYTES;
        let last = (position + bytes).saturating_sub(1) as usize / SECTOR_BYTES;
        let short = fails && self.world.draw(2) == 0;
        let mut left = self.world.draw(1 + (last - first) as u64);
        let mut disk = self.world.disk.borrow_mut();
        let Some(inode) = disk.inodes.get_mut(&inode) else {
            return Err(self.failed(Operation::Write, 0));
        };
        inode.put(position, &buffers, number, || {
            let moved = left > 0;
            left = left.saturating_sub(1);
            if short { moved } else { !fails || self.world.draw(2) == 0 }
        });
        let dirty = inode.dirty.range(first..=last).map(|(sector, number)| (*sector, *number)).collect();
        drop(disk);
        if !fails {
            return Ok(dirty);
        }
        self.world.inject(if short { Fault::ShortWrite } else { Fault::FailedWrite });
        Err(if short {
            self.short(Operation::Write, position, bytes, 0)
        } else {
            self.failed(Operation::Write, position)
        })
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
            let buffers = match disk.faults.lie {
                Some(Lie::Watermarks) => without_watermarks(&buffers),
                Some(Lie::WallTimes) => with_times(&buffers, self.world.wall.now()),
                _ => buffers,
            };
            let number = disk.number();
            disk.writes.insert(number, (self.inode, position, buffers));
            number
        };
        self.world.delay().await;
        let dirty = self.end_write(number)?;
        match mode {
            WriteMode::Cached => Ok(()),
            WriteMode::Durable => self.end_flush(&dirty, true).await,
        }
    }

    async fn flush(&self) -> Result<(), DiskError> {
        self.world.note(b"flush");
        let dirty = self.world.disk.borrow().inodes.get(&self.inode).map(|inode| inode.dirty.clone());
        self.world.delay().await;
        self.make_room();
        self.end_flush(&dirty.unwrap_or_default(), false).await
    }

    /// What of it gets to the disk is as open as it is for every write that is not flushed. When it fails, a later flush knows nothing of what was to be written.
    async fn write_back(&self, window: Range<u64>) -> Result<(), DiskError> {
        self.world.note(b"write_back");
        let sectors = window.start as usize / SECTOR_BYTES..window.end as usize / SECTOR_BYTES;
        let dirty = |inode: &Inode| inode.dirty.range(sectors).map(|(at, number)| (*at, *number)).collect();
        let dirty: BTreeMap<usize, u64> =
            self.world.disk.borrow().inodes.get(&self.inode).map(dirty).unwrap_or_default();
        self.world.delay().await;
        let lies = self.world.disk.borrow().faults.lie == Some(Lie::WriteBack);
        if !lies && !self.fails(|faults| faults.flush_failures) {
            return Ok(());
        }
        // Mostly the device fails after the call has returned.
        let late = !lies && self.world.draw(2) == 0;
        if let Some(inode) = self.world.disk.borrow_mut().inodes.get_mut(&self.inode) {
            inode.clean(&dirty, false);
            inode.owes_error |= late;
        }
        if lies {
            return Ok(());
        }
        self.world.inject(Fault::FailedWriteBack);
        if late {
            return Ok(());
        }
        // The pages are gone, and the caller does not know yet.
        self.world.delay().await;
        Err(self.failed(Operation::WriteBack, window.start))
    }

    async fn fetch(&self, windows: Vec<Range<u64>>) -> Result<Vec<Bytes>, DiskError> {
        let resident: Vec<bool> = windows.iter().map(|window| self.is_resident(window.clone())).collect();
        // What is in memory is held from here on, as a view is.
        let views: Vec<Bytes> = windows
            .iter()
            .zip(&resident)
            .map(|(window, resident)| if *resident { self.view(window.clone()) } else { Bytes::new() })
            .collect();
        let Some(cold) = resident.iter().position(|resident| !resident) else { return Ok(views) };
        if self.world.draw(4) == 0 {
            // As when peers hold all the memory that there is for what was read.
            self.wait_to_read(Operation::Populate, windows[cold].start).await?;
            windows.iter().for_each(|window| self.bring_in(window));
        } else {
            self.wait_to_read(Operation::Read, windows[cold].start).await?;
        }
        let disk = self.world.disk.borrow();
        let inode = disk.inodes.get(&self.inode);
        let read = |window| inode.map(|inode| inode.copy(window)).unwrap_or_default();
        let bytes = windows.into_iter().zip(resident).zip(views);
        Ok(bytes.map(|((window, resident), view)| if resident { view } else { read(window) }).collect())
    }

    async fn read(&self, position: u64, bytes: usize) -> Result<Bytes, DiskError> {
        self.wait_to_read(Operation::Read, position).await?;
        let window = position..position.saturating_add(bytes as u64);
        self.bring_in(&window);
        let view = self.view(window);
        if self.fails(|faults| faults.read_failures) {
            self.world.inject(Fault::ShortRead);
            return Err(self.short(Operation::Read, position, bytes as u64, self.world.draw(bytes as u64)));
        }
        if view.len() < bytes {
            return Err(self.short(Operation::Read, position, bytes as u64, view.len() as u64));
        }
        Ok(Bytes::copy_from_slice(&view))
    }

    async fn populate(&self, window: Range<u64>) -> Result<(), DiskError> {
        self.wait_to_read(Operation::Populate, window.start).await?;
        self.bring_in(&window);
        Ok(())
    }

    fn is_resident(&self, window: Range<u64>) -> bool {
        self.world.disk.borrow().inodes.get(&self.inode).is_none_or(|inode| inode.is_resident(&window))
    }

    fn view(&self, window: Range<u64>) -> Bytes {
        let mut disk = self.world.disk.borrow_mut();
        disk.inodes.get_mut(&self.inode).map(|inode| inode.view(window)).unwrap_or_default()
    }

    fn is_viewed(&self) -> bool {
        let disk = self.world.disk.borrow();
        disk.inodes.get(&self.inode).is_some_and(|inode| inode.held().next().is_some())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
