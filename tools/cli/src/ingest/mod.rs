//! From files to a stream: read, cut into lines, key, send, and remember how far it is acknowledged.
//!
//! A thread reads; one task sends, another awaits the acknowledgements in the order of sending. Memory is bounded by the
//! channel of chunks between them and by the producer's buffer. The order of a file's lines is kept for each key.

pub(crate) mod checkpoint;
mod counts;
pub(crate) mod input;
pub(crate) mod key;
pub(crate) mod lines;
mod position;
mod progress;
mod reader;

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemill_client::{Delivery, Producer, Record};
use tokio::sync::mpsc;

use crate::connection::send_failed;
use crate::failure::{CommandError, Exit, Outcome};
use checkpoint::{CHECKPOINT_INTERVAL, Checkpoint, Head, Mark};
use input::Input;
use key::KeyRule;
use lines::{Chunk, LongLines};
use position::Positions;
use reader::{Message, ReaderOptions};

pub(crate) use counts::{Counts, Summary};
pub(crate) use progress::show_progress;

/// Chunks between the reading thread and the sending task.
const CHUNKS_WAITING_MAX: usize = 16;
/// Chunks that are sent and wait for acknowledgement. The producer's buffer bounds their bytes.
const CHUNKS_UNACKNOWLEDGED_MAX: usize = 1_024;

/// Is shown the key and the bytes of each record before it is sent.
pub(crate) type Observer<'o> = &'o mut dyn FnMut(&[u8], &[u8]);

/// What is ingested, and how.
pub(crate) struct IngestOptions<'o> {
    pub(crate) inputs: Vec<Input>,
    pub(crate) follow: bool,
    pub(crate) key: KeyRule,
    pub(crate) line_bytes_max: usize,
    pub(crate) long_lines: LongLines,
    /// Lines a second, at most.
    pub(crate) rate: Option<u64>,
    pub(crate) checkpoint: Option<(Checkpoint, PathBuf)>,
    pub(crate) observer: Option<Observer<'o>>,
}

/// How an ingest ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All inputs were read to their ends.
    Finished,
    /// It was told to stop; everything that was sent is acknowledged.
    Stopped,
}

/// Sent, to be acknowledged in this order.
enum Sent {
    Opened(Option<Mark>),
    Lines { source: usize, chunk: Chunk, head: Option<Head>, deliveries: VecDeque<Delivery> },
    Truncated(usize),
    Closed { source: usize, is_gone: bool },
}

/// Runs until the inputs end, `stop` resolves, or something fails. What was sent by then is awaited in each case, unless
/// `abandon` resolves too.
pub(crate) async fn run(
    producer: &Producer,
    options: IngestOptions<'_>,
    counts: &Arc<Counts>,
    stop: impl Future<Output = ()>,
    abandon: impl Future<Output = ()>,
) -> Outcome<Ending> {
    let mut positions = options.checkpoint.map(|(checkpoint, path)| Positions::new(checkpoint, path));
    positions.as_mut().map_or(Ok(()), Positions::save)?;
    let stop_reading = Arc::new(AtomicBool::new(false));
    let (chunk_sender, mut messages) = mpsc::channel(CHUNKS_WAITING_MAX);
    let reader_options = ReaderOptions {
        inputs: options.inputs,
        follow: options.follow,
        line_bytes_max: options.line_bytes_max,
        long_lines: options.long_lines,
        marks: positions.as_ref().map(|positions| positions.marks().to_vec()).unwrap_or_default(),
        stop: stop_reading.clone(),
    };
    // A read from a terminal or a pipe cannot be interrupted, so the thread is left to itself and ends with the process.
    std::thread::Builder::new()
        .name("ingest-reader".to_owned())
        .spawn(move || reader::read(reader_options, chunk_sender))
        .map_err(|error| CommandError::because(Exit::Failure, "cannot start a thread", &error))?;

    let (sent_sender, sent) = mpsc::channel(CHUNKS_UNACKNOWLEDGED_MAX);
    let acknowledging =
        tokio::spawn(Acknowledger { positions, counts: counts.clone(), saved: Instant::now() }.run(sent));

    let pace = Pace::new(options.rate);
    let (key, observer) = (options.key, options.observer);
    let mut sending =
        Sending { producer, key, names: Vec::new(), line_key: Vec::new(), counts, pace, observer };
    let outcome = sending.run(&mut messages, sent_sender, stop).await;
    stop_reading.store(true, Ordering::Relaxed);
    drop(messages);

    let mut acknowledging = acknowledging;
    let acknowledged = {
        let flushed = async {
            // The deliveries tell which line failed and why; the flush only shortens the wait for them.
            _ = producer.flush().await;
            (&mut acknowledging).await
        };
        tokio::select! {
            acknowledged = flushed => acknowledged,
            () = abandon => return Err(CommandError::new(Exit::Interrupted, "stopped before all lines were acknowledged")),
        }
    };
    let acknowledged = acknowledged
        .map_err(|error| CommandError::because(Exit::Failure, "the acknowledging task failed", &error))?;
    // A failed delivery is the reason why sending came to an end, so it is told first.
    acknowledged.and(outcome)
}

