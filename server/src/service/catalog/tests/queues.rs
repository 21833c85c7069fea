//! Queues in both catalogs; and what makes samples for the tests beside.

use super::*;
use crate::service::queue_definition::{
    Allow, Fifo, QueueName, QueueSettings, Redrive, Scope, ThroughputLimit,
};

pub(in super::super) fn queue_name(text: &str) -> QueueName {
    QueueName::new(text).expect("tests use valid names")
}

pub(in super::super) fn new_queue(text: &str) -> NewQueue {
    NewQueue { name: queue_name(text), settings: QueueChange::default(), tags: BTreeMap::new() }
}

fn redrive(target: &str) -> Redrive {
    Redrive { target: queue_name(target), receives_max: 3 }
}

/// A plain queue, and one that has something of everything.
pub(in super::super) fn samples() -> [Queue; 2] {
    let mut catalog = MemoryCatalog::new(NODE, LIMITS, DEFAULTS);
    let plain = made(catalog.create_queue(new_queue("work"), Timestamp(77)));
    made(catalog.create_queue(new_queue("dead.fifo"), Timestamp(78)));
    let settings = QueueChange {
        redrive: Some(Some(redrive("dead.fifo"))),
        redrive_allow: Some(Allow::By(vec![queue_name("a.fifo"), queue_name("b.fifo")])),
        content_deduplication: Some(true),
        scope: Some(Scope::Group),
        limit: Some(ThroughputLimit::Group),
        policy: Some(Some("{\"Version\":\"2012-10-17\"}".to_owned())),
        ..QueueChange::default()
    };
    let full = NewQueue { settings, tags: tags([("team", "tide")]), ..new_queue("work.fifo") };
    let full = made(catalog.create_queue(full, Timestamp(79)));
    [Queue::clone(&plain), Queue::clone(&full)]
}

fn made(created: Result<CreatedQueue, CreateQueueError>) -> Arc<Queue> {
    match created {
        Ok(CreatedQueue::New(queue)) => queue,
        other => panic!("it is to be new: {other:?}"),
    }
}

fn lanes_of(queue: &Queue) -> Vec<u32> {
    queue.partitions.iter().map(|partition| partition.lane.get()).collect()
}

/// Why a queue with these settings is not created.
fn refused(catalog: &mut dyn Catalog, text: &str, settings: QueueChange) -> String {
    let new = NewQueue { settings, ..new_queue(text) };
    catalog.create_queue(new, Timestamp(1)).expect_err("it is refused").to_string()
}

#[test]
fn a_queue_is_there_after_it_is_created() {
    on_each(|catalog| {
        let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free");
        let queue = made(catalog.create_queue(new_queue("work"), Timestamp(77)));
        assert_eq!((queue.id.0, queue.created, queue.modified), (2, Timestamp(77), Timestamp(77)));
        assert!(queue.id.0 > stream.id.get(), "ids are unique among both");
        assert_eq!((queue.settings.clone(), queue.is_fifo()), (QueueSettings::default(), false));
        let owners: Vec<_> =
            queue.partitions.iter().map(|each| (each.messages.get(), each.journal.get())).collect();
        assert_eq!(owners, [(2, 3), (4, 5), (6, 7)]);
        assert_eq!(catalog.state().queue(&queue.name), Some(&queue));
        assert_eq!(catalog.state().queue_of(queue.id), Some(&queue));
        assert_eq!(catalog.state().queue(&queue_name("other")), None);
        assert_eq!(catalog.state().queue_of(QueueId(1)), None, "that is a stream");
        let stream = catalog.create_stream(new("work", 1), Timestamp(1)).expect("queues have other names");
        assert_eq!((stream.id, stream.shards[0].owner), (StreamId(3), OwnerId(8)));
    });
}

