//! What clients ask.

use bytes::BytesMut;
use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::{Ack, DecodeError, DecodeReason, Encoder, Position, Settings, verifier_options};
use crate::frame;
use crate::generated::tidemill::native as fb;
use crate::ids::{RequestId, ShardIndex, StreamId, StreamName};

/// On the wire: no shard named.
const ROUTE: u32 = u32::MAX;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Returned with every answer.
    pub id: RequestId,
    /// What is asked.
    pub body: RequestBody,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// Opens a connection: the first request, and only that.
    Hello(Hello),
    /// Answered with `Done`.
    Ping,
    /// Answered with the stream's description.
    CreateStream(CreateStream),
    /// Answered with the stream's description.
    DescribeStream(StreamName),
    /// Answered with a page of streams in order of their names.
    ListStreams(ListStreams),
    /// Answered with the stream's new description.
    UpdateStream(UpdateStream),
    /// Answered with `Done`.
    DeleteStream(StreamName),
    /// The frame's body is a record batch.
    Append(Append),
    /// The answer's body is a run of log entries.
    Fetch(Fetch),
    /// Answered with `Fetched` again and again as long as there is credit, and at last with `SubscriptionEnded`.
    Subscribe(Subscribe),
    /// Lets the server push more; not answered.
    Credit {
        /// The request that subscribed.
        subscription: RequestId,
        /// How many more bytes of entries may be pushed.
        bytes: u64,
    },
    /// Answered through the subscription, which ends.
    Unsubscribe {
        /// The request that subscribed.
        subscription: RequestId,
    },
}

/// Opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest protocol version the client speaks.
    pub version_min: u16,
    /// The newest protocol version the client speaks.
    pub version_max: u16,
    /// Name and version of the client, for logs.
    pub client: String,
}

/// Creates a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateStream {
    /// Its name.
    pub name: StreamName,
    /// How many shards divide its keys.
    pub shards: u32,
    /// What is not to be the server's default.
    pub settings: Settings,
}

/// Lists streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStreams {
    /// Begin after this name.
    pub after: Option<StreamName>,
    /// At most so many.
    pub limit: u32,
}

/// Changes a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateStream {
    /// Its name.
    pub name: StreamName,
    /// What is to change.
    pub settings: Settings,
}

/// Appends the batch in the frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Append {
    /// To this stream.
    pub stream: StreamId,
    /// To this shard, or to the shard of each record's partition key.
    pub shard: Option<ShardIndex>,
    /// When it is answered.
    pub ack: Ack,
}

/// Reads a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of this stream.
    pub stream: StreamId,
    /// This shard.
    pub shard: ShardIndex,
    /// From here.
    pub position: Position,
    /// Until an entry would exceed so many bytes; at least one entry is returned if there is any.
    pub bytes_max: u32,
    /// How long to wait for a record if there is none, in milliseconds.
    pub wait_ms: u32,
}

/// Has the records of a shard pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Of this stream.
    pub stream: StreamId,
    /// This shard.
    pub shard: ShardIndex,
    /// From here.
    pub position: Position,
    /// How many bytes of entries may be pushed before more credit is needed.
    pub credit_bytes: u64,
}

impl Encoder {
    /// Appends a request's frame to `out`, up to its body, of which `body_bytes` bytes must follow.
    pub fn request(&mut self, out: &mut BytesMut, request: &Request, body_bytes: usize) {
        self.builder.reset();
        let (body_type, body) = self.request_body(&request.body);
        let args = fb::RequestArgs { id: request.id.0, body_type, body: Some(body) };
        let root = fb::Request::create(&mut self.builder, &args);
        self.builder.finish(root, None);
        frame::put(out, self.builder.finished_data(), body_bytes);
    }

    fn request_body(&mut self, body: &RequestBody) -> (fb::RequestBody, WIPOffset<UnionWIPOffset>) {
        let b = &mut self.builder;
        match body {
            RequestBody::Hello(hello) => {
                let client = Some(b.create_string(&hello.client));
                let (version_min, version_max) = (hello.version_min, hello.version_max);
                let args = fb::HelloArgs { version_min, version_max, client };
                (fb::RequestBody::Hello, fb::Hello::create(b, &args).as_union_value())
            }
            RequestBody::Ping => {
                (fb::RequestBody::Ping, fb::Ping::create(b, &fb::PingArgs {}).as_union_value())
            }
            RequestBody::CreateStream(create) => {
                let name = Some(b.create_string(create.name.as_str()));
                let settings = Some(create.settings.encode(b));
                let args = fb::CreateStreamArgs { name, shards: create.shards, settings };
                (fb::RequestBody::CreateStream, fb::CreateStream::create(b, &args).as_union_value())
            }
            RequestBody::DescribeStream(name) => {
                let args = fb::DescribeStreamArgs { name: Some(b.create_string(name.as_str())) };
                (fb::RequestBody::DescribeStream, fb::DescribeStream::create(b, &args).as_union_value())
            }
            RequestBody::ListStreams(list) => {
                let after = list.after.as_ref().map(|name| b.create_string(name.as_str()));
                let args = fb::ListStreamsArgs { after, limit: list.limit };
                (fb::RequestBody::ListStreams, fb::ListStreams::create(b, &args).as_union_value())
            }
            RequestBody::UpdateStream(update) => {
                let name = Some(b.create_string(update.name.as_str()));
                let settings = Some(update.settings.encode(b));
                let args = fb::UpdateStreamArgs { name, settings };
                (fb::RequestBody::UpdateStream, fb::UpdateStream::create(b, &args).as_union_value())
            }
            RequestBody::DeleteStream(name) => {
                let args = fb::DeleteStreamArgs { name: Some(b.create_string(name.as_str())) };
                (fb::RequestBody::DeleteStream, fb::DeleteStream::create(b, &args).as_union_value())
            }
            RequestBody::Append(append) => {
                let shard = append.shard.map_or(ROUTE, ShardIndex::get);
                let args = fb::AppendArgs { stream: append.stream.0, shard, ack: append.ack.encode() };
                (fb::RequestBody::Append, fb::Append::create(b, &args).as_union_value())
            }
            RequestBody::Fetch(fetch) => {
                let (position, value) = fetch.position.encode();
                let args = fb::FetchArgs {
                    stream: fetch.stream.0,
                    shard: fetch.shard.0,
                    position,
                    value,
                    bytes_max: fetch.bytes_max,
                    wait_ms: fetch.wait_ms,
                };
                (fb::RequestBody::Fetch, fb::Fetch::create(b, &args).as_union_value())
            }
            RequestBody::Subscribe(subscribe) => {
                let (position, value) = subscribe.position.encode();
                let args = fb::SubscribeArgs {
                    stream: subscribe.stream.0,
                    shard: subscribe.shard.0,
                    position,
                    value,
                    credit_bytes: subscribe.credit_bytes,
                };
                (fb::RequestBody::Subscribe, fb::Subscribe::create(b, &args).as_union_value())
            }
            RequestBody::Credit { subscription, bytes } => {
                let args = fb::CreditArgs { subscription: subscription.0, bytes: *bytes };
                (fb::RequestBody::Credit, fb::Credit::create(b, &args).as_union_value())
            }
            RequestBody::Unsubscribe { subscription } => {
                let args = fb::UnsubscribeArgs { subscription: subscription.0 };
                (fb::RequestBody::Unsubscribe, fb::Unsubscribe::create(b, &args).as_union_value())
            }
        }
    }
}

