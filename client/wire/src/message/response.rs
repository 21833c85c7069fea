//! What the server answers.

use bytes::BytesMut;
use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::{DecodeError, DecodeReason, Encoder, ErrorCode, Failure, Quota, ShardState, verifier_options};
use crate::frame;
use crate::generated::tidemill::native as fb;
use crate::ids::{LaneId, RequestId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};
use crate::limits::FAILURE_TEXT_BYTES_MAX;
use crate::routing::{HashKey, HashKeyRange};

/// On the wire: no parent shard.
const NO_PARENT: u32 = u32::MAX;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request it answers.
    pub id: RequestId,
    /// The answer.
    pub body: ResponseBody,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// To a hello.
    Welcome(Welcome),
    /// Nothing to tell but success.
    Done,
    /// A stream as it is now.
    StreamDescription(StreamDescription),
    /// A page of streams.
    StreamList {
        /// In order of their names.
        streams: Vec<StreamSummary>,
        /// Whether there are more after the last one.
        more: bool,
    },
    /// To an append that named its shard.
    Appended(Appended),
    /// To an append that the server routed.
    RoutedAppend(RoutedAppend),
    /// To a fetch, and what a subscription pushes; the frame's body is a run of log entries.
    Fetched(Fetched),
    /// A subscription's last answer.
    SubscriptionEnded(SubscriptionEnded),
    /// A refusal.
    Failed(Failure),
}

/// To a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version that both sides speak from now on.
    pub version: u16,
    /// Name and version of the server.
    pub server: String,
    /// The node's id, drawn when its data directory was created.
    pub node: u64,
    /// The core that serves this connection.
    pub core: u32,
    /// Bytes of the largest frame the server takes.
    pub frame_bytes_max: u32,
    /// Requests of one connection that may be unanswered.
    pub in_flight_max: u32,
    /// The port that leads straight to each lane's owner.
    pub lanes: Vec<(LaneId, u16)>,
}

/// A stream as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Names the stream in appends and fetches.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How long records are kept, in milliseconds.
    pub retention_ms: u64,
    /// How many bytes a shard keeps, 0 for no bound.
    pub retention_bytes: u64,
    /// Rates of each shard.
    pub quota: Quota,
    /// Grows with each change of the shards.
    pub map_version: u32,
    /// Open and closed shards, by index.
    pub shards: Vec<ShardDescription>,
}

/// A shard as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardDescription {
    /// Which of the stream.
    pub index: ShardIndex,
    /// The lane that holds it.
    pub lane: LaneId,
    /// Its keys.
    pub range: HashKeyRange,
    /// Whether it takes appends.
    pub state: ShardState,
    /// The oldest retained record.
    pub oldest_sequence: SequenceNumber,
    /// The number that the next appended record gets.
    pub next_sequence: SequenceNumber,
    /// Bytes retained.
    pub bytes: u64,
    /// The shard it was split from, or the first that it was merged from.
    pub parent: Option<ShardIndex>,
    /// The second shard that it was merged from.
    pub adjacent_parent: Option<ShardIndex>,
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Names the stream in appends and fetches.
    pub id: StreamId,
    /// Its name.
    pub name: StreamName,
    /// When it was created.
    pub created: Timestamp,
    /// How many open shards it has.
    pub shards: u32,
    /// How long records are kept, in milliseconds.
    pub retention_ms: u64,
}

/// To an append that named its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The shard.
    pub shard: ShardIndex,
    /// The first record's number; the others follow without a gap.
    pub base_sequence: SequenceNumber,
    /// When the shard took it.
    pub append_time: Timestamp,
}

/// To an append that the server routed: every record's fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedAppend {
    /// One part for each shard that got records.
    pub placements: Vec<Placement>,
    /// Record `i` of the batch is in `placements[placement_of[i]]`; within a part, records keep their order.
    pub placement_of: Vec<u16>,
}

/// The records of a routed append that went to one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The shard.
    pub shard: ShardIndex,
    /// How many records.
    pub records: u32,
    /// Where they are, or why they were refused and how many milliseconds to wait before another try.
    pub outcome: Result<Appended, (ErrorCode, u32)>,
}