#[test]
fn partitions_are_dealt_to_the_lanes_from_the_emptiest_on() {
    let grouped = QueueChange {
        scope: Some(Scope::Group),
        limit: Some(ThroughputLimit::Group),
        ..QueueChange::default()
    };
    on_each(|catalog| {
        let mut lanes = |text, settings| {
            lanes_of(&made(catalog.create_queue(NewQueue { settings, ..new_queue(text) }, Timestamp(1))))
        };
        assert_eq!(lanes("a.fifo", QueueChange::default()), [0]);
        assert_eq!(lanes("b.fifo", QueueChange::default()), [1]);
        assert_eq!(lanes("c", QueueChange::default()), [2, 0, 1]);
        assert_eq!(lanes("d.fifo", grouped.clone()), [2, 0, 1]);
        let queue = catalog.state().queue(&queue_name("b.fifo")).expect("it is there").id;
        catalog.delete_queue(queue).expect("it is there");
        let stream = catalog.create_stream(new("s", 1), Timestamp(1)).expect("the name is free");
        assert_eq!(super::lanes(&stream), [1], "streams and queues share the lanes");
    });
    let limits = Limits { partitions_per_queue: 2, ..LIMITS };
    let mut catalog = MemoryCatalog::new(NODE, limits, DEFAULTS);
    assert_eq!(lanes_of(&made(catalog.create_queue(new_queue("a"), Timestamp(1)))), [0, 1]);
    assert_eq!(lanes_of(&made(catalog.create_queue(new_queue("b"), Timestamp(1)))), [2, 0]);
}

#[test]
fn a_queue_that_is_wanted_twice_is_the_same_and_one_that_is_other_is_refused() {
    on_each(|catalog| {
        made(catalog.create_queue(new_queue("dead"), Timestamp(1)));
        let settings = QueueChange {
            delay_s: Some(5),
            redrive: Some(Some(redrive("dead"))),
            policy: Some(Some("{}".to_owned())),
            ..QueueChange::default()
        };
        let wanted = NewQueue { settings, tags: tags([("a", "1")]), ..new_queue("work") };
        let queue = made(catalog.create_queue(wanted.clone(), Timestamp(2)));
        let mut again = |wanted| catalog.create_queue(wanted, Timestamp(3));
        let present = CreatedQueue::Present(queue);
        assert_eq!(again(wanted.clone()).expect("it is as it was"), present);
        let little = NewQueue { settings: QueueChange::default(), ..wanted.clone() };
        assert_eq!(again(little).expect("what is not said is not compared"), present);
        let mut check = |change: fn(&mut NewQueue), expected| {
            let mut other = wanted.clone();
            change(&mut other);
            match again(other) {
                Err(CreateQueueError::Exists { differs, .. }) => assert_eq!(differs, expected),
                other => panic!("{expected}: {other:?}"),
            }
        };
        check(|new| new.settings.delay_s = Some(6), QueueAttribute::Delay);
        check(|new| new.settings.message_bytes_max = Some(1_024), QueueAttribute::MessageBytesMax);
        check(|new| new.settings.retention_s = Some(60), QueueAttribute::Retention);
        check(|new| new.settings.wait_s = Some(1), QueueAttribute::Wait);
        check(|new| new.settings.visibility_s = Some(31), QueueAttribute::Visibility);
        check(|new| new.settings.redrive = Some(None), QueueAttribute::Redrive);
        check(|new| new.settings.redrive_allow = Some(Allow::None), QueueAttribute::RedriveAllow);
        check(|new| new.settings.content_deduplication = Some(true), QueueAttribute::ContentDeduplication);
        check(|new| new.settings.scope = Some(Scope::Queue), QueueAttribute::Scope);
        check(|new| new.settings.limit = Some(ThroughputLimit::Queue), QueueAttribute::Limit);
        check(|new| new.settings.policy = Some(None), QueueAttribute::Policy);
        check(|new| new.tags = tags([("a", "2")]), QueueAttribute::Tags);
        let message = again(NewQueue { tags: BTreeMap::new(), ..wanted }).expect_err("other tags");
        assert_eq!(message.to_string(), "queue work exists already, with another tags");
    });
}

