//! The hot paths do not allocate, and no input makes the crate allocate more than it may.
//!
//! Counts what the calling thread asks of the allocator; counting is the only reason for the unsafe code here.

#![allow(unsafe_code, reason = "an allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use tidemill_wire::batch::{BatchBuilder, BatchView, Compression};
use tidemill_wire::entry::EntryHeader;
use tidemill_wire::message::{
    Ack, Append, Appended, Encoder, Fetch, Fetched, Position, Request, RequestBody, Response, ResponseBody,
};
use tidemill_wire::{RequestId, SequenceNumber, ShardIndex, StreamId, Timestamp, frame, limits};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells of the thread that need
// neither allocation nor destruction, so they can be touched from here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often, and for how many bytes in all, `work` allocates.
fn allocations<T>(work: impl FnOnce() -> T) -> (usize, usize) {
    let before = (COUNT.get(), BYTES.get());
    let result = work();
    let after = (COUNT.get(), BYTES.get());
    drop(result);
    (after.0 - before.0, after.1 - before.1)
}

fn hot_requests() -> [Request; 2] {
    let (stream, shard) = (StreamId(1), ShardIndex(2));
    let append = Append { stream, shard: Some(shard), ack: Ack::Durable };
    let position = Position::Sequence(SequenceNumber(3));
    let fetch = Fetch { stream, shard, position, bytes_max: 1 << 20, wait_ms: 500 };
    [RequestBody::Append(append), RequestBody::Fetch(fetch)].map(|body| Request { id: RequestId(9), body })
}

fn hot_responses() -> [Response; 2] {
    let (shard, base_sequence) = (ShardIndex(2), SequenceNumber(3));
    let appended = Appended { shard, base_sequence, append_time: Timestamp(4) };
    let fetched = Fetched {
        from_sequence: base_sequence,
        next_sequence: base_sequence,
        oldest_sequence: base_sequence,
        end_sequence: base_sequence,
        closed: false,
    };
    [ResponseBody::Appended(appended), ResponseBody::Fetched(fetched)]
        .map(|body| Response { id: RequestId(9), body })
}

fn encode_hot(encoder: &mut Encoder, out: &mut BytesMut) {
    out.clear();
    hot_requests().iter().for_each(|request| encoder.request(out, request, 0));
    hot_responses().iter().for_each(|response| encoder.response(out, response, 0));
}

fn batch(codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    for index in 0..100_u64 {
        builder.push(&index.to_le_bytes(), &[b'a'; 100], Some(Timestamp(index))).expect("room");
    }
    builder.build(codec).expect("has records")
}

#[test]
fn encoder_reuses_its_memory() {
    let (mut encoder, mut out) = (Encoder::new(), BytesMut::with_capacity(4_096));
    encode_hot(&mut encoder, &mut out);
    assert_eq!(allocations(|| encode_hot(&mut encoder, &mut out)), (0, 0));
}

#[test]
fn append_and_fetch_are_decoded_without_allocating() {
    let mut out = BytesMut::new();
    encode_hot(&mut Encoder::new(), &mut out);
    let mut next = || frame::cut(&mut out, limits::FRAME_BYTES_MAX).expect("valid").expect("whole").message;
    let requests = [next(), next()];
    let responses = [next(), next()];
    for message in &requests {
        // The first append of a process learns how appends lie.
        assert!(Request::decode(message).is_ok());
        assert_eq!(allocations(|| assert!(Request::decode(message).is_ok())), (0, 0));
    }
    for message in &responses {
        assert_eq!(allocations(|| assert!(Response::decode(message).is_ok())), (0, 0));
    }
}

#[test]
fn batch_is_checked_and_walked_without_allocating() {
    let bytes = batch(Compression::None);
    let walk = || {
        let batch = BatchView::parse(bytes.clone()).expect("valid");
        assert_eq!(
            batch.records().expect("not compressed").map(|record| record.data.len()).sum::<usize>(),
            10_000
        );
    };
    walk();
    // Making bytes shareable takes one allocation for the whole batch, the first time it is shared.
    assert_eq!(allocations(walk), (0, 0));
    let entry = [0_u8; 128];
    assert_eq!(allocations(|| EntryHeader::verify(&entry).is_ok()), (0, 0));
}

#[test]
fn builder_reuses_its_memory() {
    let mut builder = BatchBuilder::new();
    let mut fill = || {
        for index in 0..100_u64 {
            builder.push(&index.to_le_bytes(), &[b'a'; 100], None).expect("room");
        }
        builder.build(Compression::None)
    };
    let (first, _) = allocations(&mut fill);
    let (second, bytes) = allocations(&mut fill);
    assert!(first > 2 && second <= 2, "only the batch itself is new: {first}, {second}");
    assert!(bytes < 24 + 100 * (8 + 8 + 100) + 64);
}

#[test]
fn compressed_batch_cannot_make_its_reader_allocate_beyond_its_claim() {
    for codec in [Compression::Lz4, Compression::Zstd] {
        let valid = batch(codec);
        for at in 24..valid.len() {
            let mut bytes = valid.to_vec();
            bytes[at] ^= 0xff;
            let bytes = Bytes::from(bytes);
            let (_, allocated) = allocations(|| {
                BatchView::parse(bytes).map(|batch| batch.records().map(Iterator::count).unwrap_or_default())
            });
            assert!(allocated <= 10_000 + 1_024, "{codec} byte {at}: {allocated} bytes");
        }
    }
}
