//! Capacities of streams in both catalogs.

use super::*;
use crate::service::capacity::Capacity;

#[test]
fn a_stream_has_the_servers_calls_until_its_own_are_said() {
    on_each(|catalog| {
        let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free").id;
        let calls = |catalog: &dyn Catalog| catalog.state().capacity(stream).read_calls_per_second;
        assert_eq!(calls(catalog), 5);
        let settings = Settings { read_calls_per_second: Some(7), ..Settings::default() };
        let other = NewStream { settings, ..new("other", 1) };
        let other = catalog.create_stream(other, Timestamp(1)).expect("the name is free").id;
        assert_eq!(catalog.state().capacity(other).read_calls_per_second, 7);
        catalog.update_stream(&name("logs"), Settings::default()).expect("it is there");
        assert_eq!(calls(catalog), 5);
        catalog.update_stream(&name("logs"), settings).expect("it is there");
        assert_eq!(calls(catalog), 7);
        let beyond = Settings { read_calls_per_second: Some(RATE_MAX + 1), ..Settings::default() };
        let error = catalog.update_stream(&name("logs"), beyond).expect_err("it is too much").to_string();
        assert!(error.contains("read_calls_per_second"), "{error}");
        assert_eq!(calls(catalog), 7);
        let off = Settings { read_calls_per_second: Some(0), ..Settings::default() };
        catalog.update_stream(&name("logs"), off).expect("it is there");
        assert_eq!(catalog.state().capacity(stream), Capacity::default());
        catalog.delete_stream(&name("other"), OnConsumers::Refuse).expect("it is there");
        assert_eq!(catalog.state().capacity(other), Capacity::default());
    });
}

#[test]
fn a_capacity_is_there_again_after_a_restart_and_goes_with_its_stream() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("catalog.redb");
    let mut catalog = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
    let settings = Settings { read_calls_per_second: Some(9), ..Settings::default() };
    let ids = ["kept", "gone", "off"].map(|text| {
        let created = catalog.create_stream(NewStream { settings, ..new(text, 1) }, Timestamp(1));
        created.expect("the name is free").id
    });
    let off = Settings { read_calls_per_second: Some(0), ..Settings::default() };
    catalog.update_stream(&name("off"), off).expect("it is there");
    catalog.delete_stream(&name("gone"), OnConsumers::Refuse).expect("it is there");
    drop(catalog);
    let opened = RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound");
    let catalog = opened.expect("it is there");
    assert_eq!(ids.map(|id| catalog.state().capacity(id).read_calls_per_second), [9, 0, 0]);
}
