//! The pieces that every byte or every request passes: framing, messages, batches, entries, routing, quotas, the lane and its index.
//!
//! `cargo bench -p tidemill-bench --bench inner -- FILTER` measures at the sizes of a real load, all of them or those whose name contains FILTER.
//! `cargo test -p tidemill-bench --benches` runs each once on tiny inputs, so that they keep compiling and keep being right. Both print a hash of what was
//! computed, which changes only when the bytes that the pieces produce change, and not with what is measured.

mod index;
mod lane;
mod quota;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tidemill_wire::batch::{BatchBuilder, BatchView, Compression};
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, EntryRun};
use tidemill_wire::frame;
use tidemill_wire::limits::FRAME_BYTES_MAX_DEFAULT;
use tidemill_wire::message::{
    Ack, Append, Appended, Encoder, Fetch, Fetched, Position, Request, RequestBody, Response, ResponseBody,
};
use tidemill_wire::routing::{HashKey, HashKeyRange, RoutingTable};
use tidemill_wire::{OwnerId, RequestId, SequenceNumber, ShardIndex, StreamId, Timestamp};

/// The sizes of the inputs.
#[derive(Clone, Copy)]
struct Scale {
    is_tiny: bool,
    records: u32,
    record_bytes: usize,
    frames: usize,
    shards: u32,
}

/// What `bench produce` sends by default, and a stream of some size.
const REAL: Scale = Scale { is_tiny: false, records: 1_000, record_bytes: 1_000, frames: 1_000, shards: 256 };
/// What a test can afford.
const TINY: Scale = Scale { is_tiny: true, records: 8, record_bytes: 16, frames: 4, shards: 4 };

#[expect(clippy::print_stdout, reason = "a bench talks to the terminal")]
fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let scale = if is_measured { REAL } else { TINY };
    let mut criterion = Criterion::default().configure_from_args();
    let digest = all(&mut criterion, scale);
    criterion.final_summary();
    if !is_measured {
        // A filter may leave out any of them, and none may build on what another has left.
        let mut none = Criterion::default().configure_from_args().with_filter("no bench is called so");
        assert_eq!(all(&mut none, scale), digest, "what is computed does not depend on what is measured");
    }
    println!("hash of all results: {:016x}", digest.0);
}

/// Runs those that the filter lets through, and checks what all of them compute.
fn all(criterion: &mut Criterion, scale: Scale) -> Digest {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    frames(criterion, scale, &mut digest);
    messages(criterion, &mut digest);
    batches(criterion, scale, &mut digest);
    entries(criterion, scale, &mut digest);
    routing(criterion, scale, &mut digest);
    quota::quotas(criterion, &mut digest);
    lane::lanes(criterion, scale, &mut digest);
    index::lookups(criterion, scale, &mut digest);
    digest
}

/// Folds every result into one number.
#[derive(Debug, PartialEq, Eq)]
struct Digest(u64);

impl Digest {
    /// FNV-1a over 64 bits.
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn batch(scale: Scale) -> Bytes {
    let mut builder = BatchBuilder::new();
    let data = vec![b'x'; scale.record_bytes];
    for _ in 0..scale.records {
        builder.push(b"key-1", &data, None).expect("the scale fits a batch");
    }
    builder.build(Compression::None).expect("a batch has records")
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    throughput: Throughput,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(throughput);
    group
}

/// Cuts frames of an append without its body out of one buffer, as the server does after one read.
fn frames(criterion: &mut Criterion, scale: Scale, digest: &mut Digest) {
    let mut received = BytesMut::new();
    let mut encoder = Encoder::new();
    for id in 0..scale.frames {
        encoder.request(&mut received, &append(id as u64), 0);
    }
    digest.add(&received);
    let mut group = group(criterion, "frame", Throughput::Elements(scale.frames as u64));
    group.bench_function("cut", |bencher| {
        bencher.iter_batched_ref(
            || received.clone(),
            |received| {
                let mut count = 0;
                while let Ok(Some(frame)) = frame::cut(received, FRAME_BYTES_MAX_DEFAULT) {
                    black_box(frame);
                    count += 1;
                }
                assert_eq!(count, scale.frames);
            },
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn append(id: u64) -> Request {
    let append = Append { stream: StreamId(7), shard: Some(ShardIndex(3)), ack: Ack::Durable };
    Request { id: RequestId(id), body: RequestBody::Append(append) }
}

/// Each request and answer of the two hot paths, written and read.
fn messages(criterion: &mut Criterion, digest: &mut Digest) {
    let fetch = Fetch {
        stream: StreamId(7),
        shard: ShardIndex(3),
        position: Position::Sequence(SequenceNumber(1 << 40)),
        bytes_max: 1 << 20,
        wait_ms: 100,
    };
    let fetched = Fetched {
        from_sequence: SequenceNumber(1 << 40),
        next_sequence: SequenceNumber((1 << 40) + 1_000),
        oldest_sequence: SequenceNumber(0),
        end_sequence: SequenceNumber(1 << 41),
        closed: false,
    };
    let appended = Appended {
        shard: ShardIndex(3),
        base_sequence: SequenceNumber(1 << 40),
        append_time: Timestamp(1 << 41),
    };
    let answer = |body| Response { id: RequestId(1), body };
    let fetch = Request { id: RequestId(1), body: RequestBody::Fetch(fetch) };
    let mut group = group(criterion, "message", Throughput::Elements(1));
    request(&mut group, "append", &append(1), digest);
    request(&mut group, "fetch", &fetch, digest);
    response(&mut group, "appended", &answer(ResponseBody::Appended(appended)), digest);
    let (mut encoder, mut out) = (Encoder::new(), BytesMut::with_capacity(4_096));
    group.bench_function("encode appended by its shape", |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.appended(&mut out, RequestId(1), black_box(appended));
        });
    });
    response(&mut group, "fetched", &answer(ResponseBody::Fetched(fetched)), digest);
    group.finish();
}

fn request(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, request: &Request, digest: &mut Digest) {
    let (mut encoder, mut out) = (Encoder::new(), BytesMut::with_capacity(4_096));
    group.bench_function(format!("encode {name}"), |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.request(&mut out, black_box(request), 0);
        });
    });
    let message = first_message(&mut encoder, |encoder, out| encoder.request(out, request, 0), digest);
    assert_eq!(Request::decode(&message).expect("what was encoded"), *request);
    group.bench_function(format!("decode {name}"), |bencher| {
        bencher.iter(|| Request::decode(black_box(&message)));
    });
}

