//! The connection that prepares a run and cleans up after it: one request, one answer.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use tidemill_wire::limits::PROTOCOL_VERSION;
use tidemill_wire::message::{
    CreateStream, Encoder, ErrorCode, Failure, Hello, Quota, Request, RequestBody, Response, ResponseBody,
    Settings, StreamDescription, Welcome,
};
use tidemill_wire::{RequestId, StreamName};

use super::{Inbox, connect_any};
use crate::error::BenchError;

/// Room for a description of many shards; it grows beyond.
const INBOX_BYTES: usize = 64 << 10;

/// A connection in lockstep.
pub(crate) struct Control {
    stream: TcpStream,
    address: SocketAddr,
    inbox: Inbox,
    encoder: Encoder,
    next_id: u64,
    answer_timeout: Duration,
}

impl Control {
    /// Connects to the first address that answers, and shakes hands.
    pub(crate) fn open(server: &str, answer_timeout: Duration) -> Result<(Self, Welcome), BenchError> {
        let (stream, address) = connect_any(server)?;
        Self::shake_hands(stream, address, answer_timeout)
    }

    /// Shakes hands on a connection that was just opened.
    pub(crate) fn shake_hands(
        stream: TcpStream,
        address: SocketAddr,
        answer_timeout: Duration,
    ) -> Result<(Self, Welcome), BenchError> {
        stream
            .set_read_timeout(Some(answer_timeout))
            .and_then(|()| stream.set_write_timeout(Some(answer_timeout)))
            .map_err(|source| BenchError::Connection { address, source })?;
        let inbox = Inbox::new(INBOX_BYTES);
        let mut control =
            Self { stream, address, inbox, encoder: Encoder::new(), next_id: 0, answer_timeout };
        let hello = Hello {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            client: concat!("tidemill-bench/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        match control.ask("hello", RequestBody::Hello(hello))? {
            ResponseBody::Welcome(welcome) => Ok((control, welcome)),
            other => Err(refusal("hello", other)),
        }
    }

    /// The address of the other end.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the server is on this machine: then both ends have the same address.
    pub(crate) fn is_local(&self) -> bool {
        self.stream.local_addr().is_ok_and(|own| own.ip() == self.address.ip())
    }

    /// The bare connection, for the load.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The stream if it exists.
    pub(crate) fn describe(&mut self, name: &StreamName) -> Result<Option<StreamDescription>, BenchError> {
        match self.ask("describe stream", RequestBody::DescribeStream(name.clone()))? {
            ResponseBody::StreamDescription(description) => Ok(Some(description)),
            ResponseBody::Failed(Failure { code: ErrorCode::UnknownStream, .. }) => Ok(None),
            other => Err(refusal("describe stream", other)),
        }
    }

    /// Creates the stream, with the server's default for a quota that is not given.
    pub(crate) fn create(
        &mut self,
        name: &StreamName,
        shards: u32,
        retention_bytes: u64,
        quota: Option<Quota>,
    ) -> Result<StreamDescription, BenchError> {
        let settings = Settings {
            retention_ms: None,
            retention_bytes: Some(retention_bytes),
            quota,
            key_compaction: None,
            // Who has no quota is not held back by calls either.
            read_calls_per_second: quota.filter(|quota| *quota == Quota::OFF).map(|_| 0),
        };
        let create = CreateStream { name: name.clone(), shards, settings };
        match self.ask("create stream", RequestBody::CreateStream(create))? {
            ResponseBody::StreamDescription(description) => Ok(description),
            other => Err(refusal("create stream", other)),
        }
    }

    /// Deletes the stream.
    pub(crate) fn delete(&mut self, name: &StreamName) -> Result<(), BenchError> {
        match self.ask("delete stream", RequestBody::DeleteStream(name.clone()))? {
            ResponseBody::Done => Ok(()),
            other => Err(refusal("delete stream", other)),
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(
        &mut self,
        request: &'static str,
        body: RequestBody,
    ) -> Result<ResponseBody, BenchError> {
        let address = self.address;
        let waited = self.answer_timeout;
        let broke = |source: io::Error| match source.kind() {
            // A blocking socket says so when its timeout is over.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                BenchError::Silent { address, unanswered: 1, waited }
            }
            _ => BenchError::Connection { address, source },
        };
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let mut head = BytesMut::new();
        self.encoder.request(&mut head, &Request { id, body }, 0);
        self.stream.write_all(&head).map_err(broke)?;
        loop {
            if let Some(received) =
                self.inbox.next().map_err(|source| BenchError::Frame { address, source })?
            {
                let answer = Response::decode(received.message)
                    .map_err(|source| BenchError::Decode { address, source })?;
                return if answer.id == id {
                    Ok(answer.body)
                } else {
                    Err(BenchError::Answer { request, found: format!("an answer to request {}", answer.id) })
                };
            }
            match self.inbox.fill(&mut self.stream) {
                Ok(0) => return Err(BenchError::Closed { address, unanswered: 1 }),
                // What a socket with a timeout says when the process was stopped and goes on.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => {}
                Err(error) => return Err(broke(error)),
            }
        }
    }
}

/// What an answer means that is not the one hoped for.
pub(crate) fn refusal(request: &'static str, answer: ResponseBody) -> BenchError {
    match answer {
        ResponseBody::Failed(failure) => BenchError::Refused { request, failure },
        other => {
            let text = format!("{other:?}");
            let kind = text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
            BenchError::Answer { request, found: kind }
        }
    }
}
