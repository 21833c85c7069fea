//! The look at one owner's sealed records, a few MiB at a time.
//!
//! Promises that records are put into the table in the order of their numbers, and that those before the stretch that it has memory for are met as
//! well. Where it stands is a number, not a place: what lies before and behind may be rewritten between two steps.

use std::collections::BTreeMap;

use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader},
    numbered::NumberedBatch,
};

use super::{
    super::{
        super::{
            core::{Core, SegmentOf, State},
            keyed::later,
            lookup::find,
            reader::{Stretch, Target, each_point, entry_at, points_from, points_of_step, stretches},
            signal::give_way,
            spans::Span,
        },
        Setback, may_go_on, time_of,
    },
    is_readable,
    sieve::key_of,
    table::KeyTable,
};
use crate::{
    env::Env,
    error::FetchError,
    limits::{CHUNK_BYTES, KEYS_AT_ONCE},
    segment::{Segment, SegmentId, footer::Point},
};

/// Where a look stands.
pub(super) struct Scan {
    pub(super) owner: OwnerId,
    /// The first record that there is.
    oldest: SequenceNumber,
    /// The stretch whose keys go into the table.
    start: SequenceNumber,
    end: SequenceNumber,
    cursor: SequenceNumber,
    /// The stretch is in the table, and the records before it are met.
    is_below: bool,
    /// There was no memory for all.
    is_full: bool,
    /// Nothing else of the owner can be on the disk.
    knows_all: bool,
    is_late: bool,
    /// Tombstones that were taken before this are over their time.
    tombstones_before: Timestamp,
    oldest_young_tombstone: Option<Timestamp>,
    /// A tombstone in the stretch is over its time.
    has_old_tombstone: bool,
    has_masked_tombstone: bool,
    /// What could go, by its numbers.
    losses: Vec<(SequenceNumber, u32)>,
}

/// What a look came to.
pub(super) struct Seen {
    /// Records below this were looked at.
    pub(super) end: SequenceNumber,
    /// Where the next look begins, when there was no memory for all.
    pub(super) resume: Option<SequenceNumber>,
    /// No record of a key in the table was missed, so that tombstones may go.
    pub(super) is_whole: bool,
    /// What could go has to.
    pub(super) is_late: bool,
    /// When the next tombstone is over its time.
    pub(super) tombstone_due: Option<Timestamp>,
    /// A tombstone is over its time and has to stay until what it hides is gone.
    pub(super) has_masked_tombstone: bool,
}

impl Scan {
    /// A look at an owner, if there is anything to be looked at.
    pub(super) fn begin<E: Env>(core: &Core<E>, id: OwnerId) -> Option<Self> {
        let state = core.state.borrow();
        let (owner, keyed) = (state.owners.get(&id)?, state.keyed.get(&id)?);
        let oldest = owner.spans.front()?.first;
        let sealed = |span: &Span| state.segment(span.segment).is_some_and(is_readable);
        let end = owner.spans.iter().take_while(sealed).last()?.next;
        let resume = keyed.pass.map(|pass| pass.resume).filter(|resume| *resume < end);
        let start = resume.map_or(oldest, |resume| resume.max(oldest));
        let now = core.now();
        let age_ms = u64::try_from(keyed.tombstone_age.as_millis()).unwrap_or(u64::MAX);
        Some(Self {
            owner: id,
            oldest,
            start,
            end,
            cursor: start,
            is_below: false,
            is_full: false,
            knows_all: !owner.is_cut,
            is_late: keyed
                .pass
                .map_or_else(|| keyed.is_late(now, core.config.key_compaction_lag), |pass| pass.is_late),
            tombstones_before: Timestamp(now.0.saturating_sub(age_ms)),
            oldest_young_tombstone: None,
            has_old_tombstone: false,
            has_masked_tombstone: false,
            losses: Vec::new(),
        })
    }

    /// Reads on. Returns what it came to once it is at its end.
    pub(super) async fn step<E: Env>(
        &mut self,
        core: &Core<E>,
        table: &mut KeyTable,
        replaced: &mut BTreeMap<(SegmentId, OwnerId), u64>,
    ) -> Result<Option<Seen>, Setback> {
        if self.cursor >= self.limit() {
            if self.is_below || self.start <= self.oldest {
                return Ok(Some(self.finished(&core.state.borrow())));
            }
            (self.is_below, self.cursor) = (true, self.oldest);
        }
        let Some((span, segment)) = span_of(core, self.owner, self.cursor).await? else {
            return Ok(Some(self.failed()));
        };
        if span.first > self.cursor {
            // Retention took what was to be looked at, and a crash could bring it back.
            self.knows_all = false;
            self.cursor = span.first;
        }
        let bytes = self.read(core, &segment, &span, table).await?;
        self.count(core, replaced).await?;
        let rest = time_of(bytes, core.config.compaction_bytes_per_second);
        if core.sleep(rest).await && may_go_on(core).await { Ok(None) } else { Err(Setback::Stopped) }
    }

    fn limit(&self) -> SequenceNumber {
        if self.is_below { self.start } else { self.end }
    }

    /// Reads some of a span from the cursor on. Returns the bytes read.
    async fn read<E: Env>(
        &mut self,
        core: &Core<E>,
        segment: &SegmentOf<E>,
        span: &Span,
        table: &mut KeyTable,
    ) -> Result<u64, Setback> {
        let failed = |error| Setback::of_read(segment.id, error);
        let target = Target::Sequence(self.cursor);
        let (_, mut points) = points_from(segment, self.owner, span, target).await.map_err(failed)?;
        points.truncate(points_of_step(&points, CHUNK_BYTES).max(1));
        let bytes = points.iter().map(Point::bytes).sum();
        let stretches = stretches(segment, &points).await.map_err(failed)?;
        for (stretch, point) in each_point(&stretches) {
            self.read_point(core, segment, (stretch, point), table).await?;
            if self.cursor >= self.limit() {
                return Ok(bytes);
            }
        }
        if points.is_empty() {
            // An index that leads nowhere: its readers are told, and nothing can go.
            self.knows_all = false;
            self.cursor = span.next;
        }
        Ok(bytes)
    }

