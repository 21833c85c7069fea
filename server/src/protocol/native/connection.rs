//! One connection: reads requests, keeps count of those in flight, and ends in order.
//!
//! Two tasks share it. One reads, cuts frames and begins their requests; the other writes answers. Each request that has to wait has a
//! [`Ticket`], an append in the core's ledger and any other in a task of its own, so answers come in any order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;
use tidemill_wire::RequestId;
use tidemill_wire::frame::{FRAME_HEADER_BYTES, FrameError, FrameLengths};
use tidemill_wire::message::{Appended, DecodeReason, ErrorCode, Failure, Response, ResponseBody};

use super::Native;
use super::append::Pending;
use super::assembler::{Assembler, Cut, Input};
use super::error::violation_failure;
use super::limits::{DESCRIPTIONS_MAX, FAREWELL, HELLO_TIME_MAX, LINGER, WRITE_TIME_MAX, frame_time_max};
use super::outbox::Outbox;
use super::subscribe::Subscription;
use crate::gate::budget::{Budget, Permit, Refused};
use crate::metrics::LatencyClass;
use crate::net::Socket;
use crate::shard::{Core, Courier, Event, Signal, Work, sleep, yield_if_needed};

/// A connection as its requests see it.
pub(super) struct Connection {
    pub(super) native: Rc<Native>,
    socket: Socket,
    pub(super) peer: Option<SocketAddr>,
    outbox: Outbox,
    /// The version that both sides speak, once the hello was answered.
    pub(super) version: Cell<Option<u16>>,
    in_flight: Cell<u32>,
    answered: Signal,
    /// Bounds the stream descriptions that are made at a time.
    pub(super) descriptions: Budget,
    pub(super) subscriptions: RefCell<BTreeMap<RequestId, Rc<Subscription>>>,
    /// The peer asks for nothing more: whoever waits for records on its behalf may stop.
    pub(super) ended: Event,
}

/// A request in flight: its place on the connection, its memory, and the way to answer it.
pub(super) struct Ticket {
    pub(super) connection: Rc<Connection>,
    pub(super) id: RequestId,
    class: LatencyClass,
    began: Duration,
    /// When it was answered, if somebody has looked at the clock.
    ended: Option<Duration>,
    /// The memory of its batch.
    permit: Option<Permit>,
    /// Keeps the core's heartbeat short.
    work: Option<Work>,
}

/// When a frame came, and the memory that it takes.
pub(super) struct Arrival {
    pub(super) at: Duration,
    pub(super) permit: Permit,
}

/// Why a connection is ended by the server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    /// The bytes are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message is so damaged that it cannot even be answered.
    #[error("{0}")]
    Message(DecodeReason),
    /// No version is spoken by both sides.
    #[error("the peer speaks versions {min} to {max}")]
    Version {
        /// The hello.
        id: RequestId,
        /// The oldest it speaks.
        min: u16,
        /// The newest it speaks.
        max: u16,
    },
    /// A frame does not fit the core's memory.
    #[error("{0}")]
    Budget(Refused),
}

impl Violation {
    /// The request that is answered with it, 0 where there is none.
    fn id(&self) -> RequestId {
        match self {
            Self::Version { id, .. } => *id,
            Self::Frame(_) | Self::Message(_) | Self::Budget(_) => RequestId(0),
        }
    }
}

