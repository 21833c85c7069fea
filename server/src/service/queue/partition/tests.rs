//! Partitions over a lane of the simulator.

mod fifo;
mod seeds;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidemill_storage::sim::{Crash, Faults, Sim, SimEnv};
use tidemill_storage::{LaneConfig, Retention};
use tidemill_wire::{LaneId, OwnerId};

use super::*;
use crate::service::queue::definition::{Fifo, QueueId, QueueName, QueueSettings};
use crate::service::queue::message::{Message, MessageId, NewMessage};
use crate::service::queue::operation::{ReceiptError, Received, SendError};

const MESSAGES: OwnerId = OwnerId(1);
const JOURNAL: OwnerId = OwnerId(2);

fn config() -> LaneConfig {
    LaneConfig {
        segment_bytes: 4 << 20,
        entry_bytes_max: 1 << 20,
        group_bytes_max: 64 << 10,
        queue_bytes_max: 4 << 20,
        ..LaneConfig::test_min("/lane".into(), LaneId(0))
    }
}

fn definition(settings: QueueSettings) -> Arc<Definition> {
    let name = if settings.fifo.is_some() { "one.fifo" } else { "one" };
    Arc::new(Definition {
        id: QueueId(1),
        name: QueueName::new(name).expect("a name"),
        created: Timestamp(0),
        modified: Timestamp(0),
        settings,
        tags: BTreeMap::new(),
        partitions: vec![definition::Partition { lane: LaneId(0), messages: MESSAGES, journal: JOURNAL }],
    })
}

fn fifo() -> QueueSettings {
    QueueSettings { fifo: Some(Fifo::default()), ..QueueSettings::default() }
}

struct Open {
    lane: Lane<SimEnv>,
    partition: Rc<Partition<SimEnv>>,
}

/// Opens the lane and its only partition, which takes snapshots often.
async fn open(env: &SimEnv, settings: QueueSettings) -> Open {
    let (lane, _) = Lane::open(env.clone(), config()).await.expect("opened");
    let age = Duration::from_secs(u64::from(settings.retention_s));
    lane.adopt(MESSAGES, Retention { age, bytes: None });
    lane.adopt(JOURNAL, Retention::FOREVER);
    let partition = Partition::new(env.clone(), lane.clone(), definition(settings), 0, Room::new(100_000));
    partition.recorder.snapshot_after_bytes.set(2_000);
    partition.recorder.replay_events.set(8);
    partition.part_messages.set(3);
    Open { lane, partition }
}

fn message(number: u64) -> Message {
    let content = NewMessage {
        body: Bytes::from(format!("body {number}")),
        attributes: Vec::new(),
        trace_header: None,
        sender: "me".to_owned(),
        delay_s: None,
        group: None,
        deduplication: None,
    };
    let id = MessageId(u128::from(number).to_le_bytes());
    Message { id, sent: Timestamp(0), dead_letter_source: None, content }
}

impl Open {
    async fn send(&self, numbers: std::ops::Range<u64>) {
        let now = self.lane.now();
        let messages = numbers.map(|number| Message { sent: now, ..message(number) }).collect();
        for sent in self.partition.send(messages).await {
            sent.expect("sent");
        }
    }

    async fn send_grouped(&self, number: u64, group: &str, deduplication: &str) -> Result<Sent, SendError> {
        let mut message = Message { sent: self.lane.now(), ..message(number) };
        message.content.group = Some(group.to_owned());
        message.content.deduplication = Some(deduplication.to_owned());
        self.partition.send(vec![message]).await.remove(0)
    }

    async fn receive(&self, messages_max: usize, visibility_s: u64) -> Vec<Received> {
        self.partition.receive(&want(messages_max, visibility_s)).await.expect("received").received
    }

    async fn delete(&self, received: &[Received]) {
        let names: Vec<_> = received.iter().map(|one| (one.sequence, one.receives)).collect();
        for deleted in self.partition.delete(&names).await {
            deleted.expect("deleted");
        }
    }

    async fn counts(&self) -> (u64, u64, u64) {
        let counts = self.partition.count().await.expect("counted");
        (counts.visible, counts.in_flight, counts.delayed)
    }
}

fn want(messages_max: usize, visibility_s: u64) -> Want {
    Want { messages_max, visibility: Duration::from_secs(visibility_s), attempt: None, receives_max: None }
}

