//! Bad input: each gets a typed refusal or a closed connection, and nobody else is disturbed.

use std::io::Write;
use std::time::Duration;

use tidemill_wire::message::{Ack, ErrorCode, RequestBody, ResponseBody, Settings};

use crate::client::{Client, append, hello, keyless};
use crate::fixture::{Fixture, now};

/// A witness that was there before must be served after.
fn with_witness(disturb: impl FnOnce(&Fixture)) {
    let server = Fixture::start();
    let mut witness = server.client();
    let stream = witness.create("witness", 2, Settings::default()).id;
    disturb(&server);
    for shard in 0..2 {
        assert_eq!(witness.append(stream, shard, &keyless(["still here"])), Ok(0));
    }
    assert_eq!(server.client().ask(RequestBody::Ping), ResponseBody::Done);
}

#[test]
fn a_frame_over_the_limit_ends_its_connection_with_a_refusal() {
    with_witness(|server| {
        let mut client = server.client();
        client.send_raw(&(2_u32 << 20).to_le_bytes());
        client.send_raw(&[0; 64]);
        assert_eq!(client.expect_ended(), Some(ErrorCode::InvalidRequest));
    });
}

#[test]
fn a_frame_whose_lengths_contradict_each_other_ends_its_connection() {
    with_witness(|server| {
        for lengths in [[3_u32, 0], [4, 1], [100, 200], [0, 0]] {
            let mut client = server.client();
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
            client.send_raw(&bytes);
            assert_eq!(client.expect_ended(), Some(ErrorCode::InvalidRequest), "{lengths:?}");
        }
    });
}

#[test]
fn random_bytes_end_their_connection_and_nothing_else() {
    with_witness(|server| {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..50 {
            let mut client = Client::connect_silently(server.addresses().native);
            let mut noise = Vec::with_capacity(4_096);
            while noise.len() < 4_096 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                noise.extend_from_slice(&state.to_le_bytes());
            }
            // Half of them look like a frame of a believable length.
            if round % 2 == 0 {
                noise[..8].copy_from_slice(&[0xf8, 0x0f, 0, 0, 0xf0, 0x0f, 0, 0]);
            }
            // The server may have closed the connection before everything was sent.
            let _ = client.socket.write_all(&noise);
            let _ = client.socket.shutdown(std::net::Shutdown::Write);
            while client.try_receive().is_some() {}
        }
    });
}

#[test]
fn a_truncated_frame_is_no_matter() {
    with_witness(|server| {
        for cut in [1, 4, 7, 8, 9, 20] {
            let mut client = server.client();
            let (_, frame) = client.frame(RequestBody::Ping, &[]);
            client.send_raw(&frame[..cut]);
            client.socket.shutdown(std::net::Shutdown::Write).expect("a connected socket");
            assert_eq!(client.try_receive(), None);
        }
    });
}

#[test]
fn a_large_frame_that_is_never_finished_holds_nobody_up() {
    with_witness(|server| {
        let mut client = server.client();
        let body = append(tidemill_wire::StreamId(1), Some(0), Ack::Durable);
        let (_, frame) = client.frame(body, &vec![0; 900_000]);
        client.send_raw(&frame[..500_000]);
        drop(client);
    });
}

#[test]
fn a_corrupt_flatbuffer_ends_its_connection_with_a_refusal() {
    with_witness(|server| {
        let mut client = server.client();
        let (_, mut frame) = client.frame(RequestBody::Ping, &[]);
        // The root offset points outside of the message.
        frame[8..12].copy_from_slice(&0xffff_0000_u32.to_le_bytes());
        client.send_raw(&frame);
        assert_eq!(client.expect_ended(), Some(ErrorCode::InvalidRequest));
    });
}

#[test]
fn every_flipped_bit_of_a_request_leaves_the_server_alive() {
    with_witness(|server| {
        // A stream that no single byte turns into one that exists.
        let request = append(tidemill_wire::StreamId(u64::MAX / 3), Some(0), Ack::Durable);
        let (_, frame) =
            Client::connect_silently(server.addresses().native).frame(request, &keyless(["x", "y"]));
        for position in 8..frame.len() {
            let mut client = server.client();
            let mut damaged = frame.clone();
            damaged[position] ^= 0x81;
            client.send_raw(&damaged);
            client.socket.shutdown(std::net::Shutdown::Write).expect("a connected socket");
            while client.try_receive().is_some() {}
        }
    });
}

#[test]
fn a_batch_whose_offsets_lie_is_refused_alone() {
    with_witness(|server| {
        let mut client = server.client();
        let stream = client.create("lies", 1, Settings::default()).id;
        let honest = keyless(["one", "two"]);
        let mut lying = honest.to_vec();
        // The first record's end, behind the second's.
        lying[24..28].copy_from_slice(&1_000_u32.to_le_bytes());
        let refused = client.append(stream, 0, &lying).expect_err("the offsets lie");
        assert_eq!(refused.code, ErrorCode::InvalidBatch);
        for bytes in [&honest[..10], &honest[..honest.len() - 1], b"", b"TMB1"] {
            let refused = client.append(stream, 0, bytes).expect_err("not a batch");
            assert_eq!(refused.code, ErrorCode::InvalidBatch);
        }
        assert_eq!(client.append(stream, 0, &honest), Ok(0));
    });
}

#[test]
fn bytes_behind_a_request_that_takes_none_are_refused() {
    with_witness(|server| {
        let mut client = server.client();
        match client.ask_with(RequestBody::Ping, b"why").0 {
            ResponseBody::Failed(failure) => assert_eq!(failure.code, ErrorCode::InvalidRequest),
            other => panic!("not refused: {other:?}"),
        }
        assert_eq!(client.ask(RequestBody::Ping), ResponseBody::Done);
    });
}

#[test]
fn a_request_of_an_unknown_type_is_refused_with_its_id() {
    with_witness(|server| {
        let mut client = server.client();
        let (id, frame) = client.frame(RequestBody::Ping, &[]);
        // The union's type byte is the only 2 (`Ping`) in the message that can be changed to make it another known layout.
        let unknown = (8..frame.len()).filter(|at| frame[*at] == 2).find_map(|at| {
            let mut changed = frame.clone();
            changed[at] = 200;
            let request = tidemill_wire::message::Request::decode(&changed[8..]);
            let reason = request.err()?.reason;
            matches!(reason, tidemill_wire::message::DecodeReason::UnknownBody(200)).then_some(changed)
        });
        client.send_raw(&unknown.expect("the message has a type"));
        let (response, _) = client.receive();
        assert_eq!(response.id, id);
        let ResponseBody::Failed(failure) = response.body else { panic!("{response:?}") };
        assert_eq!((failure.code, failure.value), (ErrorCode::UnknownRequest, 200));
        assert_eq!(client.ask(RequestBody::Ping), ResponseBody::Done);
    });
}

#[test]
fn a_hello_that_comes_in_drops_is_not_waited_for() {
    let server = Fixture::start();
    let mut client = Client::connect_silently(server.addresses().native);
    let (_, frame) = client.frame(hello(), &[]);
    let begun = now();
    for byte in &frame {
        if client.socket.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "the connection goes on");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
}