/// To a fetch, and what a subscription pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The first record wanted; the first entry may begin before it.
    pub from_sequence: SequenceNumber,
    /// Where the next fetch goes on.
    pub next_sequence: SequenceNumber,
    /// The oldest retained record.
    pub oldest_sequence: SequenceNumber,
    /// The number that the next appended record gets.
    pub end_sequence: SequenceNumber,
    /// The shard is closed and nothing follows.
    pub closed: bool,
}

/// A subscription's last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionEnded {
    /// Why.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Where another subscription goes on.
    pub next_sequence: SequenceNumber,
}

impl Encoder {
    /// Appends an answer's frame to `out`, up to its body, of which `body_bytes` bytes must follow.
    pub fn response(&mut self, out: &mut BytesMut, response: &Response, body_bytes: usize) {
        self.builder.reset();
        let (body_type, body) = self.response_body(&response.body);
        let args = fb::ResponseArgs { id: response.id.0, body_type, body: Some(body) };
        let root = fb::Response::create(&mut self.builder, &args);
        self.builder.finish(root, None);
        frame::put(out, self.builder.finished_data(), body_bytes);
    }

    fn response_body(&mut self, body: &ResponseBody) -> (fb::ResponseBody, WIPOffset<UnionWIPOffset>) {
        let b = &mut self.builder;
        match body {
            ResponseBody::Welcome(welcome) => {
                let server = Some(b.create_string(&welcome.server));
                let lanes: Vec<_> =
                    welcome.lanes.iter().map(|(lane, port)| fb::LanePort::new(lane.0, *port)).collect();
                let args = fb::WelcomeArgs {
                    version: welcome.version,
                    server,
                    node: welcome.node,
                    core: welcome.core,
                    frame_bytes_max: welcome.frame_bytes_max,
                    in_flight_max: welcome.in_flight_max,
                    lanes: Some(b.create_vector(&lanes)),
                };
                (fb::ResponseBody::Welcome, fb::Welcome::create(b, &args).as_union_value())
            }
            ResponseBody::Done => {
                (fb::ResponseBody::Done, fb::Done::create(b, &fb::DoneArgs {}).as_union_value())
            }
            ResponseBody::StreamDescription(stream) => {
                let offset = encode_description(b, stream);
                (fb::ResponseBody::StreamDescription, offset.as_union_value())
            }
            ResponseBody::StreamList { streams, more } => {
                let streams: Vec<_> = streams.iter().map(|stream| encode_summary(b, stream)).collect();
                let args = fb::StreamListArgs { streams: Some(b.create_vector(&streams)), more: *more };
                (fb::ResponseBody::StreamList, fb::StreamList::create(b, &args).as_union_value())
            }
            ResponseBody::Appended(appended) => {
                let args = fb::AppendedArgs {
                    shard: appended.shard.0,
                    base_sequence: appended.base_sequence.0,
                    append_time_ms: appended.append_time.0,
                    placements: None,
                    placement_of: None,
                };
                (fb::ResponseBody::Appended, fb::Appended::create(b, &args).as_union_value())
            }
            ResponseBody::RoutedAppend(routed) => {
                let placements: Vec<_> = routed.placements.iter().map(Placement::encode).collect();
                let args = fb::AppendedArgs {
                    placements: Some(b.create_vector(&placements)),
                    placement_of: Some(b.create_vector(&routed.placement_of)),
                    ..Default::default()
                };
                (fb::ResponseBody::Appended, fb::Appended::create(b, &args).as_union_value())
            }
            ResponseBody::Fetched(fetched) => {
                let args = fb::FetchedArgs {
                    from_sequence: fetched.from_sequence.0,
                    next_sequence: fetched.next_sequence.0,
                    oldest_sequence: fetched.oldest_sequence.0,
                    end_sequence: fetched.end_sequence.0,
                    closed: fetched.closed,
                };
                (fb::ResponseBody::Fetched, fb::Fetched::create(b, &args).as_union_value())
            }
            ResponseBody::SubscriptionEnded(ended) => {
                let message = Some(b.create_string(bounded(&ended.message)));
                let args = fb::SubscriptionEndedArgs {
                    code: ended.code as u16,
                    message,
                    next_sequence: ended.next_sequence.0,
                };
                (
                    fb::ResponseBody::SubscriptionEnded,
                    fb::SubscriptionEnded::create(b, &args).as_union_value(),
                )
            }
            ResponseBody::Failed(failure) => {
                let message = Some(b.create_string(bounded(&failure.message)));
                let args = fb::FailedArgs {
                    code: failure.code as u16,
                    message,
                    retry_after_ms: failure.retry_after_ms,
                    value: failure.value,
                    limit: failure.limit,
                };
                (fb::ResponseBody::Failed, fb::Failed::create(b, &args).as_union_value())
            }
        }
    }
}

