//! Starts and ends: locks, restarts, orderly ends, and the admin port meanwhile.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tidemill_server::boot::{Server, StartError};
use tidemill_server::config::Authentication;
use tidemill_wire::message::{
    Ack, ErrorCode, Fetch, Position, RequestBody, ResponseBody, Settings, Subscribe,
};
use tidemill_wire::{ShardIndex, StreamId};

use crate::client::{Client, append, from_oldest, keyless, name};
use crate::fixture::{Fixture, config, cores, http, now};
use crate::http::{Peer, call};

#[test]
fn a_second_server_on_a_directory_is_refused_with_the_process_that_holds_it() {
    let server = Fixture::start();
    let error = Server::start(config(server.directory.path(), 1)).expect_err("the directory is in use");
    let expected = format!("is in use by process {}", std::process::id());
    assert!(error.to_string().contains(&expected), "{error}");
    assert_eq!(server.client().ask(RequestBody::Ping), ResponseBody::Done);
}

#[test]
fn another_number_of_lanes_or_too_many_cores_are_refused() {
    let mut server = Fixture::start();
    server.stop();
    let mut changed = config(server.directory.path(), 1);
    changed.data.lanes = Some(5);
    let error = Server::start(changed).expect_err("it has two lanes");
    assert!(error.to_string().contains("has 2 lanes"), "{error}");
    let error = Server::start(config(server.directory.path(), 200)).expect_err("not that many cores");
    assert!(matches!(error, StartError::Host(_)), "{error}");
    server.restart();
}

#[test]
fn a_port_in_use_is_refused_by_its_address() {
    let server = Fixture::start();
    let other = tempfile::tempdir().expect("a temporary directory");
    let mut wanted = config(other.path(), 1);
    wanted.listen.admin_port = server.addresses().admin.port();
    let error = Server::start(wanted).expect_err("the port is taken");
    assert!(error.to_string().contains(&server.addresses().admin.to_string()), "{error}");
    let mut wanted = config(other.path(), 1);
    wanted.listen.native_port = server.addresses().native.port();
    wanted.listen.admin_port = 0;
    let error = Server::start(wanted).expect_err("the shared port is taken");
    assert!(matches!(error, StartError::Bind(_)), "{error}");
}

#[test]
fn a_restart_keeps_streams_records_and_numbering() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("kept", 4, Settings::default());
    for shard in 0..4 {
        client.append(stream.id, shard, &keyless([format!("before {shard}")])).expect("stored");
    }
    let before = client.describe("kept");
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.describe("kept"), before);
    for shard in 0..4 {
        assert_eq!(client.append(stream.id, shard, &keyless(["after"])), Ok(1));
        let data: Vec<_> = client.read_all(stream.id, shard).into_iter().map(|record| record.data).collect();
        assert_eq!(data, [bytes::Bytes::from(format!("before {shard}")), "after".into()]);
    }
}

#[test]
fn a_deleted_stream_stays_deleted_over_a_restart_and_its_successor_is_another() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let first = client.create("gone", 2, Settings::default()).id;
    client.append(first, 0, &keyless(["old"])).expect("stored");
    client.ask(RequestBody::DeleteStream(name("gone")));
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(client.ask_refused(RequestBody::DescribeStream(name("gone"))).code, ErrorCode::UnknownStream);
    let second = client.create("gone", 2, Settings::default()).id;
    assert_ne!(first, second);
    assert_eq!(client.append(second, 0, &keyless(["new"])), Ok(0));
}

/// Appends without pause until the server goes away, and returns how many were acknowledged.
fn produce_until_the_end(address: SocketAddr, stream: StreamId, shard: u32, has_begun: &Sender<()>) -> u64 {
    let mut client = Client::connect(address);
    let mut acknowledged = 0;
    for number in 0_u64.. {
        let (_, frame) =
            client.frame(append(stream, Some(shard), Ack::Durable), &keyless([number.to_string()]));
        if client.socket.write_all(&frame).is_err() {
            break;
        }
        match client.try_receive().map(|(response, _)| response.body) {
            Some(ResponseBody::Appended(appended)) => {
                assert_eq!(appended.base_sequence.0, number);
                acknowledged += 1;
                if acknowledged == 1 {
                    has_begun.send(()).expect("the test waits for it");
                }
            }
            Some(ResponseBody::Failed(failure)) => {
                assert_eq!(failure.code, ErrorCode::ShuttingDown);
                break;
            }
            None => break,
            other => panic!("{other:?}"),
        }
    }
    acknowledged
}

#[test]
fn an_orderly_end_loses_nothing_that_was_acknowledged() {
    let mut server = Fixture::start();
    let stream = server.client().create("busy", 4, Settings::default()).id;
    let address = server.addresses().native;
    let (has_begun, begun) = channel();
    let producers: Vec<_> = (0..4)
        .map(|shard| {
            let has_begun = has_begun.clone();
            std::thread::spawn(move || produce_until_the_end(address, stream, shard, &has_begun))
        })
        .collect();
    (0..4).for_each(|_| begun.recv_timeout(Duration::from_secs(60)).expect("every producer is served"));
    std::thread::sleep(Duration::from_millis(300));
    server.stop();
    let acknowledged: Vec<u64> =
        producers.into_iter().map(|thread| thread.join().expect("a producer")).collect();
    server.restart();
    let mut client = server.client();
    for (shard, acknowledged) in (0..).zip(acknowledged) {
        assert!(acknowledged > 0, "shard {shard} had nothing to lose");
        let found = client.read_all(stream, shard);
        assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged} in shard {shard}", found.len());
        for (number, record) in found.iter().enumerate() {
            assert_eq!(record.data, number.to_string().as_bytes());
        }
    }
}

