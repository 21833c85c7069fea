//! What both catalogs do alike, run on each; and what makes samples for the tests beside.

mod capacities;
mod consumers;
mod policies;
pub(super) mod queues;
mod record_sizes;
pub(super) mod stream_queues;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidemill_storage::Retention;
use tidemill_wire::message::{Quota, Settings};

use super::*;

pub(super) const LIMITS: Limits = Limits {
    shards_per_stream: 8,
    streams: 5,
    queues: 5,
    partitions_per_queue: 0,
    is_compacting: true,
    account: AccountLimits::OFF,
};

pub(super) const DEFAULTS: StreamDefaults = StreamDefaults {
    retention: Retention { age: Duration::from_secs(86_400), bytes: None },
    quota: Quota {
        write_bytes_per_second: 1_000_000,
        write_records_per_second: 1_000,
        read_bytes_per_second: 2_000_000,
    },
    read_calls_per_second: 5,
};

pub(super) const NODE: Node = Node { id: NodeId(0x0123_4567_89AB_CDEF), lanes: 3 };

pub(super) fn name(text: &str) -> StreamName {
    StreamName::new(text).expect("tests use valid names")
}

pub(super) fn new(text: &str, shards: u32) -> NewStream {
    NewStream {
        name: name(text),
        shards,
        settings: Settings::default(),
        tags: BTreeMap::new(),
        aside: Aside::default(),
    }
}

