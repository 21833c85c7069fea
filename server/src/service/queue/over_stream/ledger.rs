//! What a partition decides: which records of which shard a receive gets, and what every event does. Pure, as the state of a partition of messages, of which it has two for
//! each shard: one for the records that are received and acknowledged, and one for the dead letters.
//!
//! Invariant: events, applied in their order to an empty ledger, give the ledger that made them, but for what time alone does (`tests::replay_gives_the_same_ledger`).

use std::collections::BTreeMap;

use tidemill_wire::{ShardIndex, Timestamp};

use super::Side;
use crate::service::queue::format::FormatError;
use crate::service::queue::format_of_shard::decode_shard_event;
use crate::service::queue::journal::{Entry, Event, Kept, Phase};
use crate::service::queue::log::Written;
use crate::service::queue::recorder::Replayed;
use crate::service::queue::shard_event::{Piece, ShardEvent};
use crate::service::queue::state::{Ask, Head, Pick, Standing, State, WINDOW_MAX};

/// Dead letters that are kept in mind at most: while there are so many, records are received as often as it takes.
const DEAD_MAX: u64 = WINDOW_MAX;

/// What is known of the records of all shards of a partition.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Ledger {
    pub(super) tracks: Tracks,
    /// The snapshot that is being read.
    pending: Option<Pending>,
    is_whole: bool,
}

/// A snapshot that is being read.
#[derive(Clone, Debug)]
enum Pending {
    /// It stands in one row, and has so many events still.
    Row(Tracks, u64),
    /// It is in parts, between which things change. A shard that it has not come to counts for nothing until it comes to it.
    Parts(Tracks),
}

type Tracks = BTreeMap<ShardIndex, Track>;

/// What is known of one shard's records.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) live: State,
    pub(super) dead: State,
}

/// What a receive gets of one shard.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What is to be written down, if anything has changed.
    pub(super) event: Option<ShardEvent>,
    /// What was received.
    pub(super) picked: Vec<Pick>,
    /// Another receive may find more: some were dead letters.
    pub(super) is_more: bool,
}

impl Default for Track {
    fn default() -> Self {
        Self { live: State::new(false), dead: State::new(false) }
    }
}

impl Track {
    fn side(&mut self, side: Side) -> &mut State {
        match side {
            Side::Live => &mut self.live,
            Side::Dead => &mut self.dead,
        }
    }

    /// Does what an event says of one side. What is moving on the live side is a dead letter then, and what is gone for ever is so on both.
    fn apply(&mut self, side: Side, event: &Event) {
        // One that is ahead of what is known did not happen.
        let is_void = matches!(event, Event::Received { from, .. } if *from > self.side(side).cursor());
        self.side(side).apply(event);
        match (side, event) {
            (Side::Live, Event::Received { moving, .. }) if !is_void => self.bury(moving),
            (Side::Live, Event::Purged { .. }) => self.dead.apply(event),
            (Side::Live | Side::Dead, _) => {}
        }
    }

    fn bury(&mut self, records: &[u64]) {
        for sequence in records {
            // Also if a snapshot has not told of it yet.
            self.dead.pass_to(sequence.saturating_add(1));
            if let Some(entry) = self.live.lift(*sequence) {
                self.dead.place(*sequence, Entry { phase: Phase::Ready, ..entry });
            }
        }
    }

    fn restore(&mut self, records: &[u64]) {
        for sequence in records {
            if let Some(entry) = self.dead.lift(*sequence) {
                // Later than all receives of before, so that no receipt of them is one of a receive from now on.
                let due = Timestamp(entry.received.0.saturating_add(1));
                self.live.place(*sequence, Entry::new(0, Phase::Delayed(due)));
            }
        }
    }

    fn take(&mut self, piece: &Piece) {
        let Piece { is_first, live_cursor, dead_cursor, live, dead, .. } = piece;
        if *is_first {
            *self = Self::default();
        }
        self.live.pass_to(*live_cursor);
        self.dead.pass_to(*dead_cursor);
        live.iter().for_each(|Kept { sequence, entry }| self.live.attach(*sequence, *entry));
        dead.iter().for_each(|Kept { sequence, entry }| self.dead.attach(*sequence, *entry));
    }
}

impl Ledger {
    /// Whether anything is known of a shard.
    pub(super) fn knows(&self, shard: ShardIndex) -> bool {
        self.tracks.contains_key(&shard)
    }

    /// Begins with a shard at one of its records, and returns what says so.
    pub(super) fn begin(&mut self, shard: ShardIndex, from: u64) -> ShardEvent {
        let event = Self::begun(shard, from);
        self.apply(&event);
        event
    }

