//! The queues over streams as one core knows them, and their journals in the lanes that it holds.
//!
//! Every core knows every queue, so that it can say where a request belongs; only the owner of a lane has the lane's partitions.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use tidemill_storage::{Env, Lane, Retention};
use tidemill_wire::{LaneId, QueueId, StreamId};

use super::partition::{StreamPartition, Tally};
use super::source::Source;
use crate::metrics::{Counter, StreamQueueSnapshot};
use crate::service::stream_queue::StreamQueue;

/// Queues that rest in one step.
const RESTING_MAX: usize = 64;

/// The queues over streams of one core.
pub struct StreamQueues<E: Env> {
    env: E,
    lanes: BTreeMap<LaneId, Lane<E>>,
    by_id: RefCell<BTreeMap<QueueId, Known<E>>>,
    of_streams: RefCell<BTreeSet<(StreamId, QueueId)>>,
    /// Those of which a partition here was asked for since the start.
    asked: RefCell<BTreeSet<QueueId>>,
}

/// A queue, its stream, and those of its partitions that this core holds and that were asked for since the start.
struct Known<E: Env> {
    definition: Arc<StreamQueue>,
    source: Arc<Source>,
    partitions: Box<[OnceCell<Rc<StreamPartition<E>>>]>,
    /// Every core knows it.
    is_named: bool,
}

impl<E: Env> Known<E> {
    fn asked(&self) -> impl Iterator<Item = &Rc<StreamPartition<E>>> {
        self.partitions.iter().filter_map(OnceCell::get)
    }
}

impl<E: Env> StreamQueues<E> {
    /// A core without queues, with its open lanes.
    pub fn new(env: E, lanes: impl IntoIterator<Item = (LaneId, Lane<E>)>) -> Self {
        let (by_id, of_streams, asked) = Default::default();
        Self { env, lanes: lanes.into_iter().collect(), by_id, of_streams, asked }
    }

    /// A partition of a queue, by its position, if its lane is on this core.
    pub fn partition(&self, id: QueueId, index: u16) -> Option<Rc<StreamPartition<E>>> {
        let by_id = self.by_id.borrow();
        let Known { definition, source, partitions, .. } = by_id.get(&id)?;
        let lane = self.lanes.get(&definition.partitions.get(usize::from(index))?.lane)?;
        let made = || {
            self.asked.borrow_mut().insert(id);
            let (definition, source) = (Arc::clone(definition), Arc::clone(source));
            StreamPartition::new(self.env.clone(), lane.clone(), definition, index, source)
        };
        Some(Rc::clone(partitions.get(usize::from(index))?.get_or_init(made)))
    }

    /// The queue of this id, if every core knows it.
    pub fn get(&self, id: QueueId) -> Option<Arc<StreamQueue>> {
        let by_id = self.by_id.borrow();
        let known = by_id.get(&id).filter(|known| known.is_named)?;
        Some(Arc::clone(&known.definition))
    }

    /// Up to `limit` queues of those that are wanted, in the order of their ids, beginning after `after`, and whether there are more.
    pub fn list(
        &self,
        after: Option<QueueId>,
        limit: usize,
        is_wanted: impl Fn(&StreamQueue) -> bool,
    ) -> (Vec<Arc<StreamQueue>>, bool) {
        let by_id = self.by_id.borrow();
        let rest =
            by_id.iter().filter(|(id, known)| known.is_named && after.is_none_or(|after| **id > after));
        let mut rest = rest.map(|(_, known)| &known.definition).filter(|queue| is_wanted(queue));
        (rest.by_ref().take(limit).cloned().collect(), rest.next().is_some())
    }

    /// How many queues over a stream every core knows.
    pub fn count_of(&self, stream: StreamId) -> usize {
        let (by_id, of_streams) = (self.by_id.borrow(), self.of_streams.borrow());
        let known = of_streams.range(of(stream)).filter_map(|(_, id)| by_id.get(id));
        known.filter(|known| known.is_named).count()
    }

