//! One connection's thread: keeps its slots busy until it is told to stop.
//!
//! A slot is one request in flight, and its number is the request's id, so an answer finds its request by index. The socket
//! does not block; the thread sleeps in `poll` only when nothing can be read and nothing more can be written. All answers
//! of one read share one look at the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tidemill_wire::RequestId;
use tidemill_wire::message::{ErrorCode, Failure, Response, ResponseBody};

use super::progress::{Counters, Gain, Phase, Progress};
use crate::connection::{Control, Inbox, Outbox, Received, RequestFrame, refusal, wait};
use crate::error::BenchError;
use crate::options::Options;

/// Longest sleep, so that a connection whose requests all wait for a quota still sees the end of the run.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// Large answers that the receiving buffer has room for, so that few of them are cut by its end and moved.
const INBOX_ANSWERS: usize = 4;
/// Room for a thousand small answers.
const INBOX_BYTES_MIN: usize = 64 << 10;
/// Longest wait that a server may ask for and get.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Latencies are kept up to an hour, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const LATENCY_DIGITS: u8 = 3;

/// What a connection asks and what it makes of the answers.
pub(super) trait Load {
    /// The request's name, for errors.
    const REQUEST: &'static str;

    /// The frame of the slot's next request, with the slot's number as its id.
    fn request(&mut self, slot: usize) -> RequestFrame;

    /// Bytes of a usual answer.
    fn answer_bytes(&self) -> usize;

    /// Takes the answer to the slot's request.
    fn answered(&mut self, slot: usize, answer: ResponseBody, body: &[u8]) -> Result<Gain, BenchError>;
}

/// What a connection found, apart from its counters.
pub(super) struct Tally {
    pub(super) latency_us: Histogram<u64>,
    pub(super) throttled: u64,
    pub(super) wait_ms: u64,
}

/// A connection with its requests.
pub(super) struct Worker<'a, L> {
    socket: TcpStream,
    address: SocketAddr,
    inbox: Inbox,
    outbox: Outbox,
    load: L,
    /// When each slot's request was handed over; `None` while it has none in flight.
    sent: Vec<Option<Instant>>,
    ready: Vec<usize>,
    /// Slots that were throttled, by the end of their wait.
    paused: BinaryHeap<Reverse<(Instant, usize)>>,
    unanswered: usize,
    heard: Instant,
    answer_timeout: Duration,
    progress: &'a Progress,
    counters: &'a Counters,
    tally: Tally,
}

/// A histogram as every connection has one.
pub(super) fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS).expect("the bounds are constants that suit")
}

impl<'a, L: Load> Worker<'a, L> {
    /// Takes over a connection whose handshake is done.
    pub(super) fn new(
        control: Control,
        load: L,
        options: &Options,
        progress: &'a Progress,
        counters: &'a Counters,
    ) -> Result<Self, BenchError> {
        let address = control.address();
        let socket = control.into_stream();
        socket.set_nonblocking(true).map_err(|source| BenchError::Connection { address, source })?;
        let slots = options.in_flight as usize;
        Ok(Self {
            socket,
            address,
            inbox: Inbox::new(INBOX_BYTES_MIN + INBOX_ANSWERS * load.answer_bytes()),
            outbox: Outbox::default(),
            load,
            sent: vec![None; slots],
            ready: (0..slots).rev().collect(),
            paused: BinaryHeap::new(),
            unanswered: 0,
            heard: Instant::now(),
            answer_timeout: options.answer_timeout,
            progress,
            counters,
            tally: Tally { latency_us: empty_histogram(), throttled: 0, wait_ms: 0 },
        })
    }

    /// Runs until told to stop and every owed answer is in. A failure ends the whole run.
    pub(super) fn run(mut self) -> Result<Tally, BenchError> {
        match self.serve() {
            Ok(()) => Ok(self.tally),
            Err(error) => {
                self.progress.stop();
                Err(error)
            }
        }
    }

    fn serve(&mut self) -> Result<(), BenchError> {
        self.progress.pass_gate();
        self.heard = Instant::now();
        let mut now = self.heard;
        loop {
            let phase = self.progress.phase();
            if phase != Phase::Stopping {
                self.hand_over(now);
            } else if self.unanswered == 0 {
                return Ok(());
            }
            self.flush()?;
            if self.read()? {
                now = Instant::now();
                self.heard = now;
                self.take_answers(now, phase)?;
            } else {
                self.sleep(now)?;
                now = Instant::now();
                self.check_silence(now)?;
            }
        }
    }

