//! The bytes of an event in the journal of a queue over a stream: the event of one shard, as a partition of messages has it, in an envelope that says whose it is.
//!
//! `docs/format/queue.md` draws the layout.

use bytes::Bytes;
use minicbor::Decoder;
use tidemill_wire::ShardIndex;

use super::format::{
    FormatError, Out, Reader, VERSION, Written, decode_event, encode_event, numbers, write_kept, written,
};
use super::shard_event::{Piece, ShardEvent, Side};

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
        ShardEvent::Begun => out.array(2)?.u8(VERSION)?.u8(4)?.ok(),
        ShardEvent::Part(pieces) => {
            out.array(3)?.u8(VERSION)?.u8(5)?.array(pieces.len() as u64)?;
            pieces.iter().try_for_each(|piece| write_piece(out, piece))
        }
        ShardEvent::Ended => out.array(2)?.u8(VERSION)?.u8(6)?.ok(),
    })
}

fn write_piece(out: &mut Out, piece: &Piece) -> Written {
    let Piece { shard, is_first, live_cursor, dead_cursor, live, dead } = piece;
    out.array(6)?.u32(shard.get())?.bool(*is_first)?.u64(*live_cursor)?.u64(*dead_cursor)?;
    for side in [live, dead] {
        out.array(side.len() as u64)?;
        side.iter().try_for_each(|kept| write_kept(out, kept))?;
    }
    Ok(())
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
        (4, Some(2)) => ShardEvent::Begun,
        (5, Some(3)) => ShardEvent::Part(reader.list(7, read_piece)?),
        (6, Some(2)) => ShardEvent::Ended,
        (kind, _) => return Err(reader.impossible("kind", u64::from(kind))),
    };
    reader.end()?;
    Ok(change)
}

fn read_piece(reader: &mut Reader<'_>) -> Result<Piece, FormatError> {
    reader.array(6)?;
    let shard = ShardIndex(reader.take(Decoder::u32)?);
    let is_first = reader.take(Decoder::bool)?;
    let (live_cursor, dead_cursor) = (reader.take(Decoder::u64)?, reader.take(Decoder::u64)?);
    let (live, dead) = (reader.list(8, Reader::kept)?, reader.list(8, Reader::kept)?);
    Ok(Piece { shard, is_first, live_cursor, dead_cursor, live, dead })
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

    use super::super::format::tests::{event as any_event, kept as any_kept};
    use super::*;
    use crate::service::queue::journal::{Entry, Event, Kept, Phase};

    fn any_shard_event() -> impl Strategy<Value = ShardEvent> {
        let of = (any::<u32>(), any::<bool>(), any_event()).prop_map(|(shard, is_dead, event)| {
            let side = if is_dead { Side::Dead } else { Side::Live };
            ShardEvent::Of { shard: ShardIndex(shard), side, event }
        });
        let restored = (any::<u32>(), proptest::collection::vec(any::<u64>(), 0..5))
            .prop_map(|(shard, records)| ShardEvent::Restored { shard: ShardIndex(shard), records });
        let some_kept = || proptest::collection::vec(any_kept(), 0..4);
        let piece = (any::<(u32, bool, u64, u64)>(), some_kept(), some_kept()).prop_map(
            |((shard, is_first, live_cursor, dead_cursor), live, dead)| Piece {
                shard: ShardIndex(shard),
                is_first,
                live_cursor,
                dead_cursor,
                live,
                dead,
            },
        );
        prop_oneof![
            of,
            restored,
            any::<u64>().prop_map(|parts| ShardEvent::Snapshot { parts }),
            Just(ShardEvent::Begun),
            proptest::collection::vec(piece, 0..4).prop_map(ShardEvent::Part),
            Just(ShardEvent::Ended),
        ]
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
        check(&ShardEvent::Begun, "820104");
        let at = Timestamp(1);
        let entry =
            Entry { phase: Phase::InFlight(at), group: 0, receives: 2, first_received: at, received: at };
        let (live_cursor, dead_cursor) = (9, 4);
        let live = vec![Kept { sequence: 8, entry }];
        let first = Piece { shard, is_first: true, live_cursor, dead_cursor, live, dead: vec![] };
        let dead = vec![Kept { sequence: 3, entry: Entry { phase: Phase::Ready, ..entry } }];
        let second = Piece { shard, is_first: false, live_cursor, dead_cursor, live: vec![], dead };
        let expected = "830105828607f50904818708010100020101808607f4090480818703000000020101";
        check(&ShardEvent::Part(vec![first, second]), expected);
        check(&ShardEvent::Ended, "820106");
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
        check(&[0x83, 1, 5, 0x81, 0x85, 7, 0xf5, 1, 2, 0x80, 0x80], "fields 5");
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
