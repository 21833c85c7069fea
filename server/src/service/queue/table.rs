//! The queues as one core knows them, and their owners in the lanes that it holds.
//!
//! Every core knows every queue, so that it can say where a request belongs; only the owner of a lane has the lane's partitions.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_storage::{Env, Lane, Retention};
use tidemill_wire::LaneId;

use super::dedup::Room;
use super::definition::{Definition, QueueId, QueueName};
use super::operation::ReceiveError;
use super::partition::{Partition, Tally};
use crate::metrics::{Counter, QueueSnapshot};

/// How long a FIFO queue's messages stay in the log at least.
const DEDUPLICATION_S: u64 = 300;
/// Queues that rest in one step.
const RESTING_MAX: usize = 256;

/// The queues of one core.
pub struct Queues<E: Env> {
    env: E,
    lanes: BTreeMap<LaneId, Lane<E>>,
    by_id: RefCell<HashMap<QueueId, Queue<E>, FixedState>>,
    /// Of the queues that every core knows.
    by_name: RefCell<BTreeMap<QueueName, QueueId>>,
    /// Receives that wait for messages.
    waiting: Rc<Cell<u64>>,
    waiting_max: u64,
    /// For what is remembered of FIFO queues.
    room: Rc<Room>,
    turn: Cell<usize>,
}

/// A queue, and those of its partitions that this core holds and that were asked for since the start.
struct Queue<E: Env> {
    definition: Arc<Definition>,
    partitions: Box<[OnceCell<Rc<Partition<E>>>]>,
}

/// What was done with a queue that this core was asked of, and its partitions, which know more.
type Asked<E> = (QueueSnapshot, Vec<Rc<Partition<E>>>);

impl<E: Env> Queue<E> {
    fn asked(&self) -> impl Iterator<Item = &Rc<Partition<E>>> {
        self.partitions.iter().filter_map(OnceCell::get)
    }

    /// How much this core was asked of it; nothing if it never was.
    fn work(&self) -> Option<u64> {
        let of = |tally: &Tally| tally.sent.get() + tally.received.get() + tally.empty_receives.get();
        self.asked().map(|partition| of(partition.tally())).reduce(u64::saturating_add)
    }

    fn tell(&self, core: u32) -> Asked<E> {
        let asked: Vec<Rc<Partition<E>>> = self.asked().map(Rc::clone).collect();
        let sum =
            |of: fn(&Tally) -> &Counter| asked.iter().map(|partition| of(partition.tally()).get()).sum();
        let snapshot = QueueSnapshot {
            core,
            queue: self.definition.name.as_str().to_owned(),
            sent: sum(|tally| &tally.sent),
            received: sum(|tally| &tally.received),
            deleted: sum(|tally| &tally.deleted),
            empty_receives: sum(|tally| &tally.empty_receives),
            ..QueueSnapshot::default()
        };
        (snapshot, asked)
    }
}

