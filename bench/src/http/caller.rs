//! One call at a time, for what is done before and after the load.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::answer::{Form, head};
use super::signer::{Digest, Service, Signer};
use crate::connection::{Inbox, connect_any};
use crate::error::BenchError;
use crate::options::HttpOptions;

/// Memory for an answer, which grows.
const INBOX_BYTES: usize = 16 << 10;

/// A connection for calls of one service.
pub(crate) struct Caller {
    stream: TcpStream,
    inbox: Inbox,
    signer: Signer,
    address: SocketAddr,
    patience: Duration,
}

impl Caller {
    /// Connects to the endpoint.
    pub(crate) fn open(service: Service, http: &HttpOptions, patience: Duration) -> Result<Self, BenchError> {
        let (stream, address) = connect_any(&http.endpoint)?;
        let broke = |source| BenchError::Connection { address, source };
        stream.set_read_timeout(Some(patience)).map_err(broke)?;
        let signer = Signer::new(service, http, http.endpoint.clone());
        Ok(Self { stream, inbox: Inbox::of_http(INBOX_BYTES), signer, address, patience })
    }

    /// What signs for the same service, key and host.
    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Calls an operation, and waits for what it gives.
    pub(crate) fn call(&mut self, operation: &'static str, input: &Value) -> Result<Value, BenchError> {
        let answer = self.exchange(operation, input.to_string().as_bytes())?;
        serde_json::from_slice(&answer).map_err(|_| BenchError::calling(operation, 200, &answer))
    }

    /// Sends these bytes as the input of an operation, and waits for those of its output.
    pub(crate) fn exchange(&mut self, operation: &'static str, body: &[u8]) -> Result<Vec<u8>, BenchError> {
        let address = self.address;
        let mut request = Vec::new();
        self.signer.put_head(operation, body.len(), &Digest::of(body), &mut request);
        request.extend_from_slice(body);
        let waited = self.patience;
        let broke = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                BenchError::Silent { address, unanswered: 1, waited }
            }
            _ => BenchError::Connection { address, source },
        };
        self.stream.write_all(&request).map_err(broke)?;
        loop {
            let found = head(self.inbox.received());
            let found = found.map_err(|source| BenchError::Http { address, source })?;
            if let Some(head) = found
                && let Form::Whole(bytes) = head.form
                && let Some(answer) = self.inbox.take(head.bytes + bytes)
            {
                let body = answer.get(head.bytes..).unwrap_or_default();
                if head.status != 200 {
                    return Err(BenchError::calling(operation, head.status, body));
                }
                return Ok(body.to_vec());
            }
            if self.inbox.fill(&mut self.stream).map_err(broke)? == 0 {
                return Err(BenchError::Closed { address, unanswered: 1 });
            }
        }
    }
}
