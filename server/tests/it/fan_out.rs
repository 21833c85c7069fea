//! Subscriptions of registered consumers over real sockets: many at once, hung up on, and at the server's end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill_server::config::{Authentication, Config};

use crate::fixture::{Fixture, counted, now};

const PATIENCE: Duration = Duration::from_secs(60);
const OPEN: &str = "tidemill_open_subscriptions";

fn start(change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start_with(|config| {
        config.aws.authentication = Authentication::Off;
        change(config);
    })
}

fn send(socket: &mut TcpStream, operation: &str, input: &Value) {
    let body = input.to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.{operation}\r\ncontent-type: application/x-amz-json-1.1\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("the server reads");
}

fn connect(server: &Fixture) -> TcpStream {
    let socket = TcpStream::connect(server.addresses().http).expect("the HTTP port listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    socket
}

/// Reads up to an empty line.
fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the head of an answer");
        head.extend(byte);
    }
    String::from_utf8(head).expect("a head is a text")
}

/// Calls an operation that succeeds.
fn call(server: &Fixture, operation: &str, input: &Value) -> Value {
    let mut socket = connect(server);
    send(&mut socket, operation, input);
    let head = read_head(&mut socket);
    assert!(head.starts_with("HTTP/1.1 200"), "{operation} {input}: {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    socket.read_exact(&mut body).expect("the body");
    if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") }
}

/// A consumer's subscription to one shard.
struct Subscription {
    socket: TcpStream,
    /// Of the body and not yet of an event.
    read: Vec<u8>,
}

impl Subscription {
    fn begin(server: &Fixture, arn: &str, shard: u32) -> Self {
        let mut socket = connect(server);
        let start = json!({ "Type": "TRIM_HORIZON" });
        let shard = format!("shardId-{shard:012}");
        let input = json!({ "ConsumerARN": arn, "ShardId": shard, "StartingPosition": start });
        send(&mut socket, "SubscribeToShard", &input);
        let head = read_head(&mut socket);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: application/vnd.amazon.eventstream\r\n"), "{head}");
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        Self { socket, read: Vec::new() }
    }

    /// The payload of the next frame; `None` at the end of the body.
    fn next(&mut self) -> Option<Value> {
        loop {
            let length = self.read.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize);
            if let Some(length) = length.filter(|length| *length <= self.read.len()) {
                let frame: Vec<u8> = self.read.drain(..length).collect();
                let headers = u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
                return Some(serde_json::from_slice(&frame[12 + headers..length - 4]).expect("JSON"));
            }
            let mut chunk = String::new();
            while !chunk.ends_with("\r\n") {
                let mut byte = [0];
                self.socket.read_exact(&mut byte).expect("a chunk");
                chunk.push(char::from(byte[0]));
            }
            let length = usize::from_str_radix(chunk.trim(), 16).expect("the length of a chunk");
            let mut data = vec![0; length + 2];
            self.socket.read_exact(&mut data).expect("a chunk");
            if length == 0 {
                return None;
            }
            self.read.extend(&data[..length]);
        }
    }

    /// How many records came by the time that so many have.
    fn records(&mut self, count: usize) -> usize {
        let mut found = 0;
        while found < count {
            let event = self.next().expect("an event");
            found += event["Records"].as_array().map_or(0, Vec::len);
        }
        found
    }
}

fn create(server: &Fixture, shards: u32) {
    call(server, "CreateStream", &json!({ "StreamName": "logs", "ShardCount": shards }));
}

