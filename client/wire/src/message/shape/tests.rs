//! Tests of `shape`: it agrees with the builder on every value and with the verifier on every byte.

use proptest::prelude::*;

use super::*;
use crate::message::Encoder;
use crate::samples;

/// Values that a field of a message has at its edges, and any others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]
}

fn index() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()]
}

fn ack() -> impl Strategy<Value = Ack> {
    prop_oneof![Just(Ack::Durable), Just(Ack::Written)]
}

fn append(id: u64, stream: u64, shard: u32, ack: Ack) -> Vec<u8> {
    let shard = Some(ShardIndex(shard)).filter(|shard| shard.0 != u32::MAX);
    let append = Append { stream: StreamId(stream), shard, ack };
    samples::request_message(&Request { id: RequestId(id), body: RequestBody::Append(append) }).to_vec()
}

proptest! {
    #[test]
    fn shapes_write_what_the_builder_writes(id in number(), base in number(), time in number(), shard in index()) {
        let appended = Appended {
            shard: ShardIndex(shard),
            base_sequence: SequenceNumber(base),
            append_time: Timestamp(time),
        };
        let (mut by_shape, mut built) = (BytesMut::from(&b"before"[..]), BytesMut::from(&b"before"[..]));
        Encoder::new().appended(&mut by_shape, RequestId(id), appended);
        let response = Response { id: RequestId(id), body: ResponseBody::Appended(appended) };
        Encoder::new().response(&mut built, &response, 0);
        prop_assert_eq!(by_shape, built);
    }

    #[test]
    fn shapes_read_what_the_verifier_reads(
        id in number(), stream in number(), shard in index(), ack in ack(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        length in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut message = append(id, stream, shard, ack);
        for (at, byte) in damage {
            let at = at.index(message.len());
            message[at] = byte;
        }
        if let Some(length) = length {
            message.resize(length.index(100), 0);
        }
        if let Some(request) = read_append(&message) {
            prop_assert_eq!(Request::decode_any(&message), Ok(request));
        }
    }
}

/// Each byte with each value: a shape that took a fixed byte for a part of a number would be found out.
#[test]
fn shapes_and_verifier_agree_on_every_change_of_one_byte() {
    for ack in [Ack::Durable, Ack::Written] {
        let message = append(9, 7, 2, ack);
        assert!(read_append(&message).is_some(), "the usual append is read by its shape");
        for at in 0..message.len() {
            for byte in 0..=u8::MAX {
                let mut message = message.clone();
                message[at] = byte;
                if let Some(request) = read_append(&message) {
                    assert_eq!(Request::decode_any(&message), Ok(request), "byte {at} is {byte}");
                }
            }
        }
    }
}

#[test]
fn usual_answers_are_written_by_shape() {
    for shard in [ShardIndex(0), ShardIndex(1)] {
        let appended = Appended { shard, base_sequence: SequenceNumber(1), append_time: Timestamp(1) };
        assert!(write_appended(&mut BytesMut::new(), RequestId(1), &appended));
    }
}

#[test]
fn other_requests_are_left_to_the_verifier() {
    for request in samples::requests() {
        let found = read_append(&samples::request_message(&request));
        assert!(found.is_none_or(|found| found == request), "{request:?}");
    }
}
