//! The HTTP port over real sockets: what it answers, and what it does to peers that are slow, greedy or mad.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tidemill_server::config::{Authentication, Config};

use crate::fixture::{Fixture, counted, now};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const JSON: &str = "application/x-amz-json-1.1";

/// A server that asks for no signatures, with short times.
fn start(change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start_with(|config| {
        config.aws.authentication = Authentication::Off;
        config.http.head_time = Duration::from_secs(1);
        config.http.body_time = Duration::from_secs(1);
        config.http.idle_time = Duration::from_secs(3);
        change(config);
    })
}

/// An answer, its body cut by its length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    #[track_caller]
    pub(crate) fn is_taken(&self, operation: &str) {
        assert_eq!(self.status, 200, "{operation}: {}", String::from_utf8_lossy(&self.body));
    }

    #[track_caller]
    fn is_fault(&self, status: u16, name: &str) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{} {text}", self.head);
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("a refusal in JSON");
        assert_eq!(body["__type"], name, "{text}");
        assert_eq!(self.header("content-type"), Some(JSON));
        assert_eq!(self.header("x-amzn-requestid").map(str::len), Some(36), "{}", self.head);
    }
}

/// A connection to the port.
pub(crate) struct Peer(TcpStream);

impl Peer {
    pub(crate) fn connect(server: &Fixture) -> Self {
        let socket = TcpStream::connect(server.addresses().http).expect("the HTTP port listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self(socket)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// The next answer, or nothing when the server has closed the connection.
    fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) => return None,
                // A socket with a time limit is interrupted when the process is stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the server neither answers nor closes: {error}"),
            }
        }
        let head = String::from_utf8(head).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).expect("a whole body");
        Some(answer)
    }

    #[track_caller]
    pub(crate) fn answered(&mut self) -> Answer {
        self.answer().expect("an answer")
    }

    /// How long it takes until the server closes the connection.
    fn closed_after(&mut self) -> Duration {
        let began = now();
        while self.answer().is_some() {}
        began.elapsed()
    }
}

fn head(target: &str, length: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\nx-amz-target: {target}\r\ncontent-length: {length}\r\n\r\n"
    )
}

pub(crate) fn call(target: &str, body: &str) -> String {
    head(target, body.len()) + body
}

/// Times a small call on a connection of its own.
fn time_of_a_call(server: &Fixture) -> Duration {
    let began = now();
    let mut peer = Peer::connect(server);
    peer.send(call("Kinesis_20131202.Nothing", "{}"));
    peer.answered().is_fault(400, "UnknownOperationException");
    began.elapsed()
}

