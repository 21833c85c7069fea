//! Streams: create, describe, list, change, split, merge, scale, delete. Queues are beside.

mod queues;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_wire::limits::LIST_STREAMS_MAX;
use tidemill_wire::message::{
    CreateStream, ListStreams, MergeShards, RequestBody, ResponseBody, ScaleStream, Settings, SplitShard,
    StreamDescription, StreamSummary, UpdateStream,
};
use tidemill_wire::routing::HashKey;
use tidemill_wire::{ShardIndex, StreamName};
use tokio::time::Instant;

pub use self::queues::QueuePage;
use crate::ClientError;
use crate::ask::{Repeat, ask};
use crate::connection::{Answer, Connection};
use crate::pool::Pool;

/// Manages streams and queues. Made by [`Client::admin`](crate::Client::admin); cheap to clone.
///
/// Requests that can be repeated without harm are tried again as the client's
/// [`RetryPolicy`](crate::RetryPolicy) says. Creating and deleting are repeated only while the server surely has not
/// carried them out.
#[derive(Clone, Debug)]
pub struct Admin {
    pool: Arc<Pool>,
}

/// A page of a list of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPage {
    /// In order of their names.
    pub streams: Vec<StreamSummary>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Admin {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    /// Creates a stream of `shards` shards. When the answer is lost, describe the stream to see what happened.
    pub async fn create_stream(
        &self,
        name: &StreamName,
        shards: u32,
        settings: Settings,
    ) -> Result<StreamDescription, ClientError> {
        let body = RequestBody::CreateStream(CreateStream { name: name.clone(), shards, settings });
        self.describe(body, "create stream", Repeat::NotOnceSent).await
    }

    /// A stream as it is now.
    pub async fn describe_stream(&self, name: &StreamName) -> Result<StreamDescription, ClientError> {
        let body = RequestBody::DescribeStream(name.clone());
        self.describe(body, "describe stream", Repeat::Harmless).await
    }

    /// At most `limit` streams (the server may return fewer) that follow `after` in order of their names.
    pub async fn list_streams_page(
        &self,
        after: Option<&StreamName>,
        limit: u32,
    ) -> Result<StreamPage, ClientError> {
        let limit = limit.clamp(1, LIST_STREAMS_MAX);
        let body = RequestBody::ListStreams(ListStreams { after: after.cloned(), limit });
        match self.request(body, Repeat::Harmless).await? {
            (_, Answer { body: ResponseBody::StreamList { streams, more }, .. }) => {
                Ok(StreamPage { streams, more })
            }
            (connection, answer) => Err(connection.misfit("list streams", &answer.body)),
        }
    }

    /// All streams in order of their names. What is created or deleted meanwhile may be in the list or not.
    pub async fn list_streams(&self) -> Result<Vec<StreamSummary>, ClientError> {
        let mut all: Vec<StreamSummary> = Vec::new();
        loop {
            let after = all.last().map(|stream| stream.name.clone());
            let page = self.list_streams_page(after.as_ref(), LIST_STREAMS_MAX).await?;
            // A page that does not go on ends the list too, whatever it says.
            let goes_on = page.streams.last().is_some_and(|last| Some(&last.name) > after.as_ref());
            all.extend(page.streams);
            if !page.more || !goes_on {
                return Ok(all);
            }
        }
    }

    /// Changes what `settings` names, and returns the stream as it is then.
    pub async fn update_stream(
        &self,
        name: &StreamName,
        settings: Settings,
    ) -> Result<StreamDescription, ClientError> {
        let body = RequestBody::UpdateStream(UpdateStream { name: name.clone(), settings });
        self.describe(body, "update stream", Repeat::Harmless).await
    }

    /// Splits an open shard of a stream: the second child begins at a hash key above the shard's first one. Producers and consumers follow by themselves. When the answer is lost,
    /// describe the stream to see what happened.
    pub async fn split_shard(
        &self,
        name: &StreamName,
        shard: ShardIndex,
        at: HashKey,
    ) -> Result<StreamDescription, ClientError> {
        let body = RequestBody::SplitShard(SplitShard { name: name.clone(), shard, at });
        self.describe(body, "split shard", Repeat::NotOnceSent).await
    }

    /// Merges two open shards whose hash keys follow each other. When the answer is lost, describe the stream to see what happened.
    pub async fn merge_shards(
        &self,
        name: &StreamName,
        shard: ShardIndex,
        adjacent: ShardIndex,
    ) -> Result<StreamDescription, ClientError> {
        let body = RequestBody::MergeShards(MergeShards { name: name.clone(), shard, adjacent });
        self.describe(body, "merge shards", Repeat::NotOnceSent).await
    }

    /// Divides the hash keys evenly among `shards` shards, half to twice as many as are open, in one change.
    pub async fn scale_stream(
        &self,
        name: &StreamName,
        shards: u32,
    ) -> Result<StreamDescription, ClientError> {
        let body = RequestBody::ScaleStream(ScaleStream { name: name.clone(), shards });
        self.describe(body, "scale stream", Repeat::Harmless).await
    }

    /// Deletes a stream and its records. When the answer is lost, describe the stream to see what happened.
    pub async fn delete_stream(&self, name: &StreamName) -> Result<(), ClientError> {
        let body = RequestBody::DeleteStream(name.clone());
        self.expect_done(body, "delete stream", Repeat::NotOnceSent).await
    }

    /// A round trip to the server, and how long it took, connecting included where that was needed.
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let start = Instant::now();
        self.expect_done(RequestBody::Ping, "ping", Repeat::Harmless).await?;
        Ok(start.elapsed())
    }

    async fn describe(
        &self,
        body: RequestBody,
        request: &'static str,
        repeat: Repeat,
    ) -> Result<StreamDescription, ClientError> {
        match self.request(body, repeat).await? {
            (_, Answer { body: ResponseBody::StreamDescription(stream), .. }) => Ok(stream),
            (connection, answer) => Err(connection.misfit(request, &answer.body)),
        }
    }

    async fn expect_done(
        &self,
        body: RequestBody,
        request: &'static str,
        repeat: Repeat,
    ) -> Result<(), ClientError> {
        match self.request(body, repeat).await? {
            (_, Answer { body: ResponseBody::Done, .. }) => Ok(()),
            (connection, answer) => Err(connection.misfit(request, &answer.body)),
        }
    }

    async fn request(&self, body: RequestBody, repeat: Repeat) -> Result<(Connection, Answer), ClientError> {
        ask(&self.pool, body, Bytes::new(), repeat).await
    }
}
