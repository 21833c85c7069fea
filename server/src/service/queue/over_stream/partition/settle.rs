//! What consumers say about records that they received: done, to be hidden for longer or shorter, or, of dead letters, to be tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_storage::Env;
use tidemill_wire::ShardIndex;

use super::{StreamPartition, later};
use crate::service::queue::journal::Event;
use crate::service::queue::operation::ReceiptError;
use crate::service::queue::over_stream::Side;
use crate::service::queue::over_stream::operation::Named;
use crate::service::queue::shard_event::ShardEvent;
use crate::service::queue::state::Standing;

type Outcomes = Vec<Result<(), ReceiptError>>;

impl<E: Env> StreamPartition<E> {
    /// Acknowledges records: they are not given again. One that is acknowledged already is no error.
    pub async fn acknowledge(&self, side: Side, records: &[Named]) -> Outcomes {
        let outcomes = self.remove(side, records).await;
        let counter = match side {
            Side::Live => &self.tally.acknowledged,
            Side::Dead => &self.tally.dead_acknowledged,
        };
        counter.add(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64);
        outcomes
    }

    /// The same with records that nobody has acknowledged.
    pub(super) async fn remove(&self, side: Side, records: &[Named]) -> Outcomes {
        let judge = |_, standing| match standing {
            Standing::InFlight { .. } | Standing::Lapsed => Ok(true),
            // Its acknowledgement may still be under way: then this one waits for the same.
            Standing::Gone => Ok(self.recorder.is_writing()),
            Standing::Never => Err(ReceiptError::Invalid),
        };
        let event = |shard, places: &[usize]| ShardEvent::Of {
            shard,
            side,
            event: Event::Deleted(places.iter().map(|place| records[*place].sequence).collect()),
        };
        self.settle(side, records, judge, event).await
    }

    /// Hides records in flight for so long from now on; no time at all brings them back at once.
    pub async fn hide(&self, side: Side, changes: &[(Named, Duration)]) -> Outcomes {
        let records: Vec<Named> = changes.iter().map(|(named, _)| *named).collect();
        let now = self.lane.now();
        let judge = |_, standing| match standing {
            Standing::InFlight { .. } => Ok(true),
            Standing::Lapsed | Standing::Gone => Err(ReceiptError::NotInFlight),
            Standing::Never => Err(ReceiptError::Invalid),
        };
        let until = |place: &usize| (records[*place].sequence, later(now, changes[*place].1));
        let event = |shard, places: &[usize]| ShardEvent::Of {
            shard,
            side,
            event: Event::Hidden(places.iter().map(until).collect()),
        };
        self.settle(side, &records, judge, event).await
    }

    /// Brings dead letters in flight back among the others, as if they had never been received.
    pub async fn restore(&self, records: &[Named]) -> Outcomes {
        let judge = |_, standing| match standing {
            Standing::InFlight { .. } => Ok(true),
            // Somebody else may be looking at it.
            Standing::Lapsed | Standing::Gone => Err(ReceiptError::NotInFlight),
            Standing::Never => Err(ReceiptError::Invalid),
        };
        let event = |shard, places: &[usize]| ShardEvent::Restored {
            shard,
            records: places.iter().map(|place| records[*place].sequence).collect(),
        };
        let outcomes = self.settle(Side::Dead, records, judge, event).await;
        self.tally.restored.add(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64);
        outcomes
    }

    /// Judges each record by where it stands, and has an event for each shard say what becomes of those that `judge` says are affected.
    async fn settle(
        &self,
        side: Side,
        records: &[Named],
        judge: impl Fn(usize, Standing) -> Result<bool, ReceiptError>,
        event: impl Fn(ShardIndex, &[usize]) -> ShardEvent,
    ) -> Outcomes {
        let refuse = |error: ReceiptError| records.iter().map(|_| Err(error.clone())).collect();
        let (mut outcomes, recorded): (Outcomes, Vec<_>) = loop {
            if let Err(error) = self.ready().await {
                return refuse(error.into());
            }
            if let Err(error) = self.recorder.admits() {
                return refuse(error.into());
            }
            let now = self.lane.now();
            let mut memory = self.recorder.memory.borrow_mut();
            let Some(memory) = &mut *memory else { continue };
            memory.ledger.advance(now);
            let (mut outcomes, mut affected) = (Vec::new(), BTreeMap::<ShardIndex, Vec<usize>>::new());
            for (place, named) in records.iter().copied().enumerate() {
                let Named { shard, sequence, receives, received } = named;
                let standing = memory.ledger.standing(side, shard, sequence, receives, received);
                let standing = standing.map(|standing| match standing {
                    Standing::InFlight { received: last } if last != received => Standing::Lapsed,
                    standing => standing,
                });
                let verdict =
                    standing.map_or(Err(ReceiptError::NotInFlight), |standing| judge(place, standing));
                if verdict == Ok(true) {
                    affected.entry(shard).or_default().push(place);
                }
                outcomes.push(verdict.map(drop));
            }
            let mut recorded = Vec::with_capacity(affected.len());
            for (shard, places) in affected {
                let event = event(shard, &places);
                memory.ledger.apply(&event);
                recorded.push((places, self.write(memory, &event)));
            }
            memory.ledger.advance(now);
            break (outcomes, recorded);
        };
        for (places, recorded) in recorded {
            if let Err(error) = recorded.await {
                places.iter().for_each(|place| outcomes[*place] = Err(error.clone().into()));
            }
        }
        outcomes
    }
}
