//! From verified messages to messages of queues.

use super::super::{DecodeReason, bounded};
use super::{
    Consume, DeleteMessages, ExtendMessages, ListDeadLetterSources, MessageCounts, MessageCredit, MessageId,
    MessageReceipt, Move, MoveStatus, NewMessage, ReceiveMessages, ReceivedMessage, RefusedItem,
    SendMessages, SentMessage, SentMessages, StartMove,
};
use crate::generated::tidemill::native as fb;
use crate::ids::{QueueId, QueueName, RequestId, Timestamp};
use crate::limits::{FAILURE_TEXT_BYTES_MAX, QUEUE_BATCH_MESSAGES_MAX, QUEUE_MOVES_MAX};
use crate::message::ErrorCode;

/// Stands for the queue's delay.
pub(super) const QUEUE_DELAY: u32 = u32::MAX;

/// Reads the items of a batch, of which there are not too many.
fn items<'m, W: flatbuffers::Follow<'m> + 'm, T>(
    items: flatbuffers::Vector<'m, W>,
    read: impl Fn(W::Inner) -> T,
) -> Result<Vec<T>, DecodeReason> {
    if items.len() > QUEUE_BATCH_MESSAGES_MAX as usize {
        return Err(DecodeReason::Inconsistent("a batch has more messages than a batch may have"));
    }
    Ok(items.iter().map(read).collect())
}

type Refused<'m> = Option<flatbuffers::Vector<'m, fb::RefusedItem>>;

fn refused(refused: Refused<'_>) -> Result<Vec<RefusedItem>, DecodeReason> {
    refused.map_or_else(|| Ok(Vec::new()), |refused| items(refused, RefusedItem::decode))
}

/// The refused items of a delete or an extension.
pub(in crate::message) fn decode_settled(
    settled: &fb::SettledMessages<'_>,
) -> Result<Vec<RefusedItem>, DecodeReason> {
    refused(settled.refused())
}

/// The messages of a receive or a push.
pub(in crate::message) fn decode_received(
    received: &fb::ReceivedMessages<'_>,
) -> Result<Vec<ReceivedMessage>, DecodeReason> {
    items(received.messages(), ReceivedMessage::decode)
}

/// The moves of a queue.
pub(in crate::message) fn decode_moves(list: &fb::MoveList<'_>) -> Result<Vec<Move>, DecodeReason> {
    if list.moves().len() > QUEUE_MOVES_MAX {
        return Err(DecodeReason::Inconsistent("a list has more moves than are remembered"));
    }
    list.moves().iter().map(|one| Move::decode(&one)).collect()
}

impl SendMessages {
    pub(in crate::message) fn decode(send: &fb::SendMessages<'_>) -> Result<Self, DecodeReason> {
        Ok(Self { queue: QueueId(send.queue()), messages: items(send.messages(), NewMessage::decode)? })
    }
}

impl NewMessage {
    fn decode(message: &fb::NewMessage) -> Self {
        Self {
            delay_s: Some(message.delay_s()).filter(|delay| *delay != QUEUE_DELAY),
            group_bytes: message.group_bytes(),
            deduplication_bytes: message.deduplication_bytes(),
            attributes_bytes: message.attributes_bytes(),
            body_bytes: message.body_bytes(),
        }
    }
}

impl SentMessages {
    pub(in crate::message) fn decode(sent: &fb::SentMessages<'_>) -> Result<Self, DecodeReason> {
        let read = |sent: &fb::SentMessage| SentMessage { id: id(sent.id()), sequence: sent.sequence() };
        let outcomes = Self { sent: items(sent.sent(), read)?, refused: refused(sent.refused())? };
        if outcomes.refused.iter().any(|refused| refused.index as usize >= outcomes.sent.len()) {
            return Err(DecodeReason::Inconsistent("a message is refused that was not sent"));
        }
        Ok(outcomes)
    }
}

fn id(id: &fb::MessageId) -> MessageId {
    MessageId(u128::from(id.high()) << 64 | u128::from(id.low()))
}

impl RefusedItem {
    fn decode(refused: &fb::RefusedItem) -> Self {
        Self {
            index: refused.index(),
            code: ErrorCode::of(refused.code()),
            retry_after_ms: refused.retry_after_ms(),
            value: refused.value(),
            limit: refused.limit(),
        }
    }
}

