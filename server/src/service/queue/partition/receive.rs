//! A receive: messages are picked, hidden, and handed out once that is written down.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tidemill_storage::{AppendError, Env};
use tidemill_wire::Timestamp;
use tidemill_wire::limits::RECEIVE_MESSAGES_SURE;

use super::{Memory, Partition, READ_BYTES};
use crate::service::queue::definition::QueueSettings;
use crate::service::queue::format::{decode_message, decode_times};
use crate::service::queue::gone::give_back;
use crate::service::queue::journal::Event;
use crate::service::queue::log::{self, Written};
use crate::service::queue::message::{Message, group_of};
use crate::service::queue::operation::{Receipt, ReceiveError, Received, Unreadable};
use crate::service::queue::state::{Ask, Head, Pick, State};
use crate::service::queue::tail::Tail;

/// Messages in flight of one partition, as of a queue in
/// [SQS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
pub(super) const IN_FLIGHT_MAX: u64 = 120_000;
/// Messages that are at hand before a receive looks at them.
const AT_HAND_MIN: usize = 32;
/// Bytes of more messages than a few that are handed out together.
const RECEIVED_BYTES_MAX: usize = 8 << 20;

/// What is wanted of a partition.
#[derive(Clone, Debug)]
pub struct Want {
    /// So many messages at most.
    pub messages_max: usize,
    /// How long they are hidden.
    pub visibility: Duration,
    /// Names the attempt, of a FIFO queue.
    pub attempt: Option<String>,
    /// Messages that were received so often are handed out to be moved.
    pub receives_max: Option<u32>,
}

/// What a partition gives.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What was received.
    pub received: Vec<Received>,
    /// What was received too often, and is hidden while it is moved elsewhere.
    pub moving: Vec<(u64, Message)>,
}

/// What the same attempt got before.
struct Repeated<W> {
    /// Resolves when it is written down that it is hidden anew.
    written: W,
    picked: Vec<Pick>,
}

/// One look at the messages.
struct Round<W> {
    /// Resolves when it is written down; nothing if there is nothing to write.
    written: Option<W>,
    picked: Vec<(Pick, Option<Written>)>,
    moving: Vec<(u64, Option<Written>)>,
    /// Another look may find something.
    is_more: bool,
}

impl<E: Env> Partition<E> {
    /// Receives messages; nothing if there are none now.
    pub async fn receive(self: &Rc<Self>, want: &Want) -> Result<Batch, ReceiveError> {
        let batch = self.try_receive(want).await?;
        match batch.received.len() {
            0 => self.tally.empty_receives.increment(),
            count => self.tally.received.add(count as u64),
        }
        Ok(batch)
    }

    /// Receives what the same attempt got here before; nothing if that was nothing, or is not hidden any more.
    pub async fn receive_again(self: &Rc<Self>, want: &Want) -> Result<Batch, ReceiveError> {
        self.load().await?;
        let Some(repeated) = self.repeat(want)? else { return Ok(Batch::default()) };
        let batch = self.hand_out_again(repeated).await?;
        self.tally.received.add(batch.received.len() as u64);
        Ok(batch)
    }

    async fn hand_out_again(
        self: &Rc<Self>,
        Repeated { written, picked }: Repeated<impl Future<Output = Result<(), AppendError>>>,
    ) -> Result<Batch, ReceiveError> {
        written.await?;
        let picked = picked.into_iter().map(|pick| (pick, None)).collect();
        Ok(Batch { received: self.deliver(picked).await?, moving: Vec::new() })
    }

