//! A batch of one shard's records: open while it takes more, then sealed, then built once and kept until it is answered.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_wire::Timestamp;
use tidemill_wire::batch::{BATCH_HEADER_BYTES, BatchBuilder, BatchView, BuildError, Compression};
use tidemill_wire::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use tidemill_wire::message::Quota;
use tokio::time::Instant;

use super::delivery::{Fate, Forward};
use super::record::Record;
use crate::ProducerOptions;

/// A batch takes at most one part in so many of a second's quota. While a refused batch waits for its share, the rest of
/// the bucket still fills, so that none of the quota is lost to the round trip.
const QUOTA_SHARE: u64 = 2;

/// What the builder reserves beyond the records that it knows.
const BUILDER_SLACK: usize = 64;

/// When a batch is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) bytes_max: usize,
    pub(super) records_max: u32,
}

impl Bounds {
    /// `frame_bytes_max` is what the server leaves for a batch in a frame.
    pub(super) fn new(options: &ProducerOptions, quota: &Quota, frame_bytes_max: usize) -> Self {
        let share = |rate: u64| if rate == 0 { u64::MAX } else { (rate / QUOTA_SHARE).max(1) };
        let bytes = usize::try_from(share(quota.write_bytes_per_second)).unwrap_or(usize::MAX);
        let records = u32::try_from(share(quota.write_records_per_second)).unwrap_or(u32::MAX);
        Self {
            bytes_max: options
                .batch_bytes_max
                .min(bytes)
                .min(frame_bytes_max)
                .min(BATCH_BYTES_MAX as usize - BUILDER_SLACK),
            records_max: options.batch_records_max.min(records).clamp(1, BATCH_RECORDS_MAX),
        }
    }
}

/// A batch that takes records.
#[derive(Debug)]
pub(super) struct OpenBatch {
    builder: BatchBuilder,
    fate: Arc<Fate>,
    /// Bytes of the batch if every key is spelled out, which it is unless they are all equal.
    bytes: usize,
    charge: usize,
    pinned: Vec<u32>,
    timestamps: bool,
    /// When it is sent though it is not full.
    pub(super) due: Instant,
    /// Told apart from other batches of the producer by this.
    pub(super) serial: u64,
}

/// A record's way into a batch.
#[derive(Debug)]
pub(super) struct Entering<'a> {
    pub(super) record: Record<'a>,
    /// Bytes that it takes of the producer's buffer.
    pub(super) charge: usize,
    /// It was sent to this very shard, whatever its key.
    pub(super) is_pinned: bool,
    /// Where it comes from, if it was in another batch before.
    pub(super) forward: Option<Forward>,
}

impl OpenBatch {
    pub(super) fn new(timestamp: Option<Timestamp>, due: Instant, serial: u64) -> Self {
        Self {
            builder: BatchBuilder::new(),
            fate: Arc::default(),
            bytes: BATCH_HEADER_BYTES,
            charge: 0,
            pinned: Vec::new(),
            timestamps: timestamp.is_some(),
            due,
            serial,
        }
    }

    /// Whether the record goes in without breaking a bound. An empty batch takes every record that is one.
    pub(super) fn takes(&self, record: &Record<'_>, bounds: &Bounds) -> bool {
        self.builder.is_empty()
            || (self.timestamps == record.timestamp.is_some()
                && self.builder.records() < bounds.records_max
                && self.bytes + record.bytes() <= bounds.bytes_max)
    }

    pub(super) fn is_full(&self, bounds: &Bounds) -> bool {
        self.bytes >= bounds.bytes_max || self.builder.records() >= bounds.records_max
    }

    /// Adds a record; returns where its outcome will be.
    pub(super) fn push(&mut self, entering: Entering<'_>) -> Result<(Arc<Fate>, u32), BuildError> {
        let Entering { record, charge, is_pinned, forward } = entering;
        let index = self.builder.records();
        self.builder.push(record.key, record.data, record.timestamp)?;
        self.bytes += record.bytes();
        self.charge += charge;
        if is_pinned {
            self.pinned.push(index);
        }
        if let Some(forward) = forward {
            self.fate.forward(index, forward);
        }
        Ok((Arc::clone(&self.fate), index))
    }

    pub(super) fn fate(&self) -> &Arc<Fate> {
        &self.fate
    }

    pub(super) fn seal(self) -> SealedBatch {
        let Self { builder, fate, charge, pinned, .. } = self;
        SealedBatch { records: builder.records(), content: Content::Loose(builder), fate, charge, pinned }
    }
}

/// A batch that takes no more records.
#[derive(Debug)]
pub(super) struct SealedBatch {
    pub(super) fate: Arc<Fate>,
    pub(super) records: u32,
    /// Bytes that it takes of the producer's buffer.
    pub(super) charge: usize,
    /// Records that were sent to this very shard, in order.
    pub(super) pinned: Vec<u32>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Loose(BatchBuilder),
    Built(Bytes),
}

impl SealedBatch {
    /// The batch's bytes, laid out when first asked for.
    pub(super) fn payload(&mut self, compression: Compression) -> Bytes {
        if let Content::Loose(builder) = &mut self.content {
            let built = builder.build(compression).expect("a batch is opened for a record");
            self.content = Content::Built(built);
        }
        match &self.content {
            Content::Built(bytes) => bytes.clone(),
            Content::Loose(_) => unreachable!("laid out above"),
        }
    }

    /// The records again, to be put into other batches.
    pub(super) fn records(&mut self) -> impl Iterator<Item = tidemill_wire::batch::Record> {
        let view = BatchView::parse(self.payload(Compression::None)).expect("built by this producer");
        view.into_records().expect("compressed by this producer")
    }
}
