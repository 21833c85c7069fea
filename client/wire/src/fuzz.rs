//! The fuzz targets of this crate, listed once: each takes arbitrary bytes and must neither panic nor run away.
//!
//! Where bytes decode, a target also checks a property of what came out. The tests run every target for a moment;
//! `cargo xtask fuzz` runs them for long.

use bytes::{Bytes, BytesMut};

use crate::batch::{BatchBuilder, BatchView, Compression};
use crate::entry::{EntryHeader, EntryRun};
use crate::frame;
use crate::limits::{FRAME_BYTES_MAX_DEFAULT, LIST_STREAMS_MAX};
use crate::message::{Encoder, Request, Response, ResponseBody};
use crate::routing::{HashKey, RoutingTable};

/// A target: its name and what it does with arbitrary bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("frame", cut_frames),
    ("batch", read_batch),
    ("entry", walk_entries),
    ("request", decode_request),
    ("response", decode_response),
];

fn cut_frames(input: &[u8]) {
    let mut received = BytesMut::from(input);
    let mut rebuilt = BytesMut::new();
    while let Ok(Some(frame)) = frame::cut(&mut received, FRAME_BYTES_MAX_DEFAULT) {
        frame::put(&mut rebuilt, &frame.message, frame.body.len());
        rebuilt.extend_from_slice(&frame.body);
        decode_request(&frame.message);
        read_batch(&frame.body);
    }
    rebuilt.extend_from_slice(&received);
    assert_eq!(rebuilt, input, "frames and the rest are the stream");
}

fn read_batch(input: &[u8]) {
    let Ok(batch) = BatchView::parse(Bytes::copy_from_slice(input)) else { return };
    assert!(batch.payload_bytes() < input.len());
    let keys: usize = (0..batch.count()).map(|index| batch.key(index).len()).sum();
    let Ok(records) = batch.records() else { return };
    let mut builder = BatchBuilder::new();
    let mut found = (0, 0);
    for record in records {
        found = (found.0 + 1, found.1 + record.key.len());
        let pushed = builder.push(&record.key, &record.data, record.timestamp);
        assert!(pushed.is_ok() || batch.compression() != Compression::None, "a batch fits a batch");
    }
    assert_eq!(found, (batch.count(), keys));
}

fn walk_entries(input: &[u8]) {
    // Chance hardly ever makes a checksum fit, so the header is read without it too.
    if let Ok(header) = EntryHeader::decode(input) {
        assert!(header.stride() >= header.length as usize && header.next_sequence() >= header.base_sequence);
    }
    let run = EntryRun::new(Bytes::copy_from_slice(input));
    assert!(run.count() <= input.len());
}

fn decode_request(input: &[u8]) {
    let Ok(request) = Request::decode(input) else { return };
    let mut out = BytesMut::new();
    Encoder::new().request(&mut out, &request, 0);
    let again =
        frame::cut(&mut out, FRAME_BYTES_MAX_DEFAULT).ok().flatten().map(|f| Request::decode(&f.message));
    assert_eq!(again, Some(Ok(request)), "what decodes can be sent on");
}

fn decode_response(input: &[u8]) {
    let Ok(response) = Response::decode(input) else { return };
    if let ResponseBody::StreamDescription(stream) = &response.body {
        let ranges = stream.shards.iter().map(|shard| (shard.range, shard.index));
        if let Ok(table) = RoutingTable::new(ranges) {
            assert!(table.shards().any(|shard| shard == table.shard_of(HashKey::MAX)));
        }
    }
    // Many entries of a forged list may share the bytes of one, so the list itself may be longer than a message.
    if matches!(&response.body, ResponseBody::StreamList { streams, .. } if streams.len() > LIST_STREAMS_MAX as usize)
    {
        return;
    }
    let mut out = BytesMut::new();
    Encoder::new().response(&mut out, &response, 0);
    let again =
        frame::cut(&mut out, FRAME_BYTES_MAX_DEFAULT).ok().flatten().map(|f| Response::decode(&f.message));
    assert_eq!(again, Some(Ok(response)), "what decodes can be sent on");
}

#[cfg(test)]
mod tests;
