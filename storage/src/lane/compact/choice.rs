//! The choice: which neighbours are worth to be rewritten, from plain numbers.
//!
//! Promises runs of neighbours in the order of the log, so that the numbers of each owner in the result have no gap. The rule and what
//! else was possible are in `docs/decisions/0005-retention-compaction.md`.

use std::{ops::Range, time::Duration};

use tidemill_wire::Timestamp;

use super::time_of;
use crate::{
    env::File,
    limits::{
        EXPIRY_WAIT, FREED_PARTS, FREED_PARTS_FULL, GARBAGE_PARTS, GARBAGE_PARTS_PRESSING,
        GARBAGE_PARTS_WAITING, INTERLEAVED_RUN_BYTES, INTERLEAVED_RUNS_PER_OWNER, MERGED_SEGMENTS_MIN,
        SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES, VICTIMS_MAX,
    },
    segment::{
        Segment,
        footer::{OWNER_ROW_BYTES, POINT_BYTES},
    },
};

/// A sealed segment with something live in it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) file_bytes: u64,
    pub(super) live_bytes: u64,
    /// Owners with something live.
    pub(super) spans: u64,
    pub(super) first_time: Timestamp,
    pub(super) last_time: Timestamp,
    /// When all of it is expected to be over its owners' retention.
    pub(super) over_at: Timestamp,
    /// It was expected to go by itself before now, and is still there.
    pub(super) is_overstaying: bool,
    /// Its owners have many short runs each.
    pub(super) interleaved: bool,
    /// Records in it could go because later ones of their keys have replaced them.
    pub(super) is_replaced: bool,
    /// They could for so long that they have to. Not for damaged segments.
    pub(super) is_late: bool,
    /// Not to be taken.
    pub(super) avoided: bool,
}

/// What the choice depends on beside the candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) now: Timestamp,
    pub(super) output_bytes_max: u64,
    pub(super) grouping_age: Duration,
    /// How long after it is over something may go by itself.
    pub(super) upkeep_interval: Duration,
    /// What may be rewritten.
    pub(super) bytes_per_second: u64,
    /// The disk is full: whatever can be freed is wanted.
    pub(super) pressed: bool,
}

/// Why something is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motive {
    /// To free space.
    Garbage,
    /// To have records go that were replaced long ago.
    Replaced,
    /// To have fewer, larger files.
    Number,
    /// To have each owner's entries together.
    Grouping,
}

/// Neighbours by their indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) victims: Range<usize>,
    pub(super) motive: Motive,
}

impl Candidate {
    pub(super) fn of<F: File>(segment: &Segment<F>, overdue: u64, over_at: Timestamp) -> Option<Self> {
        let trailer = segment.trailer.get()?;
        let (owners, points) = (u64::from(trailer.owner_count), u64::from(trailer.point_count));
        let runs = points >= owners.saturating_mul(INTERLEAVED_RUNS_PER_OWNER);
        let short = segment.entry_bytes() < points.saturating_mul(INTERLEAVED_RUN_BYTES);
        Some(Self {
            file_bytes: segment.bytes(),
            live_bytes: segment.live_entry_bytes(overdue),
            spans: segment.spans.get(),
            first_time: trailer.first_time,
            last_time: trailer.last_time,
            over_at,
            is_overstaying: false,
            interleaved: segment.covers.is_none() && owners > 1 && runs && short,
            is_replaced: false,
            is_late: false,
            avoided: false,
        })
    }

    fn output_bytes(&self) -> u64 {
        output_bytes(self.live_bytes, self.spans)
    }

    /// Whether all of it goes so soon that rewriting it would be for nothing.
    fn is_passing(&self, now: Timestamp) -> bool {
        self.rest(now) <= EXPIRY_WAIT
    }

    /// Whether all of it goes before a copy would have freed anything for longer than a look at it takes. What was to go and did not is not waited for any longer.
    fn is_as_good_as_gone(&self, rules: &Rules) -> bool {
        !self.is_overstaying && self.waited_for_until(rules).is_some()
    }

    /// Until when it is waited for, if all of it goes before a copy would have freed anything for longer than a look at it takes. When it goes is an estimate where bytes bound what is kept, and something
    /// that cannot be read may keep it: so that wait has an end.
    pub(super) fn waited_for_until(&self, rules: &Rules) -> Option<Timestamp> {
        let copying = time_of(self.live_bytes, rules.bytes_per_second.max(1));
        let look = rules.upkeep_interval;
        let wait = copying.saturating_add(look.saturating_mul(2));
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        (self.rest(rules.now) <= copying.saturating_add(look))
            .then_some(Timestamp(self.over_at.max(rules.now).0.saturating_add(wait_ms)))
    }

    fn rest(&self, now: Timestamp) -> Duration {
        Duration::from_millis(self.over_at.0.saturating_sub(now.0))
    }
}

