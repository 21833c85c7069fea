//! Tests of `frame`: golden bytes, every split of the stream, lying lengths.

use proptest::prelude::*;

use super::*;
use crate::limits::FRAME_BYTES_MAX;
use crate::samples::hex;

const LIMIT: u32 = 64;

fn frame(message: &[u8], body: &[u8]) -> Frame {
    Frame { message: Bytes::copy_from_slice(message), body: Bytes::copy_from_slice(body) }
}

fn written(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    for frame in frames {
        put(&mut out, &frame.message, frame.body.len());
        out.extend_from_slice(&frame.body);
    }
    out
}

fn check_cut(bytes: &[u8], expected: &Result<Option<Frame>, FrameError>) {
    let mut received = BytesMut::from(bytes);
    assert_eq!(&cut(&mut received, LIMIT), expected);
    let taken = matches!(expected, Ok(Some(_)));
    assert_eq!(received.len() == bytes.len(), !taken, "only a whole frame is taken");
}

#[test]
fn frame_has_the_documented_layout() {
    let bytes = hex("0c000000 03000000 616263 01020304 05");
    assert_eq!(written(&[frame(b"abc", &[1, 2, 3, 4, 5])]), bytes);
    check_cut(&bytes, &Ok(Some(frame(b"abc", &[1, 2, 3, 4, 5]))));
    check_cut(&hex("04000000 00000000"), &Ok(Some(frame(b"", b""))));
}

#[test]
fn lengths_are_known_from_the_first_eight_bytes() {
    let header = hex("0c000000 03000000");
    assert_eq!(peek(&header, LIMIT), Ok(Some(FrameLengths { total: 16, message: 3 })));
    for short in 0..8 {
        assert_eq!(peek(&header[..short], LIMIT), Ok(None), "{short} bytes");
    }
}

#[test]
fn lying_lengths_are_refused_each_with_its_error() {
    check_cut(&hex("41000000"), &Err(FrameError::TooLarge { length: 65, limit: 64 }));
    check_cut(&hex("ffffffff 00000000"), &Err(FrameError::TooLarge { length: u32::MAX, limit: 64 }));
    check_cut(&hex("00000000"), &Err(FrameError::TooShort { length: 0 }));
    check_cut(&hex("03000000 00000000"), &Err(FrameError::TooShort { length: 3 }));
    check_cut(&hex("08000000 05000000 00000000"), &Err(FrameError::Message { message: 5, length: 8 }));
    check_cut(&hex("04000000 ffffffff"), &Err(FrameError::Message { message: u32::MAX, length: 4 }));
}

#[test]
fn message_over_its_own_limit_is_refused_before_it_arrives() {
    let (message, length) = (MESSAGE_BYTES_MAX + 1, FRAME_BYTES_MAX);
    let bytes = [length.to_le_bytes(), message.to_le_bytes()].concat();
    assert_eq!(peek(&bytes, FRAME_BYTES_MAX), Err(FrameError::Message { message, length }));
}

#[test]
fn frame_of_the_limit_is_taken() {
    let largest = frame(&[7; 20], &[8; 40]);
    check_cut(&written(std::slice::from_ref(&largest)), &Ok(Some(largest)));
}

#[test]
#[should_panic(expected = "no peer takes a message")]
fn message_over_the_limit_is_never_sent() {
    put(&mut BytesMut::new(), &vec![0; MESSAGE_BYTES_MAX as usize + 1], 0);
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..24);
    (bytes(), bytes()).prop_map(|(message, body)| frame(&message, &body))
}

proptest! {
    #[test]
    fn frames_come_out_whole_and_in_order_wherever_the_stream_is_split(
        frames in prop::collection::vec(any_frame(), 1..5),
    ) {
        let stream = written(&frames);
        for split in 0..=stream.len() {
            let mut received = BytesMut::new();
            let mut found = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                received.extend_from_slice(part);
                while let Some(frame) = cut(&mut received, LIMIT).expect("valid frames") {
                    found.push(frame);
                }
            }
            prop_assert_eq!(&found, &frames);
            prop_assert!(received.is_empty());
        }
    }

    #[test]
    fn arbitrary_bytes_are_frames_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..64), limit: u32) {
        let mut received = BytesMut::from(bytes.as_slice());
        while let Ok(Some(frame)) = cut(&mut received, limit) {
            prop_assert!(frame.message.len() + frame.body.len() <= bytes.len());
        }
    }
}