fn response(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, response: &Response, digest: &mut Digest) {
    let (mut encoder, mut out) = (Encoder::new(), BytesMut::with_capacity(4_096));
    group.bench_function(format!("encode {name}"), |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.response(&mut out, black_box(response), 0);
        });
    });
    let message = first_message(&mut encoder, |encoder, out| encoder.response(out, response, 0), digest);
    assert_eq!(Response::decode(&message).expect("what was encoded"), *response);
    group.bench_function(format!("decode {name}"), |bencher| {
        bencher.iter(|| Response::decode(black_box(&message)));
    });
}

fn first_message(
    encoder: &mut Encoder,
    put: impl Fn(&mut Encoder, &mut BytesMut),
    digest: &mut Digest,
) -> Bytes {
    let mut out = BytesMut::new();
    put(encoder, &mut out);
    digest.add(&out);
    let frame = frame::cut(&mut out, FRAME_BYTES_MAX_DEFAULT).expect("what was encoded");
    frame.expect("a whole frame").message
}

/// Builds and checks a batch whose records have a key each, the dearest kind to check.
fn batches(criterion: &mut Criterion, scale: Scale, digest: &mut Digest) {
    let keys: Vec<String> = (0..scale.records).map(|record| format!("key-{record}")).collect();
    let data = vec![b'x'; scale.record_bytes];
    let build = || {
        let mut builder = BatchBuilder::new();
        for key in &keys {
            builder.push(key.as_bytes(), &data, None).expect("the scale fits a batch");
        }
        builder.build(Compression::None).expect("a batch has records")
    };
    let built = build();
    digest.add(&built);
    let mut group = group(criterion, "batch", Throughput::Elements(scale.records.into()));
    group.bench_function("build", |bencher| bencher.iter(build));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| BatchView::parse(black_box(built.clone())).expect("what was built"));
    });
    group.finish();
}

/// Forms an entry's header with its checksum over a batch, and walks a run of entries.
fn entries(criterion: &mut Criterion, scale: Scale, digest: &mut Digest) {
    let payload = batch(scale);
    let header = EntryHeader {
        length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).expect("a batch is bounded"),
        kind: EntryKind::Batch,
        key_id: 0,
        record_count: scale.records,
        owner: OwnerId(9),
        base_sequence: SequenceNumber(1 << 40),
        append_time: Timestamp(1 << 41),
        segment_epoch: 5,
        durable_before: 4_096,
    };
    let mut entry = header.encode(&payload).to_vec();
    entry.extend_from_slice(&payload);
    entry.resize(header.stride(), 0);
    digest.add(&entry);
    let run = Bytes::from(entry.repeat(4));
    let mut group = group(criterion, "entry", Throughput::Bytes(payload.len() as u64));
    group.bench_function("encode with crc", |bencher| {
        bencher.iter(|| black_box(&header).encode(black_box(&payload)));
    });
    group.throughput(Throughput::Bytes(run.len() as u64));
    group.bench_function("verify run", |bencher| {
        bencher.iter(|| assert_eq!(EntryRun::new(run.clone()).filter_map(Result::ok).count(), 4));
    });
    group.finish();
}

/// MD5 of a key, and the shard it leads to.
fn routing(criterion: &mut Criterion, scale: Scale, digest: &mut Digest) {
    let ranges = HashKeyRange::split_evenly(scale.shards).into_iter().zip((0..).map(ShardIndex));
    let table = RoutingTable::new(ranges).expect("an even split covers the space");
    digest.add(&table.route(b"key-1").get().to_le_bytes());
    let mut group = group(criterion, "routing", Throughput::Elements(1));
    group.bench_function("hash key", |bencher| bencher.iter(|| HashKey::of(black_box(b"key-1"))));
    group.bench_function("route", |bencher| bencher.iter(|| table.route(black_box(b"key-1"))));
    group.finish();
}
