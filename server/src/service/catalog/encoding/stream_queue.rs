//! The bytes of a queue over a stream.

use tidemill_wire::{LaneId, OwnerId, QueueId, ShardIndex, StreamId, Timestamp};

use super::{DecodeError, Reader, encode_tags};
use crate::service::consumer::ConsumerName;
use crate::service::stream_queue::{Start, StreamQueue, StreamQueuePartition, StreamQueueSettings};

/// Version of the values of queues over streams.
const VERSION: u8 = 1;
/// Stands for no dead letters where receives are counted.
const NO_DEAD_LETTERS: u32 = 0;
/// Bytes of a partition.
const PARTITION_BYTES: usize = 12;

const OLDEST: u8 = 0;
const NEWEST: u8 = 1;
const AT: u8 = 2;

pub(in super::super) fn encode_stream_queue(queue: &StreamQueue) -> Vec<u8> {
    let mut out = vec![VERSION];
    let (start, at) = match queue.start {
        Start::Oldest => (OLDEST, Timestamp(0)),
        Start::Newest => (NEWEST, Timestamp(0)),
        Start::At(at) => (AT, at),
    };
    for number in [queue.id.0, queue.stream.get(), queue.created.get()] {
        out.extend(number.to_le_bytes());
    }
    out.push(start);
    out.extend(at.get().to_le_bytes());
    out.extend(queue.next_shard.get().to_le_bytes());
    out.extend(queue.settings.visibility_s.to_le_bytes());
    out.extend(queue.settings.receives_max.unwrap_or(NO_DEAD_LETTERS).to_le_bytes());
    let name = queue.name.as_str().as_bytes();
    out.push(u8::try_from(name.len()).expect("such a queue's name has at most 128 bytes"));
    out.extend(name);
    let partitions = u32::try_from(queue.partitions.len()).expect("a lane has one partition at most");
    out.extend(partitions.to_le_bytes());
    for partition in &queue.partitions {
        out.extend(partition.lane.get().to_le_bytes());
        out.extend(partition.journal.get().to_le_bytes());
    }
    encode_tags(&mut out, &queue.tags);
    out
}

pub(in super::super) fn decode_stream_queue(bytes: &[u8]) -> Result<StreamQueue, DecodeError> {
    let impossible = |field, value| DecodeError::Impossible { field, value };
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let id = QueueId(reader.u64("queue id")?);
    let stream = StreamId(reader.u64("stream id")?);
    let created = Timestamp(reader.u64("created")?);
    let start = match (reader.u8("start")?, reader.u64("start time")?) {
        (OLDEST, 0) => Start::Oldest,
        (NEWEST, 0) => Start::Newest,
        (AT, at) => Start::At(Timestamp(at)),
        (found, at) => return Err(impossible("start", format!("{found} with the time {at}"))),
    };
    let next_shard = ShardIndex(reader.u32("next shard")?);
    let visibility_s = reader.u32("visibility")?;
    let receives_max = Some(reader.u32("receives")?).filter(|receives| *receives != NO_DEAD_LETTERS);
    let length = usize::from(reader.u8("queue name")?);
    let text = reader.text_of("queue name", length)?;
    let name = ConsumerName::new(&text).map_err(|_| impossible("queue name", format!("{text:?}")))?;
    let count = reader.u32("partition count")?;
    // What cannot be there is not allocated for.
    let left = reader.rest.len() / PARTITION_BYTES;
    let mut partitions = Vec::with_capacity(left.min(usize::try_from(count).unwrap_or(left)));
    for _ in 0..count {
        partitions.push(StreamQueuePartition {
            lane: LaneId(reader.u32("partition lane")?),
            journal: OwnerId(reader.u64("owner of the journal")?),
        });
    }
    let tags = reader.tags(0)?;
    let settings = StreamQueueSettings { visibility_s, receives_max };
    reader.end(StreamQueue { id, name, stream, created, start, next_shard, settings, tags, partitions })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sample() -> StreamQueue {
        StreamQueue {
            id: QueueId(9),
            name: ConsumerName::new("work").expect("a name"),
            stream: StreamId(7),
            created: Timestamp(1_700_000_000_123),
            start: Start::At(Timestamp(3)),
            next_shard: ShardIndex(2),
            settings: StreamQueueSettings { visibility_s: 30, receives_max: Some(6) },
            tags: BTreeMap::from([("a".to_owned(), "bc".to_owned())]),
            partitions: vec![StreamQueuePartition { lane: LaneId(1), journal: OwnerId(5) }],
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let hex: String = encode_stream_queue(&sample()).iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [
            "01",
            "0900000000000000",
            "0700000000000000",
            "7b68e5cf8b010000",
            "02",
            "0300000000000000",
            "02000000",
            "1e000000",
            "06000000",
            "04",
            "776f726b",
            "01000000",
            "01000000",
            "0500000000000000",
            "010001006102006263",
        ];
        assert_eq!(hex, parts.concat());
    }

    #[test]
    fn what_is_no_queue_is_refused() {
        let good = encode_stream_queue(&sample());
        for length in 0..good.len() {
            let error = decode_stream_queue(&good[..length]).expect_err("it ends early");
            let is_cut = matches!(error, DecodeError::Truncated { .. } | DecodeError::Impossible { .. });
            assert!(is_cut, "{length}: {error}");
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(decode_stream_queue(&longer), Err(DecodeError::TrailingBytes { bytes: 1 }));
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            decode_stream_queue(&bytes).expect_err("it is damaged").to_string()
        };
        assert_eq!(changed(0, 2), "value has version 2, which this server does not know");
        assert_eq!(changed(25, 1), "start has the impossible value 1 with the time 3");
        assert_eq!(changed(25, 3), "start has the impossible value 3 with the time 3");
        assert_eq!(changed(47, b'/'), "queue name has the impossible value \"/ork\"");
    }

    proptest! {
        #[test]
        fn queues_decode_to_what_they_were(
            (id, stream, created, at) in any::<(u64, u64, u64, u64)>(),
            kind in 0..3_u8,
            (next_shard, visibility_s, receives) in any::<(u32, u32, u32)>(),
            name in "[a-zA-Z0-9_.-]{1,128}",
            tags in proptest::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..4),
            partitions in proptest::collection::vec(any::<(u32, u64)>(), 0..4),
        ) {
            let partition = |(lane, journal)| StreamQueuePartition { lane: LaneId(lane), journal: OwnerId(journal) };
            let queue = StreamQueue {
                id: QueueId(id),
                name: ConsumerName::new(&name).expect("the pattern gives names"),
                stream: StreamId(stream),
                created: Timestamp(created),
                start: [Start::Oldest, Start::Newest, Start::At(Timestamp(at))][usize::from(kind)],
                next_shard: ShardIndex(next_shard),
                settings: StreamQueueSettings { visibility_s, receives_max: Some(receives).filter(|receives| *receives > 0) },
                tags,
                partitions: partitions.into_iter().map(partition).collect(),
            };
            prop_assert_eq!(decode_stream_queue(&encode_stream_queue(&queue)), Ok(queue));
        }

        #[test]
        fn a_changed_byte_never_panics_and_what_decodes_has_one_value(at: prop::sample::Index, to: u8) {
            let mut bytes = encode_stream_queue(&sample());
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(decoded) = decode_stream_queue(&bytes) {
                prop_assert_eq!(encode_stream_queue(&decoded), bytes);
            }
        }
    }
}
