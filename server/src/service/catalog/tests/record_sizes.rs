//! Bounds on the size of records in both catalogs.

use super::*;

#[test]
fn a_stream_has_the_size_that_was_said_until_it_is_deleted() {
    on_each(|catalog| {
        let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free").id;
        assert_eq!(catalog.state().record_kib(stream), RECORD_KIB_MIN);
        catalog.set_record_size(stream, 5_000).expect("in its range");
        assert_eq!(catalog.state().record_kib(stream), 5_000);
        for kib in [0, RECORD_KIB_MIN - 1, RECORD_KIB_MAX + 1] {
            let error = catalog.set_record_size(stream, kib);
            assert!(matches!(error, Err(RecordSizeError::OutOfRange { .. })), "{error:?}");
        }
        assert_eq!(catalog.state().record_kib(stream), 5_000);
        catalog.delete_stream(&name("logs"), OnConsumers::Refuse).expect("it is there");
        assert_eq!(catalog.state().record_kib(stream), RECORD_KIB_MIN);
        let late = catalog.set_record_size(stream, 5_000);
        assert!(matches!(late, Err(RecordSizeError::Unknown { .. })), "{late:?}");
    });
}

#[test]
fn a_stream_is_created_with_the_size_of_its_records() {
    on_each(|catalog| {
        let sized = |text, kib| NewStream {
            aside: Aside { record_kib: Some(kib), ..Aside::default() },
            ..new(text, 1)
        };
        let stream = catalog.create_stream(sized("large", 5_000), Timestamp(1)).expect("the name is free");
        assert_eq!(catalog.state().record_kib(stream.id), 5_000);
        let refused = catalog.create_stream(sized("larger", RECORD_KIB_MAX + 1), Timestamp(1));
        assert!(matches!(refused, Err(CreateStreamError::RecordSize { kib: 10_241 })), "{refused:?}");
        assert_eq!(catalog.stream(&name("larger")), None);
    });
}

#[test]
fn a_size_is_there_again_after_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("catalog.redb");
    let mut catalog = RedbCatalog::create(&path, NODE, LIMITS, DEFAULTS).expect("a new catalog");
    let mut ids = ["kept", "gone", "plain"].map(|text| {
        let created = catalog.create_stream(new(text, 1), Timestamp(1));
        created.expect("the name is free").id
    });
    catalog.set_record_size(ids[0], 2_048).expect("in its range");
    let sized = NewStream { aside: Aside { record_kib: Some(3_072), ..Aside::default() }, ..new("sized", 1) };
    let sized = catalog.create_stream(sized, Timestamp(1)).expect("the name is free").id;
    catalog.set_record_size(ids[1], 2_048).expect("in its range");
    catalog.delete_stream(&name("gone"), OnConsumers::Refuse).expect("it is there");
    drop(catalog);
    let opened = RedbCatalog::open(&path, LIMITS, DEFAULTS).expect("it is sound");
    let catalog = opened.expect("it is there");
    ids.sort();
    assert_eq!(catalog.state().record_kib(sized), 3_072);
    assert_eq!(ids.map(|stream| catalog.state().record_kib(stream)), [2_048, RECORD_KIB_MIN, RECORD_KIB_MIN]);
}
