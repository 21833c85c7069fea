//! Connections: hello, ping, many requests at a time.

use std::collections::BTreeSet;

use tidemill_wire::limits::PROTOCOL_VERSION;
use tidemill_wire::message::{Ack, ErrorCode, Hello, RequestBody, ResponseBody, Settings};

use crate::client::{Client, append, from_oldest, hello, keyless};
use crate::fixture::{Fixture, cores};

#[test]
fn a_hello_tells_versions_limits_and_the_port_of_each_lane() {
    let server = Fixture::start();
    let welcome = server.client().welcome.expect("a welcome");
    assert_eq!(welcome.version, PROTOCOL_VERSION);
    assert!(welcome.server.starts_with("tidemill/"), "{}", welcome.server);
    assert_eq!(welcome.frame_bytes_max, 1 << 20);
    assert_eq!(welcome.in_flight_max, 1_024);
    let ports: Vec<u16> = welcome.lanes.iter().map(|(_, port)| *port).collect();
    let own: Vec<u16> = server.addresses().cores.iter().map(|address| address.port()).collect();
    assert_eq!(ports, [own[0], own[1 % own.len()]]);
}

#[test]
fn each_cores_port_leads_to_that_core() {
    let server = Fixture::start();
    for core in 0..cores() {
        let welcome = server.client_of_core(core as usize).welcome.expect("a welcome");
        assert_eq!(welcome.core, core);
    }
}

#[test]
fn a_request_before_the_hello_and_a_second_hello_are_refused() {
    let server = Fixture::start();
    let mut client = Client::connect_silently(server.addresses().native);
    assert_eq!(client.ask_refused(RequestBody::Ping).code, ErrorCode::HelloExpected);
    assert!(matches!(client.ask(hello()), ResponseBody::Welcome(_)));
    assert_eq!(client.ask_refused(hello()).code, ErrorCode::HelloExpected);
    assert_eq!(client.ask(RequestBody::Ping), ResponseBody::Done);
}

#[test]
fn a_foreign_version_is_told_which_one_is_spoken_and_sent_away() {
    let server = Fixture::start();
    let mut client = Client::connect_silently(server.addresses().native);
    let foreign = Hello { version_min: 7, version_max: 9, client: "future".to_owned() };
    let failure = client.ask_refused(RequestBody::Hello(foreign));
    assert_eq!(failure.code, ErrorCode::UnsupportedVersion);
    assert_eq!(failure.limit, u64::from(PROTOCOL_VERSION));
    assert_eq!(client.try_receive(), None);
}

#[test]
fn the_newest_version_that_both_speak_is_spoken() {
    let server = Fixture::start();
    for (version_min, version_max, expected) in [(1, 1, 1), (0, 9, PROTOCOL_VERSION), (1, 2, 2), (2, 2, 2)] {
        let mut client = Client::connect_silently(server.addresses().native);
        let range = Hello { version_min, version_max, client: "some".to_owned() };
        let ResponseBody::Welcome(welcome) = client.ask(RequestBody::Hello(range)) else {
            panic!("versions {version_min} to {version_max} are not welcome")
        };
        assert_eq!(welcome.version, expected);
        assert_eq!(client.ask(RequestBody::Ping), ResponseBody::Done);
    }
}

#[test]
fn requests_sent_in_one_write_are_all_answered() {
    let server = Fixture::start();
    let mut client = server.client();
    let mut all = bytes::BytesMut::new();
    let mut expected = BTreeSet::new();
    for _ in 0..3_000 {
        let (id, frame) = client.frame(RequestBody::Ping, &[]);
        expected.insert(id);
        all.extend_from_slice(&frame);
    }
    client.send_raw(&all);
    for _ in 0..3_000 {
        let (response, _) = client.receive();
        assert_eq!(response.body, ResponseBody::Done);
        assert!(expected.remove(&response.id), "{} was answered twice or never asked", response.id);
    }
}

#[test]
fn an_answer_that_takes_time_does_not_hold_up_later_ones() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("slow", 1, Settings::default()).id;
    let mut waiting = from_oldest(stream, 0);
    waiting.wait_ms = 30_000;
    let fetch = client.send(RequestBody::Fetch(waiting));
    assert_eq!(client.ask(RequestBody::Ping), ResponseBody::Done);
    let late = append(stream, Some(0), Ack::Durable);
    let appended = client.send_with(late, &keyless(["late"]));
    // The reader may see the record before its producer hears that it is durable.
    let answered: BTreeSet<_> = [client.receive().0.id, client.receive().0.id].into();
    assert_eq!(answered, [fetch, appended].into());
}

#[test]
fn frames_that_arrive_byte_by_byte_are_understood() {
    let server = Fixture::start();
    let mut client = server.client();
    let (id, frame) = client.frame(RequestBody::Ping, &[]);
    for byte in frame {
        client.send_raw(&[byte]);
    }
    let (response, _) = client.receive();
    assert_eq!((response.id, response.body), (id, ResponseBody::Done));
}

#[test]
fn requests_before_the_end_of_input_are_still_answered() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("half-closed", 1, Settings::default()).id;
    let sent = client.send_with(append(stream, Some(0), Ack::Durable), &keyless(["last words"]));
    client.socket.shutdown(std::net::Shutdown::Write).expect("a connected socket");
    let (response, _) = client.receive();
    assert_eq!(response.id, sent);
    assert!(matches!(response.body, ResponseBody::Appended(_)), "{response:?}");
    assert_eq!(client.try_receive(), None);
}