impl ReceiveMessages {
    pub(in crate::message) fn decode(receive: &fb::ReceiveMessages<'_>) -> Self {
        Self {
            queue: QueueId(receive.queue()),
            messages_max: receive.messages_max(),
            wait_ms: receive.wait_ms(),
            visibility_s: receive.visibility_s(),
            attempt: receive.attempt().map(str::to_owned),
        }
    }
}

impl ReceivedMessage {
    fn decode(message: &fb::ReceivedMessage) -> Self {
        Self {
            id: id(message.id()),
            receipt: MessageReceipt::decode(message.receipt()),
            sent: Timestamp(message.sent_ms()),
            first_received: Timestamp(message.first_received_ms()),
            group_bytes: message.group_bytes(),
            deduplication_bytes: message.deduplication_bytes(),
            source_bytes: message.source_bytes(),
            attributes_bytes: message.attributes_bytes(),
            body_bytes: message.body_bytes(),
        }
    }
}

impl MessageReceipt {
    fn decode(receipt: &fb::MessageReceipt) -> Self {
        Self { sequence: receipt.sequence(), receives: receipt.receives(), partition: receipt.partition() }
    }
}

impl DeleteMessages {
    pub(in crate::message) fn decode(delete: &fb::DeleteMessages<'_>) -> Result<Self, DecodeReason> {
        let receipts = items(delete.receipts(), MessageReceipt::decode)?;
        Ok(Self { queue: QueueId(delete.queue()), receipts })
    }
}

impl ExtendMessages {
    pub(in crate::message) fn decode(extend: &fb::ExtendMessages<'_>) -> Result<Self, DecodeReason> {
        let read = |one: &fb::MessageExtension| (MessageReceipt::decode(one.receipt()), one.visibility_s());
        Ok(Self { queue: QueueId(extend.queue()), extensions: items(extend.extensions(), read)? })
    }
}

impl Consume {
    pub(in crate::message) fn decode(consume: &fb::Consume<'_>) -> Self {
        Self {
            queue: QueueId(consume.queue()),
            credit: consume.credit(),
            messages_max: consume.messages_max(),
            visibility_s: consume.visibility_s(),
        }
    }
}

impl MessageCredit {
    pub(in crate::message) fn decode(credit: &fb::MessageCredit<'_>) -> Self {
        Self { consumer: RequestId(credit.consumer()), messages: credit.messages() }
    }
}

impl MessageCounts {
    pub(in crate::message) fn decode(counts: &fb::MessageCounts<'_>) -> Self {
        Self {
            visible: counts.visible(),
            in_flight: counts.in_flight(),
            delayed: counts.delayed(),
            oldest_sent: counts.oldest_sent_ms().map(Timestamp),
        }
    }
}

impl StartMove {
    pub(in crate::message) fn decode(start: &fb::StartMove<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            queue: QueueId(start.queue()),
            target: start.target().map(QueueName::new).transpose()?,
            messages_per_second: start.messages_per_second(),
        })
    }
}

impl Move {
    fn decode(one: &fb::Move<'_>) -> Result<Self, DecodeReason> {
        let status = match one.status() {
            fb::MoveStatus::Running => MoveStatus::Running,
            fb::MoveStatus::Cancelling => MoveStatus::Cancelling,
            fb::MoveStatus::Cancelled => MoveStatus::Cancelled,
            fb::MoveStatus::Completed => MoveStatus::Completed,
            fb::MoveStatus::Failed => {
                let reason = one.reason().unwrap_or_default();
                MoveStatus::Failed(bounded(reason, FAILURE_TEXT_BYTES_MAX).to_owned())
            }
            other => {
                return Err(DecodeReason::UnknownValue { field: "move status", value: other.0.into() });
            }
        };
        Ok(Self {
            number: one.number(),
            target: one.target().map(QueueName::new).transpose()?,
            messages_per_second: one.messages_per_second(),
            status,
            moved: one.moved(),
            to_move: one.to_move(),
            started: Timestamp(one.started_ms()),
        })
    }
}

impl ListDeadLetterSources {
    pub(in crate::message) fn decode(list: &fb::ListDeadLetterSources<'_>) -> Result<Self, DecodeReason> {
        let after = list.after().map(QueueName::new).transpose()?;
        Ok(Self { queue: QueueId(list.queue()), after, limit: list.limit() })
    }
}
