//! The fuzz targets of this crate, listed once: each takes arbitrary bytes and must neither panic nor run away.
//!
//! Where bytes decode, a target also checks a property of what came out. The tests run every target for a moment;
//! `cargo xtask fuzz` runs them for long.

use bytes::{Bytes, BytesMut};

use crate::attributes::{decode_attributes, encode_attributes};
use crate::batch::{BatchBuilder, BatchView, Compression};
use crate::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, EntryRun};
use crate::frame;
use crate::ids::{OwnerId, SequenceNumber, Timestamp};
use crate::limits::{FRAME_BYTES_MAX_DEFAULT, LIST_STREAMS_MAX};
use crate::message::{Encoder, NewMessage, Request, RequestBody, Response, ResponseBody};
use crate::numbered::{NumberedBatch, encode_sparse, stored_bytes_of};
use crate::routing::{HashKey, RoutingTable};

/// A target: its name and what it does with arbitrary bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("frame", cut_frames),
    ("batch", read_batch),
    ("entry", walk_entries),
    ("numbered", number_records),
    ("attributes", read_attributes),
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
        if let Ok(request) = Request::decode(&frame.message) {
            split_parts(&request, &frame.body);
        }
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

/// The first bytes stand for the entry's kind and numbers, the others for its payload.
fn number_records(input: &[u8]) {
    let Some((numbers, payload)) = input.split_first_chunk::<5>() else { return };
    let span = u32::from_le_bytes([numbers[1], numbers[2], numbers[3], numbers[4]]);
    let kind = if numbers[0] & 1 == 0 { EntryKind::Sparse } else { EntryKind::Batch };
    let header = EntryHeader {
        length: (ENTRY_HEADER_BYTES + payload.len()) as u32,
        kind,
        key_id: 0,
        record_count: span,
        owner: OwnerId(1),
        base_sequence: SequenceNumber(u64::MAX - u64::from(u32::MAX)),
        append_time: Timestamp(0),
        segment_epoch: 0,
        durable_before: 0,
    };
    let entry = [header.encode(payload).as_slice(), payload].concat();
    let stored = stored_bytes_of(&header, &entry);
    let Ok(Some(batch)) = NumberedBatch::parse(&header, Bytes::copy_from_slice(payload)) else { return };
    assert!(stored.is_some_and(|bytes| bytes <= payload.len() as u64));
    let numbers: Vec<u64> = (0..batch.count()).map(|index| batch.sequence(index).0).collect();
    assert!(numbers.is_sorted_by(|left, right| left < right));
    let within = header.base_sequence.0..header.next_sequence().0;
    assert!(numbers.iter().all(|number| within.contains(number)));
    for (before, number) in (0..).zip(&numbers) {
        assert_eq!(batch.records_before(SequenceNumber(*number)), before);
    }
    if kind == EntryKind::Sparse {
        let offsets: Vec<u32> = numbers.iter().map(|number| (number - within.start) as u32).collect();
        let bytes = batch.batch().map(|batch| batch.bytes().clone()).unwrap_or_default();
        assert_eq!(encode_sparse(&offsets, &bytes), payload, "what decodes is what would be encoded");
    }
    let every_other: Vec<u32> = (0..batch.count()).step_by(2).collect();
    if let Some(Ok(Some(selected))) = batch.batch().map(|batch| batch.select(&every_other)) {
        let selected = BatchView::parse(selected).expect("a selection is a batch");
        assert_eq!(selected.count() as usize, every_other.len());
    }
    let Ok(records) = batch.into_records() else { return };
    assert!(records.map(|(number, _)| number.0).eq(numbers));
}

fn read_attributes(input: &[u8]) {
    let Ok(attributes) = decode_attributes(Bytes::copy_from_slice(input)) else { return };
    let again = encode_attributes(&attributes).expect("what was read can be written");
    assert_eq!(again, input, "attributes have one form");
}

/// The parts of messages, whose numbers are in the message, cut out of whatever is behind it.
fn split_parts(request: &Request, body: &Bytes) {
    let RequestBody::SendMessages(send) = &request.body else { return };
    let Ok(parts) = NewMessage::split(&send.messages, body.clone()) else { return };
    let whole: Vec<u8> = parts
        .iter()
        .flat_map(|part| [&part.group, &part.deduplication, &part.attributes, &part.body])
        .flat_map(|part| part.iter().copied())
        .collect();
    assert_eq!(whole.as_slice(), body.as_ref(), "parts are the body");
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