type Builder = flatbuffers::FlatBufferBuilder<'static>;

fn encode_description(
    b: &mut Builder,
    stream: &StreamDescription,
) -> WIPOffset<fb::StreamDescription<'static>> {
    let name = Some(b.create_string(stream.name.as_str()));
    let shards: Vec<_> = stream.shards.iter().map(ShardDescription::encode).collect();
    let shards = Some(b.create_vector(&shards));
    let quota = stream.quota.encode();
    let args = fb::StreamDescriptionArgs {
        id: stream.id.0,
        name,
        created_ms: stream.created.0,
        retention_ms: stream.retention_ms,
        retention_bytes: stream.retention_bytes,
        quota: Some(&quota),
        map_version: stream.map_version,
        shards,
    };
    fb::StreamDescription::create(b, &args)
}

fn encode_summary(b: &mut Builder, stream: &StreamSummary) -> WIPOffset<fb::StreamSummary<'static>> {
    let args = fb::StreamSummaryArgs {
        id: stream.id.0,
        name: Some(b.create_string(stream.name.as_str())),
        created_ms: stream.created.0,
        shards: stream.shards,
        retention_ms: stream.retention_ms,
    };
    fb::StreamSummary::create(b, &args)
}

/// Cuts a text at its bound, between characters.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(FAILURE_TEXT_BYTES_MAX)]
}

impl Response {
    /// Verifies and reads an answer's message.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        let response = flatbuffers::root_with_opts::<fb::Response<'_>>(&verifier_options(), message)
            .map_err(|error| DecodeError { id: None, reason: DecodeReason::Corrupt(error) })?;
        let id = RequestId(response.id());
        let body = decode_body(&response).map_err(|reason| DecodeError { id: Some(id), reason })?;
        Ok(Self { id, body })
    }
}