/// One of the receives that wait; dropped, it no longer does.
#[derive(Debug)]
pub struct Waiting(Rc<Cell<u64>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<E: Env> Queues<E> {
    /// A core without queues, with its open lanes. At most `waiting_max` receives may wait for messages, and `known_max` messages of FIFO queues are told from what is sent again.
    pub fn new(
        env: E,
        lanes: impl IntoIterator<Item = (LaneId, Lane<E>)>,
        waiting_max: u64,
        known_max: u64,
    ) -> Self {
        Self {
            env,
            lanes: lanes.into_iter().collect(),
            by_id: RefCell::new(HashMap::with_hasher(FixedState::default())),
            by_name: RefCell::default(),
            waiting: Rc::default(),
            waiting_max,
            room: Room::new(known_max),
            turn: Cell::new(0),
        }
    }

    /// A partition of a queue, by its position, if its lane is on this core.
    pub fn partition(&self, id: QueueId, index: u16) -> Option<Rc<Partition<E>>> {
        let by_id = self.by_id.borrow();
        let queue = by_id.get(&id)?;
        let place = queue.definition.partitions.get(usize::from(index))?;
        let lane = self.lanes.get(&place.lane)?;
        let made = || {
            let (definition, room) = (Arc::clone(&queue.definition), Rc::clone(&self.room));
            Partition::new(self.env.clone(), lane.clone(), definition, index, room)
        };
        Some(Rc::clone(queue.partitions.get(usize::from(index))?.get_or_init(made)))
    }

    /// Whether this core holds a lane.
    pub fn holds(&self, lane: LaneId) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// A number that changes from call to call, to take things in turn.
    pub fn turn(&self) -> usize {
        self.turn.replace(self.turn.get().wrapping_add(1))
    }

    /// Lets partitions rest that nobody has asked for something since the last time. `pause` is waited for between steps.
    pub async fn rest<F: Future<Output = ()>>(&self, pause: impl Fn() -> F) {
        let ids: Vec<QueueId> = self.by_id.borrow().keys().copied().collect();
        for step in ids.chunks(RESTING_MAX) {
            for id in step {
                if let Some(queue) = self.by_id.borrow().get(id) {
                    queue.partitions.iter().filter_map(OnceCell::get).for_each(|partition| partition.rest());
                }
            }
            pause().await;
        }
    }

    /// Receives that wait.
    pub fn waiting(&self) -> u64 {
        self.waiting.get()
    }

    /// What is known of the queues of which this core has been asked most since the start, up to `max`. A queue that cannot be read tells what was done with it alone.
    pub async fn busiest(&self, max: usize, core: u32) -> Vec<QueueSnapshot> {
        let asked: Vec<Asked<E>> = {
            let by_id = self.by_id.borrow();
            let work = by_id.iter().filter_map(|(id, queue)| Some((queue.work()?, *id)));
            let mut work: Vec<(u64, QueueId)> = work.collect();
            work.sort_unstable_by_key(|(work, id)| (std::cmp::Reverse(*work), *id));
            work.truncate(max);
            work.iter().filter_map(|(_, id)| Some(by_id.get(id)?.tell(core))).collect()
        };
        let mut told = Vec::with_capacity(asked.len());
        for (mut snapshot, partitions) in asked {
            for partition in partitions {
                let Ok(counts) = partition.count().await else { continue };
                snapshot.visible += counts.visible;
                snapshot.in_flight += counts.in_flight;
                snapshot.delayed += counts.delayed;
                let age = counts.oldest.map_or(0, |sent| partition.now().0.saturating_sub(sent.0));
                snapshot.oldest_age_ms = snapshot.oldest_age_ms.max(age);
            }
            told.push(snapshot);
        }
        told
    }

    /// One more receive waits, if another may.
    pub fn begin_to_wait(&self) -> Result<Waiting, ReceiveError> {
        let (waiting, limit) = (self.waiting.get(), self.waiting_max);
        if waiting >= limit {
            return Err(ReceiveError::TooManyWaiting { waiting, limit });
        }
        self.waiting.set(waiting + 1);
        Ok(Waiting(Rc::clone(&self.waiting)))
    }

    /// The queue of this id.
    pub fn get(&self, id: QueueId) -> Option<Arc<Definition>> {
        self.by_id.borrow().get(&id).map(|queue| Arc::clone(&queue.definition))
    }

    /// The queue of this name.
    pub fn named(&self, name: &QueueName) -> Option<Arc<Definition>> {
        let id = *self.by_name.borrow().get(name)?;
        self.get(id)
    }

    /// How many queues there are.
    pub fn count(&self) -> usize {
        self.by_id.borrow().len()
    }

    /// Up to `limit` queues whose names begin with `prefix`, in order of their names, beginning after `after`, and whether there are more.
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&QueueName>,
        limit: usize,
    ) -> (Vec<Arc<Definition>>, bool) {
        let from = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            Some(_) | None => Bound::Included(prefix),
        };
        let by_name = self.by_name.borrow();
        let range = by_name.range::<str, _>((from, Bound::Unbounded));
        let mut rest = range.take_while(|(name, _)| name.as_str().starts_with(prefix));
        let page = rest.by_ref().take(limit).filter_map(|(_, id)| self.get(*id)).collect();
        (page, rest.next().is_some())
    }

    /// Takes in a queue that is new or has changed. The lanes of this core keep what its partitions write from here on: messages as long as the queue says, and of
    /// what became of them all that is not trimmed. Nobody finds a new queue by its name before it is [named](Self::name), so every core knows a queue that is asked for.
    pub fn take_in(&self, definition: &Arc<Definition>) {
        // Whether a message was sent before is told by what is in the log.
        let kept_s = if definition.is_fifo() { DEDUPLICATION_S } else { 0 };
        let age = Duration::from_secs(u64::from(definition.settings.retention_s).max(kept_s));
        for partition in &definition.partitions {
            let Some(lane) = self.lanes.get(&partition.lane) else { continue };
            lane.adopt(partition.messages, Retention { age, bytes: None });
            lane.adopt(partition.journal, Retention::FOREVER);
        }
        let mut by_id = self.by_id.borrow_mut();
        let queue = by_id.entry(definition.id).or_insert_with(|| Queue {
            definition: Arc::clone(definition),
            partitions: definition.partitions.iter().map(|_| OnceCell::new()).collect(),
        });
        queue.definition = Arc::clone(definition);
        for partition in queue.partitions.iter().filter_map(OnceCell::get) {
            partition.change(definition);
        }
    }

    /// Lets a queue that was taken in be found by its name: every core has taken it in.
    pub fn name(&self, id: QueueId) {
        if let Some(queue) = self.get(id) {
            self.by_name.borrow_mut().insert(queue.name.clone(), id);
        }
    }

    /// Drops a queue that was deleted, and what its partitions have written.
    pub fn forget(&self, id: QueueId) {
        let Some(Queue { definition, partitions }) = self.by_id.borrow_mut().remove(&id) else { return };
        let mut by_name = self.by_name.borrow_mut();
        // The name may already belong to a newer queue.
        if by_name.get(&definition.name) == Some(&id) {
            by_name.remove(&definition.name);
        }
        drop(by_name);
        partitions.iter().filter_map(OnceCell::get).for_each(|partition| partition.close());
        for partition in &definition.partitions {
            let Some(lane) = self.lanes.get(&partition.lane) else { continue };
            lane.forget(partition.messages);
            lane.forget(partition.journal);
        }
    }
}

#[cfg(test)]
mod tests;
