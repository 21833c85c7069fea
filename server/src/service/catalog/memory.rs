//! The catalog in memory only, for tests and simulations. It forgets everything when dropped.

use super::Catalog;
use super::entity::Node;
use super::error::StoreError;
use super::rules::{Limits, StreamDefaults};
use super::state::{Change, State};

/// A catalog that keeps nothing.
#[derive(Debug)]
pub struct MemoryCatalog {
    state: State,
}

impl MemoryCatalog {
    /// A catalog without streams.
    pub fn new(node: Node, limits: Limits, defaults: StreamDefaults) -> Self {
        Self { state: State::new(node, limits, defaults) }
    }
}

impl Catalog for MemoryCatalog {
    fn state(&self) -> &State {
        &self.state
    }

    fn commit(&mut self, change: Change) -> Result<(), StoreError> {
        self.state.apply(change);
        Ok(())
    }
}
