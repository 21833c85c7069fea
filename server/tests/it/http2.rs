//! HTTP/2 with prior knowledge on the HTTP port, frame by frame: the tests speak it themselves, so that they can speak it badly.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tidemill_server::config::Authentication;

use crate::fixture::{Fixture, counted, now};

const PATIENCE: Duration = Duration::from_secs(30);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PRIORITY: u8 = 2;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:method POST`, `:scheme http`, `:path /` of the static table, and `:authority x`.
const HEAD: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'x'];

fn start(idle_time: Duration) -> Fixture {
    Fixture::start_with(|config| {
        config.aws.authentication = Authentication::Off;
        config.http.idle_time = idle_time;
        config.http.write_time = Duration::from_secs(2);
        config.http.streams = 50;
    })
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a call of an operation that there is not.
fn call_head() -> Vec<u8> {
    head_of("Nothing")
}

/// A head with the target and the content type, as literals that are not indexed.
fn head_of(operation: &str) -> Vec<u8> {
    let mut head = HEAD.to_vec();
    let target = format!("Kinesis_20131202.{operation}");
    let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    for (name, value) in headers {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).expect("a short text"));
            head.extend(text.as_bytes());
        }
    }
    head
}

struct Peer(TcpStream);

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Peer {
    /// Connects and begins, with empty settings.
    fn connect(server: &Fixture) -> Self {
        let socket = TcpStream::connect(server.addresses().http).expect("the HTTP port listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        let mut peer = Self(socket);
        peer.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        peer
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the server reads");
    }

    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return None;
            }
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; usize::try_from(length).expect("a short frame")];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Makes a call and reads its answer.
    fn call(&mut self, stream: u32) -> String {
        self.send(frame(HEADERS, END_HEADERS, stream, &call_head()));
        self.send(frame(DATA, END_STREAM, stream, b"{}"));
        self.answer(stream)
    }

    /// Makes a call of an operation and reads its answer.
    fn ask(&mut self, stream: u32, operation: &str, input: &str) -> String {
        self.send(frame(HEADERS, END_HEADERS, stream, &head_of(operation)));
        self.send(frame(DATA, END_STREAM, stream, input.as_bytes()));
        self.answer(stream)
    }

    /// The next data of a stream that goes on.
    fn data(&mut self, stream: u32) -> Vec<u8> {
        loop {
            let frame = self.next().expect("the stream goes on");
            assert!(!matches!(frame.kind, RST_STREAM | GOAWAY), "frame {} {:?}", frame.kind, frame.payload);
            if frame.stream == stream && frame.kind == DATA {
                return frame.payload;
            }
        }
    }

    fn answer(&mut self, stream: u32) -> String {
        let mut body = Vec::new();
        loop {
            let frame = self.next().expect("an answer");
            assert!(!matches!(frame.kind, RST_STREAM | GOAWAY), "frame {} {:?}", frame.kind, frame.payload);
            if frame.stream != stream {
                continue;
            }
            if frame.kind == DATA {
                body.extend(frame.payload);
            }
            if frame.flags & END_STREAM != 0 && matches!(frame.kind, DATA | HEADERS) {
                return String::from_utf8(body).expect("a refusal in JSON");
            }
        }
    }

    /// Reads until the server closes; whether it said goodbye.
    fn goodbye(&mut self) -> bool {
        let mut said = false;
        while let Some(frame) = self.next() {
            said |= frame.kind == GOAWAY;
        }
        said
    }
}

fn time_of_a_call(server: &Fixture) -> Duration {
    let began = now();
    let answer = Peer::connect(server).call(1);
    assert!(answer.contains("UnknownOperationException"), "{answer}");
    began.elapsed()
}

#[test]
fn many_calls_share_a_connection() {
    let server = start(Duration::from_secs(60));
    let mut peer = Peer::connect(&server);
    assert!(peer.call(1).contains("UnknownOperationException"));
    // Heads first, then the bodies, the last one first.
    let streams: Vec<u32> = (0..40).map(|index| 3 + 2 * index).collect();
    streams.iter().for_each(|stream| peer.send(frame(HEADERS, END_HEADERS, *stream, &call_head())));
    for stream in streams.iter().rev() {
        peer.send(frame(DATA, END_STREAM, *stream, b"{}"));
        assert!(peer.answer(*stream).contains("UnknownOperationException"));
    }
}

#[test]
fn streams_that_are_opened_and_reset_end_the_connection() {
    let server = start(Duration::from_secs(60));
    let mut peer = Peer::connect(&server);
    let mut flood = Vec::new();
    for index in 0..5_000 {
        let stream = 1 + 2 * index;
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &call_head()));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // The server may close while we send.
    let _ = peer.0.write_all(&flood);
    peer.0.shutdown(std::net::Shutdown::Write).ok();
    peer.goodbye();
    let requests = counted(&server, "tidemill_http_requests_total");
    assert!(requests < 5_000.0, "all {requests} were begun");
    assert!(time_of_a_call(&server) < PATIENCE);
}

#[test]
fn floods_do_not_slow_others_down() {
    let server = start(Duration::from_secs(60));
    let floods =
        [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])];
    std::thread::scope(|scope| {
        for flood in &floods {
            let mut peer = Peer::connect(&server);
            scope.spawn(move || {
                // Never reads what it is answered with; the server gives it up or lets it wait.
                peer.0.set_write_timeout(Some(Duration::from_secs(4))).expect("a socket option");
                let many = flood.repeat(1_000);
                for _ in 0..1_000 {
                    if peer.0.write_all(&many).is_err() {
                        return;
                    }
                }
            });
        }
        let mut times: Vec<Duration> = (0..40).map(|_| time_of_a_call(&server)).collect();
        times.sort();
        assert!(times[20] < Duration::from_millis(500), "others wait: {times:?}");
    });
}

#[test]
fn frames_that_ask_for_nothing_end_the_connection() {
    let server = start(Duration::from_secs(60));
    let floods = [
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(PING, 0, 0, &[7; 8]),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        frame(0x77, 0, 0, &[]),
    ];
    for flood in floods {
        let mut peer = Peer::connect(&server);
        let many = flood.repeat(1_000);
        // More than the server reads of a peer that it has given up.
        let is_ended = (0..5_000).any(|_| peer.0.write_all(&many).is_err());
        assert!(is_ended, "frames of type {} go on without an end", flood[3]);
    }
    assert!(time_of_a_call(&server) < PATIENCE);
}

#[test]
fn a_client_that_opens_its_windows_all_the_time_is_served() {
    let server = start(Duration::from_secs(60));
    let mut peer = Peer::connect(&server);
    for index in 0..1_000 {
        let stream = 1 + 2 * index;
        assert!(peer.call(stream).contains("UnknownOperationException"));
        for of in [0, stream] {
            peer.send(frame(WINDOW_UPDATE, 0, of, &1_u32.to_be_bytes()).repeat(3));
        }
        peer.send(frame(PING, 0, 0, &[7; 8]));
    }
}

#[test]
fn idle_and_half_begun_connections_are_dropped() {
    let server = start(Duration::from_secs(1));
    let mut idle = Peer::connect(&server);
    let mut half = Peer::connect(&server);
    half.send(frame(HEADERS, 0, 1, &call_head()));
    let began = now();
    idle.goodbye();
    half.goodbye();
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn heads_over_the_bound_are_refused() {
    let server = start(Duration::from_secs(60));
    let mut peer = Peer::connect(&server);
    let mut head = call_head();
    for _ in 0..400 {
        head.push(0);
        head.extend([1, b'a', 100]);
        head.extend([b'v'; 100]);
    }
    for (index, piece) in head.chunks(10_000).enumerate() {
        let (kind, last) = (if index == 0 { HEADERS } else { 9 }, (index + 1) * 10_000 >= head.len());
        peer.send(frame(kind, if last { END_HEADERS } else { 0 }, 1, piece));
    }
    loop {
        match peer.next() {
            None => break,
            Some(Frame { kind: GOAWAY | RST_STREAM | HEADERS, .. }) => break,
            Some(_) => {}
        }
    }
    assert!(time_of_a_call(&server) < PATIENCE);
}

#[test]
fn a_subscription_is_a_stream_among_others_and_ends_when_it_is_reset() {
    let server = start(Duration::from_secs(60));
    let mut peer = Peer::connect(&server);
    peer.ask(1, "CreateStream", r#"{"StreamName":"logs","ShardCount":1}"#);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/logs";
    let input = format!(r#"{{"StreamARN":"{arn}","ConsumerName":"one"}}"#);
    let registered = peer.ask(3, "RegisterStreamConsumer", &input);
    let registered: serde_json::Value = serde_json::from_str(&registered).expect("JSON");
    let input = serde_json::json!({
        "ConsumerARN": registered["Consumer"]["ConsumerARN"],
        "ShardId": "shardId-000000000000",
        "StartingPosition": { "Type": "LATEST" },
    });
    peer.send(frame(HEADERS, END_HEADERS, 5, &head_of("SubscribeToShard")));
    peer.send(frame(DATA, END_STREAM, 5, input.to_string().as_bytes()));
    let has = |data: &[u8], part: &str| data.windows(part.len()).any(|window| window == part.as_bytes());
    assert!(has(&peer.data(5), "initial-response"));
    assert!(has(&peer.data(5), "\"Records\":[]"));
    // Others on the same connection are answered meanwhile, and what they put is pushed.
    let put = r#"{"StreamName":"logs","PartitionKey":"k","Data":"ZGF0YQ=="}"#;
    peer.send(frame(HEADERS, END_HEADERS, 7, &head_of("PutRecord")));
    peer.send(frame(DATA, END_STREAM, 7, put.as_bytes()));
    let pushed = peer.data(5);
    assert!(has(&pushed, "ZGF0YQ==") && has(&pushed, "SubscribeToShardEvent"), "{pushed:?}");
    assert_eq!(counted(&server, "tidemill_open_subscriptions"), 1.0);
    peer.send(frame(RST_STREAM, 0, 5, &8_u32.to_be_bytes()));
    let began = now();
    while counted(&server, "tidemill_open_subscriptions") > 0.0 {
        assert!(began.elapsed() < PATIENCE, "the subscription is still open");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(peer.ask(9, "ListStreams", "{}").contains("logs"));
}

#[test]
fn a_peer_that_takes_no_answer_is_given_up() {
    let server = start(Duration::from_secs(60));
    let mut peer = Peer::connect(&server);
    // No stream may be sent anything before its window is opened, which it never is.
    peer.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    peer.send(frame(HEADERS, END_HEADERS, 1, &call_head()));
    peer.send(frame(DATA, END_STREAM, 1, b"{}"));
    // It reads and talks all the while, so its socket tells nothing.
    peer.0.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket option");
    let began = now();
    let mut bytes = [0; 1024];
    loop {
        assert!(began.elapsed() < PATIENCE, "the connection stays for an answer that nobody takes");
        match peer.0.read(&mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                // The server may close while we send.
                let _ = peer.0.write_all(&frame(PING, 0, 0, &[7; 8]));
            }
            Err(_) => break,
        }
    }
    assert!((counted(&server, "tidemill_http_connections_slow_total") - 1.0).abs() < 0.1);
}