/// Runs on a catalog in memory and on one in a file, both empty.
fn on_each(run: impl Fn(&mut dyn Catalog)) {
    run(&mut MemoryCatalog::new(NODE, LIMITS, DEFAULTS));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("catalog.redb");
    run(&mut RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog"));
}

fn lanes(stream: &Stream) -> Vec<u32> {
    stream.shards.iter().map(|shard| shard.lane.get()).collect()
}

#[test]
fn a_stream_is_there_after_it_is_created() {
    on_each(|catalog| {
        let created = catalog.create_stream(new("logs", 4), Timestamp(77)).expect("the name is free");
        assert_eq!((created.id, created.created, created.map_version), (StreamId(1), Timestamp(77), 1));
        assert_eq!((created.retention, created.quota), (DEFAULTS.retention, DEFAULTS.quota));
        assert_eq!(lanes(&created), [0, 1, 2, 0]);
        assert_eq!(catalog.stream(&name("logs")), Some(&created));
        assert_eq!(catalog.stream_of(StreamId(1)), Some(&created));
        assert_eq!(catalog.stream(&name("other")), None);
        assert_eq!(catalog.stream_of(StreamId(2)), None);
        assert_eq!(catalog.node(), NODE);
    });
}

#[test]
fn new_streams_begin_on_the_emptiest_lane() {
    on_each(|catalog| {
        let mut create =
            |text, shards| lanes(&catalog.create_stream(new(text, shards), Timestamp(1)).expect(text));
        assert_eq!(create("a", 1), [0]);
        assert_eq!(create("b", 1), [1]);
        assert_eq!(create("c", 2), [2, 0]);
        catalog.delete_stream(&name("a"), OnConsumers::Refuse).expect("it is there");
        catalog.delete_stream(&name("c"), OnConsumers::Refuse).expect("it is there");
        assert_eq!(
            lanes(&catalog.create_stream(new("d", 2), Timestamp(1)).expect("the name is free")),
            [0, 1]
        );
    });
}

#[test]
fn what_cannot_be_created_is_refused_with_its_reason() {
    on_each(|catalog| {
        for text in ["a", "b", "c", "d"] {
            catalog.create_stream(new(text, 1), Timestamp(1)).expect(text);
        }
        let mut refused =
            |new| catalog.create_stream(new, Timestamp(1)).expect_err("it is refused").to_string();
        assert_eq!(refused(new("a", 1)), "stream a exists already");
        assert_eq!(refused(new("e", 0)), "0 shards are out of range: expected 1 to 8");
        assert_eq!(refused(new("e", 9)), "9 shards are out of range: expected 1 to 8");
        let settings = Settings { retention_ms: Some(1), ..Settings::default() };
        let error = refused(NewStream { settings, ..new("e", 1) });
        assert_eq!(error, "retention_ms = 1 is out of range: expected 60000 to 31536000000");
        catalog.create_stream(new("e", 1), Timestamp(1)).expect("the last one");
        let error = catalog.create_stream(new("f", 1), Timestamp(1)).expect_err("there are five");
        assert_eq!(error.to_string(), "there are 5 streams, which is the limit");
    });
}

#[test]
fn an_update_changes_what_is_given() {
    on_each(|catalog| {
        let before = catalog.create_stream(new("logs", 2), Timestamp(1)).expect("the name is free");
        let settings =
            Settings { retention_bytes: Some(1 << 30), quota: Some(Quota::OFF), ..Settings::default() };
        let after = catalog.update_stream(&name("logs"), settings).expect("it is there");
        let retention = Retention { bytes: Some(1 << 30), ..before.retention };
        assert_eq!(after, Stream { retention, quota: Quota::OFF, ..before });
        assert_eq!(catalog.stream(&name("logs")), Some(&after));
        let error = catalog.update_stream(&name("none"), settings).expect_err("it is not there");
        assert_eq!(error.to_string(), "stream none does not exist");
    });
}

#[test]
fn a_deleted_stream_is_gone_and_its_name_is_free() {
    on_each(|catalog| {
        let first = catalog.create_stream(new("logs", 2), Timestamp(1)).expect("the name is free");
        assert_eq!(catalog.delete_stream(&name("logs"), OnConsumers::Refuse).expect("it is there"), first);
        assert_eq!(catalog.streams().count(), 0);
        let error = catalog.delete_stream(&name("logs"), OnConsumers::Refuse).expect_err("it is gone");
        assert_eq!(error.to_string(), "stream logs does not exist");
        let second = catalog.create_stream(new("logs", 2), Timestamp(1)).expect("the name is free again");
        assert!(second.id > first.id);
        assert!(second.shards[0].owner > first.shards[1].owner, "owners are never given twice");
    });
}

#[test]
fn lists_come_in_pages_by_name() {
    on_each(|catalog| {
        for text in ["m", "a", "z", "b"] {
            catalog.create_stream(new(text, 1), Timestamp(1)).expect(text);
        }
        let page = |after: Option<&str>, limit| {
            let page = catalog.list_streams(after.map(name).as_ref(), limit);
            (page.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(), page.more)
        };
        assert_eq!(page(None, 3), (vec!["a", "b", "m"], true));
        assert_eq!(page(Some("m"), 3), (vec!["z"], false));
        assert_eq!(page(Some("aa"), 3), (vec!["b", "m", "z"], false));
        assert_eq!(page(Some("z"), 3), (vec![], false));
        assert_eq!(page(None, 0), (vec![], true));
    });
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8, u32),
    Update(u8, u64),
    Delete(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..7_u8, 0..10_u32).prop_map(|(at, shards)| Step::Create(at, shards)),
        2 => (0..7_u8, 0..200_000_u64).prop_map(|(at, age_ms)| Step::Update(at, age_ms)),
        2 => (0..7_u8).prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The catalog in a file, opened again at any time, is the one in memory.
    #[test]
    fn both_catalogs_agree_across_restarts(steps in prop::collection::vec(step(), 0..30)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("catalog.redb");
        let mut stored = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
        let mut model = MemoryCatalog::new(NODE, LIMITS, DEFAULTS);
        let mut given = BTreeMap::new();
        for step in steps {
            match step {
                Step::Create(at, shards) => {
                    let new = new(&format!("s{at}"), shards);
                    let outcomes = (stored.create_stream(new.clone(), Timestamp(9)), model.create_stream(new, Timestamp(9)));
                    if let Ok(stream) = &outcomes.0 {
                        prop_assert!(given.insert(stream.id, ()).is_none(), "an id was given twice");
                    }
                    prop_assert_eq!(format!("{:?}", outcomes.0), format!("{:?}", outcomes.1));
                }
                Step::Update(at, age_ms) => {
                    let settings = Settings { retention_ms: Some(age_ms), ..Settings::default() };
                    let name = name(&format!("s{at}"));
                    let outcomes = (stored.update_stream(&name, settings), model.update_stream(&name, settings));
                    prop_assert_eq!(format!("{:?}", outcomes.0), format!("{:?}", outcomes.1));
                }
                Step::Delete(at) => {
                    let name = name(&format!("s{at}"));
                    let outcomes = (stored.delete_stream(&name, OnConsumers::Refuse), model.delete_stream(&name, OnConsumers::Refuse));
                    prop_assert_eq!(format!("{:?}", outcomes.0), format!("{:?}", outcomes.1));
                }
                Step::Reopen => {
                    drop(stored);
                    let opened = RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound");
                    stored = opened.expect("it is there");
                }
            }
            prop_assert!(stored.streams().eq(model.streams()));
        }
    }
}

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[test]
fn tags_are_set_and_removed_and_nothing_else_changes() {
    on_each(|catalog| {
        let new = NewStream { tags: tags([("a", "1")]), ..new("logs", 2) };
        let created = catalog.create_stream(new, Timestamp(1)).expect("the name is free");
        assert_eq!(created.tags, tags([("a", "1")]));
        let set = TagChange::Set(tags([("a", "2"), ("b", "")]));
        let tagged = catalog.tag_stream(&name("logs"), set).expect("it exists");
        assert_eq!(tagged, Stream { tags: tags([("a", "2"), ("b", "")]), ..created });
        let removed = TagChange::Remove(vec!["a".to_owned(), "none".to_owned()]);
        let left = catalog.tag_stream(&name("logs"), removed).expect("it exists");
        assert_eq!(left.tags, tags([("b", "")]));
        assert_eq!(catalog.stream(&name("logs")), Some(&left));
        let error = catalog.tag_stream(&name("none"), TagChange::Remove(Vec::new()));
        assert!(matches!(error, Err(TagStreamError::Unknown { .. })));
    });
}

#[test]
fn tags_that_cannot_be_kept_are_refused_and_those_before_stay() {
    on_each(|catalog| {
        let many: BTreeMap<_, _> = (0..TAGS_MAX).map(|key| (key.to_string(), String::new())).collect();
        let new = NewStream { tags: many.clone(), ..new("full", 1) };
        catalog.create_stream(new, Timestamp(1)).expect("as many as there may be");
        let check = |change: Result<Stream, TagStreamError>, expected: TagsError| match change {
            Err(TagStreamError::Tags(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        };
        let one_more = TagChange::Set(tags([("more", "")]));
        let found = TAGS_MAX + 1;
        check(catalog.tag_stream(&name("full"), one_more), TagsError::TooMany { found });
        let long = "x".repeat(TAG_BYTES_MAX + 1);
        let too_long = TagChange::Set(tags([("0", long.as_str())]));
        check(catalog.tag_stream(&name("full"), too_long), TagsError::TooLong { found: TAG_BYTES_MAX + 1 });
        assert_eq!(catalog.stream(&name("full")).map(|stream| &stream.tags), Some(&many));
    });
}
