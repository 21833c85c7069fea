//! From messages of queues to flatbuffers.

use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::super::{Builder, bounded};
use super::decode::QUEUE_DELAY;
use super::{
    Consume, DeleteMessages, ExtendMessages, ListDeadLetterSources, MessageCounts, MessageCredit, MessageId,
    MessageReceipt, Move, MoveStatus, NewMessage, ReceiveMessages, ReceivedMessage, RefusedItem,
    SendMessages, SentMessages, StartMove,
};
use crate::generated::tidemill::native as fb;
use crate::ids::{QueueId, QueueName};
use crate::limits::FAILURE_TEXT_BYTES_MAX;

type Body = WIPOffset<UnionWIPOffset>;
type Vector<T> = WIPOffset<flatbuffers::Vector<'static, T>>;

fn id(id: MessageId) -> fb::MessageId {
    fb::MessageId::new((id.0 >> 64) as u64, id.0 as u64)
}

fn receipt(receipt: &MessageReceipt) -> fb::MessageReceipt {
    fb::MessageReceipt::new(receipt.sequence, receipt.receives, receipt.partition)
}

fn name(b: &mut Builder, name: Option<&QueueName>) -> Option<WIPOffset<&'static str>> {
    name.map(|name| b.create_string(name.as_str()))
}

/// Nothing where nothing was refused.
fn refused(b: &mut Builder, refused: &[RefusedItem]) -> Option<Vector<fb::RefusedItem>> {
    let item = |item: &RefusedItem| {
        fb::RefusedItem::new(item.value, item.limit, item.index, item.retry_after_ms, item.code as u16)
    };
    (!refused.is_empty()).then(|| b.create_vector_from_iter(refused.iter().map(item)))
}

/// What was refused of a delete or an extension.
pub(in crate::message) fn encode_settled(b: &mut Builder, items: &[RefusedItem]) -> Body {
    let args = fb::SettledMessagesArgs { refused: refused(b, items) };
    fb::SettledMessages::create(b, &args).as_union_value()
}

/// The messages of a receive or a push.
pub(in crate::message) fn encode_received(b: &mut Builder, messages: &[ReceivedMessage]) -> Body {
    let messages = Some(b.create_vector_from_iter(messages.iter().map(ReceivedMessage::encode)));
    fb::ReceivedMessages::create(b, &fb::ReceivedMessagesArgs { messages }).as_union_value()
}

/// The moves of a queue.
pub(in crate::message) fn encode_moves(b: &mut Builder, moves: &[Move]) -> Body {
    let moves: Vec<_> = moves.iter().map(|one| one.encode(b)).collect();
    let args = fb::MoveListArgs { moves: Some(b.create_vector(&moves)) };
    fb::MoveList::create(b, &args).as_union_value()
}

pub(in crate::message) fn encode_purge(b: &mut Builder, queue: QueueId) -> Body {
    fb::PurgeQueue::create(b, &fb::PurgeQueueArgs { queue: queue.0 }).as_union_value()
}

pub(in crate::message) fn encode_count(b: &mut Builder, queue: QueueId) -> Body {
    fb::CountMessages::create(b, &fb::CountMessagesArgs { queue: queue.0 }).as_union_value()
}

pub(in crate::message) fn encode_cancel(b: &mut Builder, queue: QueueId, number: u64) -> Body {
    fb::CancelMove::create(b, &fb::CancelMoveArgs { queue: queue.0, number }).as_union_value()
}

pub(in crate::message) fn encode_list_moves(b: &mut Builder, queue: QueueId) -> Body {
    fb::ListMoves::create(b, &fb::ListMovesArgs { queue: queue.0 }).as_union_value()
}

impl SendMessages {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let messages = Some(b.create_vector_from_iter(self.messages.iter().map(NewMessage::encode)));
        fb::SendMessages::create(b, &fb::SendMessagesArgs { queue: self.queue.0, messages }).as_union_value()
    }
}

impl NewMessage {
    fn encode(&self) -> fb::NewMessage {
        fb::NewMessage::new(
            self.delay_s.unwrap_or(QUEUE_DELAY),
            self.group_bytes,
            self.deduplication_bytes,
            self.attributes_bytes,
            self.body_bytes,
        )
    }
}

