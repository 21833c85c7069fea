//! The compactor: rewrites segments of which enough is dead, or whose owners are too interleaved, with their live entries grouped by owner.
//!
//! Owns the order of the steps: choose neighbours in the log, gather what is live in them, copy it into a segment of its own, seal that, name it,
//! and lead the index there, owner by owner. Promises that every entry is in a file with a stable name at each moment, and that the writer never waits
//! for it. Leaves out the end of what was rewritten: it is dead then, and upkeep retires it like anything else.
//!
//! Invariant: the result has its name only after its entries, its footer and its trailer are stable, and segments are retired only after
//! that; the simulator's crashes test it, and a disk that lies about the result's flushes must be noticed.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use super::{
    blame::damaged_points,
    core::{Core, FileOf, SegmentOf},
    preparer::{name_file, take_recyclable},
    sealer::{drop_contents, write_footer},
    signal::{give_way, until},
    upkeep::is_dead,
};
use crate::{
    env::{Disk, Env, File},
    error::{Damage, DiskError, FetchError},
    limits::{FREED_PARTS, RESERVE_PARTS, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    owner_map::OWNER_MAP_PARTS,
    segment::{Place, SegmentId, reserve_path},
};

mod choice;
mod gather;
mod install;
mod keys;
mod output;
mod walk;

use choice::{Candidate, Choice, Motive, Rules, choose};
use keys::Keys;
use output::Copied;

/// Why a compaction was given up. Nothing is lost: what it wanted to rewrite is where it was.
enum Setback {
    /// An operation failed.
    Disk(DiskError),
    /// What was to be copied is not what the index says. Readers of it are told the same.
    Damaged { segment: SegmentId, damage: Damage },
    /// Copied, it would take about as much.
    Futile,
    /// The lane stops.
    Stopped,
}

impl From<DiskError> for Setback {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl Setback {
    fn of_read(segment: SegmentId, error: FetchError) -> Self {
        match error {
            FetchError::Disk(error) => Self::Disk(error),
            FetchError::Damaged(damage) => Self::Damaged { segment, damage },
            FetchError::BeyondEnd { .. } | FetchError::UnknownOwner(_) => {
                unreachable!("compaction reads by position")
            }
        }
    }
}

/// What the compactor keeps from one attempt to the next.
struct Memory<E: Env> {
    /// A file to write to when the disk has no room for another one.
    reserve: Option<FileOf<E>>,
    /// A run has this many segments at least: more than one is what the reserve is for.
    victims_min: usize,
    reserve_id: SegmentId,
    /// A result may have this many bytes; fewer from one attempt to the next on a full disk.
    output_bytes_max: u64,
    /// Segments not to be taken while they have so many live payload bytes; `None` for never again.
    avoided: BTreeMap<SegmentId, Option<u64>>,
    keys: Keys,
}

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    if core.config.compaction_bytes_per_second == 0 {
        return;
    }
    let mut memory = Memory {
        reserve: None,
        reserve_id: 0,
        victims_min: 1,
        output_bytes_max: output_bytes_max(&core.config),
        avoided: BTreeMap::new(),
        keys: Keys::default(),
    };
    loop {
        let due = || {
            if core.is_over() {
                return Some(false);
            }
            std::mem::take(&mut core.state.borrow_mut().compaction_due).then_some(true)
        };
        if !until(&core.signals.compactor, due).await {
            break;
        }
        keep_reserve(&core, &mut memory).await;
        core.state.borrow_mut().reserve_wanted = false;
        core.signals.preparer.notify();
        memory.output_bytes_max = output_bytes_max(&core.config);
        memory.victims_min = 1;
        memory.avoided.retain(|id, _| core.state.borrow().segment(*id).is_some());
        // Without its reserve it waits until upkeep has retired what the reserve was used for.
        while !core.state.borrow().reserve_wanted && may_go_on(&core).await {
            let (victims, done) = match look(&core, &memory).await {
                Some((victims, motive)) => {
                    let done = compact(&core, &mut memory, &victims, motive).await;
                    (victims, done.map(|()| true))
                }
                // Nothing is worth to be rewritten: there is time to look for what could go for its key.
                None => (Vec::new(), memory.keys.advance(&core).await),
            };
            let setback = match done {
                Ok(true) => continue,
                Ok(false) => break,
                Err(setback) => setback,
            };
            match give_up(&core, &mut memory, &victims, setback) {
                Next::Look => {}
                Next::Wait | Next::End => break,
            }
        }
    }
    if let Some(reserve) = memory.reserve.take() {
        drop(reserve);
        // What cannot be removed now is removed by the next start.
        let _ = core.env.disk().remove(reserve_path(&core.config.directory, memory.reserve_id)).await;
    }
}

/// Makes the reserve while there is room for it, or takes the room of a retired segment on a full disk: it is what frees more.
async fn keep_reserve<E: Env>(core: &Core<E>, memory: &mut Memory<E>) {
    let bytes = (core.config.segment_bytes / RESERVE_PARTS).next_multiple_of(4096).max(4 * 4096);
    for _ in 0..2 {
        if memory.reserve.is_some() || core.is_over() {
            return;
        }
        memory.reserve_id = new_id(core);
        let path = reserve_path(&core.config.directory, memory.reserve_id);
        match core.env.disk().create(path, bytes).await {
            Ok(file) => memory.reserve = Some(file),
            Err(error) if error.is_full() => {
                let Some(retired) = take_recyclable(core) else { return };
                let path = retired.path.clone();
                drop(retired);
                if core.env.disk().remove(path).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(lane = core.config.lane.0, %error, "no reserve for compaction");
                return;
            }
        }
    }
}

fn new_id<E: Env>(core: &Core<E>) -> SegmentId {
    let mut state = core.state.borrow_mut();
    state.next_segment += 1;
    state.next_segment - 1
}

/// Waits while compaction is paused. Returns whether the lane goes on.
async fn may_go_on<E: Env>(core: &Core<E>) -> bool {
    let goes_on = || {
        if core.is_over() {
            return Some(false);
        }
        (!core.state.borrow().compaction_paused).then_some(true)
    };
    until(&core.signals.compactor, goes_on).await
}

/// What to do after a setback.
enum Next {
    Look,
    Wait,
    End,
}

fn give_up<E: Env>(
    core: &Core<E>,
    memory: &mut Memory<E>,
    victims: &[SegmentOf<E>],
    setback: Setback,
) -> Next {
    let lane = core.config.lane.0;
    core.state.borrow_mut().stats.compaction_setbacks += 1;
    match setback {
        Setback::Stopped => Next::End,
        Setback::Futile => {
            let avoided = |victim: &SegmentOf<E>| (victim.id, Some(victim.live_payload_bytes.get()));
            memory.avoided.extend(victims.iter().map(avoided));
            Next::Look
        }
        Setback::Damaged { segment, damage } => {
            tracing::error!(lane, error = %damage, "compaction leaves a damaged segment alone");
            memory.avoided.insert(segment, None);
            Next::Look
        }
        Setback::Disk(error) if error.is_full() => {
            // Less may fit, and the less frees room for more.
            let (before, half) = (memory.output_bytes_max, memory.output_bytes_max / 2);
            memory.victims_min = 2;
            let reserve = memory.reserve.as_ref().map_or(0, File::bytes);
            memory.output_bytes_max = if reserve < before { half.max(reserve) } else { half };
            if memory.output_bytes_max > SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES {
                return Next::Look;
            }
            tracing::warn!(lane, %error, "no room to compact into");
            Next::Wait
        }
        Setback::Disk(error) => {
            tracing::warn!(lane, %error, "a compaction is given up");
            Next::Wait
        }
    }
}

/// Chooses what to rewrite next, if anything.
async fn look<E: Env>(core: &Core<E>, memory: &Memory<E>) -> Option<(Vec<SegmentOf<E>>, Motive)> {
    let overdue = overdue(core).await;
    let (segments, candidates): (Vec<SegmentOf<E>>, Vec<Candidate>) = {
        let state = core.state.borrow();
        let sealed = |segment: &&SegmentOf<E>| {
            segment.is_sealed() && segment.contents.borrow().is_none() && !is_dead(segment)
        };
        let mut segments: Vec<SegmentOf<E>> = state.all_segments().filter(sealed).map(Rc::clone).collect();
        segments.sort_unstable_by_key(|segment| segment.place().first);
        let candidate = |segment: SegmentOf<E>| {
            let replaced = memory.keys.replaced_in(segment.id);
            let overdue = overdue.get(&segment.id).copied().unwrap_or(0);
            let mut candidate = Candidate::of(&segment, overdue.saturating_add(replaced))?;
            candidate.is_replaced = replaced > 0;
            let avoided = memory.avoided.get(&segment.id);
            candidate.avoided =
                avoided.is_some_and(|live| live.is_none_or(|live| live == segment.live_payload_bytes.get()));
            candidate.is_late = avoided != Some(&None) && memory.keys.is_late(segment.id);
            Some((segment, candidate))
        };
        segments.into_iter().filter_map(candidate).unzip()
    };
    let rules = Rules {
        now: core.env.now(),
        output_bytes_max: memory.output_bytes_max,
        victims_min: memory.victims_min,
        grouping_age: core.config.grouping_age,
        pressed: core.state.borrow().no_room,
    };
    let Choice { victims, motive } = choose(&candidates, &rules)?;
    Some((segments.get(victims)?.to_vec(), motive))
}

/// Payload bytes by segment that are over their owners' retention, though the spans that they are in are not.
async fn overdue<E: Env>(core: &Core<E>) -> BTreeMap<SegmentId, u64> {
    let now = core.env.now();
    let mut overdue: BTreeMap<SegmentId, u64> = BTreeMap::new();
    for part in 0..OWNER_MAP_PARTS {
        {
            let state = core.state.borrow();
            for (_, owner) in state.owners.part(part) {
                if let Some(span) = owner.spans.front() {
                    *overdue.entry(span.segment).or_default() += owner.overdue(now);
                }
            }
        }
        give_way().await;
    }
    overdue
}

/// Rewrites neighbours.
async fn compact<E: Env>(
    core: &Core<E>,
    memory: &mut Memory<E>,
    victims: &[SegmentOf<E>],
    motive: Motive,
) -> Result<(), Setback> {
    let plan = gather::gather(core, &memory.keys, victims).await?;
    if plan.parts.is_empty() {
        return Err(Setback::Futile);
    }
    let victims_bytes: u64 = victims.iter().map(|victim| victim.bytes()).sum();
    let freed = victims_bytes.saturating_sub(plan.output_bytes());
    if motive == Motive::Garbage && freed < victims_bytes / (2 * FREED_PARTS) {
        return Err(Setback::Futile);
    }
    let id = new_id(core);
    let (Some(first), Some(last)) = (victims.first(), victims.last()) else { return Ok(()) };
    let covers = Place { first: first.place().first, last: last.place().last };
    // The reserve goes only where it brings back more than a segment for the log: a part of that is the next reserve.
    let (mut none, worthwhile) = (None, victims.len() > 1);
    let reserve = if worthwhile { &mut memory.reserve } else { &mut none };
    let mut segment = output::create(core, id, covers, plan.output_bytes(), reserve).await?;
    let (rows, copied) = match write(core, &segment, &plan, &memory.keys, victims).await {
        Ok(written) => written,
        Err(setback) => {
            let path = segment.path.clone();
            drop(segment);
            // What cannot be removed now is removed by the next start.
            let _ = core.env.disk().remove(path).await;
            return Err(setback);
        }
    };
    match name_file(&core.env, &core.config, id, &segment.file, Some(covers), copied.is_sparse).await {
        Ok(path) => segment.path = path,
        Err(error) => {
            // The name may or may not be there after a crash, and either is right. Another compaction of the same segments would not be.
            core.poison(error);
            return Err(Setback::Stopped);
        }
    }
    drop_contents(&segment).await;
    core.state.borrow_mut().reserve_wanted = memory.reserve.is_none();
    install::install(core, victims, segment, &rows).await;
    memory.keys.rewritten(victims, &copied.relieved);
    let mut state = core.state.borrow_mut();
    state.stats.compactions += 1;
    state.stats.compacted_segments += victims.len() as u64;
    state.newly_sealed = true;
    drop(state);
    core.signals.upkeep.notify();
    Ok(())
}

/// Copies what is live and seals the copy.
async fn write<E: Env>(
    core: &Core<E>,
    segment: &crate::segment::Segment<FileOf<E>>,
    plan: &gather::Plan,
    keys: &Keys,
    victims: &[SegmentOf<E>],
) -> Result<(Vec<crate::segment::footer::OwnerRow>, Copied), Setback> {
    let copied = output::copy(core, segment, plan, keys, victims).await?;
    // The points said where entries end and which are over their time. Now that all of them were read, they must prove to be right.
    for victim in victims {
        if let Some(damage) = damaged_points(victim).await? {
            return Err(Setback::Damaged { segment: victim.id, damage });
        }
    }
    Ok((write_footer(segment).await?, copied))
}

/// How long a step of so many bytes takes within the budget.
fn time_of(bytes: u64, bytes_per_second: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64)
}

/// A little more than a segment: one that is full and live to the last entry can be grouped, whose points are then bounded less exactly.
fn output_bytes_max(config: &crate::config::LaneConfig) -> u64 {
    config.segment_bytes + config.segment_bytes / 8
}