impl Request {
    /// Verifies and reads a request's message.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        let request = flatbuffers::root_with_opts::<fb::Request<'_>>(&verifier_options(), message)
            .map_err(|error| DecodeError { id: None, reason: DecodeReason::Corrupt(error) })?;
        let id = RequestId(request.id());
        let body = decode_body(&request).map_err(|reason| DecodeError { id: Some(id), reason })?;
        Ok(Self { id, body })
    }
}

fn decode_body(request: &fb::Request<'_>) -> Result<RequestBody, DecodeReason> {
    let unknown = || DecodeReason::UnknownBody(request.body_type().0);
    Ok(match request.body_type() {
        fb::RequestBody::Hello => {
            let hello = request.body_as_hello().ok_or_else(unknown)?;
            RequestBody::Hello(Hello {
                version_min: hello.version_min(),
                version_max: hello.version_max(),
                client: hello.client().unwrap_or_default().to_owned(),
            })
        }
        fb::RequestBody::Ping => RequestBody::Ping,
        fb::RequestBody::CreateStream => {
            let create = request.body_as_create_stream().ok_or_else(unknown)?;
            RequestBody::CreateStream(CreateStream {
                name: StreamName::new(create.name())?,
                shards: create.shards(),
                settings: Settings::decode(create.settings()),
            })
        }
        fb::RequestBody::DescribeStream => {
            let describe = request.body_as_describe_stream().ok_or_else(unknown)?;
            RequestBody::DescribeStream(StreamName::new(describe.name())?)
        }
        fb::RequestBody::ListStreams => {
            let list = request.body_as_list_streams().ok_or_else(unknown)?;
            let after = list.after().map(StreamName::new).transpose()?;
            RequestBody::ListStreams(ListStreams { after, limit: list.limit() })
        }
        fb::RequestBody::UpdateStream => {
            let update = request.body_as_update_stream().ok_or_else(unknown)?;
            RequestBody::UpdateStream(UpdateStream {
                name: StreamName::new(update.name())?,
                settings: Settings::decode(Some(update.settings())),
            })
        }
        fb::RequestBody::DeleteStream => {
            let delete = request.body_as_delete_stream().ok_or_else(unknown)?;
            RequestBody::DeleteStream(StreamName::new(delete.name())?)
        }
        fb::RequestBody::Append => {
            let append = request.body_as_append().ok_or_else(unknown)?;
            RequestBody::Append(Append {
                stream: StreamId(append.stream()),
                shard: Some(append.shard()).filter(|shard| *shard != ROUTE).map(ShardIndex),
                ack: Ack::decode(append.ack())?,
            })
        }
        fb::RequestBody::Fetch => {
            let fetch = request.body_as_fetch().ok_or_else(unknown)?;
            RequestBody::Fetch(Fetch {
                stream: StreamId(fetch.stream()),
                shard: ShardIndex(fetch.shard()),
                position: Position::decode(fetch.position(), fetch.value())?,
                bytes_max: fetch.bytes_max(),
                wait_ms: fetch.wait_ms(),
            })
        }
        fb::RequestBody::Subscribe => {
            let subscribe = request.body_as_subscribe().ok_or_else(unknown)?;
            RequestBody::Subscribe(Subscribe {
                stream: StreamId(subscribe.stream()),
                shard: ShardIndex(subscribe.shard()),
                position: Position::decode(subscribe.position(), subscribe.value())?,
                credit_bytes: subscribe.credit_bytes(),
            })
        }
        fb::RequestBody::Credit => {
            let credit = request.body_as_credit().ok_or_else(unknown)?;
            RequestBody::Credit { subscription: RequestId(credit.subscription()), bytes: credit.bytes() }
        }
        fb::RequestBody::Unsubscribe => {
            let unsubscribe = request.body_as_unsubscribe().ok_or_else(unknown)?;
            RequestBody::Unsubscribe { subscription: RequestId(unsubscribe.subscription()) }
        }
        _ => return Err(unknown()),
    })
}
