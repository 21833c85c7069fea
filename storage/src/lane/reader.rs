//! The reader: from a sequence number or a time to the entries.
//!
//! Promises that no page is touched that may be on disk only, and that every entry handed out was checked against its checksum, its owner and its
//! number. Nothing that was looked up before an await is trusted after it. Works in steps of bounded size, so that readers of old data take turns.

use bytes::Bytes;
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{EntryHeader, EntryKind},
};

use super::{
    answer::Fetched,
    blame::blame,
    core::{Core, State},
    lookup::find,
    owner::Owner,
    spans::{Found, Span},
};
use crate::{
    env::{Env, File},
    error::{Damage, FetchError, UnknownOwner},
    limits::{POINT_BYTES_MAX, READ_STEP_BYTES},
    segment::{
        Segment,
        footer::{POINT_BYTES, Point},
    },
};

/// Points looked at in one step.
const POINTS_MAX: usize = 256;
/// Points that a search in a footer brings in at once when it has come this close.
const SEARCH_POINTS_MAX: u32 = 1024;
/// Runs closer together than this are brought in together: a disk reads so much in about the time of one more operation.
const GAP_BYTES_MAX: u64 = 16 << 10;

/// What a search is for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Sequence(SequenceNumber),
    Time(Timestamp),
}

pub(super) async fn fetch<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    from: SequenceNumber,
    bytes_max: usize,
    records_max: u64,
) -> Result<Fetched, FetchError> {
    let bounds = |core: &Core<E>| {
        let state = core.state.borrow();
        let owner = known(&state, owner)?;
        Ok::<_, FetchError>((owner.oldest(), owner.next))
    };
    let end = bounds(core)?.1;
    if from > end {
        return Err(FetchError::BeyondEnd { from, end });
    }
    trim(core, owner, from).await?;
    let mut from = from.max(bounds(core)?.0);
    let mut run = Run { entries: Vec::new(), bytes: 0, bytes_max, records: 0, records_max, next: from };
    while run.has_room() {
        let oldest = bounds(core)?.0;
        if oldest > run.next {
            // Retention took what was to be read: the answer ends before the gap, or begins behind it.
            if run.bytes > 0 {
                break;
            }
            from = oldest;
            run.next = oldest;
        }
        let Some((span, segment)) = find(core, owner, Target::Sequence(run.next)).await? else { break };
        if span.first > run.next {
            continue;
        }
        match read_step(&segment, owner, &span, &mut run).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(blame(&segment, error).await),
        }
    }
    let (oldest, end) = bounds(core)?;
    let mut state = core.state.borrow_mut();
    state.stats.fetches += 1;
    state.stats.fetched_bytes += run.bytes as u64;
    Ok(Fetched { from, entries: run.entries, bytes: run.bytes, next: run.next, oldest, end })
}

/// The first number taken at or after a time.
pub(super) async fn sequence_at<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    time: Timestamp,
) -> Result<SequenceNumber, FetchError> {
    let found = first_at(core, owner, time).await?;
    let state = core.state.borrow();
    let known = known(&state, owner)?;
    Ok(found.unwrap_or(known.next).max(known.oldest()))
}

/// Hides what is over its age, where that may matter for a read from `from`.
async fn trim<E: Env>(core: &Core<E>, owner: OwnerId, from: SequenceNumber) -> Result<(), FetchError> {
    let cutoff = {
        let mut state = core.state.borrow_mut();
        super::upkeep::expire_owner(core, &mut state, owner);
        let known = known(&state, owner)?;
        let Some(retention) = known.retention else { return Ok(()) };
        let cutoff = retention.cutoff(core.now());
        let is_any_over = known.spans.front().is_some_and(|span| span.first_time < cutoff);
        // Several spans may be over, for those without a footer stay, and those that are not here wait for upkeep: what is over ends in the one that
        // holds the cutoff, or there is none.
        let is_concerned = is_any_over
            && match known.spans.at_time(cutoff) {
                None => true,
                Some(Found::Here(span)) => from < span.next,
                Some(Found::Between(gap)) => from < gap.after.first,
            };
        if !is_concerned {
            return Ok(());
        }
        cutoff
    };
    let oldest = first_at(core, owner, cutoff).await?;
    let mut state = core.state.borrow_mut();
    if let Some(known) = state.owners.get_mut(&owner) {
        known.trimmed = known.trimmed.max(oldest.unwrap_or(known.next));
    }
    Ok(())
}