    /// Takes in a queue that is new or has changed, with the stream that it is over. The lanes of this core keep what its partitions write from here on.
    pub fn take_in(&self, definition: &Arc<StreamQueue>, source: &Arc<Source>) {
        for partition in &definition.partitions {
            if let Some(lane) = self.lanes.get(&partition.lane) {
                lane.adopt(partition.journal, Retention::FOREVER);
            }
        }
        self.of_streams.borrow_mut().insert((definition.stream, definition.id));
        let mut by_id = self.by_id.borrow_mut();
        let known = by_id.entry(definition.id).or_insert_with(|| Known {
            definition: Arc::clone(definition),
            source: Arc::clone(source),
            partitions: definition.partitions.iter().map(|_| OnceCell::new()).collect(),
            is_named: false,
        });
        known.definition = Arc::clone(definition);
        known.asked().for_each(|partition| partition.change(definition));
    }

    /// Lets a queue that was taken in be found: every core has taken it in, and has begun with it.
    pub fn name(&self, id: QueueId) {
        if let Some(known) = self.by_id.borrow_mut().get_mut(&id) {
            known.is_named = true;
        }
    }

    /// Takes in that a stream has changed.
    pub fn follow(&self, stream: StreamId, source: impl FnOnce() -> Source) {
        let of_streams = self.of_streams.borrow();
        let mut over = of_streams.range(of(stream)).peekable();
        if over.peek().is_none() {
            return;
        }
        let source = Arc::new(source());
        let mut by_id = self.by_id.borrow_mut();
        for (_, id) in over {
            let Some(known) = by_id.get_mut(id) else { continue };
            known.source = Arc::clone(&source);
            known.asked().for_each(|partition| partition.follow(&source));
        }
    }

    /// Drops a queue that was deleted, and what its partitions have written.
    pub fn forget(&self, id: QueueId) {
        let Some(known) = self.by_id.borrow_mut().remove(&id) else { return };
        self.of_streams.borrow_mut().remove(&(known.definition.stream, id));
        self.asked.borrow_mut().remove(&id);
        known.asked().for_each(|partition| partition.close());
        for partition in &known.definition.partitions {
            if let Some(lane) = self.lanes.get(&partition.lane) {
                lane.forget(partition.journal);
            }
        }
    }

    /// Lets partitions rest that nobody has asked for something since the last time.
    pub async fn rest<F: Future<Output = ()>>(&self, pause: impl Fn() -> F) {
        let ids: Vec<QueueId> = self.asked.borrow().iter().copied().collect();
        for step in ids.chunks(RESTING_MAX) {
            for id in step {
                if let Some(known) = self.by_id.borrow().get(id) {
                    known.asked().for_each(|partition| partition.rest());
                }
            }
            pause().await;
        }
    }

    /// What is known of the queues of which this core was asked something since the start, up to `max`. A queue that cannot be read tells what was done with it alone.
    pub async fn report(&self, max: usize, core: u32) -> Vec<StreamQueueSnapshot> {
        let asked: Vec<_> = {
            let by_id = self.by_id.borrow();
            let of = |known: &Known<E>| {
                let partitions: Vec<_> = known.asked().map(Rc::clone).collect();
                (!partitions.is_empty()).then(|| (Arc::clone(&known.definition), partitions))
            };
            let asked = self.asked.borrow();
            asked.iter().filter_map(|id| by_id.get(id)).filter_map(of).take(max).collect()
        };
        let mut told = Vec::with_capacity(asked.len());
        for (definition, partitions) in asked {
            let sum = |of: fn(&Tally) -> &Counter| {
                partitions.iter().map(|partition| of(partition.tally()).get()).sum()
            };
            let mut snapshot = StreamQueueSnapshot {
                core,
                queue: definition.name.as_str().to_owned(),
                received: sum(|tally| &tally.received),
                acknowledged: sum(|tally| &tally.acknowledged),
                empty_receives: sum(|tally| &tally.empty_receives),
                dead_received: sum(|tally| &tally.dead_received),
                dead_acknowledged: sum(|tally| &tally.dead_acknowledged),
                restored: sum(|tally| &tally.restored),
                ..StreamQueueSnapshot::default()
            };
            for partition in &partitions {
                let Ok(counted) = partition.count().await else { continue };
                snapshot.visible += counted.visible;
                snapshot.in_flight += counted.in_flight;
                snapshot.dead += counted.dead;
                snapshot.dead_in_flight += counted.dead_in_flight;
            }
            told.push(snapshot);
        }
        told
    }
}

/// The queues of a stream among those of all.
fn of(stream: StreamId) -> RangeInclusive<(StreamId, QueueId)> {
    (stream, QueueId(0))..=(stream, QueueId(u64::MAX))
}
