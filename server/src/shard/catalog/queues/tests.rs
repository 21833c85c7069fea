//! What cores are told of queues, and that a name is held for its time.

use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::service::catalog::{
    AccountLimits, HeldNames, Limits, MemoryCatalog, Node, NodeId, StreamDefaults,
};
use crate::service::queue::QueueName;
use crate::shard::clock::Clock;
use crate::shard::mailbox::Post;
use tidemill_storage::Retention;
use tidemill_wire::message::Quota;

const CORES: u32 = 2;

/// A catalog of two lanes that tells two cores, which take in all they are told.
struct Told {
    worker: Worker<MemoryCatalog>,
    cores: Vec<JoinHandle<Vec<String>>>,
}

impl Told {
    fn start(name_hold: Duration) -> Self {
        let (post, mailboxes) = Post::new(CORES);
        let core = |mailbox: crate::shard::Mailbox| {
            std::thread::spawn(move || {
                let mut told = Vec::new();
                while let Some(letter) = futures_lite::future::block_on(mailbox.receive()) {
                    let (text, done) = match letter {
                        Letter::TakeInQueue { definition, done } => {
                            (format!("take in {} {}", definition.id, definition.settings.wait_s), done)
                        }
                        Letter::NameQueue { queue, done } => (format!("name {queue}"), done),
                        Letter::ForgetQueue { queue, done } => (format!("forget {queue}"), done),
                        // The end of the test.
                        Letter::Drain { .. } => return told,
                        other => panic!("{other:?}"),
                    };
                    told.push(text);
                    done.try_send(()).expect("the catalog waits");
                }
                told
            })
        };
        let cores = mailboxes.into_iter().map(core).collect();
        let limits = Limits {
            shards_per_stream: 8,
            streams: 8,
            queues: 8,
            partitions_per_queue: 0,
            is_compacting: false,
            account: AccountLimits::OFF,
        };
        let defaults =
            StreamDefaults { retention: Retention::FOREVER, quota: Quota::OFF, read_calls_per_second: 0 };
        let catalog = MemoryCatalog::new(Node { id: NodeId(1), lanes: 2 }, limits, defaults);
        let held_names = HeldNames::new(name_hold, 100);
        Self { worker: Worker { catalog, clock: Clock::start(), post, held_names }, cores }
    }

    fn create(&mut self, wait_s: u32) -> Result<Arc<Definition>, QueueCreateError> {
        let name = QueueName::new("work").expect("a name");
        let settings = QueueChange { wait_s: Some(wait_s), ..QueueChange::default() };
        self.worker.create_queue(NewQueue { name, settings, tags: [].into() })
    }

    /// Seconds for which the name is held.
    fn held(&mut self) -> u64 {
        match self.create(0) {
            Err(CatalogError::Refused(CreateQueueError::DeletedRecently { name, seconds })) => {
                assert_eq!(name.as_str(), "work");
                seconds
            }
            other => panic!("the name is free: {other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.worker.clock = self.worker.clock.later(time);
    }

    /// What the cores were told, which is the same for all.
    fn end(self) -> Vec<String> {
        let (done, _) = std::sync::mpsc::channel();
        for core in 0..CORES {
            let letter = Letter::Drain { done: done.clone() };
            self.worker.post.send_blocking(core, letter).expect("the core lives");
        }
        let told = self.cores.into_iter().map(|core| core.join().expect("no panic"));
        told.reduce(|first, other| {
            assert_eq!(first, other);
            first
        })
        .expect("two cores")
    }
}

#[test]
fn every_core_is_told_of_each_change_in_order() {
    let mut told = Told::start(Duration::ZERO);
    let queue = told.create(1).expect("the name is free").id;
    assert_eq!(told.create(1).expect("it is as it was wanted").id, queue);
    let refused = told.create(2).expect_err("it waits for another time");
    assert_eq!(refused.to_string(), "queue work exists already, with another wait_s");
    let change = QueueChange { wait_s: Some(3), ..QueueChange::default() };
    told.worker.update_queue(queue, change).expect("it is there");
    let tags = TagChange::Set([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(told.worker.tag_queue(queue, tags).expect("it is there").tags.len(), 1);
    told.worker.delete_queue(queue).expect("it is there");
    let gone = told.worker.delete_queue(queue).expect_err("it is gone");
    assert!(matches!(gone, CatalogError::Refused(DeleteQueueError::Unknown { .. })), "{gone}");
    told.create(4).expect("no name is held");
    let expected =
        ["take in 1 1", "name 1", "take in 1 3", "take in 1 3", "forget 1", "take in 2 4", "name 2"];
    assert_eq!(told.end(), expected);
}

#[test]
fn the_name_of_a_deleted_queue_is_held_for_its_time() {
    let mut told = Told::start(Duration::from_secs(3_600));
    let first = told.create(0).expect("the name is free").id;
    told.worker.delete_queue(first).expect("it is there");
    assert!(told.held() > 3_000);
    told.pass(Duration::from_secs(3_000));
    assert!((1..=600).contains(&told.held()));
    told.pass(Duration::from_secs(600));
    let second = told.create(0).expect("its time is over").id;
    assert!(second > first);
    let expected = ["take in 1 0", "name 1", "forget 1", "take in 2 0", "name 2"];
    assert_eq!(told.end(), expected);
}

#[test]
fn a_policy_is_replaced_only_by_who_has_read_the_last_one() {
    let mut told = Told::start(Duration::ZERO);
    let queue = told.create(0).expect("the name is free").id;
    let (one, other) = (Some("{\"a\":1}".to_owned()), Some("{\"b\":2}".to_owned()));
    let policy = |replaced: Option<Arc<Definition>>| replaced.map(|queue| queue.settings.policy.clone());
    let mut replace = |before: &Option<String>, after: &Option<String>| {
        policy(told.worker.replace_policy(queue, before.as_deref(), after.clone()).expect("it is there"))
    };
    assert_eq!(replace(&None, &one), Some(one.clone()));
    assert_eq!(replace(&None, &other), None, "it was read before");
    assert_eq!(replace(&one, &other), Some(other.clone()));
    assert_eq!(replace(&other, &None), Some(None));
    told.worker.delete_queue(queue).expect("it is there");
    let gone = told.worker.replace_policy(queue, None, one).expect_err("it is gone");
    assert!(matches!(gone, CatalogError::Refused(UpdateQueueError::Unknown { .. })), "{gone}");
    let changes = told.end().iter().filter(|told| told.starts_with("take in")).count();
    assert_eq!(changes, 4, "what was refused was not told");
}
