//! From answers to frames.

use bytes::BytesMut;
use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::super::{Builder, Encoder, Failure, KeyCompaction, bounded, messages, queue, shape};
use super::{
    Appended, Fetched, NO_PARENT, Placement, Response, ResponseBody, RoutedAppend, ShardDescription,
    StreamDescription, StreamSummary, SubscriptionEnded, Welcome,
};
use crate::frame;
use crate::generated::tidemill::native as fb;
use crate::ids::{RequestId, ShardIndex};
use crate::limits::{FAILURE_TEXT_BYTES_MAX, PEER_NAME_BYTES_MAX};
use crate::routing::HashKey;

type Body = WIPOffset<UnionWIPOffset>;

impl Encoder {
    /// Appends an answer's frame to `out`, up to its body, of which `body_bytes` bytes must follow.
    pub fn response(&mut self, out: &mut BytesMut, response: &Response, body_bytes: usize) {
        response.build(&mut self.builder);
        frame::put(out, self.builder.finished_data(), body_bytes);
    }

    /// Appends the answer to an append: the bytes are those of [`response`](Self::response), for less.
    pub fn appended(&mut self, out: &mut BytesMut, id: RequestId, appended: Appended) {
        if !shape::write_appended(out, id, &appended) {
            self.response(out, &Response { id, body: ResponseBody::Appended(appended) }, 0);
        }
    }
}

impl Response {
    /// Builds the message.
    pub(in crate::message) fn build(&self, b: &mut Builder) {
        b.reset();
        let (body_type, body) = self.body.encode(b);
        let args = fb::ResponseArgs { id: self.id.0, body_type, body: Some(body) };
        let root = fb::Response::create(b, &args);
        b.finish(root, None);
    }
}

impl ResponseBody {
    fn encode(&self, b: &mut Builder) -> (fb::ResponseBody, Body) {
        match self {
            Self::Welcome(welcome) => (fb::ResponseBody::Welcome, welcome.encode(b)),
            Self::Done => (fb::ResponseBody::Done, fb::Done::create(b, &fb::DoneArgs {}).as_union_value()),
            Self::StreamDescription(stream) => (fb::ResponseBody::StreamDescription, stream.encode(b)),
            Self::StreamList { streams, more } => {
                (fb::ResponseBody::StreamList, encode_list(b, streams, *more))
            }
            Self::Appended(appended) => (fb::ResponseBody::Appended, appended.encode(b)),
            Self::RoutedAppend(routed) => (fb::ResponseBody::Appended, routed.encode(b)),
            Self::Fetched(fetched) => (fb::ResponseBody::Fetched, fetched.encode(b)),
            Self::SubscriptionEnded(ended) => (fb::ResponseBody::SubscriptionEnded, ended.encode(b)),
            Self::QueueDescription(queue) => (fb::ResponseBody::QueueDescription, queue.encode(b)),
            Self::QueueList { queues, more } => {
                (fb::ResponseBody::QueueList, queue::encode_list(b, queues, *more))
            }
            Self::SentMessages(sent) => (fb::ResponseBody::SentMessages, sent.encode(b)),
            Self::ReceivedMessages(received) => {
                (fb::ResponseBody::ReceivedMessages, messages::encode_received(b, received))
            }
            Self::SettledMessages(refused) => {
                (fb::ResponseBody::SettledMessages, messages::encode_settled(b, refused))
            }
            Self::MessageCounts(counts) => (fb::ResponseBody::MessageCounts, counts.encode(b)),
            Self::MoveList(moves) => (fb::ResponseBody::MoveList, messages::encode_moves(b, moves)),
            Self::Failed(failure) => (fb::ResponseBody::Failed, encode_failure(b, failure)),
        }
    }
}

impl Welcome {
    fn encode(&self, b: &mut Builder) -> Body {
        let server = Some(b.create_string(bounded(&self.server, PEER_NAME_BYTES_MAX)));
        let lanes = self.lanes.iter().map(|(lane, port)| fb::LanePort::new(lane.0, *port));
        let lanes = Some(b.create_vector_from_iter(lanes));
        let args = fb::WelcomeArgs {
            version: self.version,
            server,
            node: self.node,
            core: self.core,
            frame_bytes_max: self.frame_bytes_max,
            in_flight_max: self.in_flight_max,
            lanes,
        };
        fb::Welcome::create(b, &args).as_union_value()
    }
}

