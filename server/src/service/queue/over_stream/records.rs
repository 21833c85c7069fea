//! The records of a shard, out of its log.

use tidemill_storage::{Env, Lane};
use tidemill_wire::entry::EntryRun;
use tidemill_wire::numbered::NumberedBatch;
use tidemill_wire::{OwnerId, SequenceNumber};

use crate::service::queue::log::{Stretch, Written, foreign, unfetched};
use crate::service::queue::operation::Unreadable;

/// Reads records of a shard, from a number or the oldest that is there on; none at its end, nor where all of them have been compacted away.
pub(super) async fn read<E: Env>(
    lane: &Lane<E>,
    owner: OwnerId,
    from: u64,
    bytes_max: usize,
) -> Result<Stretch, Unreadable> {
    let fetched = lane.fetch(owner, SequenceNumber(from), bytes_max).await;
    let fetched = fetched.map_err(|error| unfetched(owner, from, error))?;
    let mut records = Vec::new();
    for run in fetched.entries {
        for entry in EntryRun::new(run) {
            let (header, payload) = entry.map_err(|error| foreign(owner, from, &error))?;
            let first = header.base_sequence.get();
            let batch = NumberedBatch::parse(&header, payload);
            let Some(batch) = batch.map_err(|error| foreign(owner, first, &error))? else { continue };
            let mut numbered = batch.into_records().map_err(|error| foreign(owner, first, &error))?;
            numbered.skip_to(fetched.from);
            records.extend(numbered.map(|(sequence, record)| Written {
                sequence: sequence.get(),
                key: record.key,
                data: record.data,
                at: header.append_time,
            }));
        }
    }
    Ok(Stretch { records, next: fetched.next.get() })
}