async fn first_at<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    time: Timestamp,
) -> Result<Option<SequenceNumber>, FetchError> {
    let found = find(core, owner, Target::Time(time)).await?;
    let Some((span, segment)) = found else { return Ok(None) };
    match first_in_span(&segment, owner, &span, time).await {
        Ok(first) => Ok(Some(first)),
        Err(error) => Err(blame(&segment, error).await),
    }
}

/// The first number in a span that was taken at or after a time. The entries prove it: one that is older comes right before it, or none does.
async fn first_in_span<F: File>(
    segment: &Segment<F>,
    owner: OwnerId,
    span: &Span,
    time: Timestamp,
) -> Result<SequenceNumber, FetchError> {
    let (_, mut points) = points_from(segment, owner, span, Target::Time(time)).await?;
    // The first one begins before the time, the second one at or after it.
    points.truncate(2);
    let stretches = stretches(segment, &points).await?;
    let mut before = None;
    for (stretch, point) in each_point(&stretches) {
        let mut position = point.position();
        while position < point.end() {
            let header = entry_at(segment, stretch, position, owner)?;
            let base = header.base_sequence;
            let follows = before.map_or(base == span.first, |next| next == base);
            let leads = before.is_none() && header.append_time < time;
            if !follows && !leads {
                let expected = format!("the first entry taken at or after {time}");
                let found = format!("sequence number {base} of {}", header.append_time);
                return Err(damaged(segment, position, expected, found));
            }
            if header.append_time >= time {
                return Ok(base);
            }
            before = Some(header.next_sequence());
            position += header.stride() as u64;
        }
    }
    let end = segment.written.get();
    Err(damaged(segment, end, format!("an entry taken at or after {time}"), "the last point".to_owned()))
}

/// Entries gathered so far.
struct Run {
    entries: Vec<Bytes>,
    bytes: usize,
    bytes_max: usize,
    /// Records from the first that is wanted on. How many there are in a sparse batch is not looked at.
    records: u64,
    records_max: u64,
    next: SequenceNumber,
}

impl Run {
    fn has_room(&self) -> bool {
        self.bytes == 0 || (self.bytes < self.bytes_max && self.records < self.records_max)
    }

    /// Whether an entry may still be added. The first one always may.
    fn takes(&self, bytes: usize) -> bool {
        self.has_room() && (self.bytes == 0 || self.bytes.saturating_add(bytes) <= self.bytes_max)
    }

    /// Notes an entry that was added.
    fn add(&mut self, header: &EntryHeader) {
        self.bytes += header.stride();
        if header.kind != EntryKind::Sparse {
            self.records += header.next_sequence().0.saturating_sub(self.next.0);
        }
        self.next = header.next_sequence();
    }
}

/// Gathers some of the span's entries from `run.next` on. Returns whether there is room for more. A span that was looked up before the segment was
/// sealed does not know where its points are in the footer, so each step is given the span of its moment.
async fn read_step<F: File>(
    segment: &Segment<F>,
    owner: OwnerId,
    span: &Span,
    run: &mut Run,
) -> Result<bool, FetchError> {
    let (_, mut points) = points_from(segment, owner, span, Target::Sequence(run.next)).await?;
    let budget = (run.bytes_max as u64).saturating_sub(run.bytes as u64);
    // A point of more than the usual size is a single entry.
    let single = points.first().filter(|point| point.bytes() > POINT_BYTES_MAX);
    if run.bytes > 0 && single.is_some_and(|point| point.bytes() > budget) {
        return Ok(false);
    }
    // The first point holds the entry that comes next: it is read even if that is too large for the rest.
    let kept = points_of_step(&points, budget).max(1);
    points.truncate(kept);
    let stretches = stretches(segment, &points).await?;
    let before = run.next;
    for (stretch, point) in each_point(&stretches) {
        if !read_point(segment, stretch, owner, point, run)? {
            return Ok(false);
        }
    }
    if run.next == before {
        let (expected, found) =
            ("an index that leads to its entries", format!("no entry with sequence number {before}"));
        let position = points.first().map_or(0, Point::position);
        return Err(damaged(segment, position, expected.to_owned(), found));
    }
    Ok(run.has_room())
}

/// How many of the points are brought in at once: those that are wholly within the budget, and not more than a step.
pub(super) fn points_of_step(points: &[Point], mut budget: u64) -> usize {
    let (mut room, mut end) = (READ_STEP_BYTES, None);
    let fits = |point: &&Point| {
        let gap = end.map_or(0, |end| point.position().saturating_sub(end)).min(GAP_BYTES_MAX);
        let fits = budget >= point.bytes() && room >= gap + point.bytes();
        budget = budget.saturating_sub(point.bytes());
        room = room.saturating_sub(gap + point.bytes());
        end = Some(point.end());
        fits
    };
    points.iter().take_while(fits).count()
}