impl StreamDescription {
    fn encode(&self, b: &mut Builder) -> Body {
        let name = Some(b.create_string(self.name.as_str()));
        let shards = Some(b.create_vector_from_iter(self.shards.iter().map(ShardDescription::encode)));
        let quota = self.quota.encode();
        let args = fb::StreamDescriptionArgs {
            id: self.id.0,
            name,
            created_ms: self.created.0,
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            quota: Some(&quota),
            map_version: self.map_version,
            shards,
            compact_keys: self.key_compaction != KeyCompaction::Off,
            tombstone_ms: match self.key_compaction {
                KeyCompaction::On { tombstone_ms } => tombstone_ms,
                KeyCompaction::Off => 0,
            },
            read_calls_per_second: self.read_calls_per_second,
        };
        fb::StreamDescription::create(b, &args).as_union_value()
    }
}

impl ShardDescription {
    fn encode(&self) -> fb::Shard {
        let hash_key = |key: HashKey| fb::HashKey::new((key.0 >> 64) as u64, key.0 as u64);
        fb::Shard::new(
            self.index.0,
            self.lane.0,
            &hash_key(self.range.start),
            &hash_key(self.range.end),
            self.oldest_sequence.0,
            self.next_sequence.0,
            self.bytes,
            self.parent.map_or(NO_PARENT, ShardIndex::get),
            self.adjacent_parent.map_or(NO_PARENT, ShardIndex::get),
            self.state.encode(),
        )
    }
}

fn encode_list(b: &mut Builder, streams: &[StreamSummary], more: bool) -> Body {
    // Tables cannot be built inside a vector of them, so their offsets are kept aside.
    let streams: Vec<_> = streams.iter().map(|stream| stream.encode(b)).collect();
    let args = fb::StreamListArgs { streams: Some(b.create_vector(&streams)), more };
    fb::StreamList::create(b, &args).as_union_value()
}

impl StreamSummary {
    fn encode(&self, b: &mut Builder) -> WIPOffset<fb::StreamSummary<'static>> {
        let args = fb::StreamSummaryArgs {
            id: self.id.0,
            name: Some(b.create_string(self.name.as_str())),
            created_ms: self.created.0,
            shards: self.shards,
            retention_ms: self.retention_ms,
        };
        fb::StreamSummary::create(b, &args)
    }
}

impl Appended {
    fn encode(&self, b: &mut Builder) -> Body {
        let args = fb::AppendedArgs {
            shard: self.shard.0,
            base_sequence: self.base_sequence.0,
            append_time_ms: self.append_time.0,
            placements: None,
            placement_of: None,
        };
        fb::Appended::create(b, &args).as_union_value()
    }
}

impl RoutedAppend {
    fn encode(&self, b: &mut Builder) -> Body {
        let placements = self.placements.iter().map(Placement::encode);
        let placements = Some(b.create_vector_from_iter(placements));
        let placement_of = Some(b.create_vector(&self.placement_of));
        let args = fb::AppendedArgs { placements, placement_of, ..Default::default() };
        fb::Appended::create(b, &args).as_union_value()
    }
}

impl Placement {
    fn encode(&self) -> fb::Placement {
        let (base, time, code, retry) = match self.outcome {
            Ok(appended) => (appended.base_sequence.0, appended.append_time.0, 0, 0),
            Err((code, retry_after_ms)) => (0, 0, code as u16, retry_after_ms),
        };
        fb::Placement::new(base, time, self.shard.0, self.records, retry, code)
    }
}

impl Fetched {
    fn encode(&self, b: &mut Builder) -> Body {
        let args = fb::FetchedArgs {
            from_sequence: self.from_sequence.0,
            next_sequence: self.next_sequence.0,
            oldest_sequence: self.oldest_sequence.0,
            end_sequence: self.end_sequence.0,
            closed: self.closed,
        };
        fb::Fetched::create(b, &args).as_union_value()
    }
}

impl SubscriptionEnded {
    fn encode(&self, b: &mut Builder) -> Body {
        let args = fb::SubscriptionEndedArgs {
            code: self.code as u16,
            message: Some(b.create_string(bounded(&self.message, FAILURE_TEXT_BYTES_MAX))),
            next_sequence: self.next_sequence.0,
        };
        fb::SubscriptionEnded::create(b, &args).as_union_value()
    }
}

fn encode_failure(b: &mut Builder, failure: &Failure) -> Body {
    let args = fb::FailedArgs {
        code: failure.code as u16,
        message: Some(b.create_string(bounded(&failure.message, FAILURE_TEXT_BYTES_MAX))),
        retry_after_ms: failure.retry_after_ms,
        value: failure.value,
        limit: failure.limit,
    };
    fb::Failed::create(b, &args).as_union_value()
}
