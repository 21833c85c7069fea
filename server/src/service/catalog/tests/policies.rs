//! Policies in both catalogs.

use super::*;
use crate::service::consumer::ConsumerName;

fn policy(catalog: &dyn Catalog, holder: &PolicyHolder) -> Option<String> {
    catalog.state().policy(holder).map(str::to_owned)
}

/// A stream with a consumer, as holders of policies.
fn holders(catalog: &mut dyn Catalog) -> [PolicyHolder; 2] {
    let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free").id;
    let name = ConsumerName::new("one").expect("a name");
    let new = NewConsumer { stream, name: name.clone(), tags: BTreeMap::new() };
    catalog.register_consumer(new, Timestamp(1)).expect("the name is free");
    [PolicyHolder { stream, consumer: None }, PolicyHolder { stream, consumer: Some(name) }]
}

#[test]
fn policies_are_set_replaced_and_removed_and_go_with_their_holders() {
    on_each(|catalog| {
        let [stream, consumer] = holders(catalog);
        let set = |catalog: &mut dyn Catalog, holder: &PolicyHolder, text: &str| {
            catalog.set_policy(holder.clone(), Some(text.to_owned())).expect("it may");
        };
        set(catalog, &stream, "{}");
        set(catalog, &consumer, "{\"a\":1}");
        set(catalog, &stream, "{\"b\":2}");
        assert_eq!(policy(catalog, &stream).as_deref(), Some("{\"b\":2}"));
        assert_eq!(policy(catalog, &consumer).as_deref(), Some("{\"a\":1}"));
        catalog.set_policy(stream.clone(), None).expect("there is one");
        let again = catalog.set_policy(stream.clone(), None);
        assert!(matches!(again, Err(PolicyError::None)), "{again:?}");
        let name = consumer.consumer.clone().expect("a consumer");
        catalog.deregister_consumer(stream.stream, &name).expect("it is there");
        assert_eq!(policy(catalog, &consumer), None);
        let late = catalog.set_policy(consumer, Some("{}".to_owned()));
        assert!(matches!(late, Err(PolicyError::Unknown)), "{late:?}");
        set(catalog, &stream, "{}");
        catalog.delete_stream(&name_of_stream(), OnConsumers::Refuse).expect("it has no consumers");
        assert_eq!(policy(catalog, &stream), None);
    });
}

fn name_of_stream() -> StreamName {
    name("logs")
}

#[test]
fn a_policy_has_a_bound() {
    on_each(|catalog| {
        let [stream, _] = holders(catalog);
        catalog.set_policy(stream.clone(), Some("x".repeat(POLICY_BYTES_MAX))).expect("as long as may be");
        let error = catalog.set_policy(stream, Some("x".repeat(POLICY_BYTES_MAX + 1)));
        assert!(matches!(error, Err(PolicyError::TooLong { found: 20_481 })), "{error:?}");
    });
}

#[test]
fn policies_are_there_again_after_a_restart_without_those_of_who_has_gone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("catalog.redb");
    let mut catalog = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
    let [stream, consumer] = holders(&mut catalog);
    for holder in [&stream, &consumer] {
        catalog.set_policy(holder.clone(), Some("{}".to_owned())).expect("it may");
    }
    let reopen = |catalog: RedbCatalog| {
        drop(catalog);
        RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound").expect("it is there")
    };
    let mut catalog = reopen(catalog);
    assert_eq!([&stream, &consumer].map(|holder| policy(&catalog, holder).is_some()), [true, true]);
    let name = consumer.consumer.clone().expect("a consumer");
    catalog.deregister_consumer(stream.stream, &name).expect("it is there");
    let new = NewConsumer { stream: stream.stream, name, tags: BTreeMap::new() };
    let mut catalog = reopen(catalog);
    catalog.register_consumer(new, Timestamp(2)).expect("the name is free again");
    let catalog = reopen(catalog);
    assert_eq!([&stream, &consumer].map(|holder| policy(&catalog, holder).is_some()), [true, false]);
}
