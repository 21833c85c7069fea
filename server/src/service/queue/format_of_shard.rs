//! The bytes of an event in the journal of a queue over a stream: the event of one shard, as a partition of messages has it, in an envelope that says whose it is.
//!
//! `docs/format/queue.md` draws the layout.

use bytes::Bytes;
use minicbor::Decoder;
use tidemill_wire::ShardIndex;

use super::format::{FormatError, Reader, VERSION, decode_event, encode_event, numbers, written};
use super::shard_event::{ShardEvent, Side};

/// An event as it is written.
pub(super) fn encode_shard_event(event: &ShardEvent) -> Vec<u8> {
    written(128, |out| match event {
        ShardEvent::Of { shard, side, event } => {
            let event = encode_event(event);
            out.array(5)?.u8(VERSION)?.u8(1)?.u32(shard.get())?.u8(side_number(*side))?.bytes(&event)?.ok()
        }
        ShardEvent::Restored { shard, records } => {
            out.array(4)?.u8(VERSION)?.u8(2)?.u32(shard.get())?;
            numbers(out, records)
        }
        ShardEvent::Snapshot { parts } => out.array(3)?.u8(VERSION)?.u8(3)?.u64(*parts)?.ok(),
    })
}

/// Reads an event.
pub(super) fn decode_shard_event(bytes: &Bytes) -> Result<ShardEvent, FormatError> {
    let mut reader = Reader::new("event of a shard", bytes);
    let fields = reader.take(Decoder::array)?;
    reader.version()?;
    let kind = reader.take(Decoder::u8)?;
    let change = match (kind, fields) {
        (1, Some(5)) => {
            let shard = ShardIndex(reader.take(Decoder::u32)?);
            let side = match reader.take(Decoder::u8)? {
                0 => Side::Live,
                1 => Side::Dead,
                other => return Err(reader.impossible("side", u64::from(other))),
            };
            ShardEvent::Of { shard, side, event: decode_event(reader.take(Decoder::bytes)?)? }
        }
        (2, Some(4)) => {
            let shard = ShardIndex(reader.take(Decoder::u32)?);
            ShardEvent::Restored { shard, records: reader.list(1, |reader| reader.take(Decoder::u64))? }
        }
        (3, Some(3)) => ShardEvent::Snapshot { parts: reader.take(Decoder::u64)? },
        (kind, _) => return Err(reader.impossible("kind", u64::from(kind))),
    };
    reader.end()?;
    Ok(change)
}

fn side_number(side: Side) -> u8 {
    match side {
        Side::Live => 0,
        Side::Dead => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_wire::Timestamp;

    use super::super::format::tests::event as any_event;
    use super::*;
    use crate::service::queue::journal::Event;

    fn any_shard_event() -> impl Strategy<Value = ShardEvent> {
        let of = (any::<u32>(), any::<bool>(), any_event()).prop_map(|(shard, is_dead, event)| {
            let side = if is_dead { Side::Dead } else { Side::Live };
            ShardEvent::Of { shard: ShardIndex(shard), side, event }
        });
        let restored = (any::<u32>(), proptest::collection::vec(any::<u64>(), 0..5))
            .prop_map(|(shard, records)| ShardEvent::Restored { shard: ShardIndex(shard), records });
        prop_oneof![of, restored, any::<u64>().prop_map(|parts| ShardEvent::Snapshot { parts })]
    }

    fn check(event: &ShardEvent, expected: &str) {
        let hex: String = encode_shard_event(event).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{event:?}");
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let shard = ShardIndex(7);
        let event = Event::Hidden(vec![(3, Timestamp(4))]);
        check(&ShardEvent::Of { shard, side: Side::Dead, event }, "85010107014783010381820304");
        check(&ShardEvent::Restored { shard, records: vec![1, 300] }, "84010207820119012c");
        check(&ShardEvent::Snapshot { parts: 2 }, "83010302");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let check = |bytes: &[u8], part: &str| {
            let error =
                decode_shard_event(&Bytes::copy_from_slice(bytes)).expect_err("it is none").to_string();
            assert!(error.contains(part), "{error}");
        };
        check(&[0x83, 2, 3, 2], "version 2");
        check(&[0x83, 1, 9, 2], "kind 9");
        check(&[0x85, 1, 1, 7, 2, 0x41, 0], "side 2");
        check(&[0x84, 1, 2, 7, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "items");
        check(&[0x83, 1, 3, 2, 0], "behind its end");
    }

    proptest! {
        #[test]
        fn events_decode_to_what_they_were(change in any_shard_event()) {
            let bytes = Bytes::from(encode_shard_event(&change));
            prop_assert_eq!(decode_shard_event(&bytes), Ok(change));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(change) = decode_shard_event(&Bytes::from(bytes)) {
                prop_assert_eq!(decode_shard_event(&Bytes::from(encode_shard_event(&change))), Ok(change));
            }
        }
    }
}
