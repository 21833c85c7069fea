//! The bytes of a consumer.

use tidemill_wire::{StreamId, Timestamp};

use super::{DecodeError, Reader, encode_tags};
use crate::service::consumer::{Consumer, ConsumerName};

/// Version of the values of consumers.
const VERSION: u8 = 1;

pub(in super::super) fn encode_consumer(consumer: &Consumer) -> Vec<u8> {
    let name = consumer.name.as_str().as_bytes();
    let mut out = vec![VERSION];
    out.extend(consumer.stream.get().to_le_bytes());
    out.extend(consumer.created.get().to_le_bytes());
    out.push(u8::try_from(name.len()).expect("a consumer's name has at most 128 bytes"));
    out.extend(name);
    encode_tags(&mut out, &consumer.tags);
    out
}

pub(in super::super) fn decode_consumer(bytes: &[u8]) -> Result<Consumer, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let stream = StreamId(reader.u64("stream id")?);
    let created = Timestamp(reader.u64("created")?);
    let field = "consumer name";
    let length = usize::from(reader.u8(field)?);
    let (name, rest) = reader.rest.split_at_checked(length).ok_or(DecodeError::Truncated { field })?;
    reader.rest = rest;
    let text = String::from_utf8_lossy(name);
    let name = ConsumerName::new(&text)
        .map_err(|_| DecodeError::Impossible { field, value: format!("{text:?}") })?;
    let tags = reader.tags(0)?;
    reader.end(Consumer { stream, name, created, tags })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sample() -> Consumer {
        Consumer {
            stream: StreamId(7),
            name: ConsumerName::new("app.1").expect("a name"),
            created: Timestamp(1_700_000_000_123),
            tags: BTreeMap::from([("a".to_owned(), "bc".to_owned())]),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let hex: String = encode_consumer(&sample()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0107000000000000007b68e5cf8b010000056170702e31010001006102006263");
        let plain = Consumer { tags: BTreeMap::new(), ..sample() };
        assert_eq!(encode_consumer(&plain).last_chunk(), Some(&[b'1', 0, 0]));
        assert_eq!(decode_consumer(&encode_consumer(&plain)), Ok(plain));
    }

    #[test]
    fn what_is_no_consumer_is_refused() {
        let good = encode_consumer(&sample());
        for length in 0..good.len() {
            let error = decode_consumer(&good[..length]).expect_err("it ends early");
            assert!(matches!(error, DecodeError::Truncated { .. }), "{length}: {error}");
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(decode_consumer(&longer), Err(DecodeError::TrailingBytes { bytes: 1 }));
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            decode_consumer(&bytes).expect_err("it is damaged").to_string()
        };
        assert_eq!(changed(0, 2), "value has version 2, which this server does not know");
        assert_eq!(changed(18, b'/'), "consumer name has the impossible value \"/pp.1\"");
    }

    proptest! {
        #[test]
        fn consumers_decode_to_what_they_were(
            (stream, created) in any::<(u64, u64)>(),
            name in "[a-zA-Z0-9_.-]{1,128}",
            tags in proptest::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..4),
        ) {
            let name = ConsumerName::new(&name).expect("the pattern gives names");
            let consumer = Consumer { stream: StreamId(stream), name, created: Timestamp(created), tags };
            prop_assert_eq!(decode_consumer(&encode_consumer(&consumer)), Ok(consumer));
        }

        #[test]
        fn a_changed_byte_never_panics_and_what_decodes_has_one_value(at: prop::sample::Index, to: u8) {
            let mut bytes = encode_consumer(&sample());
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(decoded) = decode_consumer(&bytes) {
                prop_assert_eq!(encode_consumer(&decoded), bytes);
            }
        }
    }
}
