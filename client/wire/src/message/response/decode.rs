//! From received messages to answers.

use super::super::{
    DecodeError, DecodeReason, ErrorCode, Failure, KeyCompaction, MessageCounts, QueueDescription,
    QueueSummary, Quota, SentMessages, ShardState, bounded, messages, verified,
};
use super::{
    Appended, Fetched, NO_PARENT, Placement, Response, ResponseBody, RoutedAppend, ShardDescription,
    StreamDescription, StreamSummary, SubscriptionEnded, Welcome,
};
use crate::generated::tidemill::native as fb;
use crate::ids::{LaneId, RequestId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};
use crate::limits::{FAILURE_TEXT_BYTES_MAX, PEER_NAME_BYTES_MAX};
use crate::routing::{HashKey, HashKeyRange};

impl Response {
    /// Verifies and reads an answer's message. An error code of a newer server is read as
    /// [`ErrorCode::Unrecognized`], so that its text and waiting time still reach the caller.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        let response = verified::<fb::Response<'_>>(message)?;
        let id = RequestId(response.id());
        let body = ResponseBody::decode(&response).map_err(|reason| DecodeError { id: Some(id), reason })?;
        Ok(Self { id, body })
    }
}

impl ResponseBody {
    fn decode(response: &fb::Response<'_>) -> Result<Self, DecodeReason> {
        let unknown = || DecodeReason::UnknownBody(response.body_type().0);
        Ok(match response.body_type() {
            fb::ResponseBody::Welcome => {
                Self::Welcome(Welcome::decode(&response.body_as_welcome().ok_or_else(unknown)?))
            }
            fb::ResponseBody::Done => Self::Done,
            fb::ResponseBody::StreamDescription => {
                let stream = response.body_as_stream_description().ok_or_else(unknown)?;
                Self::StreamDescription(StreamDescription::decode(&stream)?)
            }
            fb::ResponseBody::StreamList => {
                let list = response.body_as_stream_list().ok_or_else(unknown)?;
                let streams = list.streams().iter().map(|stream| StreamSummary::decode(&stream));
                Self::StreamList { streams: streams.collect::<Result<_, _>>()?, more: list.more() }
            }
            fb::ResponseBody::Appended => decode_appended(&response.body_as_appended().ok_or_else(unknown)?)?,
            fb::ResponseBody::Fetched => {
                Self::Fetched(Fetched::decode(&response.body_as_fetched().ok_or_else(unknown)?))
            }
            fb::ResponseBody::SubscriptionEnded => {
                let ended = response.body_as_subscription_ended().ok_or_else(unknown)?;
                Self::SubscriptionEnded(SubscriptionEnded::decode(&ended))
            }
            fb::ResponseBody::QueueDescription => {
                let queue = response.body_as_queue_description().ok_or_else(unknown)?;
                Self::QueueDescription(QueueDescription::decode(&queue)?)
            }
            fb::ResponseBody::QueueList => {
                let list = response.body_as_queue_list().ok_or_else(unknown)?;
                let queues = list.queues().iter().map(|queue| QueueSummary::decode(&queue));
                Self::QueueList { queues: queues.collect::<Result<_, _>>()?, more: list.more() }
            }
            fb::ResponseBody::Failed => {
                Self::Failed(decode_failure(&response.body_as_failed().ok_or_else(unknown)?))
            }
            fb::ResponseBody::SentMessages => {
                let sent = response.body_as_sent_messages().ok_or_else(unknown)?;
                Self::SentMessages(SentMessages::decode(&sent)?)
            }
            fb::ResponseBody::ReceivedMessages => {
                let received = response.body_as_received_messages().ok_or_else(unknown)?;
                Self::ReceivedMessages(messages::decode_received(&received)?)
            }
            fb::ResponseBody::SettledMessages => {
                let settled = response.body_as_settled_messages().ok_or_else(unknown)?;
                Self::SettledMessages(messages::decode_settled(&settled)?)
            }
            fb::ResponseBody::MessageCounts => {
                let counts = response.body_as_message_counts().ok_or_else(unknown)?;
                Self::MessageCounts(MessageCounts::decode(&counts))
            }
            fb::ResponseBody::MoveList => {
                let list = response.body_as_move_list().ok_or_else(unknown)?;
                Self::MoveList(messages::decode_moves(&list)?)
            }
            _ => return Err(unknown()),
        })
    }
}

impl Welcome {
    fn decode(welcome: &fb::Welcome<'_>) -> Self {
        let lanes = welcome.lanes().unwrap_or_default();
        Self {
            version: welcome.version(),
            server: bounded(welcome.server().unwrap_or_default(), PEER_NAME_BYTES_MAX).to_owned(),
            node: welcome.node(),
            core: welcome.core(),
            frame_bytes_max: welcome.frame_bytes_max(),
            in_flight_max: welcome.in_flight_max(),
            lanes: lanes.iter().map(|lane| (LaneId(lane.lane()), lane.port())).collect(),
        }
    }
}