#[test]
fn settings_that_no_queue_can_have_are_refused_with_their_reason() {
    fn check(text: &str, change: impl Fn(&mut QueueChange), expected: &str) {
        on_each(|catalog| {
            let mut settings = QueueChange::default();
            change(&mut settings);
            assert_eq!(refused(catalog, text, settings), expected);
            assert_eq!(catalog.state().queues().len(), 0);
        });
    }
    check("q", |new| new.delay_s = Some(901), "delay_s = 901 is out of range: expected 0 to 900");
    let expected = "message_bytes_max = 1023 is out of range: expected 1024 to 1048576";
    check("q", |new| new.message_bytes_max = Some(1_023), expected);
    check("q", |new| new.retention_s = Some(59), "retention_s = 59 is out of range: expected 60 to 1209600");
    check("q", |new| new.wait_s = Some(21), "wait_s = 21 is out of range: expected 0 to 20");
    let expected = "visibility_s = 43201 is out of range: expected 0 to 43200";
    check("q", |new| new.visibility_s = Some(43_201), expected);
    let often = |receives_max| Some(Some(Redrive { receives_max, ..redrive("dead") }));
    check("q", |new| new.redrive = often(0), "redrive = 0 is out of range: expected 1 to 1000");
    check("q", |new| new.redrive = often(1_001), "redrive = 1001 is out of range: expected 1 to 1000");
    check("q", |new| new.redrive = often(1), "dead-letter queue dead does not exist");
    let expected = "queue dead cannot be its own dead-letter queue";
    check("dead", |new| new.redrive = often(1), expected);
    let expected = "dead-letter queue dead is not of the same kind: both are FIFO queues or neither is";
    check("q.fifo", |new| new.redrive = often(1), expected);
    let names =
        |count: usize| Some(Allow::By((0..count).map(|each| queue_name(&each.to_string())).collect()));
    check("q", |new| new.redrive_allow = names(11), "redrive_allow names 11 queues, the limit is 10");
    let expected = "scope is for FIFO queues, and the name of q does not end in .fifo";
    check("q", |new| new.scope = Some(Scope::Queue), expected);
    let expected = "content_deduplication is for FIFO queues, and the name of q does not end in .fifo";
    check("q", |new| new.content_deduplication = Some(false), expected);
    let expected = "limit is for FIFO queues, and the name of q does not end in .fifo";
    check("q", |new| new.limit = Some(ThroughputLimit::Queue), expected);
    let expected = "a limit for each message group needs the scope of deduplication to be the message group";
    check("q.fifo", |new| new.limit = Some(ThroughputLimit::Group), expected);
    let expected = "the policy has 20481 bytes, the limit is 20480";
    check("q", |new| new.policy = Some(Some("x".repeat(20_481))), expected);
}

#[test]
fn there_are_as_many_queues_as_there_may_be() {
    on_each(|catalog| {
        for text in ["a", "b", "c", "d", "e"] {
            made(catalog.create_queue(new_queue(text), Timestamp(1)));
        }
        let full = "there are 5 queues, which is the limit";
        assert_eq!(refused(catalog, "f", QueueChange::default()), full);
        let many = NewQueue {
            tags: (0..=TAGS_MAX).map(|key| (key.to_string(), String::new())).collect(),
            ..new_queue("e")
        };
        let error = catalog.create_queue(many.clone(), Timestamp(1)).expect_err("it has no tags");
        assert!(matches!(error, CreateQueueError::Exists { differs: QueueAttribute::Tags, .. }), "{error}");
        let last = catalog.state().queue(&queue_name("e")).expect("it is there").id;
        catalog.delete_queue(last).expect("it is there");
        let error = catalog.create_queue(many, Timestamp(1)).expect_err("too many tags").to_string();
        assert_eq!(error, "there would be 51 tags, the limit is 50");
    });
}