fn register(server: &Fixture, name: &str) -> String {
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/logs";
    let registered =
        call(server, "RegisterStreamConsumer", &json!({ "StreamARN": arn, "ConsumerName": name }));
    registered["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned()
}

/// Puts a record whose data is this in base64.
fn put(server: &Fixture, data: &str, hash: u128) {
    let input = json!({ "StreamName": "logs", "PartitionKey": "k", "ExplicitHashKey": hash.to_string(), "Data": data });
    call(server, "PutRecord", &input);
}

/// Waits until as many subscriptions are open.
fn wait_for_open(server: &Fixture, count: f64) {
    let deadline = now() + PATIENCE;
    while counted(server, OPEN) != count {
        assert!(now() < deadline, "{} subscriptions are open, not {count}", counted(server, OPEN));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_consumer_that_hangs_up_leaves_nothing_behind_and_others_go_on() {
    let server = start(|_| {});
    create(&server, 2);
    let (one, other) = (register(&server, "one"), register(&server, "other"));
    let gone: Vec<_> = (0..2).map(|shard| Subscription::begin(&server, &one, shard)).collect();
    let mut stays = Subscription::begin(&server, &other, 0);
    wait_for_open(&server, 3.0);
    drop(gone);
    // A close is seen when it comes, and not at the next event.
    let begun = now();
    wait_for_open(&server, 1.0);
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    put(&server, "ZGF0YQ==", 0);
    assert_eq!(stays.records(1), 1);
}

#[test]
fn the_end_of_the_server_ends_subscriptions_in_order() {
    let mut server = start(|_| {});
    create(&server, 1);
    let arn = register(&server, "one");
    let mut subscription = Subscription::begin(&server, &arn, 0);
    put(&server, "ZGF0YQ==", 0);
    assert_eq!(subscription.records(1), 1);
    let begun = now();
    server.begin_stop();
    while subscription.next().is_some() {}
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "the end took {:?}", begun.elapsed());
}

#[test]
fn consumers_outlive_a_restart() {
    let mut server = start(|_| {});
    create(&server, 1);
    let arn = register(&server, "one");
    put(&server, "ZGF0YQ==", 0);
    server.restart_with(|config| config.aws.authentication = Authentication::Off).expect("it starts again");
    let described = call(&server, "DescribeStreamConsumer", &json!({ "ConsumerARN": arn }));
    assert_eq!(described["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
    assert_eq!(Subscription::begin(&server, &arn, 0).records(1), 1);
}

/// Kilobytes of memory that this process has in use, mapped files aside.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
#[expect(clippy::print_stdout, reason = "what was measured is told, and only bounds are asserted")]
fn two_hundred_subscribers_at_once_get_everything_and_slow_ones_take_bounded_memory() {
    const SHARDS: u32 = 10;
    const CONSUMERS: u32 = 20;
    const RECORDS: u32 = 24;
    let server = start(|_| {});
    create(&server, SHARDS);
    let mut all = Vec::new();
    for consumer in 0..CONSUMERS {
        let arn = register(&server, &format!("c{consumer}"));
        all.extend((0..SHARDS).map(|shard| Subscription::begin(&server, &arn, shard)));
    }
    wait_for_open(&server, f64::from(SHARDS * CONSUMERS));
    let before = memory_kib();
    // 12 MB that every consumer is to get, so 240 MB and a third more in base64, and nobody reads.
    let data = "eHh4".repeat(50_000 / 3);
    for record in 0..SHARDS * RECORDS {
        put(&server, &data, u128::MAX / u128::from(SHARDS) * u128::from(record % SHARDS) + 1);
    }
    std::thread::sleep(Duration::from_secs(1));
    let grown = memory_kib().saturating_sub(before);
    println!("200 subscribers that take nothing: {grown} KiB more");
    assert!(grown < 100 << 10, "memory grew by {grown} KiB");
    let begun = now();
    for subscription in &mut all {
        assert_eq!(subscription.records(RECORDS as usize), RECORDS as usize);
    }
    println!(
        "and took {} MB in {:?}",
        u64::from(SHARDS * RECORDS * CONSUMERS) * 50_000 / 1_000_000,
        begun.elapsed()
    );
    drop(all);
    wait_for_open(&server, 0.0);
}

#[test]
#[expect(clippy::print_stdout, reason = "a time is told and not asserted")]
fn from_a_put_to_its_delivery() {
    let server = start(|_| {});
    create(&server, 1);
    let arn = register(&server, "one");
    let mut subscription = Subscription::begin(&server, &arn, 0);
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun: Instant = now();
        put(&server, "ZGF0YQ==", 0);
        assert_eq!(subscription.records(1), 1);
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "from the beginning of a PutRecord to its event: median {:?}, 99 % {:?}",
        times[100], times[198]
    );
}
