//! Receives of messages, each followed by the deletion of what it gave.

use serde_json::json;
use tidemill_wire::message::ResponseBody;

use crate::error::BenchError;
use crate::http::{Digest, Signer, texts};
use crate::load::asker::Load;
use crate::load::progress::{Flow, Gain};
use crate::load::role::Turn;
use crate::ring::Gather;

/// Messages of a receive, at most.
pub(super) const MESSAGES_MAX: u32 = 10;
const RECEIVE: &str = "ReceiveMessage";
const DELETE: &str = "DeleteMessageBatch";
/// Bytes of a usual answer.
const ANSWER_BYTES: usize = 32 << 10;

/// The load of one connection. A receive and its deletion are two requests.
pub(super) struct Cycle {
    signer: Signer,
    queue: String,
    /// What the last receive gave and is not deleted.
    held: Option<Held>,
}

struct Held {
    handles: Vec<String>,
    gain: Gain,
}

impl Cycle {
    pub(super) fn new(signer: Signer, queue: String) -> Self {
        Self { signer, queue, held: None }
    }
}

impl Load for Cycle {
    const REQUEST: &'static str = "a receive or delete";
    const FLOW: Flow = Flow::Out;

    fn request(&mut self, _slot: usize, _stamp_ns: u64, _again: bool, out: &mut Gather) {
        let (operation, body) = match &self.held {
            None => (RECEIVE, receive(&self.queue, 0)),
            Some(held) => (DELETE, delete(&self.queue, &held.handles)),
        };
        put(&mut self.signer, operation, &body, out);
    }

    fn answered(
        &mut self,
        _slot: usize,
        _answer: ResponseBody,
        body: &[u8],
        _turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        if let Some(held) = self.held.take() {
            check_deleted(body)?;
            return Ok(held.gain);
        }
        let handles = handles_in(body);
        if handles.is_empty() {
            return Err(BenchError::Empty { stream: self.queue.clone() });
        }
        let bytes = texts(body, "\"Body\":\"").map(|text| text.len() as u64).sum();
        let gain = Gain { bytes, records: handles.len() as u64, requests: 1 };
        self.held = Some(Held { handles, gain });
        Ok(Gain { requests: 1, ..Gain::default() })
    }

    fn answer_bytes(&self) -> usize {
        ANSWER_BYTES
    }
}

/// The input of a receive.
pub(super) fn receive(queue: &str, wait_s: u32) -> String {
    json!({ "QueueUrl": queue, "MaxNumberOfMessages": MESSAGES_MAX, "WaitTimeSeconds": wait_s }).to_string()
}

/// The input of a deletion.
pub(super) fn delete(queue: &str, handles: &[String]) -> String {
    let entry = |(id, handle): (usize, &String)| json!({ "Id": id.to_string(), "ReceiptHandle": handle });
    let entries: Vec<_> = handles.iter().enumerate().map(entry).collect();
    json!({ "QueueUrl": queue, "Entries": entries }).to_string()
}

/// Queues a request that is signed now.
pub(super) fn put(signer: &mut Signer, operation: &str, body: &str, out: &mut Gather) {
    let mut head = Vec::new();
    signer.put_head(operation, body.len(), &Digest::of(body.as_bytes()), &mut head);
    out.copy(&head);
    out.copy(body.as_bytes());
}

/// The handles of what a receive gave.
pub(super) fn handles_in(body: &[u8]) -> Vec<String> {
    let handles = texts(body, "\"ReceiptHandle\":\"");
    handles.map(|handle| String::from_utf8_lossy(handle).into_owned()).collect()
}

/// Whether everything was deleted.
pub(super) fn check_deleted(body: &[u8]) -> Result<(), BenchError> {
    match memchr::memmem::find(body, b"\"Failed\":[{") {
        Some(_) => Err(BenchError::calling(DELETE, 200, body)),
        None => Ok(()),
    }
}
