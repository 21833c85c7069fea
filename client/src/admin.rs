//! Streams: create, describe, list, change, delete.

use std::time::Duration;

use tidemill_wire::StreamName;
use tidemill_wire::message::{Settings, StreamDescription, StreamSummary};

use crate::ClientError;

/// Manages streams. Made by [`Client::admin`](crate::Client::admin).
#[derive(Clone, Debug)]
pub struct Admin {}

/// A page of a list of streams.
#[derive(Clone, Debug)]
pub struct StreamPage {
    /// In order of their names.
    pub streams: Vec<StreamSummary>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Admin {
    /// Creates a stream of `shards` shards. A lost answer is not tried again: describe the stream to see what happened.
    pub async fn create_stream(
        &self,
        name: &StreamName,
        shards: u32,
        settings: Settings,
    ) -> Result<StreamDescription, ClientError> {
        let _ = (name, shards, settings);
        unimplemented!()
    }

    /// A stream as it is now.
    pub async fn describe_stream(&self, name: &StreamName) -> Result<StreamDescription, ClientError> {
        let _ = name;
        unimplemented!()
    }

    /// At most `limit` streams that follow `after` in order of their names.
    pub async fn list_streams_page(
        &self,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<StreamPage, ClientError> {
        let _ = (after, limit);
        unimplemented!()
    }

    /// All streams in order of their names.
    pub async fn list_streams(&self) -> Result<Vec<StreamSummary>, ClientError> {
        unimplemented!()
    }

    /// Changes what `settings` names, and returns the stream as it is then.
    pub async fn update_stream(
        &self,
        name: &StreamName,
        settings: Settings,
    ) -> Result<StreamDescription, ClientError> {
        let _ = (name, settings);
        unimplemented!()
    }

    /// Deletes a stream and its records. A lost answer is not tried again.
    pub async fn delete_stream(&self, name: &StreamName) -> Result<(), ClientError> {
        let _ = name;
        unimplemented!()
    }

    /// A round trip to the server, and how long it took.
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        unimplemented!()
    }
}
