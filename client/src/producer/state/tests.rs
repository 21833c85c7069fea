//! The producer's state against a server that is a few vectors: whatever is refused, lost or split, and whenever, each
//! record ends in its own place, once, and each key's records in the order in which they were sent.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use proptest::prelude::*;
use tidemill_wire::message::{Appended, Failure, Quota, ShardDescription, ShardState};
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{LaneId, SequenceNumber, StreamId, StreamName, Timestamp};

use super::super::shard_queue::Next;
use super::*;
use crate::ErrorCode;

/// What happens next.
#[derive(Clone, Debug)]
enum Act {
    /// A record of this key, and so many bytes, is sent.
    Send(u8, usize),
    /// To this shard, if it is open.
    SendTo(u32),
    /// A shard that has nothing under way takes its next batch, as a worker would.
    Take(u32),
    /// What is under way for a shard is answered.
    Answer(u32, Answer),
    /// The server splits an open shard; the producer does not know yet.
    Split(u32),
    /// The producer learns the shard map.
    Refresh,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Served,
    /// Refused for a while: sent again.
    Busy,
    /// Refused for good.
    Refused,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let answer = prop_oneof![6 => Just(Answer::Served), 2 => Just(Answer::Busy), 1 => Just(Answer::Refused)];
    let act = prop_oneof![
        12 => (0..9_u8, 0..60_usize).prop_map(|(key, bytes)| Act::Send(key, bytes)),
        1 => (0..8_u32).prop_map(Act::SendTo),
        8 => (0..8_u32).prop_map(Act::Take),
        8 => (0..8_u32, answer).prop_map(|(shard, answer)| Act::Answer(shard, answer)),
        1 => (0..8_u32).prop_map(Act::Split),
        2 => Just(Act::Refresh),
    ];
    prop::collection::vec(act, 0..300)
}

/// A stored record: its key and its number.
type Stored = (Vec<u8>, u64);

/// The server: its shards.
struct Server {
    shards: Vec<(HashKeyRange, ShardState, Vec<Stored>)>,
}

struct Harness {
    server: Server,
    state: State,
    under_way: BTreeMap<u32, SealedBatch>,
    sent: Vec<(Vec<u8>, Option<u32>, Delivery)>,
    charged: usize,
}

impl Server {
    fn route(&self) -> Route {
        let shards = (0..).zip(&self.shards).map(|(index, (range, state, _))| ShardDescription {
            index: ShardIndex(index),
            lane: LaneId(0),
            range: *range,
            state: *state,
            oldest_sequence: SequenceNumber(0),
            next_sequence: SequenceNumber(0),
            bytes: 0,
            parent: None,
            adjacent_parent: None,
        });
        let description = StreamDescription {
            id: StreamId(1),
            name: StreamName::new("s").expect("valid"),
            created: Timestamp(0),
            retention_ms: 0,
            retention_bytes: 0,
            quota: Quota::OFF,
            map_version: 0,
            key_compaction: Default::default(),
            read_calls_per_second: 0,
            shards: shards.collect(),
        };
        Route::new(description).expect("the open shards divide the space")
    }

    fn split(&mut self, shard: u32) {
        let Some((range, ShardState::Open, _)) = self.shards.get(shard as usize) else { return };
        let (range, middle) = (*range, HashKey(range.start.0 / 2 + range.end.0 / 2));
        if self.shards.len() > 6 {
            return;
        }
        self.shards[shard as usize].1 = ShardState::Closed;
        let lower = HashKeyRange { start: range.start, end: middle };
        let upper = HashKeyRange { start: HashKey(middle.0 + 1), end: range.end };
        self.shards.extend([lower, upper].map(|half| (half, ShardState::Open, Vec::new())));
    }

    fn append(&mut self, shard: u32, batch: &mut SealedBatch) -> Appended {
        let (_, _, stored) = &mut self.shards[shard as usize];
        let base_sequence = SequenceNumber(stored.len() as u64);
        stored.extend(batch.records().map(|record| {
            let number = record.data.first_chunk().expect("begins with its number");
            (record.key.to_vec(), u64::from_le_bytes(*number))
        }));
        Appended { shard: ShardIndex(shard), base_sequence, append_time: Timestamp(0) }
    }
}

