//! The checkpoint: what the index has of the sealed segments, written down, so that a start need not read all of their owner tables.
//!
//! Owns when it is written. Promises that what it says is right as long as the segments are there that it needs, and no others than those behind them: that is what a
//! start asks (`recovery/listed.rs`), and without it, or where anything is not as it should be, it reads the tables. So none is ever dangerous, however old.
//! `docs/decisions/0009-bounded-index.md` has the argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    time::Duration,
};

use bytes::Bytes;
use tidemill_wire::{OwnerId, Timestamp};

use super::{
    core::{Core, State},
    owner::Owner,
};
use crate::{
    config::LaneConfig,
    env::{Access, Disk, Env, File, WriteMode},
    error::DiskError,
    failpoint::{Work, between},
    limits::{CHECKPOINT_PARTS, CHECKPOINT_RETRY_MAX, CHUNK_BYTES, UPKEEP_BATCH},
    owner_map::OWNER_MAP_PARTS,
    segment::{CHECKPOINT_NAME, CHECKPOINT_PREPARING_NAME, SegmentId},
};

mod format;

pub(super) use format::Listed;
pub(crate) use format::{Checkpoint, decode_body, is_whole};
use format::{Encoder, decode};

/// The checkpoint on the disk, as the lane remembers it.
pub(super) struct Taken {
    /// Segments without which it is of no use.
    needed: BTreeSet<SegmentId>,
    /// Rows of the owner tables that it stands for.
    rows: u64,
    bytes: u64,
}

impl Taken {
    pub(super) fn of(checkpoint: &Checkpoint, rows: u64) -> Self {
        let needed = checkpoint.listed.iter().filter(|(_, listed)| listed.spans > 0);
        Self { needed: needed.map(|(id, _)| *id).collect(), rows, bytes: checkpoint.bytes }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// When a checkpoint that could not be written, on a full disk mostly, is tried again: after one interval of upkeep, and after twice as long each time that it fails again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// By the lane's clock.
    until: Timestamp,
}

impl Backoff {
    fn fail(&mut self, now: Timestamp, interval: Duration) {
        let doublings = self.failures.min(u32::BITS - 1);
        let wait = interval.max(Duration::from_millis(1)).saturating_mul(1 << doublings);
        let wait_ms = u64::try_from(wait.min(CHECKPOINT_RETRY_MAX).as_millis()).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = Timestamp(now.0.saturating_add(wait_ms));
    }

