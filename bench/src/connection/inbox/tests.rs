//! Frames come out whole and in order however the bytes were cut.

use bytes::BytesMut;
use tidemill_wire::frame::{self, FrameError};
use tidemill_wire::limits::FRAME_BYTES_MAX;

use super::Inbox;

fn frames(bodies: &[usize]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (number, body) in bodies.iter().enumerate() {
        frame::put(&mut out, &[number as u8; 16], *body);
        out.extend_from_slice(&vec![number as u8; *body]);
    }
    out.to_vec()
}

/// Reads `input` at most `step` bytes at a time and returns the bodies' lengths.
fn check(buffer_bytes: usize, step: usize, bodies: &[usize]) {
    let mut inbox = Inbox::new(buffer_bytes);
    let mut seen = Vec::new();
    for chunk in frames(bodies).chunks(step) {
        let mut rest = chunk;
        while !rest.is_empty() {
            assert!(inbox.fill(&mut rest).unwrap() > 0, "there is always room to read into");
            while let Some(received) = inbox.next().unwrap() {
                assert_eq!(received.message, [seen.len() as u8; 16]);
                assert!(received.body.iter().all(|byte| usize::from(*byte) == seen.len()));
                seen.push(received.body.len());
            }
        }
    }
    assert_eq!(seen, bodies);
}

#[test]
fn frames_are_whole_whatever_the_reads_were() {
    for step in [1, 7, 24, 64, 1_000, 100_000] {
        check(64, step, &[0, 0, 100, 0, 3_000, 1, 0]);
        check(10_000, step, &[5_000, 5_000, 5_000, 0, 9_976]);
    }
}

#[test]
fn what_is_not_a_frame_is_an_error() {
    let mut inbox = Inbox::new(64);
    inbox.fill(&mut [0xff_u8; 16].as_slice()).unwrap();
    assert_eq!(inbox.next(), Err(FrameError::TooLarge { length: u32::MAX, limit: FRAME_BYTES_MAX }));
}

#[test]
fn answers_over_http_are_whole_whatever_the_reads_were() {
    let answer = |bytes: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; bytes]].concat()
    };
    let sizes = [0, 5, 3_000, 1, 70_000];
    let sent = sizes.map(answer).concat();
    for step in [1, 7, 64, 1_000, 100_000] {
        let mut inbox = Inbox::of_http(64);
        let mut seen = Vec::new();
        for chunk in sent.chunks(step) {
            let mut rest = chunk;
            while !rest.is_empty() {
                assert!(inbox.fill(&mut rest).unwrap() > 0, "there is always room to read into");
                while let Some(head) = crate::http::head(inbox.received()).unwrap() {
                    let crate::http::Form::Whole(bytes) = head.form else { panic!("its length is told") };
                    let Some(whole) = inbox.take(head.bytes + bytes) else { break };
                    seen.push(whole.len() - head.bytes);
                }
            }
        }
        assert_eq!(seen, sizes);
    }
}
