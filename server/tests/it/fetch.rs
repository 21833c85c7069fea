//! Fetches: positions, bounds and waiting.

use std::time::Duration;

use tidemill_wire::message::{Ack, ErrorCode, Fetch, Position, RequestBody, ResponseBody, Settings};
use tidemill_wire::{StreamId, Timestamp};

use crate::client::{append, from_oldest, from_sequence, keyless, records};
use crate::fixture::{Fixture, cores, now};

#[test]
fn every_position_leads_to_its_record() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("positions", 1, Settings::default()).id;
    client.append(stream, 0, &keyless(["0", "1", "2"])).expect("stored");
    std::thread::sleep(Duration::from_millis(20));
    let middle = client.append(stream, 0, &keyless(["3", "4"]));
    assert_eq!(middle, Ok(3));
    let (fetched, all) = client.fetch(from_oldest(stream, 0)).expect("readable");
    assert_eq!((all.len(), fetched.next_sequence.0, fetched.end_sequence.0), (5, 5, 5));
    let (fetched, some) = client.fetch(from_sequence(stream, 0, 4)).expect("readable");
    assert_eq!((fetched.from_sequence.0, some.len()), (4, 1));
    assert_eq!(some[0].data, "4");
    let newest = Fetch { position: Position::Newest, ..from_oldest(stream, 0) };
    let (fetched, none) = client.fetch(newest).expect("readable");
    assert_eq!((fetched.from_sequence.0, none.len()), (5, 0));
    let future = Fetch { position: Position::Timestamp(Timestamp(u64::MAX)), ..from_oldest(stream, 0) };
    assert_eq!(client.fetch(future).expect("readable").0.from_sequence.0, 5);
    let past = Fetch { position: Position::Timestamp(Timestamp(0)), ..from_oldest(stream, 0) };
    assert_eq!(client.fetch(past).expect("readable").0.from_sequence.0, 0);
}

#[test]
fn a_number_beyond_the_end_is_refused_with_the_end() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("beyond", 1, Settings::default()).id;
    client.append(stream, 0, &keyless(["0"])).expect("stored");
    let failure = client.fetch(from_sequence(stream, 0, 7)).expect_err("beyond the end");
    assert_eq!((failure.code, failure.value, failure.limit), (ErrorCode::BeyondEnd, 7, 1));
    let failure = client.fetch(from_oldest(StreamId(99), 0)).expect_err("unknown");
    assert_eq!(failure.code, ErrorCode::UnknownStream);
    let failure = client.fetch(from_oldest(stream, 9)).expect_err("unknown");
    assert_eq!(failure.code, ErrorCode::UnknownShard);
}

#[test]
fn a_fetch_keeps_to_its_bytes_but_gives_at_least_one_entry() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("bytes", 1, Settings::default()).id;
    for _ in 0..10 {
        client.append(stream, 0, &keyless([vec![7; 10_000]])).expect("stored");
    }
    let mut few = from_oldest(stream, 0);
    few.bytes_max = 35_000;
    assert_eq!(client.fetch(few).expect("readable").1.len(), 3);
    few.bytes_max = 1;
    assert_eq!(client.fetch(few).expect("readable").1.len(), 1);
}

#[test]
fn a_waiting_fetch_is_woken_by_the_append_on_any_core() {
    let server = Fixture::start();
    let stream = server.client().create("woken", 2, Settings::default()).id;
    for core in 0..cores() as usize {
        for shard in 0..2 {
            let mut reader = server.client_of_core(core);
            let position = Position::Newest;
            let waiting = Fetch { position, wait_ms: 15_000, ..from_oldest(stream, shard) };
            reader.send(RequestBody::Fetch(waiting));
            std::thread::sleep(Duration::from_millis(30));
            let begun = now();
            server.client().append(stream, shard, &keyless(["news"])).expect("stored");
            let (response, run) = reader.receive();
            let ResponseBody::Fetched(fetched) = response.body else { panic!("{response:?}") };
            assert_eq!(records(&fetched, run)[0].data, "news");
            assert!(begun.elapsed() < Duration::from_secs(5), "woken after {:?}", begun.elapsed());
        }
    }
}

#[test]
fn a_wait_without_records_ends_on_time_with_nothing() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("quiet", 1, Settings::default()).id;
    let begun = now();
    let (fetched, none) = client.fetch(Fetch { wait_ms: 200, ..from_oldest(stream, 0) }).expect("readable");
    assert!(none.is_empty() && fetched.next_sequence.0 == 0);
    let elapsed = begun.elapsed();
    assert!((Duration::from_millis(190)..Duration::from_secs(3)).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn a_waiting_fetch_ends_when_its_stream_is_deleted() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("doomed", 2, Settings::default()).id;
    for shard in 0..2 {
        client.send(RequestBody::Fetch(Fetch { wait_ms: 15_000, ..from_oldest(stream, shard) }));
    }
    std::thread::sleep(Duration::from_millis(30));
    let deleted = server.client().ask(RequestBody::DeleteStream(crate::client::name("doomed")));
    assert_eq!(deleted, ResponseBody::Done);
    for _ in 0..2 {
        let (response, _) = client.receive();
        let ResponseBody::Failed(failure) = response.body else { panic!("{response:?}") };
        assert_eq!(failure.code, ErrorCode::UnknownStream);
    }
}

#[test]
fn many_fetches_wait_on_one_connection_and_each_is_answered() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("crowd", 2, Settings::default()).id;
    for _ in 0..200 {
        for shard in 0..2 {
            client.send(RequestBody::Fetch(Fetch { wait_ms: 15_000, ..from_oldest(stream, shard) }));
        }
    }
    let mut producer = server.client();
    for shard in 0..2 {
        let body = append(stream, Some(shard), Ack::Written);
        producer.ask_with(body, &keyless(["for all"]));
    }
    for _ in 0..400 {
        let (response, _) = client.receive();
        let ResponseBody::Fetched(fetched) = response.body else { panic!("{response:?}") };
        assert_eq!(fetched.next_sequence.0, 1);
    }
}