    /// How long it still waits; 0 where nothing has failed.
    pub(super) fn wait_ms(&self, now: Timestamp) -> u64 {
        self.until.0.saturating_sub(now.0)
    }
}

/// Reads the checkpoint of a lane. There is none where it is not whole.
pub(super) async fn read<E: Env>(env: &E, config: &LaneConfig) -> Result<Option<Checkpoint>, DiskError> {
    let file = env.disk().open(config.directory.join(CHECKPOINT_NAME), Access::Read).await?;
    let Ok(bytes) = usize::try_from(file.bytes()) else { return Ok(None) };
    Ok(decode(&file.read(0, bytes).await?, config.lane))
}

/// Writes another checkpoint if a start would read many rows that this one does not stand for.
pub(super) async fn keep<E: Env>(core: &Core<E>) {
    let rows = rows(&core.state.borrow());
    let covered = core.state.borrow().checkpoint.as_ref().map_or(0, |taken| taken.rows);
    if is_worth(core, rows.saturating_sub(covered)) {
        renew(core, rows).await;
    }
}

/// Writes another checkpoint before segments go that this one needs, or lets it be of no use.
pub(super) async fn release<E: Env>(core: &Core<E>, mut segments: impl Iterator<Item = SegmentId>) {
    let rows = {
        let state = core.state.borrow();
        let Some(taken) = &state.checkpoint else { return };
        if !segments.any(|id| taken.needed.contains(&id)) {
            return;
        }
        rows(&state)
    };
    core.state.borrow_mut().checkpoint = None;
    if is_worth(core, rows) {
        renew(core, rows).await;
    }
}

async fn renew<E: Env>(core: &Core<E>, rows: u64) {
    let Err(error) = write(core, rows).await else {
        core.state.borrow_mut().checkpoint_backoff = Backoff::default();
        return;
    };
    let now = core.now();
    let mut state = core.state.borrow_mut();
    state.stats.checkpoint_failures += 1;
    state.checkpoint_backoff.fail(now, core.config.upkeep_interval);
    let wait_ms = state.checkpoint_backoff.wait_ms(now);
    tracing::warn!(lane = core.config.lane.0, %error, wait_ms, "no checkpoint of the index: the next start may take longer");
}

/// Rows of all owner tables.
fn rows<E: Env>(state: &State<E>) -> u64 {
    let trailers = state.all_segments().filter_map(|segment| segment.trailer.get());
    trailers.map(|trailer| u64::from(trailer.owner_count)).sum()
}

/// Whether a checkpoint that spares a start so many rows is worth to be written: it takes about as much as two rows for each owner, and not more than a share
/// of what is written to the lane.
fn is_worth<E: Env>(core: &Core<E>, rows: u64) -> bool {
    let state = core.state.borrow();
    let owners = state.owners.len() as u64;
    let (bytes, before) =
        state.last_checkpoint.map_or((0, 0), |(bytes, written_bytes)| (bytes, written_bytes));
    let since = written_bytes(&state).saturating_sub(before);
    state.stop.is_none()
        && state.checkpoint_backoff.wait_ms(core.now()) == 0
        && rows >= core.config.checkpoint_rows_min.max(2 * owners)
        && since >= bytes.saturating_mul(CHECKPOINT_PARTS)
}

fn written_bytes<E: Env>(state: &State<E>) -> u64 {
    state.stats.appended_bytes + state.stats.rewritten_bytes
}

/// Writes a checkpoint in the place of the one before.
async fn write<E: Env>(core: &Core<E>, rows: u64) -> Result<(), DiskError> {
    // Nobody counts or moves spans in steps meanwhile, and no segment becomes one that owners know by its footer.
    let index = core.index.lock().await;
    let listed = listed(&core.state.borrow());
    let mut encoder = Encoder::new(core.config.lane, &listed);
    for part in 0..OWNER_MAP_PARTS {
        let owners: Vec<OwnerId> = core.state.borrow().owners.part(part).map(|(id, _)| id).collect();
        for batch in owners.chunks(UPKEEP_BATCH) {
            {
                let state = core.state.borrow();
                let known = || batch.iter().filter_map(|id| Some((*id, state.owners.get(id)?)));
                black_box(known().map(|(_, owner)| owner.spans.touch()).fold(0, u64::wrapping_add));
                known().for_each(|(id, owner)| encoder.add(id, owner, &listed));
            }
            encoder.close_part();
            between(Work::Checkpoint).await;
        }
    }
    let chunks = encoder.finish();
    drop(index);
    let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let path = core.config.directory.join(CHECKPOINT_PREPARING_NAME);
    // What an earlier attempt may have left.
    let _ = core.env.disk().remove(path.clone()).await;
    let written = async {
        let file = core.env.disk().create(path.clone(), bytes).await?;
        let mut position = 0;
        for batch in batches(chunks) {
            let bytes: u64 = batch.iter().map(|chunk| chunk.len() as u64).sum();
            file.write(position, batch, WriteMode::Cached).await?;
            position += bytes;
        }
        file.flush().await?;
        core.env.disk().rename(&file, core.config.directory.join(CHECKPOINT_NAME)).await?;
        core.env.disk().sync_directory(core.config.directory.clone()).await
    };
    if let Err(error) = written.await {
        let _ = core.env.disk().remove(path).await;
        return Err(error);
    }
    let needed = listed.iter().filter(|(_, listed)| listed.spans > 0).map(|(id, _)| *id).collect();
    let mut state = core.state.borrow_mut();
    let written_bytes = written_bytes(&state);
    state.stats.checkpoints += 1;
    state.stats.checkpoint_bytes += bytes;
    state.last_checkpoint = Some((bytes, written_bytes));
    state.checkpoint = Some(Taken { needed, rows, bytes });
    Ok(())
}

/// Chunks that are written together.
fn batches(chunks: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut batches: Vec<Vec<Bytes>> = Vec::new();
    let mut room = 0;
    for chunk in chunks {
        if room < chunk.len() as u64 || batches.is_empty() {
            room = CHUNK_BYTES;
            batches.push(Vec::new());
        }
        room = room.saturating_sub(chunk.len() as u64);
        if let Some(batch) = batches.last_mut() {
            batch.push(chunk);
        }
    }
    batches
}

/// The sealed segments that the checkpoint will stand for.
fn listed<E: Env>(state: &State<E>) -> BTreeMap<SegmentId, Listed> {
    // Those that are retired are there by their names until they are used again.
    let sealed = state.all_segments().chain(&state.retired).filter(|segment| {
        // One whose owners are being told where their points are still has its contents.
        segment.is_sealed() && segment.contents.borrow().is_none()
    });
    sealed
        .map(|segment| {
            let listed = Listed {
                place: segment.place(),
                spans: segment.spans.get(),
                live_payload_bytes: segment.live_payload_bytes.get(),
                payload_bytes: segment.payload_bytes.get(),
            };
            (segment.id, listed)
        })
        .collect()
}
