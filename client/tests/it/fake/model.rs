//! The streams of the fake server: plain vectors of log entries.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use tidemill_client::{
    ErrorCode, Failure, LaneId, Quota, SequenceNumber, ShardDescription, ShardIndex, ShardState,
    StreamDescription, StreamId, StreamName, Timestamp,
};
use tidemill_wire::OwnerId;
use tidemill_wire::batch::BatchView;
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, stride};
use tidemill_wire::message::{Appended, Fetch, Fetched, Position};
use tidemill_wire::routing::{HashKey, HashKeyRange};

/// Everything that the server keeps.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) node: u64,
    pub(crate) lanes: u32,
    pub(crate) lane_ports: Vec<u16>,
    pub(crate) frame_bytes_max: u32,
    pub(crate) in_flight_max: u32,
    pub(crate) quota: Quota,
    pub(crate) streams: BTreeMap<StreamName, Stream>,
    /// Appends by the port that they came in at.
    pub(crate) appends_at: BTreeMap<u16, u32>,
    /// Records of each stored batch, in order.
    pub(crate) batch_sizes: Vec<(ShardIndex, u32, usize)>,
    /// The most bytes that were pushed beyond what was granted.
    pub(crate) pushed_over_credit: u64,
    /// Bytes of entries sent to consumers.
    pub(crate) bytes_sent: usize,
    pub(crate) greetings: u32,
    pub(crate) clock: u64,
    last_id: u64,
}

pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) map_version: u32,
    pub(crate) shards: Vec<Shard>,
}

/// One shard's log.
pub(crate) struct Shard {
    pub(crate) range: HashKeyRange,
    pub(crate) state: ShardState,
    pub(crate) parent: Option<ShardIndex>,
    pub(crate) oldest: u64,
    pub(crate) next: u64,
    entries: Vec<(EntryHeader, Bytes)>,
}

impl Shard {
    fn new(range: HashKeyRange, parent: Option<ShardIndex>) -> Self {
        Self { range, state: ShardState::Open, parent, oldest: 0, next: 0, entries: Vec::new() }
    }

    /// Key and data of every record, in order.
    pub(crate) fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let batches = self.entries.iter().map(|(header, bytes)| {
            BatchView::parse(bytes.slice(ENTRY_HEADER_BYTES..header.length as usize)).expect("stored")
        });
        let records = batches.flat_map(|batch| batch.into_records().expect("stored"));
        records.map(|record| (record.key.to_vec(), record.data.to_vec())).collect()
    }
}

impl Model {
    pub(crate) fn new(lanes: u32) -> Self {
        Self {
            node: 7,
            lanes,
            frame_bytes_max: 16 << 20,
            in_flight_max: 1_024,
            clock: 1_000,
            ..Self::default()
        }
    }

    pub(crate) fn create(&mut self, name: &StreamName, shards: u32) -> StreamId {
        self.last_id += 1;
        let id = StreamId(self.last_id);
        let shards = HashKeyRange::split_evenly(shards).into_iter().map(|range| Shard::new(range, None));
        let stream = Stream { id, map_version: 1, shards: shards.collect() };
        self.streams.insert(name.clone(), stream);
        id
    }

    /// Closes a shard and divides its keys between two new ones.
    pub(crate) fn split(&mut self, name: &str, shard: u32) {
        let stream = self.streams.get_mut(&super::name(name)).expect("a known stream");
        let parent = &mut stream.shards[shard as usize];
        parent.state = ShardState::Closed;
        let HashKeyRange { start, end } = parent.range;
        let middle = HashKey(start.0 + (end.0 - start.0) / 2);
        let halves =
            [HashKeyRange { start, end: middle }, HashKeyRange { start: HashKey(middle.0 + 1), end }];
        stream.shards.extend(halves.map(|range| Shard::new(range, Some(ShardIndex(shard)))));
        stream.map_version += 1;
    }

    pub(crate) fn shard(&mut self, name: &str, shard: u32) -> &mut Shard {
        let stream = self.streams.get_mut(&super::name(name)).expect("a known stream");
        &mut stream.shards[shard as usize]
    }