/// Gathers the entries of one point from `run.next` on. Returns whether there is room for more.
fn read_point<F: File>(
    segment: &Segment<F>,
    stretch: &Stretch,
    owner: OwnerId,
    point: &Point,
    run: &mut Run,
) -> Result<bool, FetchError> {
    let (mut position, mut start, mut end) = (point.position(), None, point.position());
    let mut full = false;
    while position < point.end() {
        let header = entry_at(segment, stretch, position, owner)?;
        let stride = header.stride();
        if header.next_sequence() > run.next {
            if header.base_sequence > run.next {
                let expected = format!("sequence number {}", run.next);
                return Err(damaged(segment, position, expected, format!("{}", header.base_sequence)));
            }
            // Key compaction may have put one entry in the place of several, of which some are in the answer: it comes first in the next one.
            let overlaps = run.bytes > 0 && header.base_sequence < run.next;
            full = overlaps || !run.takes(stride);
            if full {
                break;
            }
            start.get_or_insert(position);
            run.add(&header);
            end = position + stride as u64;
        }
        position += stride as u64;
    }
    if let Some(start) = start {
        append_slice(&mut run.entries, &stretch.bytes, start - stretch.start, end - stretch.start);
    }
    Ok(!full)
}

/// Adds a piece of a stretch, to the last piece if it follows it in memory.
fn append_slice(entries: &mut Vec<Bytes>, view: &Bytes, start: u64, end: u64) {
    let piece = view.slice(start as usize..end as usize);
    if let Some(last) = entries.last_mut() {
        let base = view.as_ptr() as usize;
        let last_start = (last.as_ptr() as usize).wrapping_sub(base);
        if last_start.checked_add(last.len()) == Some(start as usize) && last_start < start as usize {
            *last = view.slice(last_start..end as usize);
            return;
        }
    }
    entries.push(piece);
}

/// Checks the entry at a position.
pub(super) fn entry_at<F: File>(
    segment: &Segment<F>,
    stretch: &Stretch,
    position: u64,
    owner: OwnerId,
) -> Result<EntryHeader, FetchError> {
    let rest = stretch.from(position);
    let expected = || format!("an entry of owner {owner} in segment {:016x}", segment.id);
    let header = EntryHeader::verify(rest)
        .map_err(|error| damaged(segment, position, expected(), error.to_string()))?;
    let right = header.owner == owner && header.segment_epoch == segment.id;
    if !right || header.stride() > rest.len() {
        let found = format!("owner {}, segment {:016x}", header.owner, header.segment_epoch);
        return Err(damaged(segment, position, expected(), found));
    }
    Ok(header)
}

/// Up to `POINTS_MAX` points of an owner in a segment, from the one that holds the target on, and the span's first number.
pub(super) async fn points_from<F: File>(
    segment: &Segment<F>,
    owner: OwnerId,
    span: &Span,
    target: Target,
) -> Result<(SequenceNumber, Vec<Point>), FetchError> {
    if let Some(contents) = segment.contents.borrow().as_ref() {
        let Some(part) = contents.owner(owner) else { return Ok((span.first, Vec::new())) };
        let before =
            part.points.partition_point(|point| is_before(point, part.first, contents.first_time, target));
        let rest = part.points.get(before.saturating_sub(1)..).unwrap_or_default();
        return Ok((span.first, rest.iter().take(POINTS_MAX).copied().collect()));
    }
    let Some(trailer) = segment.trailer.get() else { return Ok((span.first, Vec::new())) };
    let window = |start: u32, end: u32| trailer.point_position(start)..trailer.point_position(end);
    let (mut low, mut high) = (span.first_point, span.first_point.saturating_add(span.point_count));
    // Points before `low` are before the target, those from `high` on are not.
    while high - low > SEARCH_POINTS_MAX {
        let middle = low + (high - low) / 2;
        let bytes = segment.footer(window(middle, middle + 1)).await?;
        match Point::decode(&bytes) {
            Some(point) if is_before(&point, span.first, trailer.first_time, target) => low = middle,
            Some(_) => high = middle,
            None => return Err(short_footer(segment)),
        }
    }
    let end = span.first_point.saturating_add(span.point_count).min(high.saturating_add(POINTS_MAX as u32));
    let bytes = segment.footer(window(low, end)).await?;
    let mut points: Vec<Point> = bytes.chunks_exact(POINT_BYTES as usize).filter_map(Point::decode).collect();
    if points.len() != (end - low) as usize {
        return Err(short_footer(segment));
    }
    let before = points.partition_point(|point| is_before(point, span.first, trailer.first_time, target));
    points.drain(..before.saturating_sub(1));
    points.truncate(POINTS_MAX);
    Ok((span.first, points))
}

