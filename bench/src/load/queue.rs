//! Messages of a queue in a closed loop: each slot sends a batch, receives one, and deletes what it got, and so on.
//!
//! A receive that gets less than a batch, because others were faster, leaves the rest for the next; so the backlog settles where receives are full. Filling sends only.

use bytes::{Bytes, BytesMut};
use tidemill_wire::message::{
    DeleteMessages, Encoder, MessageReceipt, NewMessage, QueueDescription, ReceiveMessages, ReceivedMessage,
    RefusedItem, Request, RequestBody, ResponseBody, SendMessages,
};
use tidemill_wire::{LaneId, QueueId};

use super::Part;
use super::asker::{Asker, Load, Throttled, request_id};
use super::line::Line;
use super::progress::{Flow, Gain};
use super::role::Turn;
use super::tally::Measure;
use super::target::Target;
use super::template::Template;
use crate::connection::refusal;
use crate::error::BenchError;
use crate::options::Options;
use crate::ring::Gather;

/// Up to here bodies are copied behind their message.
const COPIED_BYTES_MAX: usize = 16 << 10;
/// How long a receive waits in the server for what another slot has sent.
const WAIT_MS: u32 = 1_000;
/// Messages of one request that fills.
const FILL_BATCH: u32 = 100;
/// Bytes of one request that fills, about.
const FILL_BYTES: u32 = 256 << 10;

/// Sends of one size.
struct Sender {
    template: Template,
    bodies: Bytes,
    gain: Gain,
}

/// What a slot does next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Send,
    Receive,
    Delete(Vec<MessageReceipt>),
}

/// The load of one connection that goes round.
struct Cycler {
    queue: QueueId,
    sender: Sender,
    receive: Template,
    steps: Vec<Step>,
    message_bytes: u64,
    batch: u32,
    encoder: Encoder,
    head: BytesMut,
}

/// The load of one connection that fills.
struct Filler(Sender);

impl Part {
    /// Adds connections that send, receive and delete, dealt out to the queue's lanes.
    pub(crate) fn cyclers(
        &mut self,
        options: &Options,
        target: &Target,
        queue: &QueueDescription,
    ) -> Result<(), BenchError> {
        for lane in lanes(options, queue) {
            let load = Cycler::new(queue.id, options);
            let role = Asker::new(load, options.in_flight, None, Throttled::Retry);
            let control = target.connect(options, lane)?;
            self.lines.push(Line::new(control, Box::new(role), true));
        }
        Ok(())
    }

    /// Adds connections that send alone.
    pub(crate) fn fillers(
        &mut self,
        options: &Options,
        target: &Target,
        queue: &QueueDescription,
    ) -> Result<(), BenchError> {
        let bytes = options.record_bytes.range().1;
        let batch = (FILL_BYTES / bytes.max(1)).clamp(1, FILL_BATCH);
        for lane in lanes(options, queue) {
            let load = Filler(Sender::new(&mut Encoder::new(), queue.id, batch, bytes));
            let role = Asker::new(load, options.in_flight, None, Throttled::Retry);
            let control = target.connect(options, lane)?;
            self.lines.push(Line::new(control, Box::new(role), true));
        }
        Ok(())
    }
}

fn lanes(options: &Options, queue: &QueueDescription) -> impl Iterator<Item = LaneId> {
    queue.lanes.iter().copied().cycle().take(options.connections as usize)
}

impl Sender {
    fn new(encoder: &mut Encoder, queue: QueueId, batch: u32, bytes: u32) -> Self {
        let message = NewMessage { body_bytes: bytes, ..NewMessage::default() };
        let messages = vec![message; batch as usize];
        let bodies: Vec<u8> = (b'a'..=b'z').cycle().take(batch as usize * bytes as usize).collect();
        let send = RequestBody::SendMessages(SendMessages { queue, messages });
        let template = Template::new(encoder, &send, bodies.len());
        let gain = Gain { bytes: bodies.len() as u64, records: batch.into(), requests: 1 };
        Self { template, bodies: bodies.into(), gain }
    }

    fn put(&self, slot: usize, out: &mut Gather) {
        self.template.put(request_id(slot), out);
        if self.bodies.len() <= COPIED_BYTES_MAX {
            out.copy(&self.bodies);
        } else {
            out.share(self.bodies.clone());
        }
    }
}