fn decode_body(response: &fb::Response<'_>) -> Result<ResponseBody, DecodeReason> {
    let unknown = || DecodeReason::UnknownBody(response.body_type().0);
    Ok(match response.body_type() {
        fb::ResponseBody::Welcome => {
            let welcome = response.body_as_welcome().ok_or_else(unknown)?;
            let lanes = welcome.lanes().unwrap_or_default();
            ResponseBody::Welcome(Welcome {
                version: welcome.version(),
                server: welcome.server().unwrap_or_default().to_owned(),
                node: welcome.node(),
                core: welcome.core(),
                frame_bytes_max: welcome.frame_bytes_max(),
                in_flight_max: welcome.in_flight_max(),
                lanes: lanes.iter().map(|lane| (LaneId(lane.lane()), lane.port())).collect(),
            })
        }
        fb::ResponseBody::Done => ResponseBody::Done,
        fb::ResponseBody::StreamDescription => {
            let stream = response.body_as_stream_description().ok_or_else(unknown)?;
            ResponseBody::StreamDescription(decode_description(&stream)?)
        }
        fb::ResponseBody::StreamList => {
            let list = response.body_as_stream_list().ok_or_else(unknown)?;
            let streams = list.streams().iter().map(|stream| decode_summary(&stream));
            ResponseBody::StreamList { streams: streams.collect::<Result<_, _>>()?, more: list.more() }
        }
        fb::ResponseBody::Appended => {
            let appended = response.body_as_appended().ok_or_else(unknown)?;
            decode_appended(&appended)?
        }
        fb::ResponseBody::Fetched => {
            let fetched = response.body_as_fetched().ok_or_else(unknown)?;
            ResponseBody::Fetched(Fetched {
                from_sequence: SequenceNumber(fetched.from_sequence()),
                next_sequence: SequenceNumber(fetched.next_sequence()),
                oldest_sequence: SequenceNumber(fetched.oldest_sequence()),
                end_sequence: SequenceNumber(fetched.end_sequence()),
                closed: fetched.closed(),
            })
        }
        fb::ResponseBody::SubscriptionEnded => {
            let ended = response.body_as_subscription_ended().ok_or_else(unknown)?;
            ResponseBody::SubscriptionEnded(SubscriptionEnded {
                code: decode_code(ended.code())?,
                message: ended.message().unwrap_or_default().to_owned(),
                next_sequence: SequenceNumber(ended.next_sequence()),
            })
        }
        fb::ResponseBody::Failed => {
            let failed = response.body_as_failed().ok_or_else(unknown)?;
            ResponseBody::Failed(Failure {
                code: decode_code(failed.code())?,
                message: failed.message().unwrap_or_default().to_owned(),
                retry_after_ms: failed.retry_after_ms(),
                value: failed.value(),
                limit: failed.limit(),
            })
        }
        _ => return Err(unknown()),
    })
}

fn decode_code(number: u16) -> Result<ErrorCode, DecodeReason> {
    ErrorCode::from_number(number)
        .ok_or(DecodeReason::UnknownValue { field: "error code", value: number.into() })
}

fn decode_appended(appended: &fb::Appended<'_>) -> Result<ResponseBody, DecodeReason> {
    let (Some(placements), Some(placement_of)) = (appended.placements(), appended.placement_of()) else {
        return Ok(ResponseBody::Appended(Appended {
            shard: ShardIndex(appended.shard()),
            base_sequence: SequenceNumber(appended.base_sequence()),
            append_time: Timestamp(appended.append_time_ms()),
        }));
    };
    let placements: Vec<_> = placements.iter().map(Placement::decode).collect::<Result<_, _>>()?;
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

fn decode_description(stream: &fb::StreamDescription<'_>) -> Result<StreamDescription, DecodeReason> {
    Ok(StreamDescription {
        id: StreamId(stream.id()),
        name: StreamName::new(stream.name())?,
        created: Timestamp(stream.created_ms()),
        retention_ms: stream.retention_ms(),
        retention_bytes: stream.retention_bytes(),
        quota: Quota::decode(stream.quota()),
        map_version: stream.map_version(),
        shards: stream.shards().iter().map(ShardDescription::decode).collect::<Result<_, _>>()?,
    })
}

fn decode_summary(stream: &fb::StreamSummary<'_>) -> Result<StreamSummary, DecodeReason> {
    Ok(StreamSummary {
        id: StreamId(stream.id()),
        name: StreamName::new(stream.name())?,
        created: Timestamp(stream.created_ms()),
        shards: stream.shards(),
        retention_ms: stream.retention_ms(),
    })
}

impl Placement {
    fn encode(&self) -> fb::Placement {
        let (base, time, code, retry) = match self.outcome {
            Ok(appended) => (appended.base_sequence.0, appended.append_time.0, 0, 0),
            Err((code, retry_after_ms)) => (0, 0, code as u16, retry_after_ms),
        };
        fb::Placement::new(base, time, self.shard.0, self.records, retry, code)
    }

    fn decode(placement: &fb::Placement) -> Result<Self, DecodeReason> {
        let shard = ShardIndex(placement.shard());
        let outcome = match placement.code() {
            0 => Ok(Appended {
                shard,
                base_sequence: SequenceNumber(placement.base_sequence()),
                append_time: Timestamp(placement.append_time_ms()),
            }),
            code => Err((decode_code(code)?, placement.retry_after_ms())),
        };
        Ok(Self { shard, records: placement.records(), outcome })
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
