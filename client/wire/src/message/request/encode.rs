//! From requests to frames.

use bytes::BytesMut;
use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::super::messages::{encode_cancel, encode_count, encode_list_moves, encode_purge};
use super::super::queue::{encode_delete as encode_delete_queue, encode_describe as encode_describe_queue};
use super::super::{Builder, Encoder, bounded};
use super::{
    Append, CreateStream, Fetch, Hello, ListStreams, MergeShards, ROUTE, Request, RequestBody, ScaleStream,
    SplitShard, Subscribe, UpdateStream,
};
use crate::frame;
use crate::generated::tidemill::native as fb;
use crate::ids::{ShardIndex, StreamName};
use crate::limits::PEER_NAME_BYTES_MAX;

type Body = WIPOffset<UnionWIPOffset>;

impl Encoder {
    /// Appends a request's frame to `out`, up to its body, of which `body_bytes` bytes must follow.
    pub fn request(&mut self, out: &mut BytesMut, request: &Request, body_bytes: usize) {
        request.build(&mut self.builder);
        frame::put(out, self.builder.finished_data(), body_bytes);
    }
}

impl Request {
    /// Builds the message.
    pub(in crate::message) fn build(&self, b: &mut Builder) {
        b.reset();
        let (body_type, body) = self.body.encode(b);
        let args = fb::RequestArgs { id: self.id.0, body_type, body: Some(body) };
        let root = fb::Request::create(b, &args);
        b.finish(root, None);
    }
}

impl RequestBody {
    fn encode(&self, b: &mut Builder) -> (fb::RequestBody, Body) {
        match self {
            Self::Hello(hello) => (fb::RequestBody::Hello, hello.encode(b)),
            Self::Ping => (fb::RequestBody::Ping, fb::Ping::create(b, &fb::PingArgs {}).as_union_value()),
            Self::CreateStream(create) => (fb::RequestBody::CreateStream, create.encode(b)),
            Self::DescribeStream(name) => (fb::RequestBody::DescribeStream, encode_describe(b, name)),
            Self::ListStreams(list) => (fb::RequestBody::ListStreams, list.encode(b)),
            Self::UpdateStream(update) => (fb::RequestBody::UpdateStream, update.encode(b)),
            Self::DeleteStream(name) => (fb::RequestBody::DeleteStream, encode_delete(b, name)),
            Self::Append(append) => (fb::RequestBody::Append, append.encode(b)),
            Self::Fetch(fetch) => (fb::RequestBody::Fetch, fetch.encode(b)),
            Self::Subscribe(subscribe) => (fb::RequestBody::Subscribe, subscribe.encode(b)),
            Self::Credit { subscription, bytes } => {
                let args = fb::CreditArgs { subscription: subscription.0, bytes: *bytes };
                (fb::RequestBody::Credit, fb::Credit::create(b, &args).as_union_value())
            }
            Self::Unsubscribe { subscription } => {
                let args = fb::UnsubscribeArgs { subscription: subscription.0 };
                (fb::RequestBody::Unsubscribe, fb::Unsubscribe::create(b, &args).as_union_value())
            }
            Self::SplitShard(split) => (fb::RequestBody::SplitShard, split.encode(b)),
            Self::MergeShards(merge) => (fb::RequestBody::MergeShards, merge.encode(b)),
            Self::ScaleStream(scale) => (fb::RequestBody::ScaleStream, scale.encode(b)),
            Self::CreateQueue(create) => (fb::RequestBody::CreateQueue, create.encode(b)),
            Self::DescribeQueue(name) => (fb::RequestBody::DescribeQueue, encode_describe_queue(b, name)),
            Self::ListQueues(list) => (fb::RequestBody::ListQueues, list.encode(b)),
            Self::UpdateQueue(update) => (fb::RequestBody::UpdateQueue, update.encode(b)),
            Self::DeleteQueue(name) => (fb::RequestBody::DeleteQueue, encode_delete_queue(b, name)),
            Self::SendMessages(send) => (fb::RequestBody::SendMessages, send.encode(b)),
            Self::ReceiveMessages(receive) => (fb::RequestBody::ReceiveMessages, receive.encode(b)),
            Self::DeleteMessages(delete) => (fb::RequestBody::DeleteMessages, delete.encode(b)),
            Self::ExtendMessages(extend) => (fb::RequestBody::ExtendMessages, extend.encode(b)),
            Self::Consume(consume) => (fb::RequestBody::Consume, consume.encode(b)),
            Self::MessageCredit(credit) => (fb::RequestBody::MessageCredit, credit.encode(b)),
            Self::PurgeQueue(queue) => (fb::RequestBody::PurgeQueue, encode_purge(b, *queue)),
            Self::CountMessages(queue) => (fb::RequestBody::CountMessages, encode_count(b, *queue)),
            Self::StartMove(start) => (fb::RequestBody::StartMove, start.encode(b)),
            Self::CancelMove { queue, number } => {
                (fb::RequestBody::CancelMove, encode_cancel(b, *queue, *number))
            }
            Self::ListMoves(queue) => (fb::RequestBody::ListMoves, encode_list_moves(b, *queue)),
            Self::ListDeadLetterSources(list) => (fb::RequestBody::ListDeadLetterSources, list.encode(b)),
        }
    }
}