/// Bytes of a file with these live bytes of so many owners; a footer has two points at most for each `POINT_BYTES_MAX` and one for each owner.
pub(super) fn output_bytes(live_bytes: u64, owners: u64) -> u64 {
    let points = owners + live_bytes / (crate::limits::POINT_BYTES_MAX / 2);
    let footer = owners * OWNER_ROW_BYTES + (points + 1) * POINT_BYTES;
    let mark = tidemill_wire::entry::ENTRY_HEADER_BYTES as u64;
    let bytes = SEGMENT_HEADER_BYTES + mark + live_bytes + footer + SEGMENT_TRAILER_BYTES;
    bytes.next_multiple_of(4096)
}

/// Neighbours taken together.
#[derive(Clone, Copy)]
struct Window {
    files_bytes: u64,
    live_bytes: u64,
    spans: u64,
    first_time: Timestamp,
    last_time: Timestamp,
    over_at: Timestamp,
}

impl Window {
    fn of(candidate: &Candidate) -> Self {
        Self {
            files_bytes: candidate.file_bytes,
            live_bytes: candidate.live_bytes,
            spans: candidate.spans,
            first_time: candidate.first_time,
            last_time: candidate.last_time,
            over_at: candidate.over_at,
        }
    }

    fn with(self, candidate: &Candidate) -> Self {
        Self {
            files_bytes: self.files_bytes + candidate.file_bytes,
            live_bytes: self.live_bytes + candidate.live_bytes,
            spans: self.spans + candidate.spans,
            first_time: self.first_time.min(candidate.first_time),
            last_time: self.last_time.max(candidate.last_time),
            over_at: self.over_at.max(candidate.over_at),
        }
    }

    fn output_bytes(&self) -> u64 {
        output_bytes(self.live_bytes, self.spans)
    }

    /// Whether one segment can take it. Points count times in 32 bits.
    fn fits(&self, rules: &Rules) -> bool {
        self.output_bytes() <= rules.output_bytes_max
            && self.last_time.0.saturating_sub(self.first_time.0) < u64::from(u32::MAX)
    }

    fn freed_bytes(&self) -> u64 {
        self.files_bytes.saturating_sub(self.output_bytes())
    }

    /// Benefit by cost, as log-structured file systems weigh it: what is freed, by how long what stays has lived and so will live, for each byte rewritten.
    /// Where retention tells that it will not live so long, that counts: then the space would be free by itself.
    fn score(&self, now: Timestamp) -> f64 {
        let age_ms = now.0.saturating_sub(self.last_time.0);
        let rest_ms = self.over_at.0.saturating_sub(now.0);
        self.freed_bytes() as f64 * age_ms.min(rest_ms).max(1) as f64 / self.live_bytes.max(1) as f64
    }
}

/// What to rewrite next, if it is time for anything. Candidates come in the order of their places.
pub(super) fn choose(candidates: &[Candidate], rules: &Rules) -> Option<Choice> {
    let files_bytes: u64 = candidates.iter().map(|candidate| candidate.file_bytes).sum();
    let freed = |candidate: &Candidate| candidate.file_bytes.saturating_sub(candidate.output_bytes());
    let freed_bytes: u64 = candidates.iter().map(freed).sum();
    if rules.pressed {
        return best_for_space(candidates, rules, |_| true);
    }
    // What goes by itself soon is left alone, as long as disk use allows it.
    let passing = |candidate: &Candidate| Candidate {
        avoided: candidate.avoided || candidate.is_passing(rules.now),
        ..candidate.clone()
    };
    let lasting: Vec<Candidate> = candidates.iter().map(passing).collect();
    let staying = |candidate: &Candidate| Candidate {
        avoided: candidate.avoided || candidate.is_as_good_as_gone(rules),
        ..candidate.clone()
    };
    let staying: Vec<Candidate> = candidates.iter().map(staying).collect();
    let pressing = freed_bytes.saturating_mul(GARBAGE_PARTS_PRESSING)
        > files_bytes.saturating_mul(GARBAGE_PARTS_WAITING);
    let garbage = freed_bytes.saturating_mul(GARBAGE_PARTS) > files_bytes;
    let best = match (pressing, garbage) {
        (true, _) => best_for_space(&staying, rules, |_| true),
        (false, true) => best_for_space(&lasting, rules, |_| true),
        (false, false) => None,
    };
    // What was replaced is worth its rewriting wherever that pays, however little of all segments it is: it slows its readers down.
    let replaced = |victims: &Range<usize>| {
        candidates.get(victims.clone()).is_some_and(|victims| victims.iter().any(|victim| victim.is_replaced))
    };
    best.or_else(|| best_for_space(&lasting, rules, replaced))
        .or_else(|| first_late(candidates, rules))
        .or_else(|| first_for_number(&lasting, rules))
        .or_else(|| first_for_grouping(&lasting, rules))
}

