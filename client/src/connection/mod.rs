//! One connection: many requests in flight, answers matched by id in whatever order they come.
//!
//! A reader task and a writer task own the socket; callers put requests into the writer's queue and wait for what the
//! reader hands them. The number of unanswered requests is bounded by the client's and the server's limit, so the queue
//! is too. When the connection ends, for whatever reason, every open request learns whether it may have left the client.
//!
//! Leaves out: reconnecting and retrying, which the pool and the callers do.

mod dial;
mod pending;
mod reader;
mod subscription;
mod writer;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tidemill_wire::RequestId;
use tidemill_wire::message::{RequestBody, ResponseBody, Welcome};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use self::pending::{Pending, Waiter};
pub(crate) use self::subscription::Subscription;
use crate::{ClientError, ClientOptions, ProtocolError};

/// An answer and the raw bytes behind it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: ResponseBody,
    pub(crate) payload: Bytes,
}

/// A handle to an open connection; the last one to go closes it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.fail(&self.shared.disconnected("closed by the client"));
    }
}

/// What the handles and the two tasks share.
#[derive(Debug)]
struct Shared {
    address: Arc<str>,
    peer: SocketAddr,
    welcome: Welcome,
    pending: Pending,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// A permit for each request that may be unanswered.
    in_flight: Arc<Semaphore>,
    /// A permit for each of those that may wait at the server on purpose: half, so that waiting readers never keep
    /// appends from being sent.
    waiting: Arc<Semaphore>,
    request_timeout: Duration,
    keep_alive: Duration,
    tasks: OnceLock<[AbortHandle; 2]>,
}

/// A request on its way to the writer.
#[derive(Debug)]
struct Outgoing {
    id: RequestId,
    body: RequestBody,
    payload: Bytes,
}

impl Connection {
    /// Connects to `address` and exchanges greetings.
    pub(crate) async fn open(address: Arc<str>, options: &ClientOptions) -> Result<Self, ClientError> {
        let dialed = dial::dial(&address, options).await?;
        let in_flight = options.in_flight_max.min(dialed.welcome.in_flight_max).max(2) as usize;
        let (outgoing, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            address,
            peer: dialed.peer,
            welcome: dialed.welcome,
            pending: Pending::default(),
            outgoing,
            in_flight: Arc::new(Semaphore::new(in_flight)),
            waiting: Arc::new(Semaphore::new(in_flight / 2)),
            request_timeout: options.request_timeout,
            keep_alive: options.keep_alive,
            tasks: OnceLock::new(),
        });
        let (read_half, write_half) = dialed.stream.into_split();
        let writer = tokio::spawn(writer::run(Arc::clone(&shared), write_half, queue));
        let frame_limit = dial::frame_limit(options);
        let reader = tokio::spawn(reader::run(Arc::clone(&shared), read_half, dialed.received, frame_limit));
        let tasks = [writer.abort_handle(), reader.abort_handle()];
        shared.tasks.set(tasks).expect("set once, here");
        if shared.pending.is_closed() {
            shared.stop_tasks();
        }
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// What the server said in its greeting.
    pub(crate) fn welcome(&self) -> &Welcome {
        &self.shared().welcome
    }