impl Cycler {
    fn new(queue: QueueId, options: &Options) -> Self {
        let mut encoder = Encoder::new();
        let (bytes, batch) = (options.record_bytes.range().1, options.batch_records);
        let sender = Sender::new(&mut encoder, queue, batch, bytes);
        let receive = ReceiveMessages {
            queue,
            messages_max: batch,
            wait_ms: WAIT_MS,
            visibility_s: None,
            attempt: None,
        };
        let receive = Template::new(&mut encoder, &RequestBody::ReceiveMessages(receive), 0);
        Self {
            queue,
            sender,
            receive,
            steps: vec![Step::Send; options.in_flight as usize],
            message_bytes: bytes.into(),
            batch,
            encoder,
            head: BytesMut::new(),
        }
    }

    /// Checks what was received, and notes it to be deleted.
    fn take(&mut self, slot: usize, heads: &[ReceivedMessage], body: &[u8]) -> Result<Gain, BenchError> {
        let of_one = |head: &ReceivedMessage| u64::from(head.body_bytes) == self.message_bytes;
        let bytes = self.message_bytes * heads.len() as u64;
        if heads.len() > self.batch as usize || !heads.iter().all(of_one) || bytes != body.len() as u64 {
            let found = format!("{} messages of {} bytes in all", heads.len(), body.len());
            return Err(BenchError::Answer { request: Self::REQUEST, found });
        }
        if !heads.is_empty() {
            self.steps[slot] = Step::Delete(heads.iter().map(|head| head.receipt).collect());
        }
        Ok(Gain { requests: 1, ..Gain::default() })
    }
}

impl Load for Cycler {
    const REQUEST: &'static str = "send, receive or delete";
    const FLOW: Flow = Flow::In;

    fn request(&mut self, slot: usize, _stamp_ns: u64, _again: bool, out: &mut Gather) {
        match &self.steps[slot] {
            Step::Send => self.sender.put(slot, out),
            Step::Receive => self.receive.put(request_id(slot), out),
            Step::Delete(receipts) => {
                let delete = DeleteMessages { queue: self.queue, receipts: receipts.clone() };
                let request = Request { id: request_id(slot), body: RequestBody::DeleteMessages(delete) };
                self.head.clear();
                self.encoder.request(&mut self.head, &request, 0);
                out.copy(&self.head);
            }
        }
    }

    fn measure(&self, slot: usize) -> Measure {
        match self.steps[slot] {
            Step::Send => Measure::Send,
            Step::Receive => Measure::Receive,
            Step::Delete(_) => Measure::Delete,
        }
    }

    fn answered(
        &mut self,
        slot: usize,
        answer: ResponseBody,
        body: &[u8],
        _turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        let answered = Gain { requests: 1, ..Gain::default() };
        match (&self.steps[slot], answer) {
            (Step::Send, ResponseBody::SentMessages(sent)) => {
                all_taken(&sent.refused)?;
                self.steps[slot] = Step::Receive;
                Ok(answered)
            }
            (Step::Receive, ResponseBody::ReceivedMessages(heads)) => self.take(slot, &heads, body),
            (Step::Delete(receipts), ResponseBody::SettledMessages(refused)) => {
                all_taken(&refused)?;
                let records = receipts.len() as u64;
                self.steps[slot] = Step::Send;
                Ok(Gain { bytes: records * self.message_bytes, records, ..answered })
            }
            (_, other) => Err(refusal(Self::REQUEST, other)),
        }
    }

    fn answer_bytes(&self) -> usize {
        self.sender.bodies.len() + 128 * self.batch as usize
    }
}

impl Load for Filler {
    const REQUEST: &'static str = "send messages";
    const FLOW: Flow = Flow::In;

    fn request(&mut self, slot: usize, _stamp_ns: u64, _again: bool, out: &mut Gather) {
        self.0.put(slot, out);
    }

    fn answered(
        &mut self,
        _slot: usize,
        answer: ResponseBody,
        _body: &[u8],
        _turn: &Turn<'_>,
    ) -> Result<Gain, BenchError> {
        match answer {
            ResponseBody::SentMessages(sent) => all_taken(&sent.refused).map(|()| self.0.gain),
            other => Err(refusal(Self::REQUEST, other)),
        }
    }

    fn answer_bytes(&self) -> usize {
        0
    }
}

fn all_taken(refused: &[RefusedItem]) -> Result<(), BenchError> {
    match refused.first() {
        None => Ok(()),
        Some(refused) => Err(BenchError::Answer { request: Cycler::REQUEST, found: refused.to_string() }),
    }
}