/// Why no more requests are read.
#[derive(Debug)]
enum End {
    /// The peer has finished, or the server goes down and everything is answered.
    Finished,
    /// The socket failed.
    Broken(io::Error),
    /// The peer broke the protocol.
    Violation(Violation),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(native: Rc<Native>, socket: Socket, permit: Permit) {
    let connection = Connection::new(native, socket);
    let core = Rc::clone(&connection.native.core);
    let _guest = core.welcome();
    core.metrics().open_connections.rise();
    let writing = Rc::clone(&connection);
    core.spawn(async move {
        let written = writing.outbox.write_to(&writing.socket, writing.native.core.metrics()).await;
        if let Err(error) = written {
            tracing::debug!(peer = ?writing.peer, %error, "connection cannot be written");
            // The reader waits for a peer that will not send any more.
            writing.socket.shut(Shutdown::Both);
        }
    });
    // Where it is awaited, for a name would keep room for it twice.
    or(
        async {
            let end = connection.read().await;
            connection.finish(end).await;
        },
        connection.give_up_at_the_end(),
    )
    .await;
    core.metrics().open_connections.fall();
    drop(permit);
}

/// Tells a peer that there are too many connections, and ends its own.
pub(super) async fn refuse(native: Rc<Native>, socket: Socket) {
    let core = Rc::clone(&native.core);
    let limit = u64::from(native.settings.connections_max);
    let failure = Failure::new(ErrorCode::Overloaded, "too many connections").with_limit(limit, limit);
    let connection = Connection::new(native, socket);
    connection.fail(RequestId(0), failure);
    connection.outbox.finish();
    let told = connection.outbox.write_to(&connection.socket, core.metrics());
    // Whoever does not take it in time is not told.
    or(async { drop(told.await) }, sleep(LINGER)).await;
}

impl Connection {
    fn new(native: Rc<Native>, socket: Socket) -> Rc<Self> {
        let peer = socket.peer();
        let requests_max = native.settings.connection_requests_max as usize;
        // A socket that has failed already shows so at the first read.
        let _ = socket.limit_write(Some(WRITE_TIME_MAX));
        Rc::new(Self {
            native,
            socket,
            peer,
            outbox: Outbox::default(),
            version: Cell::new(None),
            in_flight: Cell::new(0),
            answered: Signal::default(),
            descriptions: Budget::new(DESCRIPTIONS_MAX, requests_max),
            subscriptions: RefCell::default(),
            ended: Event::default(),
        })
    }

    /// The core that serves it.
    pub(super) fn core(&self) -> &Rc<Core> {
        &self.native.core
    }

    /// Reads and begins requests until there are no more.
    async fn read(self: &Rc<Self>) -> End {
        let mut assembler = Assembler::new(self.native.settings.frame_bytes_max);
        let mut courier = Courier::new(&self.native.appends);
        loop {
            let input = match self.input(&mut assembler).await {
                Ok(Some(input)) => input,
                Ok(None) => return End::Finished,
                Err(error) => return End::Broken(error),
            };
            let begun = match input {
                Input::Chunk(chunk) => self.begin_all(chunk, &mut assembler, &mut courier).await,
                Input::Large(frame, permit) => {
                    let arrival = Arrival { at: self.core().monotonic(), permit };
                    self.begin(&frame.message, frame.body, arrival, &mut courier)
                }
                Input::End { torn } => {
                    if torn {
                        tracing::debug!(peer = ?self.peer, "connection ended within a frame");
                    }
                    return End::Finished;
                }
            };
            // Also after a violation: what came before it in the same read stands.
            courier.deliver(self.core()).await;
            if let Err(violation) = begun {
                return violation.into();
            }
            yield_if_needed().await;
        }
    }

