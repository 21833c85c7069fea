//! From received messages to requests.

use super::super::{
    Ack, Consume, CreateQueue, DecodeError, DecodeReason, DeleteMessages, ExtendMessages,
    ListDeadLetterSources, ListQueues, MessageCredit, Position, ReceiveMessages, SendMessages, Settings,
    StartMove, UpdateQueue, bounded, shape, verified,
};
use super::{
    Append, CreateStream, Fetch, Hello, ListStreams, MergeShards, ROUTE, Request, RequestBody, ScaleStream,
    SplitShard, Subscribe, UpdateStream,
};
use crate::generated::tidemill::native as fb;
use crate::ids::{QueueId, QueueName, RequestId, ShardIndex, StreamId, StreamName};
use crate::limits::PEER_NAME_BYTES_MAX;
use crate::routing::HashKey;

impl Request {
    /// Verifies and reads a request's message. What carries no text (append, fetch, ping, subscribe, credit,
    /// unsubscribe) is read without allocating, but for what the first append of a process takes to learn how appends lie.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        shape::read_append(message).map_or_else(|| Self::decode_any(message), Ok)
    }

    /// As [`decode`](Self::decode), by the verifier, whatever the message is.
    pub(in crate::message) fn decode_any(message: &[u8]) -> Result<Self, DecodeError> {
        let request = verified::<fb::Request<'_>>(message)?;
        let id = RequestId(request.id());
        let body = RequestBody::decode(&request).map_err(|reason| DecodeError { id: Some(id), reason })?;
        Ok(Self { id, body })
    }
}

impl RequestBody {
    fn decode(request: &fb::Request<'_>) -> Result<Self, DecodeReason> {
        let unknown = || DecodeReason::UnknownBody(request.body_type().0);
        Ok(match request.body_type() {
            fb::RequestBody::Hello => {
                Self::Hello(Hello::decode(&request.body_as_hello().ok_or_else(unknown)?))
            }
            fb::RequestBody::Ping => Self::Ping,
            fb::RequestBody::CreateStream => {
                let create = request.body_as_create_stream().ok_or_else(unknown)?;
                Self::CreateStream(CreateStream::decode(&create)?)
            }
            fb::RequestBody::DescribeStream => {
                let describe = request.body_as_describe_stream().ok_or_else(unknown)?;
                Self::DescribeStream(StreamName::new(describe.name())?)
            }
            fb::RequestBody::ListStreams => {
                let list = request.body_as_list_streams().ok_or_else(unknown)?;
                Self::ListStreams(ListStreams::decode(&list)?)
            }
            fb::RequestBody::UpdateStream => {
                let update = request.body_as_update_stream().ok_or_else(unknown)?;
                Self::UpdateStream(UpdateStream::decode(&update)?)
            }
            fb::RequestBody::DeleteStream => {
                let delete = request.body_as_delete_stream().ok_or_else(unknown)?;
                Self::DeleteStream(StreamName::new(delete.name())?)
            }
            fb::RequestBody::Append => {
                Self::Append(Append::decode(&request.body_as_append().ok_or_else(unknown)?)?)
            }
            fb::RequestBody::Fetch => {
                Self::Fetch(Fetch::decode(&request.body_as_fetch().ok_or_else(unknown)?)?)
            }
            fb::RequestBody::Subscribe => {
                Self::Subscribe(Subscribe::decode(&request.body_as_subscribe().ok_or_else(unknown)?)?)
            }
            fb::RequestBody::Credit => {
                let credit = request.body_as_credit().ok_or_else(unknown)?;
                Self::Credit { subscription: RequestId(credit.subscription()), bytes: credit.bytes() }
            }
            fb::RequestBody::Unsubscribe => {
                let unsubscribe = request.body_as_unsubscribe().ok_or_else(unknown)?;
                Self::Unsubscribe { subscription: RequestId(unsubscribe.subscription()) }
            }
            fb::RequestBody::SplitShard => {
                let split = request.body_as_split_shard().ok_or_else(unknown)?;
                Self::SplitShard(SplitShard::decode(&split)?)
            }
            fb::RequestBody::MergeShards => {
                let merge = request.body_as_merge_shards().ok_or_else(unknown)?;
                Self::MergeShards(MergeShards::decode(&merge)?)
            }
            fb::RequestBody::ScaleStream => {
                let scale = request.body_as_scale_stream().ok_or_else(unknown)?;
                let name = StreamName::new(scale.name())?;
                Self::ScaleStream(ScaleStream { name, shards: scale.shards() })
            }
            _ => return Self::decode_of_queue(request),
        })
    }

    fn decode_of_queue(request: &fb::Request<'_>) -> Result<Self, DecodeReason> {
        let unknown = || DecodeReason::UnknownBody(request.body_type().0);
        Ok(match request.body_type() {
            fb::RequestBody::CreateQueue => {
                let create = request.body_as_create_queue().ok_or_else(unknown)?;
                Self::CreateQueue(CreateQueue::decode(&create)?)
            }
            fb::RequestBody::DescribeQueue => {
                let describe = request.body_as_describe_queue().ok_or_else(unknown)?;
                Self::DescribeQueue(QueueName::new(describe.name())?)
            }
            fb::RequestBody::ListQueues => {
                Self::ListQueues(ListQueues::decode(&request.body_as_list_queues().ok_or_else(unknown)?)?)
            }
            fb::RequestBody::UpdateQueue => {
                let update = request.body_as_update_queue().ok_or_else(unknown)?;
                Self::UpdateQueue(UpdateQueue::decode(&update)?)
            }
            fb::RequestBody::DeleteQueue => {
                let delete = request.body_as_delete_queue().ok_or_else(unknown)?;
                Self::DeleteQueue(QueueName::new(delete.name())?)
            }
            _ => return Self::decode_of_messages(request),
        })
    }

