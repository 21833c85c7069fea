//! Appends: to a named shard, routed by key, across cores, in order.

use std::collections::BTreeMap;

use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::message::{Ack, ErrorCode, ResponseBody, RoutedAppend, Settings};
use tidemill_wire::routing::{HashKeyRange, RoutingTable};
use tidemill_wire::{ShardIndex, StreamId};

use crate::client::{Client, append, batch, from_oldest, keyless};
use crate::fixture::{Fixture, cores};

fn append_routed(client: &mut Client, stream: StreamId, bytes: &[u8]) -> RoutedAppend {
    match client.ask_with(append(stream, None, Ack::Durable), bytes).0 {
        ResponseBody::RoutedAppend(routed) => routed,
        other => panic!("not routed: {other:?}"),
    }
}

fn route(key: &str, shards: u32) -> ShardIndex {
    let ranges = HashKeyRange::split_evenly(shards).into_iter().zip((0..).map(ShardIndex));
    RoutingTable::new(ranges).expect("an even split").route(key.as_bytes())
}

#[test]
fn appended_batches_come_back_unchanged_and_numbered_without_gaps() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("plain", 1, Settings::default()).id;
    let first = batch([("a", "one"), ("b", "two")]);
    assert_eq!(client.append(stream, 0, &first), Ok(0));
    assert_eq!(client.append(stream, 0, &keyless(["three"])), Ok(2));
    let (body, run) =
        client.ask_with(tidemill_wire::message::RequestBody::Fetch(from_oldest(stream, 0)), &[]);
    assert!(matches!(body, ResponseBody::Fetched(_)));
    let mut entries = tidemill_wire::entry::EntryRun::new(run);
    let (_, payload) = entries.next().expect("an entry").expect("a whole one");
    assert_eq!(payload, first, "the batch is stored as it was sent");
    let data: Vec<_> = client.read_all(stream, 0).into_iter().map(|r| (r.sequence, r.data)).collect();
    assert_eq!(data, [(0, "one".into()), (1, "two".into()), (2, "three".into())]);
}

#[test]
fn both_acknowledgements_are_given_on_every_cores_port_for_every_shard() {
    let server = Fixture::start();
    let stream = server.client().create("spread", 4, Settings::default()).id;
    for core in 0..cores() as usize {
        let mut client = server.client_of_core(core);
        for shard in 0..4 {
            for ack in [Ack::Durable, Ack::Written] {
                let (body, _) = client.ask_with(append(stream, Some(shard), ack), &keyless(["x"]));
                assert!(matches!(body, ResponseBody::Appended(_)), "core {core}, shard {shard}: {body:?}");
            }
        }
    }
    let description = server.client().describe("spread");
    for shard in &description.shards {
        assert_eq!(shard.next_sequence.0, 2 * u64::from(cores()), "{shard:?}");
    }
}

#[test]
fn pipelined_appends_to_a_shard_keep_their_order_wherever_it_is() {
    let server = Fixture::start();
    let mut client = server.client_of_core(0);
    let stream = client.create("ordered", 2, Settings::default()).id;
    let mut all = bytes::BytesMut::new();
    for number in 0..500_u32 {
        for shard in 0..2 {
            let data = keyless([format!("{number:05}")]);
            all.extend_from_slice(&client.frame(append(stream, Some(shard), Ack::Written), &data).1);
        }
    }
    client.send_raw(&all);
    for _ in 0..1_000 {
        let (response, _) = client.receive();
        assert!(matches!(response.body, ResponseBody::Appended(_)), "{response:?}");
    }
    for shard in 0..2 {
        let data: Vec<_> = client.read_all(stream, shard).into_iter().map(|record| record.data).collect();
        let expected: Vec<_> = (0..500).map(|number| bytes::Bytes::from(format!("{number:05}"))).collect();
        assert_eq!(data, expected, "shard {shard}");
    }
}

