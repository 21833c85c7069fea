//! Consumers in both catalogs.

use super::*;
use crate::service::consumer::CONSUMERS_MAX;

fn consumer(text: &str) -> ConsumerName {
    ConsumerName::new(text).expect("tests use valid names")
}

fn new_consumer(stream: StreamId, text: &str) -> NewConsumer {
    NewConsumer { stream, name: consumer(text), tags: tags([("a", "1")]) }
}

fn known(catalog: &dyn Catalog, stream: StreamId) -> Vec<String> {
    let consumers = catalog.state().consumers(stream).into_iter().flat_map(|all| all.keys());
    consumers.map(ConsumerName::to_string).collect()
}

#[test]
fn consumers_go_with_their_stream() {
    on_each(|catalog| {
        let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free").id;
        let made = catalog.register_consumer(new_consumer(stream, "one"), Timestamp(5)).expect("it is free");
        assert_eq!((made.created, made.tags.len()), (Timestamp(5), 1));
        let again = catalog.register_consumer(new_consumer(stream, "one"), Timestamp(6));
        assert_eq!(again.expect_err("it is there").to_string(), "consumer one exists already");
        catalog.register_consumer(new_consumer(stream, "two"), Timestamp(6)).expect("it is free");
        assert_eq!(known(catalog, stream), ["one", "two"]);
        let tagged = catalog.tag_consumer(stream, &consumer("one"), TagChange::Set(tags([("a", "2")])));
        assert_eq!(tagged.expect("it is there"), Consumer { tags: tags([("a", "2")]), ..made });
        catalog.deregister_consumer(stream, &consumer("two")).expect("it is there");
        let gone = catalog.deregister_consumer(stream, &consumer("two"));
        assert_eq!(gone.expect_err("it is gone").to_string(), "consumer two does not exist");
        let kept = catalog.delete_stream(&name("logs"), OnConsumers::Refuse).expect_err("one is left");
        assert_eq!(kept.to_string(), "stream logs has 1 registered consumers");
        catalog.delete_stream(&name("logs"), OnConsumers::Deregister).expect("it may");
        assert!(catalog.state().consumers(stream).is_none());
        let late = catalog.register_consumer(new_consumer(stream, "one"), Timestamp(7));
        assert!(matches!(late, Err(RegisterConsumerError::UnknownStream { .. })));
    });
}

#[test]
fn a_stream_has_as_many_consumers_as_it_may() {
    on_each(|catalog| {
        let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free").id;
        for number in 0..CONSUMERS_MAX {
            let new = new_consumer(stream, &number.to_string());
            catalog.register_consumer(new, Timestamp(1)).expect("one of as many as there may be");
        }
        let error = catalog.register_consumer(new_consumer(stream, "more"), Timestamp(1));
        assert!(matches!(error, Err(RegisterConsumerError::TooMany { limit: CONSUMERS_MAX })), "{error:?}");
    });
}

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Delete(u8, bool),
    Register(u8, u8),
    Deregister(u8, u8),
    Tag(u8, u8, u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..3_u8;
    prop_oneof![
        2 => at().prop_map(Step::Create),
        1 => (at(), any::<bool>()).prop_map(|(at, enforced)| Step::Delete(at, enforced)),
        4 => (at(), at()).prop_map(|(at, who)| Step::Register(at, who)),
        2 => (at(), at()).prop_map(|(at, who)| Step::Deregister(at, who)),
        2 => (at(), at(), at()).prop_map(|(at, who, tag)| Step::Tag(at, who, tag)),
        1 => Just(Step::Reopen),
    ]
}

/// What a step comes to, as a text that tells success from each failure.
fn take(catalog: &mut dyn Catalog, step: &Step) -> String {
    let id = |catalog: &dyn Catalog, at: u8| {
        catalog.stream(&name(&format!("s{at}"))).map_or(StreamId(99), |stream| stream.id)
    };
    match *step {
        Step::Create(at) => format!("{:?}", catalog.create_stream(new(&format!("s{at}"), 1), Timestamp(9))),
        Step::Delete(at, enforced) => {
            let on_consumers = if enforced { OnConsumers::Deregister } else { OnConsumers::Refuse };
            format!("{:?}", catalog.delete_stream(&name(&format!("s{at}")), on_consumers))
        }
        Step::Register(at, who) => {
            let new = new_consumer(id(catalog, at), &format!("c{who}"));
            format!("{:?}", catalog.register_consumer(new, Timestamp(9)))
        }
        Step::Deregister(at, who) => {
            format!("{:?}", catalog.deregister_consumer(id(catalog, at), &consumer(&format!("c{who}"))))
        }
        Step::Tag(at, who, tag) => {
            let change = TagChange::Set(tags([("t", tag.to_string().as_str())]));
            format!("{:?}", catalog.tag_consumer(id(catalog, at), &consumer(&format!("c{who}")), change))
        }
        Step::Reopen => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The consumers in a file, opened again at any time, are those in memory.
    #[test]
    fn both_catalogs_agree_on_consumers_across_restarts(steps in prop::collection::vec(step(), 0..40)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("catalog.redb");
        let mut stored = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
        let mut model = MemoryCatalog::new(NODE, LIMITS, DEFAULTS);
        for step in steps {
            if matches!(step, Step::Reopen) {
                drop(stored);
                let opened = RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound");
                stored = opened.expect("it is there");
            }
            prop_assert_eq!(take(&mut stored, &step), take(&mut model, &step));
            for stream in model.streams() {
                prop_assert_eq!(stored.state().consumers(stream.id), model.state().consumers(stream.id));
            }
        }
    }
}