#[test]
fn an_orderly_end_answers_those_who_wait() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("waiting", 2, Settings::default()).id;
    for shard in 0..2 {
        client.send(RequestBody::Fetch(Fetch { wait_ms: 60_000, ..from_oldest(stream, shard) }));
        let (shard, position) = (ShardIndex(shard), Position::Oldest);
        client.send(RequestBody::Subscribe(Subscribe { stream, shard, position, credit_bytes: 1_000 }));
    }
    assert!(client.welcome.is_some());
    std::thread::sleep(Duration::from_millis(50));
    let begun = now();
    server.begin_stop();
    let (mut fetched, mut ended) = (0, 0);
    while let Some((response, _)) = client.try_receive() {
        match response.body {
            ResponseBody::Fetched(_) => fetched += 1,
            ResponseBody::SubscriptionEnded(end) => {
                assert_eq!(end.code, ErrorCode::ShuttingDown);
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((fetched, ended), (2, 2));
    drop(client);
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_peer_that_takes_no_answers_does_not_hold_up_the_end() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("ignored", 1, Settings::default()).id;
    for _ in 0..4 {
        client.append(stream, 0, &keyless((0..9).map(|_| vec![7; 100_000]))).expect("stored");
    }
    for _ in 0..100 {
        client.send(RequestBody::Fetch(from_oldest(stream, 0)));
    }
    std::thread::sleep(Duration::from_millis(200));
    let begun = now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    drop(client);
}

#[test]
fn a_server_may_open_as_many_files_as_the_hard_limit_allows() {
    let _server = Fixture::start();
    let limits = std::fs::read_to_string("/proc/self/limits").expect("this process's limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit of open files");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
}

#[test]
fn every_metric_that_the_operator_is_told_of_exists() {
    let manual = include_str!("../../../docs/OPERATIONS.md");
    let server = Fixture::start_with(|config| config.aws.authentication = Authentication::Off);
    // Those of queues are there when there is something to tell of one.
    let mut peer = Peer::connect(&server);
    let url = "http://localhost/000000000000/orders";
    let send = format!("{{\"QueueUrl\":\"{url}\",\"MessageBody\":\"x\"}}");
    for (operation, body) in [("CreateQueue", "{\"QueueName\":\"orders\"}"), ("SendMessage", &send)] {
        peer.send(call(&format!("AmazonSQS.{operation}"), body));
        peer.answered().is_taken(operation);
    }
    let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/logs";
    let create =
        format!("{{\"QueueName\":\"shared\",\"StreamConfigurationList\":[{{\"StreamARN\":\"{stream}\"}}]}}");
    for (operation, body) in [
        ("CreateStream", "{\"StreamName\":\"logs\",\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"}}"),
        ("CreateQueue", &create),
    ] {
        peer.send(call(&format!("Kinesis_20131202.{operation}"), body));
        peer.answered().is_taken(operation);
    }
    let metrics = http(server.addresses().admin, "GET /metrics");
    let named: Vec<&str> =
        manual.split(|symbol: char| symbol != '_' && !symbol.is_ascii_lowercase()).collect();
    for name in named.into_iter().filter(|word| word.starts_with("tidemill_")) {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} is not in /metrics");
    }
}

#[test]
fn the_admin_port_tells_health_readiness_and_numbers() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("numbers", 2, Settings::default()).id;
    client.append(stream, 0, &keyless(["x", "y"])).expect("stored");
    let admin = server.addresses().admin;
    assert!(http(admin, "GET /healthz").starts_with("HTTP/1.1 200"), "healthy");
    assert!(http(admin, "GET /readyz").starts_with("HTTP/1.1 200"), "ready");
    assert!(http(admin, "GET /other").starts_with("HTTP/1.1 404"), "unknown");
    assert!(http(admin, "POST /metrics").starts_with("HTTP/1.1 405"), "read only");
    let metrics = http(admin, "GET /metrics");
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    assert!(metrics.contains("tidemill_streams 1"), "{metrics}");
    let series = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(series("tidemill_received_records_total{"), cores() as usize, "one for each core");
    assert_eq!(series("tidemill_appended_records_total{"), 2, "one for each lane");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
}

#[test]
fn an_operator_pauses_compaction_of_all_lanes_and_resumes_it() {
    let server = Fixture::start();
    let admin = server.addresses().admin;
    let paused = |wanted: u64| {
        let metrics = http(admin, "GET /metrics");
        let line = format!("}} {wanted}");
        let lanes = metrics.lines().filter(|line| line.starts_with("tidemill_compaction_paused{"));
        lanes.filter(|lane| lane.ends_with(&line)).count()
    };
    assert_eq!(paused(0), 2, "both lanes compact");
    assert!(http(admin, "GET /compaction/pause").starts_with("HTTP/1.1 405"), "looking changes nothing");
    let foreign = http(admin, "POST /compaction/pause HTTP/1.1\r\norigin: http://example.com\r\nx:");
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    assert_eq!(paused(0), 2);
    assert!(http(admin, "POST /compaction/pause").starts_with("HTTP/1.1 200"));
    assert_eq!(paused(1), 2);
    assert!(http(admin, "POST /compaction/resume").contains("compaction is running"));
    assert_eq!(paused(0), 2);
}
