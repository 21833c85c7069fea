//! The queue of a run about messages: created if it is missing, and then deleted again.

use serde_json::{Value, json};
use tidemill_wire::message::{KeyCompaction, Quota, StreamDescription};
use tidemill_wire::{StreamId, Timestamp};

use crate::error::BenchError;
use crate::http::{Caller, Service};
use crate::options::{HttpProtocol, Options};

/// A queue.
pub(crate) struct Queue {
    url: String,
    is_own: bool,
}

impl Queue {
    /// Finds or creates the queue, if the load is about one.
    pub(in crate::load) fn open(options: &Options) -> Result<Option<Self>, BenchError> {
        let Some(http) = options.http.as_ref().filter(|http| http.protocol == HttpProtocol::Sqs) else {
            return Ok(None);
        };
        let mut caller = Caller::open(Service::SQS, http, options.answer_timeout)?;
        let name = json!({ "QueueName": options.stream.to_string() });
        let (found, is_own) = match caller.call("GetQueueUrl", &name) {
            Ok(found) => (found, false),
            Err(BenchError::Called { status: 400, .. }) => {
                (caller.call("CreateQueue", &name)?, !options.keep_stream)
            }
            Err(error) => return Err(error),
        };
        let url = found.get("QueueUrl").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(Self { url, is_own }))
    }

    /// Names it in calls.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Deletes it, if it is this run's own.
    pub(in crate::load) fn close(self, options: &Options) -> Result<(), BenchError> {
        let Some(http) = options.http.as_ref().filter(|_| self.is_own) else { return Ok(()) };
        let mut caller = Caller::open(Service::SQS, http, options.answer_timeout)?;
        // Its answer has no members.
        caller.call("DeleteQueue", &json!({ "QueueUrl": self.url })).map(drop)
    }

    /// What stands for the stream that there is none of.
    pub(in crate::load) fn no_stream(options: &Options) -> StreamDescription {
        StreamDescription {
            id: StreamId(0),
            name: options.stream.clone(),
            created: Timestamp(0),
            retention_ms: 0,
            retention_bytes: 0,
            quota: Quota::OFF,
            map_version: 0,
            shards: Vec::new(),
            key_compaction: KeyCompaction::Off,
            read_calls_per_second: 0,
        }
    }
}