/// The sending task's state.
struct Sending<'p, 'o> {
    producer: &'p Producer,
    key: KeyRule,
    /// Paths as keys, by source.
    names: Vec<Arc<[u8]>>,
    /// The key of the line, which its further pieces have too, be it in the next chunk.
    line_key: Vec<u8>,
    counts: &'p Counts,
    pace: Pace,
    observer: Option<Observer<'o>>,
}

impl Sending<'_, '_> {
    async fn run(
        &mut self,
        messages: &mut mpsc::Receiver<Message>,
        sent: mpsc::Sender<Sent>,
        stop: impl Future<Output = ()>,
    ) -> Outcome<Ending> {
        let mut stop = pin!(stop);
        loop {
            let message = tokio::select! {
                biased;
                () = &mut stop => return Ok(Ending::Stopped),
                message = messages.recv() => message,
            };
            let next = match message {
                None => return Ok(Ending::Finished),
                Some(Message::Failed(error)) => return Err(error),
                Some(Message::Opened { mark, name, bytes, .. }) => {
                    self.counts.opened(bytes);
                    self.names.push(name);
                    Sent::Opened(mark)
                }
                Some(Message::Truncated { source }) => Sent::Truncated(source),
                Some(Message::Closed { source, is_gone }) => Sent::Closed { source, is_gone },
                Some(Message::Lines { source, chunk, head }) => {
                    let mut deliveries = VecDeque::with_capacity(chunk.len());
                    let outcome = tokio::select! {
                        outcome = self.send(source, &chunk, &mut deliveries) => outcome.map(|()| None),
                        () = &mut stop => Ok(Some(Ending::Stopped)),
                    };
                    let failed = sent.send(Sent::Lines { source, chunk, head, deliveries }).await.is_err();
                    match outcome? {
                        Some(ending) => return Ok(ending),
                        None if failed => return Ok(Ending::Stopped),
                        None => continue,
                    }
                }
            };
            if sent.send(next).await.is_err() {
                // The acknowledging task has met a failure and tells it.
                return Ok(Ending::Stopped);
            }
        }
    }

    /// Sends the lines of a chunk.
    async fn send(&mut self, source: usize, chunk: &Chunk, deliveries: &mut VecDeque<Delivery>) -> Outcome {
        let name = self.names.get(source).cloned().unwrap_or_default();
        let (mut without_key, mut pieces, mut bytes) = (0, 0, 0);
        for index in 0..chunk.len() {
            let line = chunk.line(index);
            let is_piece = chunk.continues(index);
            if !is_piece {
                let found = self.key.key(line, &name);
                without_key += u64::from(found.is_none());
                self.line_key.clear();
                self.line_key.extend_from_slice(found.unwrap_or_default());
            }
            let key = self.line_key.as_slice();
            pieces += u64::from(is_piece);
            self.pace.wait().await;
            if let Some(observe) = &mut self.observer {
                observe(key, line);
            }
            let delivery = self.producer.send(Record { key, data: line, timestamp: None }).await;
            deliveries.push_back(delivery.map_err(|error| send_failed(&error))?);
            bytes += line.len() as u64;
        }
        self.counts.read(chunk.len() as u64, bytes, chunk.end() - chunk.start());
        self.counts.pieces(pieces);
        if self.key.wants_key() {
            self.counts.without_key(without_key);
        }
        Ok(())
    }
}