#[test]
fn a_change_of_settings_is_made_as_a_whole_or_not_at_all() {
    on_each(|catalog| {
        let before = made(catalog.create_queue(new_queue("work.fifo"), Timestamp(1)));
        let change = QueueChange {
            visibility_s: Some(60),
            content_deduplication: Some(true),
            scope: Some(Scope::Group),
            limit: Some(ThroughputLimit::Group),
            ..QueueChange::default()
        };
        let after = catalog.update_queue(before.id, change, Timestamp(9)).expect("it is there");
        let fifo = Fifo { content_deduplication: true, scope: Scope::Group, limit: ThroughputLimit::Group };
        let settings = QueueSettings { visibility_s: 60, fifo: Some(fifo), ..before.settings.clone() };
        let expected = Queue { settings, modified: Timestamp(9), ..Queue::clone(&before) };
        assert_eq!(*after, expected, "partitions stay as they were made");
        let half = QueueChange { scope: Some(Scope::Queue), delay_s: Some(1), ..QueueChange::default() };
        let error = catalog.update_queue(before.id, half, Timestamp(10)).expect_err("the limit needs it");
        assert!(matches!(error, UpdateQueueError::Settings(QueueSettingsError::LimitBeyondScope)), "{error}");
        assert_eq!(catalog.state().queue_of(before.id), Some(&after));
        let gone = QueueId(77);
        let error = catalog.update_queue(gone, QueueChange::default(), Timestamp(10)).expect_err("unknown");
        assert_eq!(error.to_string(), "queue 77 does not exist");
    });
}

#[test]
fn a_dead_letter_queue_decides_who_sends_to_it() {
    on_each(|catalog| {
        let dead = made(catalog.create_queue(new_queue("dead"), Timestamp(1))).id;
        let work = made(catalog.create_queue(new_queue("work"), Timestamp(1))).id;
        let allow = |catalog: &mut dyn Catalog, allow| {
            let change = QueueChange { redrive_allow: Some(allow), ..QueueChange::default() };
            catalog.update_queue(dead, change, Timestamp(2)).expect("it is there");
        };
        let to_dead = || QueueChange { redrive: Some(Some(redrive("dead"))), ..QueueChange::default() };
        let refused = "dead-letter queue dead does not allow work to send to it";
        for denied in [Allow::None, Allow::By(vec![queue_name("other")])] {
            allow(catalog, denied);
            let error = catalog.update_queue(work, to_dead(), Timestamp(3)).expect_err("it is denied");
            assert_eq!(error.to_string(), refused);
        }
        allow(catalog, Allow::By(vec![queue_name("other"), queue_name("work")]));
        let queue = catalog.update_queue(work, to_dead(), Timestamp(3)).expect("it is allowed");
        assert_eq!(queue.settings.redrive, Some(redrive("dead")));
        catalog.delete_queue(dead).expect("it is there");
        let change = QueueChange { wait_s: Some(20), ..QueueChange::default() };
        let queue =
            catalog.update_queue(work, change, Timestamp(4)).expect("what was set before may be gone");
        assert_eq!(queue.settings.redrive, Some(redrive("dead")));
        let change = QueueChange { redrive: Some(None), ..QueueChange::default() };
        let queue = catalog.update_queue(work, change, Timestamp(5)).expect("it can be taken");
        assert_eq!(queue.settings.redrive, None);
    });
}

#[test]
fn tags_of_a_queue_are_set_and_removed() {
    on_each(|catalog| {
        let queue = made(catalog.create_queue(new_queue("work"), Timestamp(1))).id;
        let set = TagChange::Set(tags([("a", "1"), ("b", "2")]));
        assert_eq!(catalog.tag_queue(queue, set).expect("it is there").tags.len(), 2);
        let left = catalog.tag_queue(queue, TagChange::Remove(vec!["a".to_owned()])).expect("it is there");
        assert_eq!((left.tags.clone(), left.modified), (tags([("b", "2")]), Timestamp(1)));
        let long = TagChange::Set(tags([("k", "x".repeat(TAG_BYTES_MAX + 1).as_str())]));
        let error = catalog.tag_queue(queue, long).expect_err("it is too long");
        assert!(matches!(error, TagQueueError::Tags(TagsError::TooLong { .. })), "{error}");
        assert_eq!(catalog.state().queue_of(queue), Some(&left));
        let error = catalog.tag_queue(QueueId(9), TagChange::Remove(Vec::new())).expect_err("unknown");
        assert_eq!(error.to_string(), "queue 9 does not exist");
    });
}