    /// Queues a request for every slot that may have one.
    fn hand_over(&mut self, now: Instant) {
        while self.paused.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            self.ready.extend(self.paused.pop().map(|Reverse((_, slot))| slot));
        }
        if self.unanswered == 0 && !self.ready.is_empty() {
            // Nothing was owed until here, so silence begins now.
            self.heard = now;
        }
        while let Some(slot) = self.ready.pop() {
            self.outbox.push(self.load.request(slot));
            self.sent[slot] = Some(now);
            self.unanswered += 1;
        }
    }

    fn flush(&mut self) -> Result<(), BenchError> {
        match self.outbox.flush(&mut self.socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.broke(error)),
            _ => Ok(()),
        }
    }

    /// Reads once; `false` when there was nothing.
    fn read(&mut self) -> Result<bool, BenchError> {
        match self.inbox.fill(&mut self.socket) {
            Ok(0) => Err(BenchError::Closed { address: self.address, unanswered: self.unanswered }),
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
                _ => Err(self.broke(error)),
            },
        }
    }

    fn take_answers(&mut self, now: Instant, phase: Phase) -> Result<(), BenchError> {
        let address = self.address;
        let mut gain = Gain::default();
        while let Some(Received { message, body }) =
            self.inbox.next().map_err(|source| BenchError::Frame { address, source })?
        {
            let Response { id, body: answer } =
                Response::decode(message).map_err(|source| BenchError::Decode { address, source })?;
            let (slot, sent) =
                take_sent(&mut self.sent, id).ok_or(BenchError::Unasked { address, id: id.0 })?;
            self.unanswered -= 1;
            match answer {
                ResponseBody::Failed(failure) if asks_for_patience(failure.code) => {
                    let wait =
                        Duration::from_millis(u64::from(failure.retry_after_ms.max(1))).min(RETRY_AFTER_MAX);
                    self.paused.push(Reverse((now + wait, slot)));
                    self.tally.throttled += 1;
                    self.tally.wait_ms += wait.as_millis() as u64;
                }
                ResponseBody::Failed(Failure { .. }) => return Err(refusal(L::REQUEST, answer)),
                answer => {
                    let answered = self.load.answered(slot, answer, body)?;
                    gain.bytes += answered.bytes;
                    gain.records += answered.records;
                    gain.requests += answered.requests;
                    if phase == Phase::Measured {
                        let latency_us = now.duration_since(sent).as_micros();
                        self.tally
                            .latency_us
                            .saturating_record(u64::try_from(latency_us).unwrap_or(u64::MAX));
                    }
                    self.ready.push(slot);
                }
            }
        }
        self.counters.add(gain);
        Ok(())
    }

    fn sleep(&self, now: Instant) -> Result<(), BenchError> {
        let due =
            self.paused.peek().map_or(SLEEP_MAX, |Reverse((due, _))| due.saturating_duration_since(now));
        wait(&self.socket, !self.outbox.is_empty(), due.min(SLEEP_MAX)).map_err(|error| self.broke(error))
    }

    fn check_silence(&self, now: Instant) -> Result<(), BenchError> {
        let waited = now.duration_since(self.heard);
        if self.unanswered > 0 && waited > self.answer_timeout {
            return Err(BenchError::Silent { address: self.address, unanswered: self.unanswered, waited });
        }
        Ok(())
    }

    fn broke(&self, source: io::Error) -> BenchError {
        BenchError::Connection { address: self.address, source }
    }
}

/// The slot of an answer and when its request was handed over, if it has one in flight.
fn take_sent(sent: &mut [Option<Instant>], id: RequestId) -> Option<(usize, Instant)> {
    let slot = usize::try_from(id.0).ok()?;
    Some((slot, sent.get_mut(slot)?.take()?))
}

/// Refusals that pass by themselves. A full disk may never, so it ends the run.
fn asks_for_patience(code: ErrorCode) -> bool {
    code.is_retryable() && code != ErrorCode::DiskFull
}
