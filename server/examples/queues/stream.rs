//! Rates of receives and acknowledgements by a queue over a stream with a backlog.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidemill_server::service::consumer::ConsumerName;
use tidemill_server::service::queue::over_stream::{Named, Place, Side, Source, StreamPartition, Wanted};
use tidemill_server::service::stream_queue::{Start, StreamQueue, StreamQueuePartition, StreamQueueSettings};
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Lane, LaneConfig, Retention};
use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::message::Ack;
use tidemill_wire::{LaneId, OwnerId, QueueId, ShardIndex, StreamId, Timestamp};

use crate::backlog::cpu;
use crate::fixture::Failure;

/// Records of a receive.
const BATCH: usize = 10;
/// Records that are put at once.
const PUT: u64 = 500;
/// Cycles under way.
const IN_FLIGHT: u64 = 128;
const JOURNAL: OwnerId = OwnerId(1);

/// Puts records of 200 bytes into shards of one lane in turn, then has all of them received and acknowledged.
pub(crate) async fn run(env: &LocalEnv, directory: &Path, records: u64, shards: u32) -> Result<(), Failure> {
    let (lane, _) = Lane::open(env.clone(), LaneConfig::production(directory.to_owned(), LaneId(0))).await?;
    lane.adopt(JOURNAL, Retention::FOREVER);
    (0..shards).for_each(|shard| lane.adopt(owner(shard), Retention::FOREVER));
    let each = records / u64::from(shards.max(1)) / PUT * PUT;
    for shard in 0..shards {
        put(&lane, owner(shard), each).await?;
    }
    let partition = StreamPartition::new(env.clone(), lane.clone(), queue()?, 0, source(shards));
    let (start, before) = (Instant::now(), cpu());
    let done = Cell::new(0_u64);
    join_all((0..IN_FLIGHT).map(|_| async {
        loop {
            // Hidden for longer than a run takes.
            let visibility = Duration::from_secs(600);
            let wanted = Wanted { side: Side::Live, records_max: BATCH, visibility };
            let received = partition.receive(&wanted).await?;
            if received.is_empty() {
                return Ok::<(), Failure>(());
            }
            let names: Vec<Named> = received.iter().map(|one| one.receipt.named).collect();
            for acknowledged in partition.acknowledge(Side::Live, &names).await {
                acknowledged?;
            }
            done.set(done.get() + received.len() as u64);
        }
    }))
    .await
    .into_iter()
    .collect::<Result<(), _>>()?;
    let (seconds, used) = (start.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64());
    assert_eq!(done.get(), each * u64::from(shards), "each record is received once");
    println!(
        "stream       {} records of {shards} shards received and acknowledged, {:.0} a second, {:.2} µs of processor each, {} reads",
        done.get(),
        done.get() as f64 / seconds,
        used * 1e6 / done.get().max(1) as f64,
        partition.tally().reads.get()
    );
    lane.close().await;
    Ok(())
}

fn owner(shard: u32) -> OwnerId {
    OwnerId(u64::from(shard) + 2)
}

async fn put(lane: &Lane<LocalEnv>, owner: OwnerId, records: u64) -> Result<(), Failure> {
    let mut batch = BatchBuilder::new();
    for _ in 0..PUT {
        batch.push(b"key", &[b'r'; 200], None)?;
    }
    let payload = batch.build(Compression::None).ok_or("a batch without records")?;
    for _ in 0..records / PUT {
        lane.append(owner, payload.clone(), u32::try_from(PUT)?, Ack::Written).await?;
    }
    Ok(())
}

fn queue() -> Result<Arc<StreamQueue>, Failure> {
    Ok(Arc::new(StreamQueue {
        id: QueueId(1),
        name: ConsumerName::new("backlog")?,
        stream: StreamId(1),
        created: Timestamp(0),
        start: Start::Oldest,
        next_shard: ShardIndex(0),
        settings: StreamQueueSettings::default(),
        tags: BTreeMap::new(),
        partitions: vec![StreamQueuePartition { lane: LaneId(0), journal: JOURNAL }],
    }))
}

fn source(shards: u32) -> Arc<Source> {
    let place =
        |shard| Place { shard: ShardIndex(shard), lane: LaneId(0), owner: owner(shard), is_open: true };
    Arc::new(Source { shards: (0..shards).map(place).collect(), retention_ms: 0 })
}
