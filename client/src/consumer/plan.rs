//! Which shards are read, from where and how far, and which of them wait for their parents.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_wire::message::{Position, ShardDescription, ShardState, StreamDescription};
use tidemill_wire::{LaneId, ShardIndex};

use super::cursor::Cursor;
use crate::{ConsumerOptions, ShardChoice, Start};

/// What is read of a stream, as it goes on.
#[derive(Debug)]
pub(super) struct Plan {
    options: ConsumerOptions,
    /// The stream's shards when the consumer was made.
    at_start: Vec<ShardDescription>,
    begun: BTreeSet<ShardIndex>,
    /// Read to their end, or never to be read.
    over: BTreeSet<ShardIndex>,
}

/// A shard to be read.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) cursor: Cursor,
    pub(super) lane: LaneId,
}

impl Plan {
    pub(super) fn new(options: ConsumerOptions, description: &StreamDescription) -> Self {
        let at_start = description.shards.clone();
        let mut plan = Self { options, at_start, begun: BTreeSet::new(), over: BTreeSet::new() };
        if plan.options.start == Start::Newest {
            // Their newest record lies in their children.
            let closed = plan.at_start.iter().filter(|shard| shard.state == ShardState::Closed);
            plan.over.extend(closed.map(|shard| shard.index));
        }
        plan
    }

    /// The shards asked for that the stream does not have.
    pub(super) fn missing(&self) -> Option<ShardIndex> {
        let ShardChoice::Only(chosen) = &self.options.shards else { return None };
        chosen.iter().find(|shard| !self.at_start.iter().any(|known| known.index == **shard)).copied()
    }

    /// The shards that can begin at first.
    pub(super) fn first(&mut self) -> Vec<Assignment> {
        let shards = self.at_start.clone();
        self.begin(&shards)
    }

    /// Whether the end of a closed shard may let others begin, which takes a fresh description.
    pub(super) fn grows(&self) -> bool {
        self.options.shards == ShardChoice::All && !self.options.until.end
    }

    /// Notes that a shard was read to its end; returns those that waited for it. `fresh` are the stream's shards now, if
    /// they were asked for.
    pub(super) fn ended(&mut self, shard: ShardIndex, fresh: Option<&StreamDescription>) -> Vec<Assignment> {
        self.over.insert(shard);
        let shards = fresh.map_or_else(|| self.at_start.clone(), |description| description.shards.clone());
        self.begin(&shards)
    }

    fn begin(&mut self, shards: &[ShardDescription]) -> Vec<Assignment> {
        let wanted: BTreeMap<_, _> =
            shards.iter().filter(|shard| self.wants(shard.index)).map(|shard| (shard.index, shard)).collect();
        let mut begun = Vec::new();
        for (index, shard) in &wanted {
            let waits_for = |parent: Option<ShardIndex>| {
                parent.is_some_and(|parent| wanted.contains_key(&parent) && !self.over.contains(&parent))
            };
            let waits = waits_for(shard.parent) || waits_for(shard.adjacent_parent);
            if !waits && !self.over.contains(index) && self.begun.insert(*index) {
                begun.push(Assignment { cursor: self.cursor(shard), lane: shard.lane });
            }
        }
        begun
    }

    fn wants(&self, shard: ShardIndex) -> bool {
        match &self.options.shards {
            ShardChoice::All => true,
            ShardChoice::Only(chosen) => chosen.contains(&shard),
        }
    }

    fn cursor(&self, shard: &ShardDescription) -> Cursor {
        let known = self.at_start.iter().find(|known| known.index == shard.index);
        let position = match (&self.options.start, known) {
            // A shard that came later is read from its beginning, wherever the others began.
            (_, None) | (Start::Oldest, Some(_)) => Position::Oldest,
            (Start::Newest, Some(known)) => Position::Sequence(known.next_sequence),
            (Start::Timestamp(time), Some(_)) => Position::Timestamp(*time),
            (Start::Sequence(sequence), Some(_)) => Position::Sequence(*sequence),
            (Start::Positions(positions), Some(_)) => {
                positions.get(&shard.index).map_or(Position::Oldest, |sequence| Position::Sequence(*sequence))
            }
        };
        let until = &self.options.until;
        let end = known.filter(|_| until.end).map(|known| known.next_sequence);
        let until_sequence = [until.sequence, end].into_iter().flatten().min();
        Cursor::new(shard.index, position, until_sequence, until.timestamp)
    }
}

#[cfg(test)]
mod tests;
