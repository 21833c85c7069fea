//! The preparer: has the next segment ready before the writer needs it.
//!
//! A file gets its `.segment` name when its header is stable, and not before. A full disk is met here and nowhere else: before anything was numbered.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;

use super::{
    core::{Core, FileOf, SegmentOf},
    signal::{give_way, until},
};
use crate::{
    env::{Disk, Env, File, WriteMode},
    error::DiskError,
    limits::{CHUNK_BYTES, FILL_BYTES},
    segment::{Place, Segment, SegmentId, header::SegmentHeader, preparing_path, segment_path},
};

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    loop {
        let wanted = || {
            if core.is_over() {
                return Some(false);
            }
            core.state.borrow().spare.is_none().then_some(true)
        };
        if !until(&core.signals.preparer, wanted).await {
            return;
        }
        if !may_take_room(&core) {
            no_room(&core, &"what there is goes to the reserve of compaction");
            wait_for_room(&core).await;
            continue;
        }
        match prepare(&core).await {
            Ok(Some(segment)) => {
                let mut state = core.state.borrow_mut();
                if std::mem::take(&mut state.no_room) {
                    tracing::info!(lane = core.config.lane.0, "there is room for another segment again");
                }
                state.refusing = false;
                state.starving = false;
                state.spare = Some(segment);
                drop(state);
                core.signals.writer.notify();
            }
            Ok(None) => return,
            Err(error) if error.is_full() => {
                no_room(&core, &error);
                wait_for_room(&core).await;
            }
            Err(error) => {
                core.poison(error);
                return;
            }
        }
    }
}

/// Whether the log may have a segment now: reserves come first, this lane's before a retired segment is used again, and others' before a file is made.
fn may_take_room<E: Env>(core: &Core<E>) -> bool {
    let state = core.state.borrow();
    let recycles = state.retired.iter().any(|segment| is_recyclable(core, segment));
    !state.reserve.is_lacking() && (recycles || !core.config.room.is_short())
}

fn no_room<E: Env>(core: &Core<E>, reason: &dyn std::fmt::Display) {
    if !std::mem::replace(&mut core.state.borrow_mut().no_room, true) {
        tracing::warn!(lane = core.config.lane.0, %reason, "no room for another segment");
    }
    core.signals.writer.notify();
    // Whatever can be freed is wanted now.
    core.signals.upkeep.notify();
}

/// Waits for a while, or until a segment is retired, the reserve is whole again or the lane stops.
async fn wait_for_room<E: Env>(core: &Core<E>) {
    let now = || {
        let state = core.state.borrow();
        (state.stats.retired_segments, state.reserve.is_lacking())
    };
    let before = now();
    let changed = || (core.is_over() || now() != before).then_some(());
    let sleep = std::pin::pin!(core.env.sleep(core.config.space_retry_interval));
    futures_util::future::select(sleep, until(&core.signals.preparer, changed)).await;
}

/// A segment that is ready to be written, or `None` if the lane stopped meanwhile.
async fn prepare<E: Env>(core: &Core<E>) -> Result<Option<SegmentOf<E>>, DiskError> {
    let id = {
        let mut state = core.state.borrow_mut();
        let id = state.next_segment;
        state.next_segment += 1;
        id
    };
    let recycled = take_recyclable(core);
    let was_recycled = recycled.is_some();
    let file = match recycled {
        Some(segment) => {
            let file = segment.file.clone();
            let directory = &core.config.directory;
            core.env.disk().rename(&file, preparing_path(directory, id)).await?;
            // The old name must be gone for good before the new header is in the file: a file never has the name of another segment.
            core.env.disk().sync_directory(directory.clone()).await?;
            file
        }
        None => {
            let created =
                create_file(&core.env, &core.config.directory, id, core.config.segment_bytes, || fill(core));
            let Some(file) = created.await? else { return Ok(None) };
            file
        }
    };
    let segment = name_segment(&core.env, &core.config, id, file).await?;
    let stats = &mut core.state.borrow_mut().stats;
    if was_recycled {
        stats.recycled_segments += 1;
    } else {
        stats.created_segments += 1;
    }
    Ok(Some(Rc::new(segment)))
}

/// Whether to go on with filling a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Go,
    /// The rest stays allocated and unwritten: it reads as zeroes, and its flushes cost more. Better than an append that waits.
    Enough,
    Abandon,
}