#[test]
fn a_deleted_queue_is_gone_and_the_next_of_its_name_is_another() {
    on_each(|catalog| {
        let first = made(catalog.create_queue(new_queue("work"), Timestamp(1)));
        assert_eq!(catalog.delete_queue(first.id).expect("it is there"), first);
        assert_eq!(catalog.state().queues().len(), 0);
        let error = catalog.delete_queue(first.id).expect_err("it is gone");
        assert_eq!(error.to_string(), "queue 1 does not exist");
        let error = catalog.update_queue(first.id, QueueChange::default(), Timestamp(2));
        assert!(matches!(error, Err(UpdateQueueError::Unknown { .. })), "{error:?}");
        let second = made(catalog.create_queue(new_queue("work"), Timestamp(3)));
        assert!(second.id > first.id);
        let last = first.partitions.iter().map(|partition| partition.journal).max();
        assert!(Some(second.partitions[0].messages) > last, "owners are never given twice");
    });
}

#[derive(Debug, Clone)]
enum Step {
    Create { at: u8, is_fifo: bool, delay_s: Option<u32>, target: Option<u8> },
    Stream(u8),
    Update { id: u64, visibility_s: u32, target: Option<u8> },
    Tag(u64, u8),
    Delete(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let create = (0..4_u8, any::<bool>(), prop::option::of(0..1_000_u32), prop::option::of(0..4_u8));
    prop_oneof![
        5 => create.prop_map(|(at, is_fifo, delay_s, target)| Step::Create { at, is_fifo, delay_s, target }),
        1 => (0..4_u8).prop_map(Step::Stream),
        3 => (1..9_u64, 0..50_000_u32, prop::option::of(0..4_u8))
            .prop_map(|(id, visibility_s, target)| Step::Update { id, visibility_s, target }),
        2 => (1..9_u64, 0..3_u8).prop_map(|(id, tag)| Step::Tag(id, tag)),
        3 => (1..9_u64).prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

/// What a step comes to, as a text.
fn take(step: &Step, catalog: &mut dyn Catalog) -> String {
    let text = |at: u8, is_fifo: bool| format!("q{at}{}", if is_fifo { ".fifo" } else { "" });
    match step {
        Step::Create { at, is_fifo, delay_s, target } => {
            let redrive = target.map(|target| Some(redrive(&text(target, *is_fifo))));
            let settings = QueueChange { delay_s: *delay_s, redrive, ..QueueChange::default() };
            let new = NewQueue { settings, ..new_queue(&text(*at, *is_fifo)) };
            format!("{:?}", catalog.create_queue(new, Timestamp(9)))
        }
        Step::Stream(at) => format!("{:?}", catalog.create_stream(new(&format!("s{at}"), 2), Timestamp(9))),
        Step::Update { id, visibility_s, target } => {
            let redrive = target.map(|target| Some(redrive(&text(target, false))));
            let change = QueueChange { visibility_s: Some(*visibility_s), redrive, ..QueueChange::default() };
            format!("{:?}", catalog.update_queue(QueueId(*id), change, Timestamp(10)))
        }
        Step::Tag(id, tag) => {
            let change = TagChange::Set(tags([(tag.to_string().as_str(), "x")]));
            format!("{:?}", catalog.tag_queue(QueueId(*id), change))
        }
        Step::Delete(id) => format!("{:?}", catalog.delete_queue(QueueId(*id))),
        Step::Reopen => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The catalog in a file, opened again at any time, has the queues that the one in memory has; ids and owners are given once.
    #[test]
    fn both_catalogs_have_the_same_queues_across_restarts(steps in prop::collection::vec(step(), 0..30)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("catalog.redb");
        let mut stored = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
        let mut model = MemoryCatalog::new(NODE, LIMITS, DEFAULTS);
        let (mut ids, mut owners) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for step in steps {
            let before = model.state().next_owner();
            prop_assert_eq!(take(&step, &mut stored), take(&step, &mut model));
            if matches!(step, Step::Reopen) {
                drop(stored);
                stored = RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound").expect("it is there");
            }
            prop_assert!(stored.state().queues().eq(model.state().queues()));
            prop_assert_eq!(stored.state().next_owner(), model.state().next_owner());
            for queue in model.state().queues().filter(|queue| queue.partitions[0].messages >= before) {
                prop_assert!(ids.insert(queue.id), "an id was given twice");
                let all = queue.partitions.iter().flat_map(|each| [each.messages, each.journal]);
                for owner in all {
                    prop_assert!(owners.insert(owner), "an owner was given twice");
                }
            }
        }
    }
}
