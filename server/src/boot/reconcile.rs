//! What becomes of shards in the log that the catalog has never known.
//!
//! A catalog gives out an owner's id in the transaction that makes its stream or opens its shard, before any lane hears of it. So an id in the log beyond those that
//! were given out tells that the catalog is older than the log: restored from a backup, or lost and made anew. What such owners hold is no garbage,
//! and their ids must not be given to others. Invariant: nothing is forgotten before the catalog has skipped the ids (`tests/it/reconcile.rs`).

use tidemill_wire::OwnerId;

use super::error::StartError;
use crate::config::{Config, UnknownOwners};
use crate::service::catalog::Catalog;
use crate::shard::Strangers;

/// Refuses the start, or sees to it that the strangers' ids are not given out; the lanes forget them then.
pub(super) fn reconcile(
    config: &Config,
    catalog: &mut impl Catalog,
    strangers: &[Strangers],
) -> Result<(), StartError> {
    let highest = strangers.iter().filter_map(|strangers| strangers.owners.last()).max().copied();
    let Some(highest) = highest else { return Ok(()) };
    let owners: u64 = strangers.iter().map(|strangers| strangers.owners.len() as u64).sum();
    let lanes = strangers.iter().map(|strangers| strangers.lane.get()).collect::<Vec<_>>();
    match config.data.unknown_owners {
        UnknownOwners::Refuse => {
            let OwnerId(next) = catalog.state().next_owner();
            Err(StartError::UnknownOwners { owners, lanes, highest, next })
        }
        UnknownOwners::Forget => {
            catalog.skip_owners(highest)?;
            tracing::warn!(owners, ?lanes, %highest, "shards that the catalog has never known are forgotten, as configured");
            Ok(())
        }
    }
}