impl SentMessages {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let sent = self.sent.iter().map(|sent| fb::SentMessage::new(&id(sent.id), sent.sequence));
        let sent = Some(b.create_vector_from_iter(sent));
        let args = fb::SentMessagesArgs { sent, refused: refused(b, &self.refused) };
        fb::SentMessages::create(b, &args).as_union_value()
    }
}

impl ReceiveMessages {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let Self { queue, messages_max, wait_ms, visibility_s, ref attempt } = *self;
        let attempt = attempt.as_ref().map(|attempt| b.create_string(attempt));
        let args = fb::ReceiveMessagesArgs { queue: queue.0, messages_max, wait_ms, visibility_s, attempt };
        fb::ReceiveMessages::create(b, &args).as_union_value()
    }
}

impl ReceivedMessage {
    fn encode(&self) -> fb::ReceivedMessage {
        fb::ReceivedMessage::new(
            &id(self.id),
            &receipt(&self.receipt),
            self.sent.0,
            self.first_received.0,
            self.group_bytes,
            self.deduplication_bytes,
            self.source_bytes,
            self.attributes_bytes,
            self.body_bytes,
        )
    }
}

impl DeleteMessages {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let receipts = Some(b.create_vector_from_iter(self.receipts.iter().map(receipt)));
        let args = fb::DeleteMessagesArgs { queue: self.queue.0, receipts };
        fb::DeleteMessages::create(b, &args).as_union_value()
    }
}

impl ExtendMessages {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let extensions = self.extensions.iter();
        let extensions =
            extensions.map(|(named, seconds)| fb::MessageExtension::new(&receipt(named), *seconds));
        let extensions = Some(b.create_vector_from_iter(extensions));
        let args = fb::ExtendMessagesArgs { queue: self.queue.0, extensions };
        fb::ExtendMessages::create(b, &args).as_union_value()
    }
}

impl Consume {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let Self { queue, credit, messages_max, visibility_s } = *self;
        let args = fb::ConsumeArgs { queue: queue.0, credit, messages_max, visibility_s };
        fb::Consume::create(b, &args).as_union_value()
    }
}

impl MessageCredit {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let args = fb::MessageCreditArgs { consumer: self.consumer.0, messages: self.messages };
        fb::MessageCredit::create(b, &args).as_union_value()
    }
}

impl MessageCounts {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let args = fb::MessageCountsArgs {
            visible: self.visible,
            in_flight: self.in_flight,
            delayed: self.delayed,
            oldest_sent_ms: self.oldest_sent.map(|sent| sent.0),
        };
        fb::MessageCounts::create(b, &args).as_union_value()
    }
}

impl StartMove {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let target = name(b, self.target.as_ref());
        let messages_per_second = self.messages_per_second;
        let args = fb::StartMoveArgs { queue: self.queue.0, target, messages_per_second };
        fb::StartMove::create(b, &args).as_union_value()
    }
}

impl Move {
    fn encode(&self, b: &mut Builder) -> WIPOffset<fb::Move<'static>> {
        let (status, reason) = match &self.status {
            MoveStatus::Running => (fb::MoveStatus::Running, None),
            MoveStatus::Cancelling => (fb::MoveStatus::Cancelling, None),
            MoveStatus::Cancelled => (fb::MoveStatus::Cancelled, None),
            MoveStatus::Completed => (fb::MoveStatus::Completed, None),
            MoveStatus::Failed(reason) => {
                (fb::MoveStatus::Failed, Some(b.create_string(bounded(reason, FAILURE_TEXT_BYTES_MAX))))
            }
        };
        let target = name(b, self.target.as_ref());
        let args = fb::MoveArgs {
            number: self.number,
            target,
            messages_per_second: self.messages_per_second,
            status,
            moved: self.moved,
            to_move: self.to_move,
            started_ms: self.started.0,
            reason,
        };
        fb::Move::create(b, &args)
    }
}

impl ListDeadLetterSources {
    pub(in crate::message) fn encode(&self, b: &mut Builder) -> Body {
        let after = name(b, self.after.as_ref());
        let args = fb::ListDeadLetterSourcesArgs { queue: self.queue.0, after, limit: self.limit };
        fb::ListDeadLetterSources::create(b, &args).as_union_value()
    }
}
