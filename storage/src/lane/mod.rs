//! The lane: one log and its one owner.
use std::future::Future;

use bytes::Bytes;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, message::Ack};

use crate::{
    config::LaneConfig,
    env::Env,
    error::{AppendError, FetchError, OpenError, UnknownOwner},
    stats::{LaneHealth, LaneStats},
};

mod answer;

pub use answer::{Appended, Bounds, Fetched, RecoveryReport, Retention, TornTail};

/// A handle on an open lane. Clones share it.
#[derive(Clone)]
pub struct Lane<E: Env> {
    _env: E,
}

impl<E: Env> Lane<E> {
    /// Opens the lane in `config.directory`.
    pub async fn open(_env: E, _config: LaneConfig) -> Result<(Self, RecoveryReport), OpenError> {
        unimplemented!()
    }
    /// Registers an owner or updates its retention.
    pub fn adopt(&self, _owner: OwnerId, _retention: Retention) {}
    /// Drops an owner.
    pub fn forget(&self, _owner: OwnerId) {}
    /// Owners the lane knows.
    pub fn owners(&self) -> Vec<OwnerId> {
        unimplemented!()
    }
    /// Queues an entry.
    pub fn append(
        &self,
        _owner: OwnerId,
        _payload: Bytes,
        _record_count: u32,
        _ack: Ack,
    ) -> impl Future<Output = Result<Appended, AppendError>> + use<E> {
        async { unimplemented!() }
    }
    /// Reads.
    pub async fn fetch(
        &self,
        _owner: OwnerId,
        _from: SequenceNumber,
        _bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        unimplemented!()
    }
    /// Bounds of an owner.
    pub fn bounds(&self, _owner: OwnerId) -> Result<Bounds, UnknownOwner> {
        unimplemented!()
    }
    /// First record appended at or after a time.
    pub async fn sequence_at(&self, _owner: OwnerId, _time: Timestamp) -> Result<SequenceNumber, FetchError> {
        unimplemented!()
    }
    /// Resolves when the owner's next number is above `at`.
    pub fn watch(&self, _owner: OwnerId, _at: SequenceNumber) -> impl Future<Output = ()> + use<E> {
        async {}
    }
    /// Counters.
    pub fn stats(&self) -> LaneStats {
        unimplemented!()
    }
    /// Whether appends are taken.
    pub fn health(&self) -> LaneHealth {
        unimplemented!()
    }
    /// Flushes and stops.
    pub async fn close(&self) {}
}