#[test]
fn a_routed_append_puts_each_record_where_its_key_leads_and_tells_where() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("routed", 4, Settings::default()).id;
    let records: Vec<(String, String)> =
        (0..200).map(|i| (format!("key-{}", i % 17), format!("{i}"))).collect();
    let routed = append_routed(&mut client, stream, &batch(records.iter().map(|(k, d)| (k, d))));
    assert_eq!(routed.placement_of.len(), records.len());
    let mut next: BTreeMap<u16, u64> = BTreeMap::new();
    let mut expected: BTreeMap<ShardIndex, Vec<(u64, String, String)>> = BTreeMap::new();
    for ((key, data), part) in records.iter().zip(&routed.placement_of) {
        let placement = &routed.placements[usize::from(*part)];
        assert_eq!(placement.shard, route(key, 4), "{key}");
        let appended = placement.outcome.expect("stored");
        let nth = next.entry(*part).or_default();
        let row = (appended.base_sequence.0 + *nth, key.clone(), data.clone());
        *nth += 1;
        expected.entry(placement.shard).or_default().push(row);
    }
    for (shard, rows) in expected {
        let found = client.read_all(stream, shard.0).into_iter().map(|record| {
            let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
            (record.sequence, text(record.key), text(record.data))
        });
        assert_eq!(found.collect::<Vec<_>>(), rows, "shard {shard}");
    }
}

#[test]
fn a_routed_batch_for_one_shard_is_stored_whole_even_when_compressed() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("whole", 4, Settings::default()).id;
    let mut builder = BatchBuilder::new();
    for _ in 0..100 {
        builder.push(b"the same key", &[b'x'; 200], None).expect("a small batch");
    }
    let bytes = builder.build(Compression::Lz4).expect("records");
    let routed = append_routed(&mut client, stream, &bytes);
    assert_eq!(routed.placements.len(), 1);
    let shard = routed.placements[0].shard;
    assert_eq!(shard, route("the same key", 4));
    assert_eq!(client.read_all(stream, shard.0).len(), 100);
}

#[test]
fn a_compressed_batch_for_several_shards_is_refused() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("refused", 4, Settings::default()).id;
    let mut builder = BatchBuilder::new();
    for number in 0..100 {
        builder.push(format!("key-{number}").as_bytes(), &[b'x'; 200], None).expect("a small batch");
    }
    let bytes = builder.build(Compression::Zstd).expect("records");
    match client.ask_with(append(stream, None, Ack::Durable), &bytes).0 {
        ResponseBody::Failed(failure) => assert_eq!(failure.code, ErrorCode::RoutingRefused),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn batches_without_keys_take_turns_among_the_shards() {
    let server = Fixture::start();
    let mut client = server.client_of_core(0);
    let stream = client.create("turns", 3, Settings::default()).id;
    let mut shards = Vec::new();
    for _ in 0..6 {
        let routed = append_routed(&mut client, stream, &keyless(["a", "b"]));
        assert_eq!(routed.placements.len(), 1, "records without keys stay together");
        shards.push(routed.placements[0].shard.0);
    }
    shards.sort_unstable();
    assert_eq!(shards, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn unknown_streams_and_shards_are_told_apart() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("known", 1, Settings::default()).id;
    let refused = |outcome: Result<u64, tidemill_wire::message::Failure>| outcome.expect_err("refused").code;
    assert_eq!(refused(client.append(StreamId(999), 0, &keyless(["x"]))), ErrorCode::UnknownStream);
    assert_eq!(refused(client.append(stream, 1, &keyless(["x"]))), ErrorCode::UnknownShard);
    match client.ask_with(append(StreamId(999), None, Ack::Durable), &keyless(["x"])).0 {
        ResponseBody::Failed(failure) => assert_eq!(failure.code, ErrorCode::UnknownStream),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn large_batches_cross_cores_whole() {
    let server = Fixture::start();
    let mut client = server.client_of_core(0);
    let stream = client.create("large", 2, Settings::default()).id;
    for round in 0..20_u8 {
        for shard in 0..2 {
            let large = keyless((0..9).map(|_| vec![round; 100_000]));
            assert_eq!(client.append(stream, shard, &large), Ok(u64::from(round) * 9));
        }
    }
    for shard in 0..2 {
        let records = client.read_all(stream, shard);
        assert_eq!(records.len(), 180);
        for record in records {
            let round = u8::try_from(record.sequence / 9).expect("small");
            assert!(record.data.len() == 100_000 && record.data.iter().all(|byte| *byte == round));
        }
    }
}
