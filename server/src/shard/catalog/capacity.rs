//! Changes of capacities and of the account's commitment, on the catalog's thread.

use std::sync::Arc;

use tidemill_wire::StreamId;

use super::{Answer, CatalogError, CatalogHandle, Command, Worker};
use crate::service::capacity::CapacityChange;
use crate::service::catalog::{Catalog, ChangeCapacityError, StoreError, StreamKey};
use crate::service::commitment::Commitment;
use crate::service::peaks::Peaks;
use crate::service::stream::Definition;

/// Why a stream's capacity was not changed.
pub type CapacityFailure = CatalogError<ChangeCapacityError>;
/// Why the account's commitment was not changed or told.
pub type CommitmentFailure = CatalogError<StoreError>;

/// What is asked about capacities.
pub(super) enum Ask {
    Change {
        key: StreamKey,
        change: CapacityChange,
        answer: Answer<Arc<Definition>, ChangeCapacityError>,
    },
    Peaks {
        stream: StreamId,
        /// Those that are to be kept; `None` changes nothing.
        new: Option<Peaks>,
        answer: Answer<Peaks, StoreError>,
    },
    Commitment {
        /// Whether it is wanted from now on; `None` changes nothing.
        is_wanted: Option<bool>,
        answer: Answer<Commitment, StoreError>,
    },
}

impl CatalogHandle {
    /// Changes a stream's capacity; every core knows when this answers.
    pub async fn change_capacity(
        &self,
        key: StreamKey,
        change: CapacityChange,
    ) -> Result<Arc<Definition>, CapacityFailure> {
        self.ask(|answer| Command::Capacity(Ask::Change { key, change, answer })).await
    }

    /// Keeps the peaks of a stream's traffic, if there are new ones, and tells which are kept.
    pub async fn peaks(
        &self,
        stream: StreamId,
        new: Option<Peaks>,
    ) -> Result<Peaks, CatalogError<StoreError>> {
        self.ask(|answer| Command::Capacity(Ask::Peaks { stream, new, answer })).await
    }

    /// Has the account commit itself or end its commitment, if either is wanted, and tells how it stands.
    pub async fn commitment(&self, is_wanted: Option<bool>) -> Result<Commitment, CommitmentFailure> {
        self.ask(|answer| Command::Capacity(Ask::Commitment { is_wanted, answer })).await
    }
}

impl<C: Catalog> Worker<C> {
    pub(super) fn capacity(&mut self, ask: Ask) {
        // Whoever asked may have gone; the change stands all the same.
        match ask {
            Ask::Change { key, change, answer } => drop(answer.send(self.change_capacity(key, change))),
            Ask::Peaks { stream, new, answer } => {
                let kept = new.map_or(Ok(()), |new| self.catalog.note_peaks(stream, new));
                let kept = kept.map(|()| self.catalog.state().peaks(stream).cloned().unwrap_or_default());
                drop(answer.send(kept.map_err(CatalogError::Refused)));
            }
            Ask::Commitment { is_wanted: None, answer } => {
                drop(answer.send(Ok(self.catalog.state().commitment())));
            }
            Ask::Commitment { is_wanted: Some(is_wanted), answer } => {
                let changed = self.catalog.change_commitment(is_wanted, self.clock.now());
                tracing::info!(is_wanted, "commitment to a minimum throughput changed");
                drop(answer.send(changed.map_err(CatalogError::Refused)));
            }
        }
    }

    fn change_capacity(
        &mut self,
        key: StreamKey,
        change: CapacityChange,
    ) -> Result<Arc<Definition>, CapacityFailure> {
        let name = self.meant(key, |name| ChangeCapacityError::Unknown { name })?;
        let changed = self.catalog.change_capacity(&name, change, self.clock.now());
        let changed = changed.map_err(CatalogError::Refused)?;
        tracing::info!(stream = %changed.name, id = %changed.id, ?change, "capacity changed");
        self.publish(&changed)
    }
}