#[test]
fn unsigned_calls_are_refused_in_both_encodings() {
    let server = Fixture::start();
    let mut peer = Peer::connect(&server);
    peer.send(call("Kinesis_20131202.ListStreams", "{}"));
    let first = peer.answered();
    first.is_fault(400, "MissingAuthenticationTokenException");
    let cbor = call("Kinesis_20131202.ListStreams", "{}").replace(JSON, "application/x-amz-cbor-1.1");
    peer.send(cbor);
    let second = peer.answered();
    assert_eq!(second.header("content-type"), Some("application/x-amz-cbor-1.1"));
    let text = String::from_utf8_lossy(&second.body);
    assert!(text.contains("__type") && text.contains("MissingAuthenticationTokenException"), "{text}");
    assert_ne!(first.header("x-amzn-requestid"), second.header("x-amzn-requestid"));
    let signed = "authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/kinesis/aws4_request, \
        SignedHeaders=host, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n\
        x-amz-date: 20150830T123600Z\r\nhost: x\r\n";
    peer.send(call("Kinesis_20131202.ListStreams", "{}").replace("host: x\r\n", signed));
    let third = peer.answered();
    third.is_fault(400, "UnrecognizedClientException");
    assert!(String::from_utf8_lossy(&third.body).contains("This server has no access keys"), "{third:?}");
    assert!((counted(&server, "tidemill_http_signature_refusals_total") - 3.0).abs() < 0.1);
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let server = start(|_| {});
    let mut peer = Peer::connect(&server);
    let mut burst = call("Kinesis_20131202.Nothing", "{}");
    burst += "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    burst += &call("Kinesis_20131202.Nothing", "{\"a\":1}").replace(JSON, "application/x-amz-cbor-1.1");
    burst += &call("Other.Nothing", "");
    peer.send(burst.repeat(20));
    for _ in 0..20 {
        peer.answered().is_fault(400, "UnknownOperationException");
        let get = peer.answered();
        get.is_fault(400, "UnknownOperationException");
        assert!(String::from_utf8_lossy(&get.body).contains("POST"), "{get:?}");
        assert_eq!(peer.answered().header("content-type"), Some("application/x-amz-cbor-1.1"));
        peer.answered().is_fault(400, "UnknownOperationException");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let server = start(|_| {});
    let mut peer = Peer::connect(&server);
    let body = "x".repeat((2 << 20) + 1);
    peer.send(head("Kinesis_20131202.Nothing", body.len()));
    // The server may close while we send: what it answered is there all the same.
    let _ = peer.0.write_all(body.as_bytes());
    peer.answered().is_fault(413, "RequestEntityTooLargeException");

    let mut chunked = Peer::connect(&server);
    let endless =
        head("Kinesis_20131202.Nothing", 0).replace("content-length: 0", "transfer-encoding: chunked");
    chunked.send(endless);
    let chunk = format!("40000\r\n{}\r\n", "x".repeat(0x4_0000));
    for _ in 0..9 {
        let _ = chunked.0.write_all(chunk.as_bytes());
    }
    chunked.answered().is_fault(413, "RequestEntityTooLargeException");

    let mut long = Peer::connect(&server);
    long.send(format!("POST / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(40 << 10)));
    assert_eq!(long.answered().status, 431);
    let mut many = Peer::connect(&server);
    many.send(format!("POST / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(101)));
    assert_eq!(many.answered().status, 431);
    assert!(time_of_a_call(&server) < PATIENCE);
}

#[test]
fn a_chunked_body_is_read_whole() {
    let server = start(|_| {});
    let mut peer = Peer::connect(&server);
    let chunked =
        head("Kinesis_20131202.Nothing", 0).replace("content-length: 0", "transfer-encoding: chunked");
    peer.send(chunked);
    for piece in ["1\r\n{\r\n", "1\r\n}\r\n", "0\r\n\r\n"] {
        peer.send(piece);
        std::thread::sleep(Duration::from_millis(20));
    }
    peer.answered().is_fault(400, "UnknownOperationException");
    peer.send(call("Kinesis_20131202.Nothing", "{}"));
    peer.answered().is_fault(400, "UnknownOperationException");
}

#[test]
fn calls_that_wait_hold_no_more_room_than_their_bodies_need() {
    // Room for four bodies of a MiB. How long these are is not known until they end.
    let server = start(|config| {
        config.server.cores = Some(1);
        config.http.room_time = Duration::from_millis(200);
    });
    let ask = |operation: &str, body: &str| {
        let request =
            call(&format!("AmazonSQS.{operation}"), body).replace(JSON, "application/x-amz-json-1.0");
        let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
        let length = format!("content-length: {}", body.len());
        assert!(head.contains(&length), "{head}");
        let head = head.replace(&length, "transfer-encoding: chunked");
        format!("{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let mut peer = Peer::connect(&server);
    peer.send(ask("CreateQueue", r#"{"QueueName":"orders"}"#));
    let json = |answer: &Answer| -> serde_json::Value { serde_json::from_slice(&answer.body).expect("JSON") };
    let url = json(&peer.answered())["QueueUrl"].as_str().expect("a URL").to_owned();
    let wait = format!(r#"{{"QueueUrl":"{url}","WaitTimeSeconds":20}}"#);
    let mut waiters: Vec<Peer> = (0..40).map(|_| Peer::connect(&server)).collect();
    for waiter in &mut waiters {
        waiter.send(ask("ReceiveMessage", &wait));
    }
    for number in 0..waiters.len() {
        peer.send(ask("SendMessage", &format!(r#"{{"QueueUrl":"{url}","MessageBody":"{number}"}}"#)));
        assert_eq!(peer.answered().status, 200);
    }
    for waiter in &mut waiters {
        let answer = waiter.answered();
        assert!(answer.status == 200 && json(&answer)["Messages"][0].is_object(), "{answer:?}");
    }
}

#[test]
fn slow_peers_are_dropped_and_others_do_not_notice() {
    let server = start(|_| {});
    // Heads that never end, bodies that never end, and silence.
    let mut heads: Vec<Peer> = (0..40).map(|_| Peer::connect(&server)).collect();
    let mut bodies: Vec<Peer> = (0..40).map(|_| Peer::connect(&server)).collect();
    let mut silent: Vec<Peer> = (0..40).map(|_| Peer::connect(&server)).collect();
    bodies.iter_mut().for_each(|peer| peer.send(head("Kinesis_20131202.Nothing", 1_000)));
    heads.iter_mut().for_each(|peer| peer.send("POST / HTTP/1.1\r\nhost: x\r\n"));
    let mut times = Vec::new();
    for round in 0..15 {
        for peer in heads.iter_mut().chain(&mut bodies) {
            // It may be closed by now.
            let _ = peer.0.write_all(if round % 2 == 0 { b"x" } else { b"-" });
        }
        times.push(time_of_a_call(&server));
        std::thread::sleep(Duration::from_millis(100));
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(500), "others wait: {times:?}");
    for peer in &mut heads {
        assert!(peer.closed_after() < Duration::from_secs(10));
    }
    for peer in &mut bodies {
        peer.answered().is_fault(408, "RequestTimeoutException");
    }
    for peer in &mut silent {
        assert!(peer.closed_after() < Duration::from_secs(15));
    }
    assert!(counted(&server, "tidemill_http_connections_slow_total") >= 80.0);
}

#[test]
fn bodies_over_the_room_of_a_core_wait_and_are_refused() {
    // Room for four bodies of a MiB with what they are decoded into, on one core.
    let server = start(|config| {
        config.server.cores = Some(1);
        config.http.body_time = Duration::from_secs(20);
        config.http.room_time = Duration::from_millis(200);
    });
    let length = (1 << 20) - 4_096;
    let mut holders: Vec<Peer> = (0..4).map(|_| Peer::connect(&server)).collect();
    holders.iter_mut().for_each(|peer| peer.send(head("Kinesis_20131202.Nothing", length)));
    std::thread::sleep(Duration::from_millis(300));
    let mut more = Peer::connect(&server);
    more.send(head("Kinesis_20131202.Nothing", length));
    more.answered().is_fault(503, "ServiceUnavailableException");
    drop(more);
    assert!(time_of_a_call(&server) < PATIENCE, "a small one fits beside them");
    for peer in &mut holders {
        peer.send("x".repeat(length));
        peer.answered().is_fault(400, "UnknownOperationException");
    }
}

#[test]
fn garbage_is_answered_or_closed() {
    let server = start(|_| {});
    let mut state = 7_u64;
    for round in 0_usize..60 {
        let mut bytes: Vec<u8> = match round % 4 {
            0 => Vec::new(),
            1 => call("Kinesis_20131202.Nothing", "{}").into_bytes(),
            2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            _ => b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
        };
        bytes.extend((0..2_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        }));
        let mut peer = Peer::connect(&server);
        // The server may close while we send.
        let _ = peer.0.write_all(&bytes);
        let mut rest = Vec::new();
        let ended = peer.0.read_to_end(&mut rest);
        assert!(
            ended.as_ref().is_ok()
                || ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset),
            "round {round} is neither answered nor closed: {ended:?}"
        );
    }
    assert!(time_of_a_call(&server) < PATIENCE);
}

#[test]
fn further_connections_than_the_bound_are_closed() {
    let server = start(|config| {
        config.server.cores = Some(1);
        config.http.connections = 3;
        config.http.idle_time = Duration::from_secs(60);
    });
    let mut served: Vec<Peer> = (0..3).map(|_| Peer::connect(&server)).collect();
    for peer in &mut served {
        peer.send(call("Kinesis_20131202.Nothing", "{}"));
        peer.answered().is_fault(400, "UnknownOperationException");
    }
    assert!(Peer::connect(&server).answer().is_none());
    served.pop();
    let deadline = now() + PATIENCE;
    loop {
        let mut peer = Peer::connect(&server);
        let _ = peer.0.write_all(call("Kinesis_20131202.Nothing", "{}").as_bytes());
        if let Some(answer) = peer.answer() {
            break answer.is_fault(400, "UnknownOperationException");
        }
        assert!(now() < deadline, "the place of one who left stays taken");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn pages_of_the_allowed_origin_may_call() {
    let asks = "OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n\
        access-control-request-headers: x-amz-target,authorization\r\n\r\n";
    let refused = start(|_| {});
    let mut peer = Peer::connect(&refused);
    peer.send(asks);
    let answer = peer.answered();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (400, None));

    let server = start(|config| config.http.allow_origin = Some("https://a.example".to_owned()));
    let mut peer = Peer::connect(&server);
    peer.send(asks);
    let answer = peer.answered();
    assert_eq!(answer.status, 204, "{}", answer.head);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-amz-target,authorization"));
    peer.send(
        call("Kinesis_20131202.Nothing", "{}").replace("host: x", "host: x\r\norigin: https://a.example"),
    );
    let answer = peer.answered();
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    peer.send(
        call("Kinesis_20131202.Nothing", "{}").replace("host: x", "host: x\r\norigin: https://b.example"),
    );
    assert_eq!(peer.answered().header("access-control-allow-origin"), None);
}

#[test]
fn requests_in_flight_are_answered_when_the_server_goes_down() {
    let mut server = start(|config| config.http.body_time = Duration::from_secs(20));
    let mut idle = Peer::connect(&server);
    idle.send(call("Kinesis_20131202.Nothing", "{}"));
    idle.answered().is_fault(400, "UnknownOperationException");
    let mut busy = Peer::connect(&server);
    busy.send(head("Kinesis_20131202.Nothing", 2));
    std::thread::sleep(Duration::from_millis(200));
    server.begin_stop();
    assert!(idle.answer().is_none(), "an idle connection is closed");
    busy.send("{}");
    busy.answered().is_fault(400, "UnknownOperationException");
    assert!(busy.answer().is_none(), "no further request is taken");
    server.stop();
}
