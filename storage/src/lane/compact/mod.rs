//! The compactor: rewrites segments of which enough is dead, or whose owners are too interleaved, with their live entries grouped by owner.
//!
//! Owns the order of the steps: choose neighbours in the log, gather what is live in them, copy it into a segment of its own, seal that, name it,
//! and lead the index there, owner by owner. Promises that every entry is in a file with a stable name at each moment, and that the writer never waits
//! for it. Leaves out the end of what was rewritten: it is dead then, and upkeep retires it like anything else.
//!
//! Invariant: the result has its name only after its entries, its footer and its trailer are stable, and segments are retired only after
//! that; the simulator's crashes test it, and a disk that lies about the result's flushes must be noticed.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use tidemill_wire::Timestamp;

use super::{
    blame::damaged_points,
    core::{Core, FileOf, SegmentOf},
    owner::NEVER,
    preparer::name_file,
    reserve,
    sealer::{drop_contents, write_footer},
    signal::until,
    upkeep::{is_dead, release_forgotten},
};
use crate::{
    env::{Disk, Env, File},
    error::{Damage, DiskError, FetchError},
    limits::{FREED_PARTS, FREED_PARTS_FULL, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    segment::{Measured, Place, Segment, SegmentId, footer::OwnerRow, segment_id_of},
};

mod choice;
mod gather;
mod install;
mod keys;
mod outlook;
mod output;
mod walk;

use choice::{Candidate, Choice, Motive, Rules, choose};
use keys::Keys;
use outlook::{Outlook, outlook};
use output::Copied;

/// Why a compaction was given up. Nothing is lost: what it wanted to rewrite is where it was.
enum Setback {
    /// An operation failed.
    Disk(DiskError),
    /// What was to be copied is not what the index says. Readers of it are told the same.
    Damaged { segment: SegmentId, damage: Damage },
    /// Copied, it would take about as much.
    Futile,
    /// What is live was measured now, and is too much for one segment.
    TooMuch,
    /// The lane stops.
    Stopped,
}

impl From<DiskError> for Setback {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl Setback {
    /// A record could not be found.
    fn of_lookup(error: FetchError) -> Self {
        let name = match &error {
            FetchError::Damaged(damage) => damage.path.file_name(),
            _ => None,
        };
        let segment = name.and_then(|name| segment_id_of(name.to_str()?)).unwrap_or(0);
        Self::of_read(segment, error)
    }

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
struct Memory {
    /// A result may have this many bytes; fewer from one attempt to the next where there is no room.
    output_bytes_max: u64,
    /// Segments not to be taken while they have so many live payload bytes; `None` for never again.
    avoided: BTreeMap<SegmentId, Option<u64>>,
    /// Until when segments are waited for that were expected to go by themselves.
    going: BTreeMap<SegmentId, Timestamp>,
    outlook: Outlook,
    /// When the outlook was taken.
    outlook_taken: Option<Duration>,
    keys: Keys,
}

impl Memory {
    fn overdue_in(&self, segment: SegmentId) -> u64 {
        self.outlook.overdue.get(&segment).copied().unwrap_or(0)
    }

    /// Remembers what is expected to go, and tells what should have gone since.
    fn tell_overstaying<'a>(
        &mut self,
        candidates: impl Iterator<Item = (SegmentId, &'a mut Candidate)>,
        rules: &Rules,
    ) {
        let before = std::mem::take(&mut self.going);
        for (id, candidate) in candidates {
            let Some(until) = candidate.waited_for_until(rules) else { continue };
            let until = before.get(&id).map_or(until, |first| until.min(*first));
            candidate.is_overstaying = until < rules.now;
            self.going.insert(id, until);
        }
    }
}

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    if core.config.compaction_bytes_per_second == 0 {
        return;
    }
    let mut memory = Memory {
        output_bytes_max: 0,
        avoided: BTreeMap::new(),
        going: BTreeMap::new(),
        outlook: Outlook::default(),
        outlook_taken: None,
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
            return;
        }
        memory.output_bytes_max = core.config.segment_bytes;
        memory.avoided.retain(|id, _| core.state.borrow().segment(*id).is_some());
        while may_go_on(&core).await {
            let (victims, done) = match look(&core, &mut memory).await {
                // Where the reserve was used, upkeep makes it anew of what is free now, and comes back.
                Some((victims, motive)) => {
                    let done = compact(&core, &mut memory, &victims, motive).await;
                    (victims, done.map(|room| room == Room::Found))
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

fn give_up<E: Env>(core: &Core<E>, memory: &mut Memory, victims: &[SegmentOf<E>], setback: Setback) -> Next {
    let lane = core.config.lane.0;
    {
        let counts = &mut core.state.borrow_mut().stats.setbacks;
        let count = match &setback {
            Setback::Disk(error) if error.is_full() => &mut counts.disk_full,
            Setback::Disk(_) => &mut counts.disk_failed,
            Setback::Damaged { .. } => &mut counts.damaged,
            Setback::Futile => &mut counts.futile,
            Setback::TooMuch => &mut counts.too_large,
            Setback::Stopped => &mut counts.stopped,
        };
        *count += 1;
    }
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
        Setback::TooMuch => Next::Look,
        Setback::Disk(error) if error.is_full() => {
            // Less may fit, and the less frees room for more.
            let (before, half) = (memory.output_bytes_max, memory.output_bytes_max / 2);
            let reserve = core.state.borrow().reserve.bytes();
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
async fn look<E: Env>(core: &Core<E>, memory: &mut Memory) -> Option<(Vec<SegmentOf<E>>, Motive)> {
    let pressed = is_pressed(core);
    if pressed
        || memory
            .outlook_taken
            .is_none_or(|taken| core.env.monotonic().saturating_sub(taken) >= core.config.upkeep_interval)
    {
        memory.outlook = outlook(core).await;
        memory.outlook_taken = Some(core.env.monotonic());
    }
    let (segments, mut candidates): (Vec<SegmentOf<E>>, Vec<Candidate>) = {
        let state = core.state.borrow();
        let sealed = |segment: &&SegmentOf<E>| {
            segment.is_sealed() && segment.contents.borrow().is_none() && !is_dead(segment)
        };
        let mut segments: Vec<SegmentOf<E>> = state.all_segments().filter(sealed).map(Rc::clone).collect();
        segments.sort_unstable_by_key(|segment| segment.place().first);
        let candidate = |segment: SegmentOf<E>| {
            let replaced = memory.keys.replaced_in(segment.id);
            let overdue = memory.overdue_in(segment.id);
            // What came since the outlook was taken is young, and nothing is known of it.
            let over_at = memory.outlook.over_at.get(&segment.id).copied().unwrap_or(NEVER);
            let mut candidate = Candidate::of(&segment, overdue.saturating_add(replaced), over_at)?;
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
        now: core.now(),
        output_bytes_max: memory.output_bytes_max,
        grouping_age: core.config.grouping_age,
        upkeep_interval: core.config.upkeep_interval,
        bytes_per_second: core.config.compaction_bytes_per_second,
        pressed,
    };
    let ids = || segments.iter().map(|segment| segment.id);
    memory.tell_overstaying(ids().zip(&mut candidates), &rules);
    let Choice { victims, motive } = choose(&candidates, &rules)?;
    Some((segments.get(victims)?.to_vec(), motive))
}

/// Whether the disk is full, so that whatever can be freed is wanted.
fn is_pressed<E: Env>(core: &Core<E>) -> bool {
    let state = core.state.borrow();
    state.no_room || state.reserve.is_lacking()
}

/// Where an output was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Where there was room.
    Found,
    /// Into the reserve.
    Reserved,
}

/// Rewrites neighbours.
async fn compact<E: Env>(
    core: &Core<E>,
    memory: &mut Memory,
    victims: &[SegmentOf<E>],
    motive: Motive,
) -> Result<Room, Setback> {
    // Those whose spans cannot be found, and who are forgotten while this goes on, are copied like others.
    release_forgotten(core).await;
    let plan = gather::gather(core, &memory.keys, victims).await?;
    let known = measure(memory, victims, &plan);
    if plan.parts.is_empty() {
        return Err(Setback::Futile);
    }
    let (victims_bytes, bytes): (u64, u64) =
        (victims.iter().map(|victim| victim.bytes()).sum(), plan.output_bytes());
    // What has to go for its key is rewritten whatever it comes to: the choice was made by size already.
    if bytes > memory.output_bytes_max && motive != Motive::Replaced {
        return Err(if known { Setback::Futile } else { Setback::TooMuch });
    }
    let parts = 2 * if is_pressed(core) { FREED_PARTS_FULL } else { FREED_PARTS };
    if motive == Motive::Garbage && victims_bytes.saturating_sub(bytes) < victims_bytes / parts {
        return Err(Setback::Futile);
    }
    let id = new_id(core);
    let (Some(first), Some(last)) = (victims.first(), victims.last()) else { return Ok(Room::Found) };
    let covers = Place { first: first.place().first, last: last.place().last };
    // Each use of the reserve leaves more room than there was, so it can always be made whole again of it.
    let (mut segment, room) = output::create(core, id, covers, bytes, bytes < victims_bytes).await?;
    let (rows, copied) = match write(core, &segment, &plan, &memory.keys, victims).await {
        Ok(written) => written,
        Err(setback) => {
            discard(core, segment, room).await;
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
    install::install(core, victims, segment, (&plan.parts, &rows)).await;
    memory.keys.rewritten(victims, &copied.relieved);
    let mut state = core.state.borrow_mut();
    state.stats.compactions += 1;
    state.stats.compacted_segments += victims.len() as u64;
    state.newly_sealed = true;
    drop(state);
    core.signals.upkeep.notify();
    Ok(room)
}

/// Tells the segments what of them is live, to the byte: the next choice begins from there. Returns whether all of them knew it.
fn measure<F: File>(memory: &Memory, victims: &[Rc<Segment<F>>], plan: &gather::Plan) -> bool {
    let mut known = true;
    for (victim, entry_bytes) in victims.iter().zip(&plan.live_bytes) {
        let payload_bytes = victim.live_payload_bytes.get().saturating_sub(memory.overdue_in(victim.id));
        let measured = Measured { payload_bytes, entry_bytes: *entry_bytes };
        known &= victim.measured.replace(Some(measured)) == Some(measured);
    }
    known
}

/// Removes an output that came to nothing.
async fn discard<E: Env>(core: &Core<E>, segment: Segment<FileOf<E>>, room: Room) {
    let (path, file) = (segment.path.clone(), segment.file.clone());
    drop(segment);
    if room == Room::Reserved && reserve::put_back(core, file).await.is_ok() {
        return;
    }
    // What cannot be removed now is removed by the next start.
    let _ = core.env.disk().remove(path).await;
}

/// Copies what is live and seals the copy.
async fn write<E: Env>(
    core: &Core<E>,
    segment: &Segment<FileOf<E>>,
    plan: &gather::Plan,
    keys: &Keys,
    victims: &[SegmentOf<E>],
) -> Result<(Vec<OwnerRow>, Copied), Setback> {
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
