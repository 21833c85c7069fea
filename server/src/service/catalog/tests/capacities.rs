//! Capacities of streams in both catalogs.

use super::*;
use crate::service::capacity::{Capacity, Mode};
use crate::service::peaks::{Peak, Peaks};

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
fn peaks_are_there_again_after_a_restart_and_go_with_their_stream() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("catalog.redb");
    let mut catalog = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
    let peaks = |bytes_per_second| {
        Peaks::of(vec![Peak { day: 20_000, bytes_per_second, records_per_second: 7 }]).expect("one day")
    };
    let ids = ["kept", "gone", "quiet"]
        .map(|text| catalog.create_stream(new(text, 1), Timestamp(1)).expect("the name is free").id);
    catalog.note_peaks(ids[0], peaks(1)).expect("the disk is sound");
    catalog.note_peaks(ids[0], peaks(2)).expect("the disk is sound");
    catalog.note_peaks(ids[1], peaks(3)).expect("the disk is sound");
    catalog.note_peaks(StreamId(99), peaks(4)).expect("nothing is done");
    catalog.delete_stream(&name("gone"), OnConsumers::Refuse).expect("it is there");
    catalog.note_peaks(ids[1], peaks(5)).expect("nothing is done");
    drop(catalog);
    let opened = RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound");
    let catalog = opened.expect("it is there");
    assert_eq!(ids.map(|id| catalog.state().peaks(id).cloned()), [Some(peaks(2)), None, None]);
}

#[test]
fn all_streams_together_have_as_many_shards_and_streams_on_demand_as_they_may() {
    let account = AccountLimits { shards: 12, on_demand_streams: 1 };
    let node = Node { id: NodeId(1), lanes: 1 };
    let mut catalog = MemoryCatalog::new(node, Limits { account, streams: 10, ..LIMITS }, DEFAULTS);
    let on_demand = |text: &str| {
        let capacity = Capacity { mode: Mode::OnDemand, ..Capacity::default() };
        NewStream { aside: Aside { capacity, ..Aside::default() }, ..new(text, 4) }
    };
    let to = |mode| CapacityChange::Mode(mode, None);
    catalog.create_stream(on_demand("first"), Timestamp(1)).expect("it may be");
    let refused = catalog.create_stream(on_demand("second"), Timestamp(1)).expect_err("it is one more");
    assert_eq!(refused.to_string(), "there are 1 streams on demand, which is the limit");
    catalog.create_stream(new("second", 4), Timestamp(1)).expect("it is provisioned");
    let refused = catalog.change_capacity(&name("second"), to(Mode::OnDemand), Timestamp(1));
    assert!(refused.is_err_and(|error| error.to_string().contains("which is the limit")));
    catalog.change_capacity(&name("first"), to(Mode::OnDemand), Timestamp(1)).expect("it is no change");
    catalog.change_capacity(&name("first"), to(Mode::Provisioned), Timestamp(1)).expect("it may be");
    catalog.change_capacity(&name("second"), to(Mode::OnDemand), Timestamp(1)).expect("there is none");

    let refused = catalog.create_stream(new("third", 5), Timestamp(1)).expect_err("they are too many");
    assert_eq!(refused.to_string(), "there would be 13 open shards in all, the limit is 12");
    catalog.create_stream(new("third", 3), Timestamp(1)).expect("eleven are open");
    let scale = |shards| ShardChange::Scale { shards };
    let refused = catalog.plan_reshard(&name("first"), scale(6)).expect_err("they are too many");
    assert_eq!(refused.to_string(), "there would be 13 open shards in all, the limit is 12");
    for shards in [2, 4, 5] {
        catalog.plan_reshard(&name("first"), scale(shards)).expect("they are not more than there may be");
    }
    catalog.delete_stream(&name("second"), OnConsumers::Refuse).expect("it is there");
    catalog.plan_reshard(&name("first"), scale(8)).expect("there is room again");
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
