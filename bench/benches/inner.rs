//! The pieces that every byte or every request passes: framing, messages, batches, entries, routing.
//!
//! `cargo bench -p tidemill-bench` measures at the sizes of a real load. `cargo test -p tidemill-bench --benches` runs each once
//! on tiny inputs, so that they keep compiling and keep being right. Both print a hash of what was computed, which
//! changes only when the bytes that the pieces produce change.

use std::hash::{BuildHasher, Hasher};
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
    records: u32,
    record_bytes: usize,
    frames: usize,
    shards: u32,
}

/// What `bench produce` sends by default, and a stream of some size.
const REAL: Scale = Scale { records: 1_000, record_bytes: 1_000, frames: 1_000, shards: 256 };
/// What a test can afford.
const TINY: Scale = Scale { records: 8, record_bytes: 16, frames: 4, shards: 4 };

fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let scale = if is_measured { REAL } else { TINY };
    let mut criterion = Criterion::default().configure_from_args();
    let mut digest = Digest::default();
    frames(&mut criterion, scale, &mut digest);
    messages(&mut criterion, &mut digest);
    batches(&mut criterion, scale, &mut digest);
    entries(&mut criterion, scale, &mut digest);
    routing(&mut criterion, scale, &mut digest);
    criterion.final_summary();
    println!("hash of all results: {:016x}", digest.0);
}

/// Folds every result into one number.
#[derive(Default)]
struct Digest(u64);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        let mut hasher = foldhash::quality::FixedState::default().build_hasher();
        hasher.write_u64(self.0);
        hasher.write(bytes);
        self.0 = hasher.finish();
    }
}
