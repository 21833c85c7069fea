//! What a core knows of queues, and whom its lanes keep, over lanes in the simulator.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidemill_storage::LaneConfig;
use tidemill_storage::sim::{Sim, SimEnv};
use tidemill_wire::message::Ack;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp};

use super::super::definition::{Partition, QueueSettings};
use super::*;

fn name(text: &str) -> QueueName {
    QueueName::new(text).expect("a name")
}

/// A queue with partitions on the lanes 0 and 1.
fn queue(id: u64, text: &str, retention_s: u32) -> Arc<Definition> {
    let partition = |lane: u32| {
        let messages = id * 10 + u64::from(lane) * 2;
        Partition { lane: LaneId(lane), messages: OwnerId(messages), journal: OwnerId(messages + 1) }
    };
    Arc::new(Definition {
        id: QueueId(id),
        name: name(text),
        created: Timestamp(0),
        modified: Timestamp(0),
        settings: QueueSettings { retention_s, ..QueueSettings::default() },
        tags: BTreeMap::new(),
        partitions: vec![partition(0), partition(1)],
    })
}

/// A core that holds lane 0, and that lane.
async fn core(env: &SimEnv) -> (Queues<SimEnv>, Lane<SimEnv>) {
    let config = LaneConfig::test_min("/lane".into(), LaneId(0));
    let (lane, _) = Lane::open(env.clone(), config).await.expect("an empty lane");
    (Queues::new(env.clone(), [(LaneId(0), lane.clone())], 10, 1_000), lane)
}

fn run(seed: u64, test: impl AsyncFnOnce(SimEnv)) {
    let sim = Sim::new(seed);
    let env = sim.env();
    assert!(sim.run(test(env)).is_some(), "no crash was asked for");
}

fn ids((page, more): (Vec<Arc<Definition>>, bool)) -> (Vec<u64>, bool) {
    (page.into_iter().map(|queue| queue.id.0).collect(), more)
}

#[test]
fn a_queue_is_known_by_its_id_at_once_and_by_its_name_when_all_cores_know() {
    run(1, async |env| {
        let (queues, lane) = core(&env).await;
        let first = queue(1, "work", 60);
        queues.take_in(&first);
        assert_eq!(queues.get(QueueId(1)), Some(Arc::clone(&first)));
        assert_eq!((queues.named(&name("work")), ids(queues.list("", None, 10))), (None, (vec![], false)));
        queues.name(QueueId(1));
        queues.name(QueueId(9));
        assert_eq!((queues.named(&name("work")), queues.count()), (Some(first), 1));
        assert_eq!(lane.owners(), [OwnerId(10), OwnerId(11)], "those of the other lane are not of this core");
        let changed = queue(1, "work", 120);
        queues.take_in(&changed);
        assert_eq!(queues.named(&name("work")), Some(changed));
        // The next queue of that name may be told of before the end of the first.
        queues.take_in(&queue(2, "work", 60));
        queues.name(QueueId(2));
        queues.forget(QueueId(1));
        queues.forget(QueueId(1));
        assert_eq!(queues.named(&name("work")).map(|queue| queue.id), Some(QueueId(2)));
        assert_eq!((queues.get(QueueId(1)), lane.owners()), (None, vec![OwnerId(20), OwnerId(21)]));
        queues.forget(QueueId(2));
        assert_eq!((queues.named(&name("work")), lane.owners(), queues.count()), (None, vec![], 0));
    });
}

#[test]
fn queues_are_listed_by_prefix_in_pages() {
    run(2, async |env| {
        let (queues, _) = core(&env).await;
        for (id, text) in (1..).zip(["b-2", "a", "b-10", "b", "c", "b.fifo", "B"]) {
            queues.take_in(&queue(id, text, 60));
            queues.name(QueueId(id));
        }
        let list =
            |prefix, after: Option<&str>, limit| ids(queues.list(prefix, after.map(name).as_ref(), limit));
        assert_eq!(list("", None, 9), (vec![7, 2, 4, 3, 1, 6, 5], false));
        assert_eq!(list("b", None, 9), (vec![4, 3, 1, 6], false));
        assert_eq!(list("b", None, 2), (vec![4, 3], true));
        assert_eq!(list("b", Some("b-10"), 2), (vec![1, 6], false));
        assert_eq!(list("b", Some("a"), 1), (vec![4], true), "what is before all of them leaves none out");
        assert_eq!(list("b", Some("c"), 9), (vec![], false));
        assert_eq!(list("b-10x", None, 9), (vec![], false));
        assert_eq!(list("", Some("b-9"), 9), (vec![6, 5], false), "one that is gone is a place all the same");
        assert_eq!(list("a", None, 0), (vec![], true));
    });
}

#[test]
fn messages_are_kept_as_long_as_the_queue_says_and_the_journal_until_it_is_trimmed() {
    run(3, async |env| {
        let (queues, lane) = core(&env).await;
        queues.take_in(&queue(1, "work", 60));
        let write = async |owner| {
            let payload = Bytes::from_static(b"something");
            lane.append(OwnerId(owner), payload, 1, Ack::Durable).await.expect("stored");
        };
        let oldest = async |owner| {
            let fetched = lane.fetch(OwnerId(owner), SequenceNumber(0), 1_000).await.expect("it is adopted");
            fetched.oldest.0
        };
        write(10).await;
        write(11).await;
        env.sleep(Duration::from_secs(50)).await;
        queues.take_in(&queue(1, "work", 3_600));
        env.sleep(Duration::from_secs(50)).await;
        assert_eq!((oldest(10).await, oldest(11).await), (0, 0), "the new age holds");
        queues.take_in(&queue(1, "work", 60));
        env.sleep(Duration::from_secs(30)).await;
        assert_eq!((oldest(10).await, oldest(11).await), (1, 0));
    });
}