    /// What says that everything of a shard below one of its records is of no concern.
    pub(super) fn begun(shard: ShardIndex, from: u64) -> ShardEvent {
        ShardEvent::Of { shard, side: Side::Live, event: Event::Purged { below: from } }
    }

    /// What is gone for ever and much, to be given back in steps.
    pub(super) fn take_gone(&mut self) -> Vec<State> {
        let of = |track: &mut Track| {
            let mut gone = track.live.take_gone();
            gone.append(&mut track.dead.take_gone());
            gone
        };
        self.tracks.values_mut().flat_map(of).collect()
    }

    /// Forgets a snapshot that was cut short, after which nothing more of it will come.
    pub(super) fn forget_pending(&mut self) {
        self.pending = None;
    }

    /// Forgets shards that are no more.
    pub(super) fn retain(&mut self, is_there: impl Fn(ShardIndex) -> bool) {
        self.tracks.retain(|shard, _| is_there(*shard));
    }

    /// The next record that nobody has looked at.
    pub(super) fn cursor(&self, shard: ShardIndex) -> Option<u64> {
        self.tracks.get(&shard).map(|track| track.live.cursor())
    }

    /// What is kept in mind of a shard is not older than this.
    pub(super) fn oldest(&self, shard: ShardIndex) -> Option<u64> {
        self.tracks.get(&shard).map(|track| match track.dead.kept() {
            0 => track.live.oldest(),
            _ => track.live.oldest().min(track.dead.oldest()),
        })
    }

    /// Records of one side that a receive would get, counted up to `max` for each shard.
    pub(super) fn deliverable(&self, side: Side, shard: Option<ShardIndex>, max: usize) -> usize {
        let tracks = self.tracks.iter().filter(|(index, _)| shard.is_none_or(|shard| **index == shard));
        tracks.map(|(_, track)| state(track, side).deliverable(max)).sum()
    }

    /// Records of a shard that a receive gets before it looks at more, in their order and so many at most.
    pub(super) fn first_ready(
        &self,
        side: Side,
        shard: ShardIndex,
        receives_max: Option<u32>,
        max: usize,
    ) -> Vec<u64> {
        let receives_max = receives_max.filter(|_| side == Side::Live);
        self.tracks.get(&shard).map_or(Vec::new(), |track| state(track, side).first_ready(receives_max, max))
    }

    /// Records that were received so often, and of which a receive of dead letters makes some; counted up to `max` for each shard.
    pub(super) fn worn(&self, receives_max: u32, max: usize) -> usize {
        self.tracks.values().map(|track| track.live.worn(receives_max, max).len()).sum()
    }

    /// Received and neither acknowledged nor back.
    pub(super) fn in_flight(&self, side: Side) -> u64 {
        self.tracks.values().map(|track| state(track, side).in_flight()).sum()
    }

    /// Looked at, and to be received.
    pub(super) fn ready(&self, side: Side) -> u64 {
        self.tracks.values().map(|track| state(track, side).ready()).sum()
    }

    /// Records that are kept in mind.
    pub(super) fn kept(&self, side: Side) -> u64 {
        self.tracks.values().map(|track| state(track, side).kept() as u64).sum()
    }

    /// Whether a receive may look at more.
    pub(super) fn has_room(&self) -> bool {
        self.kept(Side::Live) < WINDOW_MAX
    }

    /// Whether records may become dead letters.
    pub(super) fn buries(&self) -> bool {
        self.kept(Side::Dead) < DEAD_MAX
    }

    /// When time alone next changes something on one side.
    pub(super) fn next_timer(&self, side: Side) -> Option<Timestamp> {
        self.tracks.values().filter_map(|track| state(track, side).next_timer()).min()
    }