impl Hello {
    fn encode(&self, b: &mut Builder) -> Body {
        let client = Some(b.create_string(bounded(&self.client, PEER_NAME_BYTES_MAX)));
        let (version_min, version_max) = (self.version_min, self.version_max);
        fb::Hello::create(b, &fb::HelloArgs { version_min, version_max, client }).as_union_value()
    }
}

impl CreateStream {
    fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let settings = Some(self.settings.encode(b));
        let args = fb::CreateStreamArgs { name, shards: self.shards, settings };
        fb::CreateStream::create(b, &args).as_union_value()
    }
}

fn encode_describe(b: &mut Builder, name: &StreamName) -> Body {
    let args = fb::DescribeStreamArgs { name: Some(b.create_string(name.as_str())) };
    fb::DescribeStream::create(b, &args).as_union_value()
}

impl ListStreams {
    fn encode(&self, b: &mut Builder) -> Body {
        let after = self.after.as_ref().map(|name| b.create_string(name.as_str()));
        fb::ListStreams::create(b, &fb::ListStreamsArgs { after, limit: self.limit }).as_union_value()
    }
}

impl UpdateStream {
    fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let settings = Some(self.settings.encode(b));
        fb::UpdateStream::create(b, &fb::UpdateStreamArgs { name, settings }).as_union_value()
    }
}

impl SplitShard {
    fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let at = fb::HashKey::new((self.at.0 >> 64) as u64, self.at.0 as u64);
        let args = fb::SplitShardArgs { name, shard: self.shard.0, at: Some(&at) };
        fb::SplitShard::create(b, &args).as_union_value()
    }
}

impl MergeShards {
    fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let args = fb::MergeShardsArgs { name, shard: self.shard.0, adjacent: self.adjacent.0 };
        fb::MergeShards::create(b, &args).as_union_value()
    }
}

impl ScaleStream {
    fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        fb::ScaleStream::create(b, &fb::ScaleStreamArgs { name, shards: self.shards }).as_union_value()
    }
}

fn encode_delete(b: &mut Builder, name: &StreamName) -> Body {
    let args = fb::DeleteStreamArgs { name: Some(b.create_string(name.as_str())) };
    fb::DeleteStream::create(b, &args).as_union_value()
}

impl Append {
    fn encode(&self, b: &mut Builder) -> Body {
        let shard = self.shard.map_or(ROUTE, ShardIndex::get);
        let args = fb::AppendArgs { stream: self.stream.0, shard, ack: self.ack.encode() };
        fb::Append::create(b, &args).as_union_value()
    }
}

impl Fetch {
    fn encode(&self, b: &mut Builder) -> Body {
        let (position, value) = self.position.encode();
        let args = fb::FetchArgs {
            stream: self.stream.0,
            shard: self.shard.0,
            position,
            value,
            bytes_max: self.bytes_max,
            wait_ms: self.wait_ms,
        };
        fb::Fetch::create(b, &args).as_union_value()
    }
}

impl Subscribe {
    fn encode(&self, b: &mut Builder) -> Body {
        let (position, value) = self.position.encode();
        let args = fb::SubscribeArgs {
            stream: self.stream.0,
            shard: self.shard.0,
            position,
            value,
            credit_bytes: self.credit_bytes,
        };
        fb::Subscribe::create(b, &args).as_union_value()
    }
}
