//! How what comes in on a connection is cut into answers, so that roles need not know.
//!
//! What HTTP says is put into the words of our own answers: done, with a body, or failed for a while. A call that was refused for good is an error.

use std::net::SocketAddr;

use tidemill_wire::message::{ErrorCode, Failure, Response, ResponseBody, SubscriptionEnded};
use tidemill_wire::{RequestId, SequenceNumber};

use crate::connection::{Inbox, Received};
use crate::error::BenchError;
use crate::http::{self, Form};

/// The only request of a connection that has one at a time.
const ONLY: RequestId = RequestId(0);
/// How long a throttled call waits: a refusal over HTTP does not tell.
const RETRY_AFTER_MS: u32 = 10;
/// Bytes in front of an event that tell how long it is.
const EVENT_LENGTH_BYTES: usize = 4;
/// Longest event that is taken: above what a service sends.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// What is spoken on a connection.
pub(super) enum Language {
    /// Frames of our own.
    Frames,
    /// One answer over HTTP after the other.
    Calls,
    /// An answer over HTTP whose body is events without end.
    Events(Events),
}

/// A stream of events, in chunks that end anywhere.
#[derive(Default)]
pub(super) struct Events {
    /// The head has come, and the last chunk has not.
    is_open: bool,
    gathered: Vec<u8>,
    /// Bytes of what is gathered that were handed out.
    handed: usize,
}

/// How far a stream of events has come.
enum Step {
    /// An event of so many bytes is gathered.
    Event(usize),
    /// There will be no more.
    Ended,
    /// More has to be received.
    Wait,
}

impl Language {
    /// The next answer that is whole.
    pub(super) fn next<'i>(
        &'i mut self,
        inbox: &'i mut Inbox,
        address: SocketAddr,
    ) -> Result<Option<(Response, &'i [u8])>, BenchError> {
        match self {
            Self::Frames => {
                let received = inbox.next().map_err(|source| BenchError::Frame { address, source })?;
                let Some(Received { message, body }) = received else { return Ok(None) };
                let response = Response::decode(message);
                let response = response.map_err(|source| BenchError::Decode { address, source })?;
                Ok(Some((response, body)))
            }
            Self::Calls => call(inbox, address),
            Self::Events(events) => events.next(inbox, address),
        }
    }
}

fn call(inbox: &mut Inbox, address: SocketAddr) -> Result<Option<(Response, &[u8])>, BenchError> {
    let head = http::head(inbox.received()).map_err(|source| BenchError::Http { address, source })?;
    let Some(head) = head else { return Ok(None) };
    let Form::Whole(bytes) = head.form else {
        return Err(BenchError::calling("a call", head.status, b"a body in chunks"));
    };
    let Some(answer) = inbox.take(head.bytes + bytes) else { return Ok(None) };
    let body = answer.get(head.bytes..).unwrap_or_default();
    if head.status == 200 {
        return Ok(Some((Response { id: ONLY, body: ResponseBody::Done }, body)));
    }
    if !asks_for_patience(head.status, body) {
        return Err(BenchError::calling("a call", head.status, body));
    }
    let failure = Failure { retry_after_ms: RETRY_AFTER_MS, ..Failure::new(ErrorCode::Overloaded, "") };
    Ok(Some((Response { id: ONLY, body: ResponseBody::Failed(failure) }, &[])))
}

/// Refusals that pass by themselves.
fn asks_for_patience(status: u16, body: &[u8]) -> bool {
    let names = ["ProvisionedThroughputExceededException", "LimitExceededException"];
    status == 503 || names.iter().any(|name| memchr::memmem::find(body, name.as_bytes()).is_some())
}

impl Events {
    fn next(
        &mut self,
        inbox: &mut Inbox,
        address: SocketAddr,
    ) -> Result<Option<(Response, &[u8])>, BenchError> {
        match self.step(inbox, address)? {
            Step::Event(bytes) => {
                let event = self.gathered.get(..bytes).unwrap_or_default();
                Ok(Some((Response { id: ONLY, body: ResponseBody::Done }, event)))
            }
            Step::Ended => {
                let ended = SubscriptionEnded {
                    code: ErrorCode::Unsubscribed,
                    message: String::new(),
                    next_sequence: SequenceNumber(0),
                };
                Ok(Some((Response { id: ONLY, body: ResponseBody::SubscriptionEnded(ended) }, &[])))
            }
            Step::Wait => Ok(None),
        }
    }

    fn step(&mut self, inbox: &mut Inbox, address: SocketAddr) -> Result<Step, BenchError> {
        let fault = |source| BenchError::Http { address, source };
        self.gathered.drain(..std::mem::take(&mut self.handed));
        loop {
            if let Some(bytes) = self.whole_event()? {
                self.handed = bytes;
                return Ok(Step::Event(bytes));
            }
            if !self.is_open {
                let Some(head) = http::head(inbox.received()).map_err(fault)? else { return Ok(Step::Wait) };
                match head.form {
                    Form::Chunks => self.is_open = inbox.take(head.bytes).is_some(),
                    Form::Whole(bytes) => {
                        let Some(answer) = inbox.take(head.bytes + bytes) else { return Ok(Step::Wait) };
                        let body = answer.get(head.bytes..).unwrap_or_default();
                        return Err(BenchError::calling("SubscribeToShard", head.status, body));
                    }
                }
                continue;
            }
            let Some((line, bytes)) = http::chunk(inbox.received()).map_err(fault)? else {
                return Ok(Step::Wait);
            };
            // Behind a chunk is an empty line, and behind the last one that of the trailers, which are none.
            let Some(chunk) = inbox.take(line + bytes + 2) else { return Ok(Step::Wait) };
            self.gathered.extend_from_slice(chunk.get(line..line + bytes).unwrap_or_default());
            if bytes == 0 {
                self.is_open = false;
                return Ok(Step::Ended);
            }
        }
    }

    fn whole_event(&self) -> Result<Option<usize>, BenchError> {
        let Some(length) = self.gathered.first_chunk::<EVENT_LENGTH_BYTES>() else { return Ok(None) };
        let bytes = u32::from_be_bytes(*length) as usize;
        if !(EVENT_LENGTH_BYTES..=EVENT_BYTES_MAX).contains(&bytes) {
            return Err(BenchError::calling("SubscribeToShard", 200, &self.gathered));
        }
        Ok((self.gathered.len() >= bytes).then_some(bytes))
    }
}

#[cfg(test)]
mod tests;
