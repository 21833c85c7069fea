//! Catalog and log that do not fit together: what is in one and not in the other.

use std::path::PathBuf;

use tidemill_server::boot::StartError;
use tidemill_server::config::UnknownOwners;
use tidemill_wire::StreamId;
use tidemill_wire::message::{ErrorCode, RequestBody, Settings};

use crate::client::{Client, keyless, name};
use crate::fixture::Fixture;

fn catalog(server: &Fixture) -> PathBuf {
    server.directory.path().join("data/catalog.redb")
}

fn data(client: &mut Client, stream: StreamId, shard: u32) -> Vec<bytes::Bytes> {
    client.read_all(stream, shard).into_iter().map(|record| record.data).collect()
}

/// A server with a stream that both catalogs know and one that only the newer one does. Returns the two and where the older catalog is.
fn with_an_older_catalog() -> (Fixture, StreamId, StreamId, PathBuf) {
    let mut server = Fixture::start();
    let mut client = server.client();
    let old = client.create("old", 2, Settings::default()).id;
    client.append(old, 0, &keyless(["kept"])).expect("stored");
    drop(client);
    server.stop();
    let older = server.directory.path().join("older.redb");
    std::fs::copy(catalog(&server), &older).expect("a backup");
    server.restart();
    let mut client = server.client();
    let new = client.create("new", 3, Settings::default()).id;
    for shard in 0..3 {
        client.append(new, shard, &keyless([format!("lost {shard}")])).expect("stored");
    }
    drop(client);
    server.stop();
    (server, old, new, older)
}

#[test]
fn a_catalog_that_is_older_than_the_log_is_refused_and_costs_nothing() {
    let (mut server, old, new, older) = with_an_older_catalog();
    let newer = server.directory.path().join("newer.redb");
    std::fs::rename(catalog(&server), &newer).expect("put aside");
    std::fs::copy(&older, catalog(&server)).expect("restored");
    for _ in 0..2 {
        let error = server.restart_with(|_| {}).expect_err("shards are unknown");
        assert!(matches!(*error, StartError::UnknownOwners { owners: 3, next: 3, .. }), "{error}");
        assert!(error.to_string().contains("data.unknown_owners=forget"), "{error}");
    }
    std::fs::rename(newer, catalog(&server)).expect("put back");
    server.restart();
    let mut client = server.client();
    assert_eq!(data(&mut client, old, 0), ["kept"]);
    for shard in 0..3 {
        assert_eq!(data(&mut client, new, shard), [format!("lost {shard}")]);
    }
}

#[test]
fn a_catalog_that_is_lost_is_refused_as_well() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("only", 1, Settings::default()).id;
    client.append(stream, 0, &keyless(["kept"])).expect("stored");
    drop(client);
    server.stop();
    let aside = server.directory.path().join("aside.redb");
    std::fs::rename(catalog(&server), &aside).expect("put aside");
    let error = server.restart_with(|_| {}).expect_err("the shard is unknown");
    assert!(matches!(*error, StartError::UnknownOwners { owners: 1, .. }), "{error}");
    std::fs::rename(aside, catalog(&server)).expect("put back");
    server.restart();
    assert_eq!(data(&mut server.client(), stream, 0), ["kept"]);
}

#[test]
fn unknown_shards_that_are_forgotten_give_their_ids_to_nobody() {
    let (mut server, old, new, older) = with_an_older_catalog();
    std::fs::copy(older, catalog(&server)).expect("restored");
    server.restart_with(|config| config.data.unknown_owners = UnknownOwners::Forget).expect("told to");
    let mut client = server.client();
    assert_eq!(client.ask_refused(RequestBody::DescribeStream(name("new"))).code, ErrorCode::UnknownStream);
    let next = client.create("next", 3, Settings::default()).id;
    assert!(next > new, "clients of the lost stream may still use its id");
    drop(client);
    // The log still holds what was forgotten. With the ids it would be found by whoever has them now.
    server.restart();
    let mut client = server.client();
    assert_eq!(data(&mut client, old, 0), ["kept"]);
    for shard in 0..3 {
        assert_eq!(data(&mut client, next, shard), [""; 0]);
        assert_eq!(client.append(next, shard, &keyless(["first"])), Ok(0));
    }
}

#[test]
fn a_stream_that_was_deleted_without_its_lanes_being_told_is_gone_after_the_next_start() {
    let (mut server, old, new, _) = with_an_older_catalog();
    server.restart();
    let mut client = server.client();
    client.ask(RequestBody::DeleteStream(name("new")));
    drop(client);
    server.stop();
    // What lanes forget they tell nobody: this start finds the owners in the log, as after a crash.
    server.restart();
    let mut client = server.client();
    assert_eq!(data(&mut client, old, 0), ["kept"]);
    let next = client.create("next", 3, Settings::default()).id;
    assert!(next > new);
    assert_eq!(data(&mut client, next, 0), [""; 0]);
}

#[test]
fn a_stream_whose_lanes_have_lost_everything_begins_anew() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("empty", 4, Settings::default()).id;
    drop(client);
    server.stop();
    for lane in ["lane-000", "lane-001"] {
        std::fs::remove_dir_all(server.directory.path().join("data").join(lane)).expect("lost");
    }
    server.restart();
    for shard in 0..4 {
        assert_eq!(server.client().append(stream, shard, &keyless(["first"])), Ok(0));
    }
}