    async fn read_point<E: Env>(
        &mut self,
        core: &Core<E>,
        segment: &Segment<super::super::FileOf<E>>,
        (stretch, point): (&Stretch, &Point),
        table: &mut KeyTable,
    ) -> Result<(), Setback> {
        let mut position = point.position();
        while position < point.end() && self.cursor < self.limit() {
            let header = entry_at(segment, stretch, position, self.owner)
                .map_err(|error| Setback::of_read(segment.id, error))?;
            let payload = position + ENTRY_HEADER_BYTES as u64..position + u64::from(header.length);
            position += header.stride() as u64;
            if header.next_sequence() <= self.cursor {
                continue;
            }
            let batch = match header.key_id {
                0 => NumberedBatch::parse(&header, stretch.slice(payload)),
                _ => Ok(None),
            };
            match batch {
                Ok(Some(batch)) => {
                    let keys_max = KeyTable::keys_max(core.config.key_table_bytes_max);
                    let needed = table.len().saturating_add(batch.count() as usize);
                    if !self.is_below && needed > keys_max && table.len() > 0 {
                        (self.is_full, self.end) = (true, self.cursor);
                        return Ok(());
                    }
                    self.take(&header, &batch, table).await;
                }
                // Its keys are not known, so neither is what a tombstone hides.
                Ok(None) | Err(_) => self.knows_all = false,
            }
            self.cursor = header.next_sequence();
        }
        give_way().await;
        Ok(())
    }

    async fn take(&mut self, header: &EntryHeader, batch: &NumberedBatch, table: &mut KeyTable) {
        let Some(view) = batch.batch() else { return };
        // A rewritten entry may begin before the cursor.
        for index in batch.records_before(self.cursor)..batch.count() {
            let sequence = batch.sequence(index);
            if index % KEYS_AT_ONCE == KEYS_AT_ONCE - 1 {
                give_way().await;
            }
            let Some(key) = key_of(table, self.owner, view, index) else { continue };
            let bytes = u32::try_from(view.record_bytes(index)).unwrap_or(u32::MAX);
            if self.is_below {
                if table.meet(&key, sequence) {
                    self.losses.push((sequence, bytes));
                    // It may be of that tombstone's key.
                    self.has_masked_tombstone |= self.has_old_tombstone;
                }
                continue;
            }
            let is_tombstone = view.data_bytes(index) == 0;
            let is_over = is_tombstone && self.knows_all && header.append_time < self.tombstones_before;
            self.has_old_tombstone |= is_over;
            let is_alone = table.get(&key).is_none();
            // What could go already is not counted again when it is replaced.
            let counted = if is_over && is_alone { 0 } else { bytes };
            if let Some(before) = table.put(key, sequence, counted) {
                self.losses.push((before.sequence, before.bytes));
            }
            if is_over && is_alone {
                self.losses.push((sequence, bytes));
            } else if is_over {
                self.has_masked_tombstone = true;
            } else if is_tombstone && self.knows_all {
                let oldest = self.oldest_young_tombstone.get_or_insert(header.append_time);
                *oldest = header.append_time.min(*oldest);
            }
        }
    }

    /// Enters the losses where they are now.
    async fn count<E: Env>(
        &mut self,
        core: &Core<E>,
        replaced: &mut BTreeMap<(SegmentId, OwnerId), u64>,
    ) -> Result<(), Setback> {
        // Neighbours are in one span, which is looked up once.
        self.losses.sort_unstable();
        for (sequence, bytes) in std::mem::take(&mut self.losses) {
            if let Some((span, _)) = span_of(core, self.owner, sequence).await?
                && span.first <= sequence
            {
                *replaced.entry((span.segment, self.owner)).or_default() += u64::from(bytes);
            }
        }
        Ok(())
    }

    fn finished<E: Env>(&self, state: &State<E>) -> Seen {
        let age = state.keyed.get(&self.owner).map(|keyed| keyed.tombstone_age);
        let due = self.oldest_young_tombstone.zip(age).map(|(oldest, age)| later(oldest, age));
        Seen {
            end: self.end,
            resume: self.is_full.then_some(self.end),
            is_whole: self.knows_all,
            is_late: self.is_late,
            tombstone_due: due,
            has_masked_tombstone: self.has_masked_tombstone,
        }
    }

    /// What a look came to that could not be ended. What was put into the table is right.
    pub(super) fn failed(&self) -> Seen {
        Seen {
            end: self.end,
            resume: None,
            is_whole: false,
            is_late: self.is_late,
            tombstone_due: None,
            has_masked_tombstone: false,
        }
    }
}

/// The sealed span with the first record at or after a number.
async fn span_of<E: Env>(
    core: &Core<E>,
    owner: OwnerId,
    sequence: SequenceNumber,
) -> Result<Option<(Span, SegmentOf<E>)>, Setback> {
    match find(core, owner, Target::Sequence(sequence)).await {
        Ok(found) => Ok(found.filter(|(_, segment)| is_readable(segment))),
        Err(FetchError::UnknownOwner(_)) => Ok(None),
        Err(error) => Err(Setback::of_lookup(error)),
    }
}
