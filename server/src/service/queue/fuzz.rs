//! Fuzz targets: what a queue writes to the log, listed once.

use bytes::Bytes;

use super::format::tests::samples;
use super::format::{decode_event, decode_message, decode_times, encode_event, encode_message};
use super::format_of_shard::{decode_shard_event, encode_shard_event};
use super::over_stream::Ledger;
use super::state::State;
use crate::fuzzing;

/// A target: its name and what it does with arbitrary bytes.
type Target = (&'static str, fn(&[u8]));

/// Every target.
const TARGETS: &[Target] =
    &[("queue_message", message), ("queue_event", event), ("queue_shard_event", shard_event)];

fn message(input: &[u8]) {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(message) = decode_message(b"", &bytes) {
        assert_eq!(decode_times(&bytes), Ok((message.sent, message.content.delay_s)));
        assert_eq!(decode_message(b"", &encode_message(&message).into()), Ok(message));
    }
}

fn event(input: &[u8]) {
    if let Ok(event) = decode_event(input) {
        assert_eq!(decode_event(&encode_event(&event)), Ok(event.clone()));
        let mut state = State::new(false);
        state.apply(&event);
    }
}

fn shard_event(input: &[u8]) {
    if let Ok(event) = decode_shard_event(&Bytes::copy_from_slice(input)) {
        assert_eq!(decode_shard_event(&encode_shard_event(&event).into()), Ok(event.clone()));
        let mut ledger = Ledger::default();
        ledger.apply(&event);
    }
}

#[test]
fn fuzz_smoke() {
    for (name, target) in TARGETS {
        fuzzing::run(name, *target, &samples());
    }
}