    async fn try_receive(self: &Rc<Self>, want: &Want) -> Result<Batch, ReceiveError> {
        loop {
            self.load().await?;
            self.fill().await?;
            if let Some(repeated) = self.repeat(want)? {
                return self.hand_out_again(repeated).await;
            }
            let Some(round) = self.look(want)? else { continue };
            let Some(written) = round.written else { return Ok(Batch::default()) };
            written.await?;
            if round.picked.is_empty() && round.moving.is_empty() {
                if round.is_more {
                    continue;
                }
                return Ok(Batch::default());
            }
            let mut moving = Vec::with_capacity(round.moving.len());
            for (sequence, record) in round.moving {
                moving.extend(self.message(sequence, record).await?.map(|message| (sequence, message)));
            }
            let received = self.deliver(round.picked).await?;
            if received.is_empty() && moving.is_empty() {
                continue;
            }
            return Ok(Batch { received, moving });
        }
    }

    /// Brings in messages behind the cursor, if few are at hand.
    pub(super) async fn fill(&self) -> Result<(), Unreadable> {
        self.is_used.set(true);
        let wanted = || {
            let memory = self.recorder.memory.borrow();
            let tail = &memory.as_ref()?.tail;
            let end = self.lane.bounds(self.place.messages).ok()?.next.get();
            (tail.heads().len() < AT_HAND_MIN && tail.next() < end).then(|| tail.next())
        };
        if wanted().is_none() {
            return Ok(());
        }
        let _filling = self.filling.lock().await;
        let Some(from) = wanted() else { return Ok(()) };
        let stretch = log::read(&self.lane, self.place.messages, from, READ_BYTES).await?;
        let definition = self.definition();
        let mut heads = Vec::with_capacity(stretch.records.len());
        for record in stretch.records {
            heads.push((self.head(&record, &definition.settings)?, record));
        }
        if let Some(memory) = &mut *self.recorder.memory.borrow_mut()
            && memory.tail.next() == from
        {
            memory.tail.extend(heads, stretch.next);
            memory.tail.pass(memory.state.cursor());
        }
        Ok(())
    }

    fn head(&self, record: &Written, settings: &QueueSettings) -> Result<Head, Unreadable> {
        let times = decode_times(&record.data);
        let (sent, delay_s) =
            times.map_err(|error| log::foreign(self.place.messages, record.sequence, &error))?;
        let seconds = |seconds: u32| u64::from(seconds) * 1_000;
        Ok(Head {
            sequence: record.sequence,
            due: Timestamp(sent.0.saturating_add(seconds(delay_s.unwrap_or(settings.delay_s)))),
            is_out_of_order: delay_s.is_some_and(|delay_s| delay_s != settings.delay_s),
            group: group_of(&record.key),
            over: Timestamp(sent.0.saturating_add(seconds(settings.retention_s))),
        })
    }