    fn decode_of_messages(request: &fb::Request<'_>) -> Result<Self, DecodeReason> {
        let unknown = || DecodeReason::UnknownBody(request.body_type().0);
        Ok(match request.body_type() {
            fb::RequestBody::SendMessages => {
                let send = request.body_as_send_messages().ok_or_else(unknown)?;
                Self::SendMessages(SendMessages::decode(&send)?)
            }
            fb::RequestBody::ReceiveMessages => {
                let receive = request.body_as_receive_messages().ok_or_else(unknown)?;
                Self::ReceiveMessages(ReceiveMessages::decode(&receive))
            }
            fb::RequestBody::DeleteMessages => {
                let delete = request.body_as_delete_messages().ok_or_else(unknown)?;
                Self::DeleteMessages(DeleteMessages::decode(&delete)?)
            }
            fb::RequestBody::ExtendMessages => {
                let extend = request.body_as_extend_messages().ok_or_else(unknown)?;
                Self::ExtendMessages(ExtendMessages::decode(&extend)?)
            }
            fb::RequestBody::Consume => {
                Self::Consume(Consume::decode(&request.body_as_consume().ok_or_else(unknown)?))
            }
            fb::RequestBody::MessageCredit => {
                let credit = request.body_as_message_credit().ok_or_else(unknown)?;
                Self::MessageCredit(MessageCredit::decode(&credit))
            }
            fb::RequestBody::PurgeQueue => {
                Self::PurgeQueue(QueueId(request.body_as_purge_queue().ok_or_else(unknown)?.queue()))
            }
            fb::RequestBody::CountMessages => {
                Self::CountMessages(QueueId(request.body_as_count_messages().ok_or_else(unknown)?.queue()))
            }
            fb::RequestBody::StartMove => {
                Self::StartMove(StartMove::decode(&request.body_as_start_move().ok_or_else(unknown)?)?)
            }
            fb::RequestBody::CancelMove => {
                let cancel = request.body_as_cancel_move().ok_or_else(unknown)?;
                Self::CancelMove { queue: QueueId(cancel.queue()), number: cancel.number() }
            }
            fb::RequestBody::ListMoves => {
                Self::ListMoves(QueueId(request.body_as_list_moves().ok_or_else(unknown)?.queue()))
            }
            fb::RequestBody::ListDeadLetterSources => {
                let list = request.body_as_list_dead_letter_sources().ok_or_else(unknown)?;
                Self::ListDeadLetterSources(ListDeadLetterSources::decode(&list)?)
            }
            _ => return Err(unknown()),
        })
    }
}

impl Hello {
    fn decode(hello: &fb::Hello<'_>) -> Self {
        Self {
            version_min: hello.version_min(),
            version_max: hello.version_max(),
            client: bounded(hello.client().unwrap_or_default(), PEER_NAME_BYTES_MAX).to_owned(),
        }
    }
}

impl CreateStream {
    fn decode(create: &fb::CreateStream<'_>) -> Result<Self, DecodeReason> {
        let name = StreamName::new(create.name())?;
        Ok(Self { name, shards: create.shards(), settings: Settings::decode(create.settings()) })
    }
}

impl ListStreams {
    fn decode(list: &fb::ListStreams<'_>) -> Result<Self, DecodeReason> {
        Ok(Self { after: list.after().map(StreamName::new).transpose()?, limit: list.limit() })
    }
}

impl UpdateStream {
    fn decode(update: &fb::UpdateStream<'_>) -> Result<Self, DecodeReason> {
        let name = StreamName::new(update.name())?;
        Ok(Self { name, settings: Settings::decode(Some(update.settings())) })
    }
}

impl SplitShard {
    fn decode(split: &fb::SplitShard<'_>) -> Result<Self, DecodeReason> {
        let (name, at) = (StreamName::new(split.name())?, split.at());
        let at = HashKey(u128::from(at.high()) << 64 | u128::from(at.low()));
        Ok(Self { name, shard: ShardIndex(split.shard()), at })
    }
}

impl MergeShards {
    fn decode(merge: &fb::MergeShards<'_>) -> Result<Self, DecodeReason> {
        let name = StreamName::new(merge.name())?;
        Ok(Self { name, shard: ShardIndex(merge.shard()), adjacent: ShardIndex(merge.adjacent()) })
    }
}

impl Append {
    fn decode(append: &fb::Append<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            stream: StreamId(append.stream()),
            shard: Some(append.shard()).filter(|shard| *shard != ROUTE).map(ShardIndex),
            ack: Ack::decode(append.ack())?,
        })
    }
}

impl Fetch {
    fn decode(fetch: &fb::Fetch<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            stream: StreamId(fetch.stream()),
            shard: ShardIndex(fetch.shard()),
            position: Position::decode(fetch.position(), fetch.value())?,
            bytes_max: fetch.bytes_max(),
            wait_ms: fetch.wait_ms(),
        })
    }
}

impl Subscribe {
    fn decode(subscribe: &fb::Subscribe<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            stream: StreamId(subscribe.stream()),
            shard: ShardIndex(subscribe.shard()),
            position: Position::decode(subscribe.position(), subscribe.value())?,
            credit_bytes: subscribe.credit_bytes(),
        })
    }
}