/// The acknowledging task's state.
struct Acknowledger {
    positions: Option<Positions>,
    counts: Arc<Counts>,
    saved: Instant,
}

impl Acknowledger {
    async fn run(mut self, mut sent: mpsc::Receiver<Sent>) -> Outcome {
        let outcome = self.take_all(&mut sent).await;
        let saved = self.save();
        outcome.and(saved)
    }

    async fn take_all(&mut self, sent: &mut mpsc::Receiver<Sent>) -> Outcome {
        loop {
            // Without anything to acknowledge the last changes still have to reach the file in time.
            let next = match tokio::time::timeout(CHECKPOINT_INTERVAL, sent.recv()).await {
                Ok(None) => return Ok(()),
                Ok(Some(next)) => next,
                Err(_) => {
                    self.save()?;
                    continue;
                }
            };
            match next {
                Sent::Lines { source, chunk, head, deliveries } => {
                    self.take(source, &chunk, head, deliveries).await?;
                }
                Sent::Opened(mark) => self.change(|positions| positions.opened(mark)),
                Sent::Truncated(source) => self.change(|positions| positions.acknowledged(source, 0)),
                Sent::Closed { source, is_gone } => {
                    self.change(|positions| positions.closed(source, is_gone));
                }
            }
        }
    }

    async fn take(
        &mut self,
        source: usize,
        chunk: &Chunk,
        head: Option<Head>,
        deliveries: VecDeque<Delivery>,
    ) -> Outcome {
        if let (Some(positions), Some(head)) = (&mut self.positions, head) {
            positions.identified(source, head);
        }
        let (mut done, mut noted, mut bytes) = (0, 0, 0);
        for (index, mut delivery) in deliveries.into_iter().enumerate() {
            loop {
                let answer = tokio::select! {
                    biased;
                    answer = &mut delivery => answer,
                    () = tokio::time::sleep(CHECKPOINT_INTERVAL), if done > noted => {
                        self.note(source, chunk, done, done - noted, std::mem::take(&mut bytes));
                        noted = done;
                        self.save()?;
                        continue;
                    }
                };
                if let Err(error) = answer {
                    self.note(source, chunk, done, done - noted, bytes);
                    return Err(send_failed(&error));
                }
                break;
            }
            done = index + 1;
            bytes += chunk.line(index).len() as u64;
        }
        self.note(source, chunk, done, done - noted, bytes);
        if self.saved.elapsed() >= CHECKPOINT_INTERVAL { self.save() } else { Ok(()) }
    }

    /// The first `done` lines of a chunk are acknowledged, `lines` of them since the last call.
    fn note(&mut self, source: usize, chunk: &Chunk, done: usize, lines: usize, bytes: u64) {
        self.counts.acknowledged(lines as u64, bytes);
        if let (Some(positions), Some(last)) = (&mut self.positions, done.checked_sub(1)) {
            positions.acknowledged(source, chunk.offset_after(last));
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Positions)) {
        if let Some(positions) = &mut self.positions {
            change(positions);
        }
    }

    fn save(&mut self) -> Outcome {
        self.saved = Instant::now();
        // The write waits for the disk; other tasks go on meanwhile.
        self.positions.as_mut().map_or(Ok(()), |positions| tokio::task::block_in_place(|| positions.save()))
    }
}

/// Holds a sender to a number of lines a second.
#[derive(Debug)]
struct Pace {
    rate: Option<u64>,
    started: Instant,
    lines: u64,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self { rate, started: Instant::now(), lines: 0 }
    }

    async fn wait(&mut self) {
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(self.lines as f64 / rate as f64);
        self.lines += 1;
        let early = due.saturating_sub(self.started.elapsed());
        // A timer is no finer than a millisecond, so lines that are due within one go together.
        if early > Duration::from_millis(1) {
            tokio::time::sleep(early).await;
        }
    }
}