fn numbers(received: &[Received]) -> Vec<u64> {
    let number = |one: &Received| u128::from_le_bytes(one.message.id.0);
    received.iter().map(|one| u64::try_from(number(one)).expect("small")).collect()
}

#[test]
fn messages_and_receipts_survive_a_restart() {
    let sim = Sim::new(1);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        opened.send(0..25).await;
        let first = opened.receive(10, 60).await;
        assert_eq!(numbers(&first), (0..10).collect::<Vec<_>>());
        assert_eq!(first[3].message.content.body, "body 3");
        opened.delete(&first[..4]).await;
        assert_eq!(opened.counts().await, (15, 6, 0));
        opened.lane.close().await;

        let opened = open(&env, QueueSettings::default()).await;
        assert_eq!(opened.counts().await, (15, 6, 0));
        assert_eq!(numbers(&opened.receive(10, 60).await), (10..20).collect::<Vec<_>>());
        opened.delete(&first[4..]).await;
        assert_eq!(numbers(&opened.receive(10, 60).await), (20..25).collect::<Vec<_>>());
        env.sleep(Duration::from_secs(61)).await;
        let again = opened.receive(10, 60).await;
        assert_eq!(numbers(&again), (10..20).collect::<Vec<_>>(), "nobody deleted them");
        assert!(
            again.iter().all(|one| one.receives == 2 && one.first_received.0 + 60_000 <= opened.lane.now().0)
        );
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn visibility_is_changed_up_to_twelve_hours_in_all() {
    let sim = Sim::new(2);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        opened.send(0..2).await;
        let received = opened.receive(10, 30).await;
        let hide = |index: usize, seconds| {
            let changes =
                [((received[index].sequence, received[index].receives), Duration::from_secs(seconds))];
            let partition = Rc::clone(&opened.partition);
            async move { partition.hide(&changes).await.remove(0) }
        };
        hide(0, 0).await.expect("brought back");
        assert_eq!(hide(0, 10).await, Err(ReceiptError::NotInFlight));
        hide(1, 3_600).await.expect("hidden for longer");
        env.sleep(Duration::from_secs(1_800)).await;
        assert_eq!(numbers(&opened.receive(10, 30).await), [0]);
        let refused = hide(1, 43_200).await;
        assert!(
            matches!(refused, Err(ReceiptError::TooLong { seconds: 45_000..45_010, limit: 43_200 })),
            "{refused:?}"
        );
        let never = opened.partition.hide(&[((1, 5), Duration::ZERO)]).await.remove(0);
        assert_eq!(never, Err(ReceiptError::Invalid));
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn delays_hold_back_messages_and_are_counted() {
    let sim = Sim::new(3);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings { delay_s: 10, ..QueueSettings::default() }).await;
        opened.send(0..3).await;
        let mut own = Message { sent: opened.lane.now(), ..message(3) };
        own.content.delay_s = Some(0);
        opened.partition.send(vec![own]).await.remove(0).expect("sent");
        assert_eq!(
            opened.receive(10, 30).await,
            [],
            "the queue's delay is everybody's, so later ones wait behind it"
        );
        assert_eq!(opened.counts().await, (0, 0, 4));
        env.sleep(Duration::from_secs(11)).await;
        assert_eq!(numbers(&opened.receive(10, 30).await), [0, 1, 2, 3]);
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn a_message_is_over_when_its_time_is() {
    let sim = Sim::new(4);
    let env = sim.env();
    sim.run(async {
        let settings = QueueSettings { retention_s: 60, ..QueueSettings::default() };
        let opened = open(&env, settings).await;
        opened.send(0..3).await;
        assert_eq!(numbers(&opened.receive(1, 1).await), [0]);
        env.sleep(Duration::from_secs(61)).await;
        assert_eq!(opened.receive(10, 30).await, []);
        opened.send(3..4).await;
        assert_eq!(numbers(&opened.receive(10, 30).await), [3]);
        assert_eq!(opened.counts().await, (0, 1, 0));
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn new_settings_hold_for_messages_that_were_read_ahead() {
    let sim = Sim::new(13);
    let env = sim.env();
    sim.run(async {
        let short = QueueSettings { retention_s: 60, ..QueueSettings::default() };
        let opened = open(&env, short).await;
        opened.send(0..20).await;
        assert_eq!(numbers(&opened.receive(1, 600).await), [0], "the others are at hand");
        let long = QueueSettings { retention_s: 3_600, delay_s: 900, ..QueueSettings::default() };
        opened.lane.adopt(MESSAGES, Retention { age: Duration::from_secs(3_600), bytes: None });
        opened.partition.change(&definition(long));
        env.sleep(Duration::from_secs(61)).await;
        assert_eq!(
            numbers(&opened.receive(10, 600).await),
            (1..11).collect::<Vec<_>>(),
            "kept, and not delayed"
        );
        opened.send(20..21).await;
        assert_eq!(numbers(&opened.receive(10, 600).await), (11..20).collect::<Vec<_>>());
        opened.partition.change(&definition(QueueSettings::default()));
        opened.send(21..22).await;
        assert_eq!(
            numbers(&opened.receive(10, 600).await),
            [21],
            "it does not wait behind one that was delayed"
        );
        assert_eq!(opened.counts().await, (0, 21, 1));
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn a_moved_message_that_is_too_old_goes_once_and_for_all() {
    let sim = Sim::new(14);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings { retention_s: 60, ..QueueSettings::default() }).await;
        let mut old = Message { sent: Timestamp(opened.lane.now().0 - 50_000), ..message(0) };
        old.dead_letter_source = Some("other".to_owned());
        opened.partition.send(vec![old]).await.remove(0).expect("sent");
        assert_eq!(numbers(&opened.receive(1, 1).await), [0]);
        env.sleep(Duration::from_secs(20)).await;
        assert_eq!(opened.counts().await, (1, 0, 0), "it is back");
        assert_eq!(opened.receive(1, 1).await, []);
        assert_eq!(opened.counts().await, (0, 0, 0));
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn a_partition_that_rests_lets_go_of_what_it_has_read_ahead() {
    let sim = Sim::new(15);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        opened.send(0..40).await;
        opened.delete(&opened.receive(10, 60).await).await;
        let rest = || (0..2).for_each(|_| opened.partition.rest());
        let at_hand =
            || opened.partition.recorder.memory.borrow().as_ref().map(|memory| memory.tail.heads().len());
        opened.partition.rest();
        assert_eq!(at_hand(), Some(30), "it was just asked");
        assert_eq!(numbers(&opened.receive(10, 60).await), (10..20).collect::<Vec<_>>());
        rest();
        assert_eq!(opened.counts().await, (20, 10, 0), "to be counted is not to be used");
        assert_eq!(at_hand(), Some(0));
        assert_eq!(numbers(&opened.receive(10, 60).await), (20..30).collect::<Vec<_>>());
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn a_purge_takes_what_was_there_and_nothing_that_comes_later() {
    let sim = Sim::new(5);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        opened.send(0..20).await;
        let received = opened.receive(5, 30).await;
        opened.partition.purge().await.expect("purged");
        opened.send(20..22).await;
        assert_eq!(opened.counts().await, (2, 0, 0));
        opened.delete(&received).await;
        opened.lane.close().await;
        let opened = open(&env, QueueSettings::default()).await;
        assert_eq!(numbers(&opened.receive(10, 30).await), [20, 21]);
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn a_purge_of_very_many_holds_over_a_power_cut_and_their_memory_is_given_back_behind_it() {
    let sim = Sim::new(15);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        let now = opened.lane.now();
        for batch in 0..30_u64 {
            let delayed = |number| {
                let mut message = Message { sent: now, ..message(batch * 100 + number) };
                message.content.delay_s = Some(900);
                message
            };
            let sent = opened.partition.send((0..100).map(delayed).collect()).await;
            assert!(sent.iter().all(Result::is_ok), "{sent:?}");
        }
        assert_eq!(opened.receive(10, 30).await, []);
        assert_eq!(opened.counts().await, (0, 0, 3_000));
        assert_eq!(
            opened.partition.recorder.memory.borrow().as_ref().map(|memory| memory.state.kept()),
            Some(3_000)
        );
        let (purged, ()) =
            futures_util::future::join(opened.partition.purge(), opened.send(3_000..3_002)).await;
        purged.expect("purged");
        let gone = opened
            .partition
            .recorder
            .memory
            .borrow_mut()
            .as_mut()
            .map(|memory| memory.state.take_gone().len());
        assert_eq!(gone, Some(0), "somebody gives it back");
        assert_eq!(opened.counts().await, (2, 0, 0), "what comes behind the purge stays");
        sim.crash(Crash::Power);
    });
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        env.sleep(Duration::from_secs(901)).await;
        assert_eq!(numbers(&opened.receive(10, 30).await), [3_000, 3_001]);
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn what_was_passed_over_and_is_too_old_goes_without_being_received() {
    let sim = Sim::new(16);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings { retention_s: 60, ..QueueSettings::default() }).await;
        for number in 0..60 {
            let group = if number % 20 == 19 { "b" } else { "a" };
            opened.send_grouped(number, group, "").await.expect("sent");
        }
        assert_eq!(numbers(&opened.receive(4, 30).await), [0, 19, 1, 39], "by turns");
        let runs =
            || opened.partition.recorder.memory.borrow().as_ref().map(|memory| memory.state.runs.len());
        assert_eq!(
            runs(),
            Some(4),
            "those between the messages of the other group, and that of the other group"
        );
        assert_eq!(opened.counts().await, (56, 4, 0));
        env.sleep(Duration::from_secs(61)).await;
        assert_eq!(opened.receive(10, 30).await, []);
        assert_eq!((opened.counts().await, runs()), ((0, 0, 0), Some(0)));
        opened.send_grouped(60, "a", "").await.expect("sent");
        assert_eq!(numbers(&opened.receive(10, 30).await), [60]);
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn what_is_done_with_is_given_back_and_a_start_reads_little() {
    let sim = Sim::new(9);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        for round in 0..300 {
            opened.send(round * 10..round * 10 + 10).await;
            opened.delete(&opened.receive(10, 30).await).await;
        }
        let journal = opened.lane.bounds(JOURNAL).expect("known");
        assert!(journal.next.since(journal.oldest) < 100, "{journal:?}: snapshots cut it");
        let messages = opened.lane.bounds(MESSAGES).expect("known");
        assert!(messages.next.since(messages.oldest) <= TRIM_AFTER, "{messages:?}");
        opened.lane.close().await;
        let opened = open(&env, QueueSettings::default()).await;
        assert_eq!(opened.counts().await, (0, 0, 0));
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn a_start_reads_the_end_of_a_long_journal_and_misses_no_lost_beginning() {
    let sim = Sim::new(11);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        for batch in 0..200 {
            opened.send(batch * 10..batch * 10 + 10).await;
        }
        for _ in 0..100 {
            opened.delete(&opened.receive(10, 30).await).await;
        }
        assert_eq!(numbers(&opened.receive(3, 600).await), [1_000, 1_001, 1_002]);
        opened.lane.close().await;
        let opened = open(&env, QueueSettings::default()).await;
        assert_eq!(
            opened.lane.bounds(JOURNAL).expect("known").oldest.get(),
            0,
            "what was given back is there again"
        );
        let before = opened.lane.stats().fetched_bytes;
        assert_eq!(opened.counts().await, (997, 3, 0));
        let read = opened.lane.stats().fetched_bytes - before;
        assert!(read < 40_000, "{read} bytes were read");
        opened.lane.close().await;

        let opened = open(&env, QueueSettings::default()).await;
        let end = opened.lane.bounds(JOURNAL).expect("known").next;
        opened.lane.trim(JOURNAL, SequenceNumber(end.get() - 1));
        let refused = opened.partition.count().await;
        assert!(matches!(&refused, Err(Unreadable::Foreign { owner: 2, .. })), "{refused:?}");
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn what_was_not_written_did_not_happen() {
    let sim = Sim::new(10);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        opened.send(0..3).await;
        let received = opened.receive(2, 30).await;
        sim.set_faults(Faults { write_failures: 1_000_000, ..Faults::default() });
        let names: Vec<_> = received.iter().map(|one| (one.sequence, one.receives)).collect();
        let refused = opened.partition.delete(&names).await;
        assert!(refused.iter().all(|one| matches!(one, Err(ReceiptError::Lane(_)))), "{refused:?}");
        assert!(opened.partition.receive(&want(1, 30)).await.is_err(), "a lane that failed takes nothing");
        sim.set_faults(Faults::default());
        sim.crash(Crash::Process);
    });
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        // The write may have come to the disk all the same, as a whole.
        let counts = opened.counts().await;
        assert!(matches!(counts, (1, 2 | 0, 0)), "{counts:?}");
        opened.lane.close().await;
    })
    .expect("not stopped");
}