impl StreamDescription {
    fn decode(stream: &fb::StreamDescription<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            id: StreamId(stream.id()),
            name: StreamName::new(stream.name())?,
            created: Timestamp(stream.created_ms()),
            retention_ms: stream.retention_ms(),
            retention_bytes: stream.retention_bytes(),
            quota: Quota::decode(stream.quota()),
            map_version: stream.map_version(),
            shards: stream.shards().iter().map(ShardDescription::decode).collect::<Result<_, _>>()?,
            key_compaction: KeyCompaction::decode(stream.compact_keys(), stream.tombstone_ms()),
            read_calls_per_second: stream.read_calls_per_second(),
        })
    }
}

impl ShardDescription {
    fn decode(shard: &fb::Shard) -> Result<Self, DecodeReason> {
        let hash_key = |key: &fb::HashKey| HashKey(u128::from(key.high()) << 64 | u128::from(key.low()));
        let parent = |index: u32| Some(index).filter(|index| *index != NO_PARENT).map(ShardIndex);
        Ok(Self {
            index: ShardIndex(shard.index()),
            lane: LaneId(shard.lane()),
            range: HashKeyRange { start: hash_key(shard.start()), end: hash_key(shard.end()) },
            state: ShardState::decode(shard.state())?,
            oldest_sequence: SequenceNumber(shard.oldest_sequence()),
            next_sequence: SequenceNumber(shard.next_sequence()),
            bytes: shard.bytes(),
            parent: parent(shard.parent()),
            adjacent_parent: parent(shard.adjacent_parent()),
        })
    }
}

impl StreamSummary {
    fn decode(stream: &fb::StreamSummary<'_>) -> Result<Self, DecodeReason> {
        Ok(Self {
            id: StreamId(stream.id()),
            name: StreamName::new(stream.name())?,
            created: Timestamp(stream.created_ms()),
            shards: stream.shards(),
            retention_ms: stream.retention_ms(),
        })
    }
}

/// One table answers both kinds of append: only a routed one lists placements.
fn decode_appended(appended: &fb::Appended<'_>) -> Result<ResponseBody, DecodeReason> {
    let (placements, placement_of) = match (appended.placements(), appended.placement_of()) {
        (Some(placements), Some(placement_of)) => (placements, placement_of),
        (None, None) => {
            return Ok(ResponseBody::Appended(Appended {
                shard: ShardIndex(appended.shard()),
                base_sequence: SequenceNumber(appended.base_sequence()),
                append_time: Timestamp(appended.append_time_ms()),
            }));
        }
        _ => return Err(DecodeReason::Inconsistent("a routed append lists only parts or only records")),
    };
    let placements: Vec<_> = placements.iter().map(Placement::decode).collect();
    let placement_of: Vec<u16> = placement_of.iter().collect();
    let mut counts = vec![0_u32; placements.len()];
    for part in &placement_of {
        let Some(count) = counts.get_mut(usize::from(*part)) else {
            return Err(DecodeReason::Inconsistent("a routed record is in a part that is not listed"));
        };
        *count += 1;
    }
    if counts.iter().zip(&placements).any(|(count, placement)| *count != placement.records) {
        return Err(DecodeReason::Inconsistent("the parts of a routed append do not add up to its records"));
    }
    Ok(ResponseBody::RoutedAppend(RoutedAppend { placements, placement_of }))
}

impl Placement {
    fn decode(placement: &fb::Placement) -> Self {
        let shard = ShardIndex(placement.shard());
        let outcome = match placement.code() {
            0 => Ok(Appended {
                shard,
                base_sequence: SequenceNumber(placement.base_sequence()),
                append_time: Timestamp(placement.append_time_ms()),
            }),
            code => Err((ErrorCode::of(code), placement.retry_after_ms())),
        };
        Self { shard, records: placement.records(), outcome }
    }
}

impl Fetched {
    fn decode(fetched: &fb::Fetched<'_>) -> Self {
        Self {
            from_sequence: SequenceNumber(fetched.from_sequence()),
            next_sequence: SequenceNumber(fetched.next_sequence()),
            oldest_sequence: SequenceNumber(fetched.oldest_sequence()),
            end_sequence: SequenceNumber(fetched.end_sequence()),
            closed: fetched.closed(),
        }
    }
}

impl SubscriptionEnded {
    fn decode(ended: &fb::SubscriptionEnded<'_>) -> Self {
        let (code, message) = decode_refusal(ended.code(), ended.message());
        Self { code, message, next_sequence: SequenceNumber(ended.next_sequence()) }
    }
}

fn decode_failure(failed: &fb::Failed<'_>) -> Failure {
    let (code, message) = decode_refusal(failed.code(), failed.message());
    Failure {
        code,
        message,
        retry_after_ms: failed.retry_after_ms(),
        value: failed.value(),
        limit: failed.limit(),
    }
}

/// A code's number survives in the text if this version has no word for it.
fn decode_refusal(number: u16, message: Option<&str>) -> (ErrorCode, String) {
    let message = bounded(message.unwrap_or_default(), FAILURE_TEXT_BYTES_MAX);
    if let Some(code) = ErrorCode::from_number(number) {
        return (code, message.to_owned());
    }
    let message = format!("code {number}: {message}");
    (ErrorCode::Unrecognized, bounded(&message, FAILURE_TEXT_BYTES_MAX).to_owned())
}
