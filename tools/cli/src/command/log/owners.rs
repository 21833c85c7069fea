//! Which shards and partitions of queues the catalog knows, for a repair that finds nothing of some of them in the log.
//!
//! Promises to leave the catalog as it is: a copy is opened, since opening one that was not closed in order writes to it.

use std::path::Path;

use tidemill_server::service::catalog::{Catalog, Limits, RedbCatalog, StreamDefaults};
use tidemill_storage::Retention;
use tidemill_wire::message::Quota;
use tidemill_wire::{LaneId, OwnerId};

use crate::output::note;

const NAME: &str = "catalog.redb";

/// The owners in a data directory's catalog, by lane: one for each shard, two for each partition of a queue. Without a catalog that can be read there are none, and people are told what follows.
pub(super) fn recorded(data: &Path) -> Vec<(LaneId, OwnerId)> {
    match read(data) {
        Ok(owners) => owners,
        Err(reason) => {
            note(format_args!(
                "tidemill: no shards are known from {}: {reason}; one of which nothing is left in its lane begins again at 0",
                data.join(NAME).display()
            ));
            Vec::new()
        }
    }
}

fn read(data: &Path) -> Result<Vec<(LaneId, OwnerId)>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let copy = folder.path().join(NAME);
    std::fs::copy(data.join(NAME), &copy).map_err(|error| error.to_string())?;
    let limits = Limits {
        shards_per_stream: u32::MAX,
        streams: u32::MAX,
        queues: u32::MAX,
        partitions_per_queue: 0,
        is_compacting: true,
    };
    let defaults =
        StreamDefaults { retention: Retention::FOREVER, quota: Quota::OFF, read_calls_per_second: 0 };
    let catalog = RedbCatalog::open(&copy, limits, defaults).map_err(|error| error.to_string())?;
    let catalog = catalog.ok_or_else(|| "it is not there".to_owned())?;
    let shards = catalog.state().streams().flat_map(|stream| stream.shards.iter());
    let partitions = catalog.state().queues().flat_map(|queue| &queue.partitions);
    let partitions = partitions
        .flat_map(|partition| [partition.messages, partition.journal].map(|owner| (partition.lane, owner)));
    let journals = catalog.state().stream_queues().flat_map(|queue| &queue.partitions);
    let journals = journals.map(|partition| (partition.lane, partition.journal));
    Ok(shards.map(|shard| (shard.lane, shard.owner)).chain(partitions).chain(journals).collect())
}