    pub(crate) fn describe(&self, name: &StreamName) -> Result<StreamDescription, Failure> {
        let unknown = || Failure::new(ErrorCode::UnknownStream, format!("no stream {name}"));
        let stream = self.streams.get(name).ok_or_else(unknown)?;
        let shards = (0..).zip(&stream.shards).map(|(index, shard)| ShardDescription {
            index: ShardIndex(index),
            lane: LaneId(index % self.lanes.max(1)),
            range: shard.range,
            state: shard.state,
            oldest_sequence: SequenceNumber(shard.oldest),
            next_sequence: SequenceNumber(shard.next),
            bytes: 0,
            parent: shard.parent,
            adjacent_parent: None,
        });
        Ok(StreamDescription {
            id: stream.id,
            name: name.clone(),
            created: Timestamp(1),
            retention_ms: 86_400_000,
            retention_bytes: 0,
            key_compaction: Default::default(),
            read_calls_per_second: 0,
            quota: self.quota,
            map_version: stream.map_version,
            shards: shards.collect(),
        })
    }

    fn find(&mut self, id: StreamId, shard: ShardIndex) -> Result<&mut Shard, Failure> {
        let unknown = |code| Failure::new(code, "not found");
        let mut streams = self.streams.values_mut();
        let stream = streams.find(|stream| stream.id == id).ok_or(unknown(ErrorCode::UnknownStream))?;
        stream.shards.get_mut(shard.0 as usize).ok_or(unknown(ErrorCode::UnknownShard))
    }

    pub(crate) fn append(
        &mut self,
        id: StreamId,
        shard_index: ShardIndex,
        batch: &Bytes,
    ) -> Result<Appended, Failure> {
        self.clock += 1;
        let append_time = Timestamp(self.clock);
        let view = BatchView::parse(batch.clone())
            .map_err(|error| Failure::new(ErrorCode::InvalidBatch, error.to_string()))?;
        let shard = self.find(id, shard_index)?;
        if shard.state == ShardState::Closed {
            return Err(Failure::new(ErrorCode::ShardClosed, "closed"));
        }
        let base_sequence = SequenceNumber(shard.next);
        let header = EntryHeader {
            length: u32::try_from(ENTRY_HEADER_BYTES + batch.len()).expect("small"),
            kind: EntryKind::Batch,
            key_id: 0,
            record_count: view.count(),
            owner: OwnerId(1),
            base_sequence,
            append_time,
            segment_epoch: 1,
            durable_before: 0,
        };
        let mut bytes = BytesMut::from(&header.encode(batch)[..]);
        bytes.extend_from_slice(batch);
        bytes.resize(stride(bytes.len()), 0);
        shard.next += u64::from(view.count());
        shard.entries.push((header, bytes.freeze()));
        self.batch_sizes.push((shard_index, view.count(), view.payload_bytes()));
        Ok(Appended { shard: shard_index, base_sequence, append_time })
    }

    /// Forgets whole entries below a sequence number.
    pub(crate) fn trim(&mut self, name: &str, shard: u32, oldest: u64) {
        let shard = self.shard(name, shard);
        shard.entries.retain(|(header, _)| header.base_sequence.0 >= oldest);
        shard.oldest = oldest;
    }

    pub(crate) fn fetch(&mut self, fetch: &Fetch) -> Result<(Fetched, Bytes), Failure> {
        let shard = self.find(fetch.stream, fetch.shard)?;
        let from = match fetch.position {
            Position::Sequence(sequence) => sequence.0,
            Position::Oldest => shard.oldest,
            Position::Newest => shard.next,
            Position::Timestamp(time) => {
                let mut entries = shard.entries.iter();
                let found = entries.find(|(header, _)| header.append_time >= time);
                found.map_or(shard.next, |(header, _)| header.base_sequence.0)
            }
        };
        if from > shard.next {
            return Err(Failure::new(ErrorCode::BeyondEnd, "beyond").with_limit(from, shard.next));
        }
        let from = from.max(shard.oldest);
        let mut run = BytesMut::new();
        let mut next = from;
        for (header, bytes) in &shard.entries {
            if header.next_sequence().0 <= from {
                continue;
            }
            if !run.is_empty() && run.len() + bytes.len() > fetch.bytes_max as usize {
                break;
            }
            run.extend_from_slice(bytes);
            next = header.next_sequence().0;
        }
        let fetched = Fetched {
            from_sequence: SequenceNumber(from),
            next_sequence: SequenceNumber(next),
            oldest_sequence: SequenceNumber(shard.oldest),
            end_sequence: SequenceNumber(shard.next),
            closed: shard.state == ShardState::Closed && next == shard.next,
        };
        self.bytes_sent += run.len();
        Ok((fetched, run.freeze()))
    }
}