/// The windows that begin at `start`, from the smallest to the largest that fits.
fn windows<'a>(
    candidates: &'a [Candidate],
    start: usize,
    rules: &'a Rules,
) -> impl Iterator<Item = (Range<usize>, Window)> + 'a {
    let rest = candidates.get(start..).unwrap_or_default().iter().take(VICTIMS_MAX);
    let usable = rest.take_while(|candidate| !candidate.avoided);
    let grown = usable.scan(None, |window: &mut Option<Window>, candidate| {
        let next = window.map_or_else(|| Window::of(candidate), |window| window.with(candidate));
        *window = Some(next);
        next.fits(rules).then_some(next)
    });
    grown.enumerate().map(move |(more, window)| (start..start + more + 1, window))
}

fn best_for_space(
    candidates: &[Candidate],
    rules: &Rules,
    concerns: impl Fn(&Range<usize>) -> bool,
) -> Option<Choice> {
    let all = (0..candidates.len()).flat_map(|start| windows(candidates, start, rules));
    let all = all.filter(|(victims, _)| concerns(victims));
    let parts = if rules.pressed { FREED_PARTS_FULL } else { FREED_PARTS };
    let worth = all.filter(|(_, window)| window.freed_bytes().saturating_mul(parts) >= window.files_bytes);
    let best = worth.max_by(|(_, left), (_, right)| left.score(rules.now).total_cmp(&right.score(rules.now)));
    best.map(|(victims, window)| Choice {
        victims: widened(candidates, victims, window, rules),
        motive: Motive::Garbage,
    })
}

/// Takes in the neighbours that are nearly as good a choice on their own: fewer and larger files are written, and their owners' entries come
/// together now instead of later.
fn widened(
    candidates: &[Candidate],
    mut victims: Range<usize>,
    mut window: Window,
    rules: &Rules,
) -> Range<usize> {
    let least = window.score(rules.now) / 2.0;
    let joined = |window: &Window, index: Option<usize>| {
        let candidate = candidates.get(index?).filter(|candidate| !candidate.avoided)?;
        let joined = window.with(candidate);
        (Window::of(candidate).score(rules.now) >= least && joined.fits(rules)).then_some(joined)
    };
    while victims.len() < VICTIMS_MAX {
        if let Some(wider) = joined(&window, Some(victims.end)) {
            (window, victims.end) = (wider, victims.end + 1);
        } else if let Some(wider) = joined(&window, victims.start.checked_sub(1)) {
            (window, victims.start) = (wider, victims.start - 1);
        } else {
            break;
        }
    }
    victims
}

fn first_for_number(candidates: &[Candidate], rules: &Rules) -> Option<Choice> {
    let small = |(_, window): &(Range<usize>, Window)| window.files_bytes <= rules.output_bytes_max;
    let found = (0..candidates.len()).find_map(|start| {
        let widest = windows(candidates, start, rules).take_while(small).last();
        widest.filter(|(victims, _)| victims.len() >= MERGED_SEGMENTS_MIN)
    });
    found.map(|(victims, _)| Choice { victims, motive: Motive::Number })
}

fn first_for_grouping(candidates: &[Candidate], rules: &Rules) -> Option<Choice> {
    let age_ms = u64::try_from(rules.grouping_age.as_millis()).unwrap_or(u64::MAX);
    let ripe = |candidate: &Candidate| {
        candidate.interleaved && rules.now.0.saturating_sub(candidate.last_time.0) >= age_ms
    };
    first_of(candidates, rules, Motive::Grouping, ripe)
}

/// What has to go for its key is taken even where it was found not to be worth it, and even if a segment alone is larger than it should be.
fn first_late(candidates: &[Candidate], rules: &Rules) -> Option<Choice> {
    let start = candidates.iter().position(|candidate| candidate.is_late)?;
    let late = |candidate: &Candidate| Candidate { avoided: !candidate.is_late, ..candidate.clone() };
    let late: Vec<Candidate> = candidates.iter().map(late).collect();
    let victims = windows(&late, start, rules).last().map_or(start..start + 1, |(victims, _)| victims);
    Some(Choice { victims, motive: Motive::Replaced })
}

/// The first neighbours that are all ripe, as many as fit.
fn first_of(
    candidates: &[Candidate],
    rules: &Rules,
    motive: Motive,
    ripe: impl Fn(&Candidate) -> bool,
) -> Option<Choice> {
    let found = (0..candidates.len()).find_map(|start| {
        let all_ripe = |(victims, _): &(Range<usize>, Window)| {
            victims.end.checked_sub(1).and_then(|last| candidates.get(last)).is_some_and(&ripe)
        };
        windows(candidates, start, rules).take_while(all_ripe).last()
    });
    found.map(|(victims, _)| Choice { victims, motive })
}

#[cfg(test)]
mod tests;