    /// The next bytes, as soon as there are any and there is room for requests and answers; `None` when the server goes down and
    /// everything is answered.
    async fn input(&self, assembler: &mut Assembler) -> io::Result<Option<Input>> {
        let stopping = self.core().stopping();
        let mut stop = std::pin::pin!(stopping.wait());
        let mut closed = std::pin::pin!(self.outbox.closed.wait());
        let scratch = &self.native.scratch;
        // For all that is missing and not for each piece of it, so that a peer cannot hold a frame's memory with a byte now and then.
        let mut time_out = None;
        poll_fn(|context| {
            if closed.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::BrokenPipe)));
            }
            if self.is_seen_off(stop.as_mut(), context) {
                return Poll::Ready(Ok(None));
            }
            if self.is_over_bounds(context) {
                time_out = None;
                return Poll::Pending;
            }
            let input = assembler.poll(context, &self.socket, &mut scratch.borrow_mut());
            if input.is_pending()
                && let Some(patience) = self.patience(assembler)
            {
                let time_out = time_out.get_or_insert_with(|| Box::pin(sleep(patience)));
                return time_out
                    .as_mut()
                    .poll(context)
                    .map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)));
            }
            input.map_ok(Some)
        })
        .await
    }

    /// How long the peer has for what it owes: its hello, or the rest of a frame.
    fn patience(&self, assembler: &Assembler) -> Option<Duration> {
        match assembler.missing() {
            _ if self.version.get().is_none() => Some(HELLO_TIME_MAX),
            0 => None,
            missing => Some(frame_time_max(missing)),
        }
    }

    /// Whether the server goes down and nothing is left to be said.
    fn is_seen_off(&self, stop: Pin<&mut impl Future<Output = ()>>, context: &mut Context<'_>) -> bool {
        if stop.poll(context).is_pending() {
            return false;
        }
        self.answered.register(context);
        self.outbox.drained.register(context);
        self.in_flight.get() == 0 && self.subscriptions.borrow().is_empty() && self.outbox.is_empty()
    }

    fn is_over_bounds(&self, context: &Context<'_>) -> bool {
        if self.in_flight.get() >= self.native.settings.connection_requests_max {
            self.answered.register(context);
            return true;
        }
        if !self.outbox.has_room() {
            self.outbox.drained.register(context);
            return true;
        }
        false
    }

    async fn begin_all(
        self: &Rc<Self>,
        chunk: Bytes,
        assembler: &mut Assembler,
        courier: &mut Courier<Pending>,
    ) -> Result<(), Violation> {
        self.core().metrics().received_bytes.add(chunk.len() as u64);
        let mut now = self.core().monotonic();
        let mut start = 0;
        loop {
            let rest = chunk.get(start..).unwrap_or_default();
            match assembler.cut(rest)? {
                Cut::Frame(FrameLengths { total, message }) => {
                    let permit = match self.room_now(total) {
                        Some(permit) => permit,
                        None => {
                            let permit = self.room_for(total, courier).await?;
                            now = self.core().monotonic();
                            permit
                        }
                    };
                    let body = start + FRAME_HEADER_BYTES + message;
                    let message = chunk.get(start + FRAME_HEADER_BYTES..body).unwrap_or_default();
                    start += total;
                    self.begin(message, chunk.slice(body..start), Arrival { at: now, permit }, courier)?;
                }
                Cut::Large(total) => {
                    let permit = self.room_for(total, courier).await?;
                    let missing = total.saturating_sub(rest.len());
                    self.core().metrics().received_bytes.add(missing as u64);
                    assembler.keep_large(rest, self.native.buffers.take(total), total, permit);
                    return Ok(());
                }
                Cut::Rest => {
                    assembler.keep(rest);
                    return Ok(());
                }
            }
        }
    }

    /// What [`room_for`](Self::room_for) waits for, if it is all there.
    fn room_now(&self, bytes: usize) -> Option<Permit> {
        if self.in_flight.get() >= self.native.settings.connection_requests_max || !self.outbox.has_room() {
            return None;
        }
        let permit = self.native.budget.try_take(bytes as u64).ok()?;
        self.core().metrics().inflight_bytes.set(self.native.budget.used());
        Some(permit)
    }

    /// Waits for a place on the connection, for room for answers and for memory on the core. What was collected for other cores is sent
    /// off before, for only its answers may make the room.
    async fn room_for(&self, bytes: usize, courier: &mut Courier<Pending>) -> Result<Permit, Violation> {
        let requests_max = self.native.settings.connection_requests_max;
        if self.in_flight.get() >= requests_max {
            courier.deliver(self.core()).await;
            self.answered.until(|| (self.in_flight.get() < requests_max).then_some(())).await;
        }
        if !self.outbox.has_room() {
            // One read may bring thousands of small requests with large answers.
            courier.deliver(self.core()).await;
            self.outbox.room().await;
        }
        let bytes = bytes as u64;
        let permit = match self.native.budget.try_take(bytes) {
            Ok(permit) => permit,
            Err(Refused::NoRoom { .. }) => {
                courier.deliver(self.core()).await;
                self.native.budget.take(bytes).map_err(Violation::Budget)?.await
            }
            Err(refused) => return Err(Violation::Budget(refused)),
        };
        self.core().metrics().inflight_bytes.set(self.native.budget.used());
        Ok(permit)
    }

    /// A place for a request that has to wait.
    pub(super) fn ticket(
        self: &Rc<Self>,
        id: RequestId,
        class: LatencyClass,
        began: Duration,
        permit: Option<Permit>,
    ) -> Ticket {
        self.in_flight.set(self.in_flight.get() + 1);
        let work = Some(self.core().busy().begin());
        Ticket { connection: Rc::clone(self), id, class, began, ended: None, permit, work }
    }

    /// Answers a request.
    pub(super) fn answer(&self, id: RequestId, body: ResponseBody) {
        self.deliver(id, body, Vec::new());
    }

    /// Answers an append.
    pub(super) fn appended(&self, id: RequestId, appended: Appended) {
        self.outbox.put_appended(&mut self.native.encoder.borrow_mut(), id, appended);
    }

    /// Answers a request with entries of the log behind the message.
    pub(super) fn deliver(&self, id: RequestId, body: ResponseBody, entries: Vec<Bytes>) {
        let mut encoder = self.native.encoder.borrow_mut();
        self.outbox.put(&mut encoder, &Response { id, body }, entries);
    }

    /// Refuses a request.
    pub(super) fn fail(&self, id: RequestId, failure: Failure) {
        self.core().metrics().count_error(failure.code);
        self.answer(id, ResponseBody::Failed(failure));
    }

    /// Resolves when the peer has taken enough of its answers for more entries to be put in.
    pub(super) async fn room(&self) {
        self.outbox.room().await;
    }

    /// Answers what is in flight, lets everything be written, and ends.
    async fn finish(self: &Rc<Self>, end: End) {
        match end {
            End::Finished => {}
            End::Broken(error) => tracing::debug!(peer = ?self.peer, %error, "connection is broken"),
            End::Violation(violation) => {
                self.core().metrics().refused_frames.increment();
                let now = self.core().monotonic();
                self.native.log.warn(now, self.peer, &violation, "connection closed: protocol violation");
                self.fail(violation.id(), violation_failure(&violation));
            }
        }
        self.ended.happen();
        self.answered.until(|| self.is_quiet().then_some(())).await;
        self.outbox.finish();
        self.outbox.closed.wait().await;
        self.socket.shut(Shutdown::Write);
        or(self.drain(), sleep(LINGER)).await;
    }

    fn is_quiet(&self) -> bool {
        self.in_flight.get() == 0 && self.subscriptions.borrow().is_empty()
    }

    /// Reads away what the peer still sends, for a socket that is closed with bytes unread takes back what was written last.
    async fn drain(&self) {
        let read =
            || poll_fn(|context| self.socket.poll_read(context, &mut self.native.scratch.borrow_mut()));
        while matches!(read().await, Ok(bytes) if bytes > 0) {
            yield_if_needed().await;
        }
    }

    /// When the server goes down: ends the connection of a peer that takes nothing of its answers, which would hold up the end until
    /// it is too late for everybody. Never resolves.
    async fn give_up_at_the_end(&self) {
        self.core().stopping().wait().await;
        loop {
            let before = self.socket.written();
            sleep(FAREWELL).await;
            if self.socket.written() == before && !self.outbox.is_empty() {
                tracing::debug!(peer = ?self.peer, "peer takes no answers and is given up");
                self.socket.shut(Shutdown::Both);
            }
        }
    }

    /// Tells those who wait for the connection's requests that there is one less.
    pub(super) fn one_less(&self) {
        self.answered.notify();
    }
}

impl Ticket {
    /// Answers.
    pub(super) fn answer(self, body: ResponseBody) {
        self.connection.answer(self.id, body);
    }

    /// Answers, or refuses.
    pub(super) fn settle(self, outcome: Result<ResponseBody, Failure>) {
        match outcome {
            Ok(body) => self.answer(body),
            Err(failure) => self.connection.fail(self.id, failure),
        }
    }

    /// From here on the request waits for others, and is nothing that the core has to do.
    pub(super) fn wait(&mut self) {
        self.class = LatencyClass::FetchWaited;
        self.work = None;
    }

    /// Tells when it is answered, which is otherwise looked up when it is.
    pub(super) fn end_at(&mut self, now: Duration) {
        self.ended = Some(now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let core = self.connection.core();
        let ended = self.ended.unwrap_or_else(|| core.monotonic());
        let us = u64::try_from(ended.saturating_sub(self.began).as_micros()).unwrap_or(u64::MAX);
        core.metrics().observe_duration_us(self.class, us);
        self.permit = None;
        core.metrics().inflight_bytes.set(self.connection.native.budget.used());
        self.connection.in_flight.set(self.connection.in_flight.get() - 1);
        self.connection.one_less();
    }
}
