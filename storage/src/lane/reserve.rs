//! The reserve: a file of the size of a segment, kept so that compaction has somewhere to write on a full disk.
//!
//! Owns that file from one start to the next. Promises that it becomes an output without a moment in which its room is free for others, that of what is
//! freed it comes first, and that no lane makes a segment while any lane's reserve is not whole. Why that is enough is shown in
//! `docs/decisions/0005-retention-compaction.md`. Leaves out what is written into it.

use std::path::PathBuf;

use super::{
    core::{Core, FileOf, SegmentOf},
    preparer::is_unused,
};
use crate::{
    config::LaneConfig,
    env::{Access, Disk, Env, File},
    error::DiskError,
    limits::RESERVE_HALVINGS_MAX,
    room::Lack,
    segment::{RESERVE_NAME, reserve_path},
};

/// What is known of the file.
#[derive(Default)]
pub(super) struct Reserve {
    /// Its size; 0 while there is none.
    bytes: u64,
    /// A task is at work on it.
    busy: bool,
    /// There was no room to make it whole.
    lack: Option<Lack>,
}

impl Reserve {
    fn new(config: &LaneConfig, bytes: u64) -> Self {
        let lacks = config.compaction_bytes_per_second > 0 && bytes != config.segment_bytes;
        Self { bytes, busy: false, lack: lacks.then(|| config.room.lack()) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether room goes to it before it goes to anything else.
    pub(super) fn is_lacking(&self) -> bool {
        self.lack.is_some()
    }

    /// Removes the file of a lane that is being opened: its room is needed for the log itself.
    pub(super) async fn drop_file<E: Env>(&mut self, env: &E, config: &LaneConfig) -> Result<(), DiskError> {
        env.disk().remove(reserve_path(&config.directory)).await?;
        *self = Self::new(config, 0);
        Ok(())
    }

    /// Lets others have the room.
    pub(super) fn give_up(&mut self) {
        self.lack = None;
    }
}

/// Makes one file of those that the process before left half done, and removes the others. None of that gives the room of the largest away.
pub(super) async fn recover<E: Env>(
    env: &E,
    config: &LaneConfig,
    mut leftovers: Vec<String>,
) -> Result<Reserve, DiskError> {
    let path = reserve_path(&config.directory);
    let mut bytes = 0;
    if config.compaction_bytes_per_second > 0 {
        let mut largest: Option<(FileOf<E>, String)> = None;
        leftovers.sort_unstable_by_key(|name| name != RESERVE_NAME);
        for name in &leftovers {
            let file = env.disk().open(config.directory.join(name), Access::Write).await?;
            if largest.as_ref().is_none_or(|(largest, _)| file.bytes() > largest.bytes()) {
                largest = Some((file, name.clone()));
            }
        }
        if let Some((file, name)) = largest {
            bytes = file.bytes();
            if name != RESERVE_NAME {
                env.disk().rename(&file, path.clone()).await?;
                env.disk().sync_directory(config.directory.clone()).await?;
            }
            leftovers.retain(|other| *other != name && other != RESERVE_NAME);
        }
    }
    for name in leftovers {
        env.disk().remove(config.directory.join(name)).await?;
    }
    if config.compaction_bytes_per_second > 0 {
        bytes = grow(env, path, bytes, config.segment_bytes).await?;
    }
    Ok(Reserve::new(config, bytes))
}

/// Makes the file whole, or as large as there is room. Returns its size.
async fn grow<E: Env>(env: &E, path: PathBuf, bytes: u64, whole: u64) -> Result<u64, DiskError> {
    for halvings in 0..=RESERVE_HALVINGS_MAX {
        let wanted = (whole >> halvings).next_multiple_of(4096);
        if wanted < bytes && halvings > 0 {
            break;
        }
        match env.disk().resize(path.clone(), wanted).await {
            Ok(()) => return Ok(wanted),
            Err(error) if error.is_full() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Makes the reserve whole again: from the room that there is, else from that of retired segments.
pub(super) async fn keep<E: Env>(core: &Core<E>) {
    let whole = core.config.segment_bytes;
    let mut bytes = {
        let mut state = core.state.borrow_mut();
        let off = core.config.compaction_bytes_per_second == 0 || state.compaction_paused;
        if off || state.reserve.busy || state.reserve.bytes == whole || state.stop.is_some() {
            return;
        }
        state.reserve.busy = true;
        state.reserve.bytes
    };
    let kept = fill(core, &mut bytes).await;
    let mut state = core.state.borrow_mut();
    state.reserve.busy = false;
    state.reserve.bytes = bytes;
    match kept {
        Ok(()) if bytes != whole && !state.compaction_paused => {
            state.reserve.lack.get_or_insert_with(|| core.config.room.lack());
        }
        Ok(()) => state.reserve.give_up(),
        Err(error) => {
            // The log does not wait for what may never succeed.
            state.reserve.give_up();
            tracing::warn!(lane = core.config.lane.0, %error, "no reserve for compaction");
        }
    }
    drop(state);
    core.signals.preparer.notify();
}

async fn fill<E: Env>(core: &Core<E>, bytes: &mut u64) -> Result<(), DiskError> {
    let (whole, disk) = (core.config.segment_bytes, core.env.disk());
    let path = reserve_path(&core.config.directory);
    loop {
        *bytes = grow(&core.env, path.clone(), *bytes, whole).await?;
        if *bytes == whole {
            return Ok(());
        }
        let Some(segment) = take_retired(core) else { return Ok(()) };
        if segment.bytes() > *bytes {
            // It takes the place of what there is, and nobody else gets its room meanwhile.
            disk.rename(&segment.file, path.clone()).await?;
            *bytes = segment.bytes();
        } else {
            let path = segment.path.clone();
            drop(segment);
            disk.remove(path).await?;
        }
    }
}

/// The largest retired segment of which nobody holds anything any more.
fn take_retired<E: Env>(core: &Core<E>) -> Option<SegmentOf<E>> {
    let mut state = core.state.borrow_mut();
    let unused = state.retired.iter().enumerate().filter(|(_, segment)| is_unused(segment));
    let (index, _) = unused.max_by_key(|(_, segment)| segment.bytes())?;
    Some(state.retired.swap_remove(index))
}

/// Turns the reserve into a file of this name and size, if it is large enough. What it was larger by is free then.
pub(super) async fn take<E: Env>(
    core: &Core<E>,
    bytes: u64,
    to: PathBuf,
) -> Result<Option<FileOf<E>>, DiskError> {
    {
        let mut state = core.state.borrow_mut();
        if state.reserve.busy || state.reserve.bytes < bytes {
            return Ok(None);
        }
        state.reserve.busy = true;
        state.reserve.lack.get_or_insert_with(|| core.config.room.lack());
    }
    let taken = turn(core, bytes, to).await;
    let mut state = core.state.borrow_mut();
    state.reserve.busy = false;
    // After a failure it is made anew, over whatever is there.
    state.reserve.bytes = 0;
    taken.map(Some)
}

async fn turn<E: Env>(core: &Core<E>, bytes: u64, to: PathBuf) -> Result<FileOf<E>, DiskError> {
    let path = reserve_path(&core.config.directory);
    // The name that it had before must be gone for good before anything else is written into it.
    core.env.disk().sync_directory(core.config.directory.clone()).await?;
    core.env.disk().resize(path.clone(), bytes).await?;
    let file = core.env.disk().open(path, Access::Write).await?;
    core.env.disk().rename(&file, to).await?;
    Ok(file)
}

/// Makes the reserve of a file again that was taken from it and is of no use.
pub(super) async fn put_back<E: Env>(core: &Core<E>, file: FileOf<E>) -> Result<(), DiskError> {
    core.env.disk().rename(&file, reserve_path(&core.config.directory)).await?;
    core.state.borrow_mut().reserve.bytes = file.bytes();
    Ok(())
}
