//! The whole of a ledger as events, in parts between which it changes.
//!
//! A snapshot goes through the shards in their order, and through the records of each below the cursor that the shard has when it is come to, those of both sides together: a
//! record that goes from one side to the other goes either where it was told of already, or where it will be. What comes between the parts is applied to what has been read,
//! as in a snapshot of messages. Invariant: what has been read at its end is the ledger (`ledger::tests::replay_gives_the_same_ledger`), but for what time alone does.

use tidemill_wire::ShardIndex;

use super::ledger::{Ledger, Track};
use crate::service::queue::journal::Kept;
use crate::service::queue::shard_event::{Piece, ShardEvent};
use crate::service::queue::state::State;

/// A snapshot that is being written.
#[derive(Debug)]
pub(super) struct Walk {
    stage: Stage,
    /// Records of a part, about, each shard counted as one more.
    part_max: usize,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Begin,
    Parts(Place),
    /// All shards were told of.
    End,
    Over,
}

/// Where it is: before a shard, or within it.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: ShardIndex,
    /// Records from the first number on are to be told of, up to the second.
    within: Option<(u64, u64)>,
}

impl Walk {
    /// A snapshot that has not begun, with about so many records in a part.
    pub(super) fn new(part_max: usize) -> Self {
        Self { stage: Stage::Begin, part_max: part_max.max(1) }
    }

    /// The next event of it, of the ledger as it is now; nothing after the last one.
    pub(super) fn next(&mut self, ledger: &Ledger) -> Option<ShardEvent> {
        let (mut place, mut pieces, mut room) = match self.stage {
            Stage::Begin => {
                self.stage = Stage::Parts(Place { shard: ShardIndex(0), within: None });
                return Some(ShardEvent::Begun);
            }
            Stage::Parts(place) => (Some(place), Vec::new(), self.part_max),
            Stage::End => {
                self.stage = Stage::Over;
                return Some(ShardEvent::Ended);
            }
            Stage::Over => return None,
        };
        while let Some(here) = place.filter(|_| room > 0) {
            let Some((shard, track)) = ledger.tracks.range(here.shard..).next() else {
                place = None;
                break;
            };
            // The one in which it was may have gone.
            let within = here.within.filter(|_| *shard == here.shard);
            let (piece, next) = piece(*shard, track, within, room);
            room = room.saturating_sub(piece.live.len() + piece.dead.len() + 1);
            pieces.push(piece);
            let following =
                || shard.get().checked_add(1).map(|next| Place { shard: ShardIndex(next), within: None });
            place = match next {
                Some(within) => Some(Place { shard: *shard, within: Some(within) }),
                None => following(),
            };
        }
        self.stage = place.map_or(Stage::End, Stage::Parts);
        if pieces.is_empty() {
            self.stage = Stage::Over;
            return Some(ShardEvent::Ended);
        }
        Some(ShardEvent::Part(pieces))
    }
}

/// The next records of a shard, about as many as there is room for, and what is left of it then.
fn piece(
    shard: ShardIndex,
    track: &Track,
    within: Option<(u64, u64)>,
    room: usize,
) -> (Piece, Option<(u64, u64)>) {
    let (live_cursor, dead_cursor) = (track.live.cursor(), track.dead.cursor());
    let (from, end) = within.unwrap_or((0, live_cursor.max(dead_cursor)));
    let of = |state: &State| -> Vec<Kept> {
        state.kept_from(from).take_while(|kept| kept.sequence < end).take(room).collect()
    };
    let (mut live, mut dead) = (of(&track.live), of(&track.dead));
    // Both sides are told of up to the same record.
    let told = |side: &[Kept]| side.get(room - 1).map_or(end, |last| last.sequence + 1);
    let to = told(&live).min(told(&dead));
    live.retain(|kept| kept.sequence < to);
    dead.retain(|kept| kept.sequence < to);
    let piece = Piece { shard, is_first: within.is_none(), live_cursor, dead_cursor, live, dead };
    (piece, (to < end).then_some((to, end)))
}