    /// The server's end of the socket.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.shared().peer
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared().pending.is_closed()
    }

    /// Asks, and waits for the answer; a refusal is an error. `payload` is the frame's body.
    pub(crate) async fn request(&self, body: RequestBody, payload: Bytes) -> Result<Answer, ClientError> {
        let shared = self.shared();
        let wait = match &body {
            RequestBody::Fetch(fetch) => Duration::from_millis(fetch.wait_ms.into()),
            RequestBody::ReceiveMessages(receive) => Duration::from_millis(receive.wait_ms.into()),
            _ => Duration::ZERO,
        };
        let mut permits = Vec::new();
        if !wait.is_zero() {
            permits.push(shared.permit(&shared.waiting).await?);
        }
        permits.push(shared.permit(&shared.in_flight).await?);
        let (sender, mut receiver) = oneshot::channel();
        let id =
            shared.pending.open(Waiter::Once { answer: sender, permits }).map_err(|e| shared.not_sent(&e))?;
        shared.send(id, body, payload);
        let patience = wait.saturating_add(shared.request_timeout);
        let answer = match tokio::time::timeout(patience, &mut receiver).await {
            Ok(answer) => answer,
            Err(_) => {
                shared.fail(&ClientError::Timeout { address: Arc::clone(&shared.address), after: patience });
                receiver.await
            }
        };
        let answer = answer.map_err(|_| shared.disconnected("request was dropped"))??;
        match answer.body {
            ResponseBody::Failed(failure) => Err(ClientError::Refused(failure)),
            _ => Ok(answer),
        }
    }

    /// The error for an answer that does not fit its request, which also closes the connection.
    pub(crate) fn misfit(&self, request: &'static str, answer: &ResponseBody) -> ClientError {
        let error = self.shared().protocol(ProtocolError::Answer { request, answer: name(answer) });
        self.shared().fail(&error);
        error
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl Shared {
    /// Ends the connection: open requests get `error`, those that never left the client learn so.
    fn fail(&self, error: &ClientError) {
        let Some(entries) = self.pending.close(error) else { return };
        tracing::debug!(address = %self.address, open = entries.len(), %error, "connection ended");
        self.in_flight.close();
        self.waiting.close();
        for entry in entries {
            let error = if entry.written { error.clone() } else { self.not_sent(error) };
            entry.fail(error);
        }
        self.stop_tasks();
    }

    fn stop_tasks(&self) {
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
    }

    /// Puts a request into the writer's queue. It may be lost with the connection, which its waiter learns.
    fn send(&self, id: RequestId, body: RequestBody, payload: Bytes) {
        if self.outgoing.send(Outgoing { id, body, payload }).is_err() {
            self.fail(&self.disconnected("writer has stopped"));
        }
    }

    async fn permit(
        &self,
        semaphore: &Arc<Semaphore>,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, ClientError> {
        Arc::clone(semaphore).acquire_owned().await.map_err(|_| self.not_sent(&self.pending.reason()))
    }

    fn disconnected(&self, reason: &str) -> ClientError {
        ClientError::Disconnected {
            address: Arc::clone(&self.address),
            reason: Arc::from(reason),
            sent: true,
        }
    }

    fn not_sent(&self, cause: &ClientError) -> ClientError {
        let reason = match cause {
            ClientError::Disconnected { reason, .. } => Arc::clone(reason),
            other => Arc::from(other.to_string()),
        };
        ClientError::Disconnected { address: Arc::clone(&self.address), reason, sent: false }
    }

    fn protocol(&self, error: ProtocolError) -> ClientError {
        ClientError::Protocol { address: Arc::clone(&self.address), source: Arc::new(error) }
    }
}

fn name(body: &ResponseBody) -> &'static str {
    match body {
        ResponseBody::Welcome(_) => "welcome",
        ResponseBody::Done => "done",
        ResponseBody::StreamDescription(_) => "stream description",
        ResponseBody::StreamList { .. } => "stream list",
        ResponseBody::Appended(_) => "appended",
        ResponseBody::RoutedAppend(_) => "routed append",
        ResponseBody::Fetched(_) => "fetched",
        ResponseBody::SubscriptionEnded(_) => "subscription ended",
        ResponseBody::QueueDescription(_) => "queue description",
        ResponseBody::QueueList { .. } => "queue list",
        ResponseBody::SentMessages(_) => "sent messages",
        ResponseBody::ReceivedMessages(_) => "received messages",
        ResponseBody::SettledMessages(_) => "settled messages",
        ResponseBody::MessageCounts(_) => "message counts",
        ResponseBody::MoveList(_) => "move list",
        ResponseBody::Failed(_) => "failure",
    }
}