impl Harness {
    fn new() -> Self {
        let ranges = HashKeyRange::split_evenly(2);
        let shards = ranges.into_iter().map(|range| (range, ShardState::Open, Vec::new())).collect();
        let server = Server { shards };
        let options = ProducerOptions {
            batch_records_max: 4,
            batch_bytes_max: 250,
            linger: std::time::Duration::ZERO,
            ..ProducerOptions::default()
        };
        let state = State::new(server.route(), options, RetryPolicy::NEVER, 1 << 20);
        Self { server, state, under_way: BTreeMap::new(), sent: Vec::new(), charged: 0 }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Send(key, bytes) => self.send(if key == 0 { Vec::new() } else { vec![key] }, None, bytes),
            Act::SendTo(shard) => self.send(vec![b'k'], Some(shard), 0),
            Act::Take(shard) => self.take(shard),
            Act::Answer(shard, answer) => self.answer(shard, answer),
            Act::Split(shard) => self.server.split(shard),
            Act::Refresh => self.refresh(),
        }
    }

    fn send(&mut self, key: Vec<u8>, shard: Option<u32>, bytes: usize) {
        let mut data = (self.sent.len() as u64).to_le_bytes().to_vec();
        data.resize(8 + bytes, 0);
        let record = Record { key: &key, data: &data, timestamp: None };
        let charge = record.bytes();
        match self.state.enter(shard.map(ShardIndex), record, charge) {
            Ok(entered) => {
                self.charged += charge;
                self.sent.push((key, shard, entered.delivery));
            }
            Err(error) => {
                assert!(shard.is_some() && matches!(error, SendError::UnknownShard { .. }), "{error}");
            }
        }
    }

    fn take(&mut self, shard: u32) {
        if self.under_way.contains_key(&shard) {
            return;
        }
        if let Next::Send(batch) = self.state.queue(ShardIndex(shard)).next(Instant::now()) {
            self.under_way.insert(shard, batch);
        }
    }

    fn answer(&mut self, shard: u32, answer: Answer) {
        let Some(mut batch) = self.under_way.remove(&shard) else { return };
        if self.server.shards[shard as usize].1 == ShardState::Closed {
            let queue = self.state.queue(ShardIndex(shard));
            queue.put_back(batch);
            queue.is_paused = true;
            return;
        }
        let outcome = match answer {
            Answer::Busy => return drop(self.under_way.insert(shard, batch)),
            Answer::Served => Outcome::Stored(self.server.append(shard, &mut batch)),
            Answer::Refused => {
                Outcome::Failed(SendError::Refused(Failure::new(ErrorCode::InvalidBatch, "refused")))
            }
        };
        self.state.settle(ShardIndex(shard), &batch.fate, &outcome);
        self.charged -= batch.charge;
        batch.fate.resolve(outcome);
    }

    /// As the refresh task does it: pause, let everything land, go over.
    fn refresh(&mut self) {
        let route = self.server.route();
        let moving = self.state.pause_moving(&route);
        for shard in &moving {
            self.answer(shard.0, Answer::Served);
            assert!(!self.state.queue(*shard).is_under_way());
        }
        let (_, freed) = self.state.adopt(route, &moving);
        self.charged -= freed;
    }

    /// Everything comes to its end.
    fn finish(&mut self) {
        self.refresh();
        self.state.close();
        for shard in 0..8 {
            self.answer(shard, Answer::Served);
            self.take(shard);
            while self.under_way.contains_key(&shard) {
                self.answer(shard, Answer::Served);
                self.take(shard);
            }
            assert!(self.state.retire(ShardIndex(shard)));
            assert!(!self.state.queue(ShardIndex(shard)).is_served);
        }
        assert_eq!(self.charged, 0, "every byte of the buffer is free again");
        assert!(self.state.fates().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn records_in_are_records_out_in_the_order_of_their_keys(acts in acts()) {
        let mut harness = Harness::new();
        acts.iter().for_each(|act| harness.act(act));
        harness.finish();

        let mut stored = 0;
        let mut last: BTreeMap<(Vec<u8>, ShardIndex), SequenceNumber> = BTreeMap::new();
        let mut shard_of: BTreeMap<Vec<u8>, ShardIndex> = BTreeMap::new();
        let mut failures = 0;
        let sent = std::mem::take(&mut harness.sent);
        for (number, (key, pinned, delivery)) in (0_u64..).zip(sent) {
            match delivery.now_or_never().expect("everything has ended") {
                Ok(receipt) => {
                    let (range, _, records) = &harness.server.shards[receipt.shard.0 as usize];
                    let place = usize::try_from(receipt.sequence.0).expect("small");
                    prop_assert_eq!(&records[place], &(key.clone(), number));
                    prop_assert!(pinned.is_some() || key.is_empty() || range.contains(HashKey::of(&key)));
                    prop_assert!(pinned.is_none_or(|shard| shard == receipt.shard.0));
                    // Children have higher numbers than their parents, so a key never goes back.
                    let is_bound = pinned.is_none() && !key.is_empty();
                    let shard = shard_of.entry(key.clone()).or_insert(receipt.shard);
                    prop_assert!(!is_bound || *shard <= receipt.shard);
                    *shard = receipt.shard;
                    let is_keyless = key.is_empty();
                    let before = last.insert((key, receipt.shard), receipt.sequence);
                    prop_assert!(is_keyless || before.is_none_or(|before| before < receipt.sequence));
                    stored += 1;
                }
                Err(SendError::Refused(_)) => failures += 1,
                Err(SendError::UnknownShard { shard }) => {
                    prop_assert_eq!(Some(shard.0), pinned);
                    failures += 1;
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
        let total: usize = harness.server.shards.iter().map(|(_, _, records)| records.len()).sum();
        prop_assert_eq!(total, stored);
        prop_assert_eq!(harness.state.take_failure().is_some(), failures > 0);
    }
}

#[test]
fn a_dead_producer_ends_what_waits_and_takes_nothing() {
    let mut harness = Harness::new();
    harness.send(vec![1], None, 0);
    harness.send(vec![2], None, 0);
    let error = SendError::Refused(Failure::new(ErrorCode::UnknownStream, "gone"));
    assert_eq!(harness.state.die(&error), harness.charged);
    for (_, _, delivery) in harness.sent {
        assert!(matches!(delivery.now_or_never(), Some(Err(SendError::Refused(_)))));
    }
    let late = harness.state.enter(None, Record::new(b"x"), 1);
    assert!(matches!(late, Err(SendError::Refused(_))));
}

#[test]
fn records_without_a_key_go_on_to_the_next_shard_when_a_batch_has_no_room_for_them() {
    let mut harness = Harness::new();
    // Two of these fit into a batch of 250 bytes, and neither fills it.
    (0..8).for_each(|_| harness.send(Vec::new(), None, 70));
    let batches = [0, 1].map(|shard| harness.state.queue(ShardIndex(shard)).fates().count());
    assert_eq!(batches, [2, 2]);
}