/// Some points of a sealed segment, by their indexes in its footer.
pub(super) async fn points_between<F: File>(
    segment: &Segment<F>,
    indexes: std::ops::Range<u32>,
) -> Result<Vec<Point>, FetchError> {
    let Some(trailer) = segment.trailer.get() else { return Ok(Vec::new()) };
    let window = trailer.point_position(indexes.start)..trailer.point_position(indexes.end);
    let bytes = segment.footer(window).await?;
    let points: Vec<Point> = bytes.chunks_exact(POINT_BYTES as usize).filter_map(Point::decode).collect();
    if points.len() == indexes.len() { Ok(points) } else { Err(short_footer(segment)) }
}

/// Whether a point begins at or before the target, so that the last such point holds it.
fn is_before(point: &Point, first: SequenceNumber, first_time: Timestamp, target: Target) -> bool {
    match target {
        Target::Sequence(sequence) => first.0.saturating_add(u64::from(point.sequence_offset)) <= sequence.0,
        Target::Time(time) => first_time.0.saturating_add(u64::from(point.time_offset)) < time.0,
    }
}

/// Neighbouring bytes of a segment, with the points that lead into them.
pub(super) struct Stretch {
    start: u64,
    bytes: Bytes,
    points: Vec<Point>,
}

impl Stretch {
    /// What leads to it.
    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    /// Its bytes from a position on; none for a position outside.
    fn from(&self, position: u64) -> &[u8] {
        let at = position.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }

    /// Some of its bytes, by their positions in the segment.
    pub(super) fn slice(&self, positions: std::ops::Range<u64>) -> Bytes {
        self.bytes.slice((positions.start - self.start) as usize..(positions.end - self.start) as usize)
    }
}

/// The points of some stretches, each with its stretch.
pub(super) fn each_point(stretches: &[Stretch]) -> impl Iterator<Item = (&Stretch, &Point)> {
    stretches.iter().flat_map(|stretch| stretch.points.iter().map(move |point| (stretch, point)))
}

/// Brings in what points lead to.
pub(super) async fn stretches<F: File>(
    segment: &Segment<F>,
    points: &[Point],
) -> Result<Vec<Stretch>, FetchError> {
    let mut groups: Vec<(std::ops::Range<u64>, Vec<Point>)> = Vec::new();
    for point in points {
        match groups.last_mut() {
            Some((window, points))
                if (window.start..=window.end.saturating_add(GAP_BYTES_MAX)).contains(&point.position()) =>
            {
                window.end = window.end.max(point.end());
                points.push(*point);
            }
            _ => groups.push((point.position()..point.end(), vec![*point])),
        }
    }
    let end = segment.written.get();
    if let Some((window, _)) = groups.iter().find(|(window, _)| window.end > end) {
        let expected = format!("entries up to {end}");
        return Err(damaged(segment, window.start, expected, format!("a point up to {}", window.end)));
    }
    let windows = groups.iter().map(|(window, _)| window.clone()).collect();
    let bytes = segment.file.fetch(windows).await?;
    let stretch = |((window, points), bytes): ((std::ops::Range<u64>, Vec<Point>), Bytes)| Stretch {
        start: window.start,
        bytes,
        points,
    };
    Ok(groups.into_iter().zip(bytes).map(stretch).collect())
}

/// An owner that somebody has adopted.
pub(super) fn known<E: Env>(state: &State<E>, owner: OwnerId) -> Result<&Owner, UnknownOwner> {
    state.owners.get(&owner).filter(|known| known.retention.is_some()).ok_or(UnknownOwner { owner })
}

fn short_footer<F: File>(segment: &Segment<F>) -> FetchError {
    let expected = "the points of the footer".to_owned();
    damaged(segment, segment.bytes(), expected, "the end of the file".to_owned())
}

pub(super) fn damaged<F: File>(
    segment: &Segment<F>,
    offset: u64,
    expected: String,
    found: String,
) -> FetchError {
    FetchError::Damaged(Damage { path: segment.path.clone(), offset, expected, found })
}