    /// What the same attempt got before, hidden anew, if all of it is hidden still.
    fn repeat(
        self: &Rc<Self>,
        want: &Want,
    ) -> Result<Option<Repeated<impl Future<Output = Result<(), AppendError>> + use<E>>>, ReceiveError> {
        let Some(attempt) = &want.attempt else { return Ok(None) };
        self.recorder.admits()?;
        let now = self.lane.now();
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(None) };
        memory.state.advance(now);
        let Some(picked) = memory.state.received_by(attempt, now) else { return Ok(None) };
        let until = later(now, want.visibility);
        let event = Event::Hidden(picked.iter().map(|pick| (pick.sequence, until)).collect());
        memory.state.apply(&event);
        Ok(Some(Repeated { written: self.write(memory, &event), picked }))
    }

    /// Picks messages, and queues what that means for the journal. `None` if the memory has gone.
    fn look(
        self: &Rc<Self>,
        want: &Want,
    ) -> Result<Option<Round<impl Future<Output = Result<(), AppendError>> + use<E>>>, ReceiveError> {
        let definition = self.definition();
        self.recorder.admits()?;
        let bounds = self.lane.bounds(self.place.messages);
        let bounds = bounds.map_err(|_| ReceiveError::UnknownQueue { queue: definition.id })?;
        let now = self.lane.now();
        let mut memory = self.recorder.memory.borrow_mut();
        let Some(memory) = &mut *memory else { return Ok(None) };
        let oldest = bounds.oldest.get();
        let gone =
            if oldest > memory.state.cursor() { Some(oldest) } else { memory.state.waiting_below(oldest) };
        if let Some(below) = gone {
            // What was too old has gone without a receive. Later events follow this one.
            let event = Event::Purged { below };
            memory.state.apply(&event);
            give_back(&self.env, memory.state.take_gone());
            drop(self.write(memory, &event));
        }
        let Memory { state, tail, .. } = memory;
        state.advance(now);
        tail.pass(state.cursor());
        let limit = IN_FLIGHT_MAX;
        let room = usize::try_from(limit.saturating_sub(state.in_flight())).unwrap_or(usize::MAX);
        if room == 0 && !definition.is_fifo() {
            return Err(ReceiveError::OverLimit { in_flight: state.in_flight(), limit });
        }
        let ask = Ask {
            now,
            until: later(now, want.visibility),
            messages_max: bounded(want, state, tail).min(room),
            receives_max: want.receives_max,
        };
        let mut taken = state.receive(&ask, tail.heads());
        if let Some(attempt) = &want.attempt {
            state.receive_by(attempt.clone(), &mut taken);
        }
        let picked: Vec<_> = taken.picked.iter().map(|pick| (*pick, tail.take(pick.sequence))).collect();
        let moving = taken.moving.iter().map(|sequence| (*sequence, tail.take(*sequence))).collect();
        tail.pass(state.cursor());
        let is_more = tail.heads().is_empty() && state.has_room() && state.cursor() < bounds.next.get();
        let written = taken.event.map(|event| self.write(memory, &event));
        Ok(Some(Round { written, picked, moving, is_more }))
    }

    /// The messages that were picked, but for those that are too old: they go for ever.
    async fn deliver(
        self: &Rc<Self>,
        picked: Vec<(Pick, Option<Written>)>,
    ) -> Result<Vec<Received>, Unreadable> {
        let definition = self.definition();
        let retention_ms = u64::from(definition.settings.retention_s) * 1_000;
        let (mut received, mut over) = (Vec::with_capacity(picked.len()), Vec::new());
        // One moment for all of them.
        let now = self.lane.now().0;
        for (Pick { sequence, receives, first_received }, record) in picked {
            let message = self.message(sequence, record).await?;
            let Some(message) = message.filter(|message| message.sent.0.saturating_add(retention_ms) > now)
            else {
                over.push(sequence);
                continue;
            };
            let receipt = Receipt { queue: definition.id, partition: self.index, sequence, receives };
            received.push(Received { receipt, message, receives, first_received, sequence });
        }
        if !over.is_empty()
            && let Err(error) = self.remove(over).await
        {
            tracing::debug!(queue = %definition.id, %error, "messages that are too old are looked at again");
        }
        Ok(received)
    }

    /// A message, read if it is not at hand.
    async fn message(&self, sequence: u64, record: Option<Written>) -> Result<Option<Message>, Unreadable> {
        let owner = self.place.messages;
        let record = match record {
            Some(record) => Some(record),
            None => {
                let stretch = log::read(&self.lane, owner, sequence, 1).await?;
                stretch.records.into_iter().find(|record| record.sequence == sequence)
            }
        };
        let message = record.map(|record| decode_message(&record.key, &record.data)).transpose();
        message.map_err(|error| log::foreign(owner, sequence, &error))
    }
}

/// How many messages are looked for: more than a few only where their size is known, which is that of those at hand while no others can be received, and where they are not
/// to be received again.
fn bounded(want: &Want, state: &State, tail: &Tail) -> usize {
    let sure = RECEIVE_MESSAGES_SURE as usize;
    let is_known = state.ready() == 0 && tail.bytes() <= RECEIVED_BYTES_MAX && want.attempt.is_none();
    if is_known { want.messages_max } else { want.messages_max.min(sure) }
}

/// The time so much later.
pub(super) fn later(now: Timestamp, duration: Duration) -> Timestamp {
    Timestamp(now.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}
