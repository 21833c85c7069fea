//! Bounds: connections, requests in flight, memory, slow readers.

use std::time::Duration;

use bytes::BytesMut;
use tidemill_wire::message::{Ack, ErrorCode, Fetch, ListStreams, RequestBody, ResponseBody, Settings};

use crate::client::{Client, append, from_oldest, keyless};
use crate::fixture::{Fixture, http, now};

#[test]
fn connections_over_the_limit_are_told_so_and_closed() {
    let server = Fixture::start_with(|config| {
        config.server.cores = Some(1);
        config.limits.connections = 3;
    });
    let held: Vec<Client> = (0..3).map(|_| server.client()).collect();
    let mut refused = Client::connect_silently(server.addresses().native);
    assert_eq!(refused.expect_ended(), Some(ErrorCode::Overloaded));
    drop(held);
    let begun = now();
    loop {
        let mut client = Client::connect_silently(server.addresses().native);
        client.send(crate::client::hello());
        match client.try_receive().map(|(response, _)| response.body) {
            Some(ResponseBody::Welcome(_)) => return,
            _ => assert!(begun.elapsed() < Duration::from_secs(5), "no place became free"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn requests_over_the_limit_of_a_connection_wait_their_turn() {
    let server = Fixture::start_with(|config| config.limits.connection_inflight_requests = 4);
    let mut client = server.client();
    let stream = client.create("few", 2, Settings::default()).id;
    for shard in (0..200).map(|number| number % 2) {
        client.send_with(append(stream, Some(shard), Ack::Durable), &keyless(["x"]));
    }
    for _ in 0..200 {
        let (response, _) = client.receive();
        assert!(matches!(response.body, ResponseBody::Appended(_)), "{response:?}");
    }
}

#[test]
fn more_bytes_than_the_budget_holds_are_taken_in_turns() {
    let server = Fixture::start_with(|config| config.limits.inflight_bytes = 2 << 20);
    let stream = server.client().create("much", 2, Settings::default()).id;
    let addresses = server.addresses().clone();
    let producers: Vec<_> = (0..6_u32)
        .map(|number| {
            let address = addresses.native;
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let large = keyless((0..9).map(|_| vec![7; 100_000]));
                for _ in 0..8 {
                    client.send_with(append(stream, Some(number % 2), Ack::Durable), &large);
                }
                for _ in 0..8 {
                    let (response, _) = client.receive();
                    assert!(matches!(response.body, ResponseBody::Appended(_)), "{response:?}");
                }
            })
        })
        .collect();
    for producer in producers {
        producer.join().expect("everything was stored");
    }
    let total: u64 = server.client().describe("much").shards.iter().map(|shard| shard.next_sequence.0).sum();
    assert_eq!(total, 6 * 8 * 9);
}

#[test]
fn a_reader_that_takes_nothing_is_not_read_from_and_disturbs_nobody() {
    let server = Fixture::start_with(|config| config.server.cores = Some(1));
    let mut producer = server.client();
    let stream = producer.create("slow", 1, Settings::default()).id;
    for _ in 0..20 {
        producer.append(stream, 0, &keyless((0..9).map(|_| vec![7; 100_000]))).expect("stored");
    }
    let mut slow = server.client();
    for _ in 0..200 {
        slow.send(RequestBody::Fetch(from_oldest(stream, 0)));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(producer.append(stream, 0, &keyless(["quick"])), Ok(180));
    for _ in 0..200 {
        let (response, run) = slow.receive();
        assert!(matches!(response.body, ResponseBody::Fetched(_)), "{response:?}");
        assert!(run.len() > 900_000, "{} bytes", run.len());
    }
}

/// Requests of one kind that the server has begun.
fn begun(server: &Fixture, operation: &str) -> u64 {
    let metrics = http(server.addresses().admin, "GET /metrics");
    let label = format!("operation=\"{operation}\"");
    let series =
        metrics.lines().filter(|line| line.contains("tidemill_requests_total") && line.contains(&label));
    series.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number")).sum()
}

#[test]
fn large_answers_to_small_requests_of_one_read_wait_for_their_reader() {
    let server = Fixture::start();
    let mut client = server.client();
    for number in 0..300 {
        client.create(&format!("{number:0>128}"), 1, Settings::default());
    }
    let mut slow = server.client();
    let (mut all, count) = (BytesMut::new(), 2_000);
    for _ in 0..count {
        let list = RequestBody::ListStreams(ListStreams { after: None, limit: 0 });
        all.extend_from_slice(&slow.frame(list, &[]).1);
    }
    slow.send_raw(&all);
    std::thread::sleep(Duration::from_millis(500));
    let early = begun(&server, "list_streams");
    assert!(early < 1_000, "{early} of {count} lists were made for a peer that takes none");
    for _ in 0..count {
        let (response, _) = slow.receive();
        assert!(matches!(response.body, ResponseBody::StreamList { .. }), "{response:?}");
    }
}

#[test]
fn a_fetch_that_waits_holds_no_memory_of_its_frame() {
    let server = Fixture::start_with(|config| {
        config.server.cores = Some(1);
        config.limits.inflight_bytes = 2 << 20;
    });
    let mut waiting = server.client();
    let stream = waiting.create("padded", 1, Settings::default()).id;
    for _ in 0..2 {
        let fetch = Fetch { wait_ms: 5_000, ..from_oldest(stream, 0) };
        let (_, frame) = waiting.frame(RequestBody::Fetch(fetch), &[]);
        let padding = 900_000 - frame.len();
        let message = u32::try_from(frame.len() - 8 + padding).expect("a small frame");
        let mut padded = BytesMut::from(&(message + 4).to_le_bytes()[..]);
        padded.extend_from_slice(&message.to_le_bytes());
        padded.extend_from_slice(&frame[8..]);
        padded.resize(padded.len() + padding, 0);
        waiting.send_raw(&padded);
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(begun(&server, "fetch"), 2);
    let mut producer = server.client();
    let asked = now();
    producer.append(stream, 0, &keyless((0..9).map(|_| vec![7; 100_000]))).expect("stored");
    assert!(asked.elapsed() < Duration::from_secs(3), "an append waited for fetches: {:?}", asked.elapsed());
}
