//! Reads frames as a client does, whatever the bytes are, and compares with what was written.

use proptest::prelude::*;

use super::*;

/// A frame as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Frame {
    pub(in super::super) headers: Vec<(String, String)>,
    pub(in super::super) payload: Vec<u8>,
}

impl Frame {
    /// The header of this name.
    pub(in super::super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Takes the first frame off some bytes; `None` if they do not begin with a whole and sound one.
    pub(in super::super) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (total, rest) = number(bytes)?;
        let (header_bytes, rest) = number(rest)?;
        let (sum, _) = number(rest)?;
        if crc32fast::hash(bytes.get(..8)?) != sum {
            return None;
        }
        let total = usize::try_from(total).ok()?;
        let frame = bytes.get(..total)?;
        let (body, last) = frame.split_at_checked(total.checked_sub(CHECKSUM_BYTES)?)?;
        if crc32fast::hash(body) != number(last)?.0 {
            return None;
        }
        let (mut headers, payload) =
            body.get(PRELUDE_BYTES..)?.split_at_checked(usize::try_from(header_bytes).ok()?)?;
        let mut found = Vec::new();
        while let Some((length, rest)) = headers.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (kind, rest) = rest.split_first()?;
            let (length, rest) = rest.split_first_chunk()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            found.push((text(name)?, text(value).filter(|_| *kind == TEXT)?));
            headers = rest;
        }
        *bytes = bytes.get(total..)?;
        Some(Self { headers: found, payload: payload.to_vec() })
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Reads any bytes as frames; what is one comes out of its encoding again.
pub(in super::super) fn fuzz(mut bytes: &[u8]) {
    let mut before = bytes;
    while let Some(read) = Frame::take(&mut bytes) {
        let headers: Vec<_> =
            read.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let written = frame(&headers, &read.payload);
        assert_eq!(written, before[..before.len() - bytes.len()]);
        before = bytes;
    }
}

#[test]
fn a_frame_has_the_bytes_that_amazons_encoders_give() {
    // botocore's own test vectors: one without headers, and one with a header and a payload.
    let plain = frame(&[], b"{'foo':'bar'}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&plain), "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936");
    let headed = frame(&[("content-type", "application/json")], b"{'foo':'bar'}");
    assert_eq!(
        hex(&headed),
        "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1"
    );
}

#[test]
fn events_and_exceptions_say_what_they_are() {
    let bytes = [event("Some", Encoding::Json, b"{}"), exception("Wrong", Encoding::Cbor, &[0xa0])].concat();
    let mut rest = bytes.as_slice();
    let first = Frame::take(&mut rest).expect("a frame");
    assert_eq!((first.header(":event-type"), first.header(":message-type")), ("Some", "event"));
    assert_eq!(
        (first.header(":content-type"), &first.payload[..]),
        ("application/x-amz-json-1.1", &b"{}"[..])
    );
    let second = Frame::take(&mut rest).expect("a frame");
    assert_eq!((second.header(":exception-type"), second.header(":message-type")), ("Wrong", "exception"));
    assert_eq!((second.header(":content-type"), rest), ("application/x-amz-cbor-1.1", &[][..]));
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written(
        headers in prop::collection::vec(("\\PC{0,60}", "\\PC{0,200}"), 0..5),
        payload: Vec<u8>,
        behind: Vec<u8>,
    ) {
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let bytes = [&frame(&pairs, &payload)[..], &behind].concat();
        let mut rest = bytes.as_slice();
        prop_assert_eq!(Frame::take(&mut rest), Some(Frame { headers, payload }));
        prop_assert_eq!(rest, behind);
    }

    #[test]
    fn a_changed_or_missing_byte_is_seen(payload: Vec<u8>, at: prop::sample::Index, bit in 0..8_u32) {
        let good = event("Some", Encoding::Json, &payload);
        let at = at.index(good.len());
        let mut damaged = good.to_vec();
        damaged[at] ^= 1 << bit;
        prop_assert_eq!(Frame::take(&mut damaged.as_slice()), None);
        prop_assert_eq!(Frame::take(&mut &good[..at]), None);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        fuzz(&bytes);
    }
}
