//! Subscriptions: pushes, credit, ends.

use std::time::Duration;

use tidemill_wire::message::{
    ErrorCode, Fetched, Position, RequestBody, ResponseBody, Settings, Subscribe, SubscriptionEnded,
};
use tidemill_wire::{RequestId, SequenceNumber, ShardIndex, StreamId};

use crate::client::{Client, Record, keyless, name, records};
use crate::fixture::{Fixture, cores};

fn subscribe(
    client: &mut Client,
    stream: StreamId,
    shard: u32,
    position: Position,
    credit: u64,
) -> RequestId {
    let shard = ShardIndex(shard);
    client.send(RequestBody::Subscribe(Subscribe { stream, shard, position, credit_bytes: credit }))
}

fn pushed(client: &mut Client, id: RequestId) -> (Fetched, Vec<Record>) {
    let (response, run) = client.receive();
    assert_eq!(response.id, id);
    match response.body {
        ResponseBody::Fetched(fetched) => (fetched, records(&fetched, run)),
        other => panic!("not pushed: {other:?}"),
    }
}

fn ended(client: &mut Client, id: RequestId) -> SubscriptionEnded {
    let (response, _) = client.receive();
    assert_eq!(response.id, id);
    match response.body {
        ResponseBody::SubscriptionEnded(ended) => ended,
        other => panic!("not ended: {other:?}"),
    }
}

/// Nothing comes for a while: a ping is the next that is answered.
fn expect_silence(client: &mut Client) {
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(client.ask(RequestBody::Ping), ResponseBody::Done);
}

#[test]
fn records_are_pushed_from_the_position_on_and_as_they_come() {
    let server = Fixture::start();
    let stream = server.client().create("pushed", 2, Settings::default()).id;
    for core in 0..cores() as usize {
        for shard in 0..2 {
            let mut producer = server.client();
            let first = producer.append(stream, shard, &keyless(["a", "b"])).expect("stored");
            let mut reader = server.client_of_core(core);
            let position = Position::Sequence(SequenceNumber(first + 1));
            let id = subscribe(&mut reader, stream, shard, position, 1 << 20);
            assert_eq!(pushed(&mut reader, id).1[0].data, "b");
            for word in ["c", "d", "e"] {
                producer.append(stream, shard, &keyless([word])).expect("stored");
                assert_eq!(pushed(&mut reader, id).1[0].data, word);
            }
        }
    }
}

#[test]
fn nothing_is_pushed_without_credit() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("credit", 1, Settings::default()).id;
    for _ in 0..3 {
        client.append(stream, 0, &keyless([vec![1; 1_000]])).expect("stored");
    }
    let id = subscribe(&mut client, stream, 0, Position::Oldest, 0);
    expect_silence(&mut client);
    client.send(RequestBody::Credit { subscription: id, bytes: 1_500 });
    assert_eq!(pushed(&mut client, id).0.next_sequence.0, 1);
    // What is left of the credit is less than an entry, which is pushed whole and uses it up.
    assert_eq!(pushed(&mut client, id).0.next_sequence.0, 2);
    expect_silence(&mut client);
    client.send(RequestBody::Credit { subscription: id, bytes: 1 << 20 });
    assert_eq!(pushed(&mut client, id).0.next_sequence.0, 3);
}

#[test]
fn an_unsubscribed_subscription_says_where_to_go_on() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("left", 1, Settings::default()).id;
    client.append(stream, 0, &keyless(["a", "b"])).expect("stored");
    let id = subscribe(&mut client, stream, 0, Position::Oldest, 1 << 20);
    pushed(&mut client, id);
    client.send(RequestBody::Unsubscribe { subscription: id });
    let end = ended(&mut client, id);
    assert_eq!((end.code, end.next_sequence.0), (ErrorCode::Unsubscribed, 2));
    let refused = client.ask_refused(RequestBody::Unsubscribe { subscription: id });
    assert_eq!(refused.code, ErrorCode::UnknownSubscription);
}

#[test]
fn subscriptions_end_with_their_stream_and_with_wrong_positions() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("ending", 1, Settings::default()).id;
    let beyond = Position::Sequence(SequenceNumber(5));
    let id = subscribe(&mut client, stream, 0, beyond, 1 << 20);
    assert_eq!(ended(&mut client, id).code, ErrorCode::BeyondEnd);
    let id = subscribe(&mut client, stream, 0, Position::Oldest, 1 << 20);
    expect_silence(&mut client);
    assert_eq!(server.client().ask(RequestBody::DeleteStream(name("ending"))), ResponseBody::Done);
    assert_eq!(ended(&mut client, id).code, ErrorCode::UnknownStream);
}

#[test]
fn a_subscription_that_pushed_nothing_says_where_it_was() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("quiet", 2, Settings::default()).id;
    for shard in 0..2 {
        client.append(stream, shard, &keyless(["a", "b"])).expect("stored");
        for credit in [1 << 20, 0] {
            let id = subscribe(&mut client, stream, shard, Position::Newest, credit);
            expect_silence(&mut client);
            client.send(RequestBody::Unsubscribe { subscription: id });
            assert_eq!(ended(&mut client, id).next_sequence.0, 2);
        }
    }
}
