//! Streams as such: create, describe, list, update, delete.

use tidemill_wire::message::{
    CreateStream, ErrorCode, ListStreams, Quota, RequestBody, ResponseBody, Settings, ShardState,
    UpdateStream,
};
use tidemill_wire::routing::HashKeyRange;

use crate::client::{Client, keyless, name};
use crate::fixture::{Fixture, cores};

#[test]
fn a_created_stream_is_described_and_usable_on_every_core() {
    let server = Fixture::start();
    let created = server.client().create("new", 4, Settings::default());
    let ranges: Vec<_> = created.shards.iter().map(|shard| shard.range).collect();
    assert_eq!(ranges, HashKeyRange::split_evenly(4));
    assert!(created.shards.iter().all(|shard| shard.state == ShardState::Open));
    let mut lanes: Vec<u32> = created.shards.iter().map(|shard| shard.lane.0).collect();
    lanes.sort_unstable();
    assert_eq!(lanes, [0, 0, 1, 1], "shards are dealt out to the lanes");
    for core in 0..cores() as usize {
        assert_eq!(server.client_of_core(core).describe("new"), created);
    }
}

#[test]
fn a_description_counts_what_every_shard_holds() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("counted", 2, Settings::default()).id;
    client.append(stream, 1, &keyless(["a", "b", "c"])).expect("stored");
    let shards = client.describe("counted").shards;
    assert_eq!((shards[0].next_sequence.0, shards[1].next_sequence.0), (0, 3));
    assert!(shards[0].bytes == 0 && shards[1].bytes > 0, "{shards:?}");
}

/// What `docs/PERFORMANCE.md` measures with a hundred thousand.
#[test]
fn streams_of_very_many_shards_are_created_used_and_found_again() {
    const SHARDS: u32 = 4_096;
    let mut server = Fixture::start_with(|config| config.limits.shards_per_stream = SHARDS);
    let streams = ["first", "second", "third"];
    let mut client = server.client();
    let ids = streams.map(|stream| client.create(stream, SHARDS, Settings::default()).id);
    let used = [0, 1, 2_047, SHARDS - 1];
    for (stream, shard) in ids.into_iter().flat_map(|stream| used.map(|shard| (stream, shard))) {
        client.append(stream, shard, &keyless(["a", "b"])).expect("stored");
    }
    let before = streams.map(|stream| client.describe(stream));
    for described in &before {
        assert_eq!(described.shards.len(), SHARDS as usize);
        let next = described.shards.iter().map(|shard| shard.next_sequence.0);
        assert_eq!(next.sum::<u64>(), 2 * used.len() as u64);
    }
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(streams.map(|stream| client.describe(stream)), before);
    assert_eq!(client.read_all(ids[1], 2_047).len(), 2);
}

#[test]
fn names_that_are_taken_or_unknown_are_refused() {
    let server = Fixture::start();
    let mut client = server.client();
    client.create("taken", 1, Settings::default());
    let again = CreateStream { name: name("taken"), shards: 1, settings: Settings::default() };
    assert_eq!(client.ask_refused(RequestBody::CreateStream(again)).code, ErrorCode::StreamExists);
    for asked in [
        RequestBody::DescribeStream(name("none")),
        RequestBody::DeleteStream(name("none")),
        RequestBody::UpdateStream(UpdateStream { name: name("none"), settings: Settings::default() }),
    ] {
        assert_eq!(client.ask_refused(asked).code, ErrorCode::UnknownStream);
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_their_limit() {
    let server = Fixture::start();
    let mut client = server.client();
    let shards = |shards| CreateStream { name: name("odd"), shards, settings: Settings::default() };
    let refused = client.ask_refused(RequestBody::CreateStream(shards(2_000)));
    assert_eq!((refused.code, refused.value, refused.limit), (ErrorCode::LimitExceeded, 2_000, 1_024));
    assert_eq!(client.ask_refused(RequestBody::CreateStream(shards(0))).code, ErrorCode::LimitExceeded);
    let settings = Settings { retention_ms: Some(1), ..Settings::default() };
    let short = CreateStream { name: name("odd"), shards: 1, settings };
    assert_eq!(client.ask_refused(RequestBody::CreateStream(short)).code, ErrorCode::InvalidRequest);
}

#[test]
fn an_update_changes_what_it_names_on_every_core() {
    let server = Fixture::start();
    server.client().create("changing", 2, Settings::default());
    let quota = Quota { write_bytes_per_second: 5_000_000, ..Quota::OFF };
    let settings = Settings { quota: Some(quota), ..Settings::default() };
    let update = UpdateStream { name: name("changing"), settings };
    let answer = server.client().ask(RequestBody::UpdateStream(update));
    let ResponseBody::StreamDescription(updated) = answer else { panic!("{answer:?}") };
    assert_eq!(updated.quota, quota);
    for core in 0..cores() as usize {
        assert_eq!(server.client_of_core(core).describe("changing"), updated);
    }
}

#[test]
fn a_deleted_streams_name_can_be_used_again_for_another_stream() {
    let server = Fixture::start();
    let mut client = server.client();
    let first = client.create("again", 1, Settings::default()).id;
    client.append(first, 0, &keyless(["old"])).expect("stored");
    assert_eq!(client.ask(RequestBody::DeleteStream(name("again"))), ResponseBody::Done);
    assert_eq!(client.ask_refused(RequestBody::DescribeStream(name("again"))).code, ErrorCode::UnknownStream);
    let second = client.create("again", 1, Settings::default()).id;
    assert_ne!(first, second);
    let refused = client.append(first, 0, &keyless(["late"])).expect_err("the old stream is gone");
    assert_eq!(refused.code, ErrorCode::UnknownStream);
    assert_eq!(client.append(second, 0, &keyless(["new"])), Ok(0));
    assert_eq!(client.read_all(second, 0).len(), 1);
}

fn page(client: &mut Client, after: Option<&str>, limit: u32) -> (Vec<String>, bool) {
    let asked = ListStreams { after: after.map(name), limit };
    match client.ask(RequestBody::ListStreams(asked)) {
        ResponseBody::StreamList { streams, more } => {
            (streams.into_iter().map(|stream| stream.name.to_string()).collect(), more)
        }
        other => panic!("not listed: {other:?}"),
    }
}

#[test]
fn lists_come_in_pages_in_the_order_of_names() {
    let server = Fixture::start();
    let mut client = server.client();
    for stream in ["delta", "alpha", "charlie", "bravo"] {
        client.create(stream, 1, Settings::default());
    }
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(page(&mut client, None, 3), (names(&["alpha", "bravo", "charlie"]), true));
    assert_eq!(page(&mut client, Some("charlie"), 3), (names(&["delta"]), false));
    assert_eq!(page(&mut client, Some("bz"), 0), (names(&["charlie", "delta"]), false));
    assert_eq!(page(&mut client, Some("zulu"), 3), (vec![], false));
}