    /// Brings back what is due.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for track in self.tracks.values_mut() {
            track.live.advance(now);
            track.dead.advance(now);
        }
    }

    /// Receives records of one shard: of those that are kept in mind, and of `tail`, which begins at the cursor.
    pub(super) fn receive(&mut self, shard: ShardIndex, ask: &Ask, tail: &[Head]) -> Taken {
        let Some(track) = self.tracks.get_mut(&shard) else { return Taken::default() };
        let taken = track.live.receive(ask, tail);
        track.bury(&taken.moving);
        let event = taken.event.map(|event| ShardEvent::Of { shard, side: Side::Live, event });
        Taken { event, picked: taken.picked, is_more: !taken.moving.is_empty() }
    }

    /// Makes dead letters of records that were received so often and are back, and returns what says so.
    pub(super) fn bury(
        &mut self,
        shard: ShardIndex,
        now: Timestamp,
        receives_max: u32,
        max: usize,
    ) -> Option<ShardEvent> {
        let track = self.tracks.get_mut(&shard)?;
        let moving = track.live.worn(receives_max, max);
        if moving.is_empty() {
            return None;
        }
        let cursor = track.live.cursor();
        let (passed, picked) = (Vec::new(), Vec::new());
        let (at, until, from, attempt) = (now, now, cursor, None);
        let event = Event::Received { at, until, from, cursor, passed, picked, moving, attempt };
        track.apply(Side::Live, &event);
        Some(ShardEvent::Of { shard, side: Side::Live, event })
    }

    /// Receives dead letters of one shard.
    pub(super) fn receive_dead(&mut self, shard: ShardIndex, ask: &Ask) -> Taken {
        let Some(track) = self.tracks.get_mut(&shard) else { return Taken::default() };
        let taken = track.dead.receive(&Ask { receives_max: None, ..*ask }, &[]);
        let event = taken.event.map(|event| ShardEvent::Of { shard, side: Side::Dead, event });
        Taken { event, picked: taken.picked, is_more: false }
    }

    /// What a receipt of a record of one side stands for. Nothing if the record is on the other side, or was there since.
    pub(super) fn standing(
        &self,
        side: Side,
        shard: ShardIndex,
        sequence: u64,
        receives: u32,
        received: Timestamp,
    ) -> Option<Standing> {
        // A shard that is no more has no records.
        let Some(track) = self.tracks.get(&shard) else { return Some(Standing::Gone) };
        let other = match side {
            Side::Live => &track.dead,
            Side::Dead => &track.live,
        };
        let state = state(track, side);
        let is_of_before = state.is_older(sequence, received);
        (!is_of_before && !other.keeps(sequence)).then(|| state.standing(sequence, receives))
    }

    /// Does what an event says.
    pub(in super::super) fn apply(&mut self, event: &ShardEvent) {
        match event {
            ShardEvent::Snapshot { parts } => {
                self.pending = Some(Pending::Row(BTreeMap::new(), *parts));
                self.settle_row();
            }
            ShardEvent::Begun => self.pending = Some(Pending::Parts(BTreeMap::new())),
            ShardEvent::Part(pieces) => {
                if let Some(Pending::Parts(tracks)) = &mut self.pending {
                    pieces.iter().for_each(|piece| tracks.entry(piece.shard).or_default().take(piece));
                }
            }
            ShardEvent::Ended => {
                if let Some(Pending::Parts(tracks)) = self.pending.take() {
                    *self = Self { tracks, pending: None, is_whole: true };
                }
            }
            ShardEvent::Of { shard, side, event: event @ (Event::Snapshot { .. } | Event::Kept(_)) } => {
                // Outside of a snapshot it is what is left of one that was cut short.
                if let Some(Pending::Row(tracks, left)) = &mut self.pending {
                    tracks.entry(*shard).or_default().side(*side).apply(event);
                    *left = left.saturating_sub(1);
                    self.settle_row();
                }
            }
            ShardEvent::Of { .. } | ShardEvent::Restored { .. } => {
                // One in a row that was cut short is none.
                self.pending.take_if(|pending| matches!(pending, Pending::Row(..)));
                if let Some(Pending::Parts(tracks)) = &mut self.pending {
                    change(tracks, event);
                }
                change(&mut self.tracks, event);
            }
        }
    }

    fn settle_row(&mut self) {
        let is_over = |pending: &mut Pending| matches!(pending, Pending::Row(_, 0));
        if let Some(Pending::Row(tracks, _)) = self.pending.take_if(is_over) {
            *self = Self { tracks, pending: None, is_whole: true };
        }
    }
}

/// Does what an event of a shard says.
fn change(tracks: &mut Tracks, event: &ShardEvent) {
    match event {
        ShardEvent::Of { shard, side, event } => tracks.entry(*shard).or_default().apply(*side, event),
        ShardEvent::Restored { shard, records } => tracks.entry(*shard).or_default().restore(records),
        ShardEvent::Snapshot { .. } | ShardEvent::Begun | ShardEvent::Part(_) | ShardEvent::Ended => {}
    }
}

fn state(track: &Track, side: Side) -> &State {
    match side {
        Side::Live => &track.live,
        Side::Dead => &track.dead,
    }
}

impl Replayed for Ledger {
    fn take(&mut self, event: &Written) -> Result<bool, FormatError> {
        let event = decode_shard_event(&event.data)?;
        self.apply(&event);
        if matches!(event, ShardEvent::Of { event: Event::Purged { .. }, .. }) {
            // One after the other, and not all of them at the end.
            drop(self.take_gone());
        }
        Ok(matches!(event, ShardEvent::Snapshot { .. } | ShardEvent::Begun))
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl PartialEq for Ledger {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from these.
        self.tracks == other.tracks
    }
}

#[cfg(test)]
mod tests;
