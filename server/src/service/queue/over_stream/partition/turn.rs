//! Whose turn it is: the shards of a partition are received from one after the other.
//!
//! Few shards take turns with every receive, for what was read ahead of each stays at hand. Of more of them than that, one keeps its turn until what was read of it is given:
//! else all others would be read between two turns of it, and what was left of it would have been let go.

use std::cell::Cell;

use tidemill_wire::ShardIndex;

use super::TAILS_MAX;
use crate::service::queue::over_stream::Side;
use crate::service::queue::over_stream::source::Place;

/// The turns of both sides.
#[derive(Debug, Default)]
pub(super) struct Turns {
    live: Cell<Turn>,
    dead: Cell<Turn>,
}

/// A turn.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Of which shard, or of the next one that is there.
    shard: ShardIndex,
    /// It keeps the turn as long as its cursor is below this.
    until: Option<u64>,
}

impl Turns {
    fn of(&self, side: Side) -> &Cell<Turn> {
        match side {
            Side::Live => &self.live,
            Side::Dead => &self.dead,
        }
    }

    /// Puts the shard first whose turn it is.
    pub(super) fn order(&self, side: Side, places: &mut [Place]) {
        let turn = self.of(side).get().shard;
        let first = places.iter().position(|place| place.shard >= turn).unwrap_or(0);
        places.rotate_left(first);
    }

    /// Whether a shard keeps its turn until what was read of it is given.
    pub(super) fn is_kept(&self, shard: ShardIndex) -> bool {
        let turn = self.live.get();
        turn.shard == shard && turn.until.is_some()
    }

    /// The shard that was first has had its turn. It keeps it if others would have it read again, it was read up to `read`, and a receive has got it on to `cursor`.
    pub(super) fn pass(&self, side: Side, places: &[Place], read: u64, cursor: u64, is_moved: bool) {
        let [first, rest @ ..] = places else { return };
        let turn = self.of(side);
        let kept = turn.get().until.filter(|_| turn.get().shard == first.shard);
        let until = kept.unwrap_or(read);
        turn.set(if rest.len() > TAILS_MAX && is_moved && cursor < until {
            Turn { shard: first.shard, until: Some(until) }
        } else {
            Turn { shard: rest.first().map_or(first.shard, |next| next.shard), until: None }
        });
    }
}