fn fill<E: Env>(core: &Core<E>) -> Fill {
    if core.is_over() {
        return Fill::Abandon;
    }
    if core.state.borrow().starving { Fill::Enough } else { Fill::Go }
}

/// A retired segment of the right size of which nobody holds anything any more.
fn take_recyclable<E: Env>(core: &Core<E>) -> Option<SegmentOf<E>> {
    let mut state = core.state.borrow_mut();
    let index = state.retired.iter().position(|segment| is_recyclable(core, segment))?;
    Some(state.retired.swap_remove(index))
}

fn is_recyclable<E: Env>(core: &Core<E>, segment: &SegmentOf<E>) -> bool {
    is_unused(segment) && segment.bytes() == core.config.segment_bytes
}

/// Whether no fetch is at work in the segment and no slice of it is left.
pub(super) fn is_unused<F: File>(segment: &Rc<Segment<F>>) -> bool {
    Rc::strong_count(segment) == 1 && !segment.file.is_viewed()
}

/// Makes a file and writes it once with zeroes: a write into space that was only allocated has to change the file's extents, and costs several times as much.
/// `None` if it is abandoned; the file is removed then.
pub(super) async fn create_file<E: Env>(
    env: &E,
    directory: &std::path::Path,
    id: SegmentId,
    bytes: u64,
    fill: impl Fn() -> Fill,
) -> Result<Option<FileOf<E>>, DiskError> {
    let path = preparing_path(directory, id);
    let file = env.disk().create(path.clone(), bytes).await?;
    let filled = fill_with_zeroes(&file, fill).await;
    if let Ok(true) = filled {
        return Ok(Some(file));
    }
    // Half a file is of no use, and keeps others from its space.
    drop(file);
    env.disk().remove(path).await?;
    filled.map(|_| None)
}

/// Returns whether it came to the end.
async fn fill_with_zeroes<F: File>(file: &F, fill: impl Fn() -> Fill) -> Result<bool, DiskError> {
    let bytes = file.bytes();
    let zeroes = Bytes::from(vec![0; usize::try_from(FILL_BYTES.min(bytes)).expect("they fit memory")]);
    let mut position = 0;
    while position < bytes {
        match fill() {
            Fill::Go => {}
            Fill::Enough => break,
            Fill::Abandon => return Ok(false),
        }
        let step = FILL_BYTES.min(bytes - position);
        let some = zeroes.slice(..usize::try_from(step).expect("no larger than all of them"));
        file.write(position, vec![some], WriteMode::Cached).await?;
        file.write_back(position..position + step).await?;
        position += step;
        // Flushed chunk by chunk, so that no flush of the log has to wait for all of it.
        if position.is_multiple_of(CHUNK_BYTES) || position == bytes {
            file.flush().await?;
        }
        give_way().await;
    }
    Ok(true)
}

/// Gives a prepared file its header, and then its name.
pub(super) async fn name_segment<E: Env>(
    env: &E,
    config: &crate::config::LaneConfig,
    id: SegmentId,
    file: FileOf<E>,
) -> Result<Segment<FileOf<E>>, DiskError> {
    let path = name_file(env, config, id, &file, None, false).await?;
    Ok(Segment::empty(id, path, file))
}

/// Writes a file's header, makes it stable, and gives the file its name.
pub(super) async fn name_file<E: Env>(
    env: &E,
    config: &crate::config::LaneConfig,
    id: SegmentId,
    file: &FileOf<E>,
    covers: Option<Place>,
    is_sparse: bool,
) -> Result<std::path::PathBuf, DiskError> {
    let (lane, segment_bytes, created) = (config.lane, file.bytes(), env.now());
    let header = SegmentHeader { lane, id, segment_bytes, created, covers, is_sparse };
    file.write(0, vec![Bytes::from(header.encode())], WriteMode::Durable).await?;
    let path = segment_path(&config.directory, id);
    env.disk().rename(file, path.clone()).await?;
    env.disk().sync_directory(config.directory.clone()).await?;
    Ok(path)
}

/// How long the first sleep of a task that repeats lasts: lanes that were opened together do not work at the same moments.
pub(super) fn staggered<E: Env>(env: &E, interval: Duration) -> Duration {
    interval / 2 + interval.mul_f64((env.random_u64() % 1024) as f64 / 2048.0)
}
