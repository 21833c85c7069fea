//! One connection of the fake server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tidemill_client::{ErrorCode, Failure, SequenceNumber, ShardIndex, StreamSummary, Timestamp};
use tidemill_wire::RequestId;
use tidemill_wire::frame::{self, Frame};
use tidemill_wire::limits::PROTOCOL_VERSION;
use tidemill_wire::message::{
    Encoder, Fetch, Position, Request, RequestBody, Response, ResponseBody, Subscribe, SubscriptionEnded,
    Welcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};

use super::{Kind, Shared, Step};

enum Out {
    Answer(Box<Response>, Bytes),
    Garbage,
    Cut,
}

#[derive(Clone)]
struct Session {
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Out>,
    port: u16,
    subscriptions: Arc<Mutex<BTreeMap<RequestId, Arc<Credit>>>>,
}

#[derive(Default)]
struct Credit {
    bytes: AtomicU64,
    granted: Notify,
}

pub(crate) async fn serve(
    shared: Arc<Shared>,
    mut socket: TcpStream,
    port: u16,
    mut cut: watch::Receiver<u64>,
) {
    let _ = socket.set_nodelay(true);
    let (out, mut queue) = mpsc::unbounded_channel();
    let session = Session { shared, out, port, subscriptions: Arc::default() };
    let mut received = BytesMut::new();
    let mut encoder = Encoder::new();
    loop {
        tokio::select! {
            _ = cut.changed() => return,
            read = socket.read_buf(&mut received) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                while let Some(frame) = frame::cut(&mut received, 64 << 20).expect("a frame") {
                    tokio::spawn(session.clone().handle(frame));
                    // Requests are begun in their order.
                    tokio::task::yield_now().await;
                }
            }
            Some(out) = queue.recv() => {
                let mut bytes = BytesMut::new();
                match out {
                    Out::Cut => return,
                    Out::Garbage => {
                        bytes.put_u32_le(12);
                        bytes.put_u32_le(8);
                        bytes.put_slice(b"garbage!");
                    }
                    Out::Answer(response, body) => {
                        encoder.response(&mut bytes, &response, body.len());
                        bytes.extend_from_slice(&body);
                    }
                }
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Session {
    async fn handle(self, frame: Frame) {
        let Frame { message, body } = frame;
        let Request { id, body: request } = Request::decode(&message).expect("a request");
        let kind = match &request {
            RequestBody::DescribeStream(_) => Some(Kind::Describe),
            RequestBody::Append(_) => Some(Kind::Append),
            RequestBody::Fetch(_) => Some(Kind::Fetch),
            RequestBody::Subscribe(_) => Some(Kind::Subscribe),
            RequestBody::Ping => Some(Kind::Ping),
            _ => None,
        };
        let step = kind.map_or(Step::Serve, |kind| self.shared.next_step(kind));
        match &step {
            Step::Refuse(failure) => {
                return self.answer(id, ResponseBody::Failed(failure.clone()), Bytes::new());
            }
            Step::Cut => return self.send(Out::Cut),
            Step::Garbage => return self.send(Out::Garbage),
            Step::Silence => return,
            _ => {}
        }
        if let RequestBody::Subscribe(subscribe) = request {
            return self.push(id, subscribe).await;
        }
        let answered = match request {
            RequestBody::Fetch(fetch) => Some(self.fetch(&fetch).await),
            request => self.respond(request, &body),
        };
        let Some((answer, mut payload)) = answered else { return };
        match step {
            Step::Delay(pause) => tokio::time::sleep(pause).await,
            Step::LoseAnswer => return self.send(Out::Cut),
            Step::Damage => {
                let mut bytes = BytesMut::from(&payload[..]);
                let last = bytes.len() - 9;
                bytes[last] ^= 1;
                payload = bytes.freeze();
            }
            _ => {}
        }
        self.answer(id, answer, payload);
    }

    fn respond(&self, request: RequestBody, body: &Bytes) -> Option<(ResponseBody, Bytes)> {
        let plain = |answer: Result<ResponseBody, Failure>| {
            Some((answer.unwrap_or_else(ResponseBody::Failed), Bytes::new()))
        };
        let mut model = self.shared.model.lock().expect("no test panics under the lock");
        match request {
            RequestBody::Hello(_) => {
                model.greetings += 1;
                let lanes = model.lane_ports.iter();
                let welcome = Welcome {
                    version: PROTOCOL_VERSION,
                    server: "fake".to_owned(),
                    node: model.node,
                    core: 0,
                    frame_bytes_max: model.frame_bytes_max,
                    in_flight_max: model.in_flight_max,
                    lanes: (0..).map(tidemill_client::LaneId).zip(lanes.copied()).collect(),
                };
                plain(Ok(ResponseBody::Welcome(welcome)))
            }
            RequestBody::Ping => plain(Ok(ResponseBody::Done)),
            RequestBody::CreateStream(create) if model.streams.contains_key(&create.name) => {
                plain(Err(Failure::new(ErrorCode::StreamExists, "exists")))
            }
            RequestBody::CreateStream(create) => {
                model.create(&create.name, create.shards);
                plain(model.describe(&create.name).map(ResponseBody::StreamDescription))
            }
            RequestBody::DescribeStream(name) => {
                plain(model.describe(&name).map(ResponseBody::StreamDescription))
            }
            RequestBody::UpdateStream(update) => {
                model.quota = update.settings.quota.unwrap_or(model.quota);
                plain(model.describe(&update.name).map(ResponseBody::StreamDescription))
            }
            RequestBody::DeleteStream(name) => {
                let known = model.streams.remove(&name);
                let unknown = || Failure::new(ErrorCode::UnknownStream, "no such stream");
                plain(known.map(|_| ResponseBody::Done).ok_or_else(unknown))
            }
            RequestBody::ListStreams(list) => {
                let after =
                    |name: &&tidemill_client::StreamName| list.after.as_ref().is_none_or(|a| *name > a);
                let names: Vec<_> = model.streams.keys().filter(after).cloned().collect();
                // Short pages, so that every list takes several.
                let page = names.iter().take(3.min(list.limit as usize));
                let streams = page.map(|name| StreamSummary {
                    id: model.streams[name].id,
                    name: name.clone(),
                    created: Timestamp(1),
                    shards: 1,
                    retention_ms: 0,
                });
                plain(Ok(ResponseBody::StreamList { streams: streams.collect(), more: names.len() > 3 }))
            }
            RequestBody::Append(append) => {
                *model.appends_at.entry(self.port).or_default() += 1;
                let shard = append.shard.expect("the client routes");
                let appended = model.append(append.stream, shard, body).map(ResponseBody::Appended);
                drop(model);
                self.shared.appended.notify_waiters();
                plain(appended)
            }
            RequestBody::Credit { subscription, bytes } => {
                if let Some(credit) = self.subscriptions.lock().expect("no panic").get(&subscription) {
                    credit.bytes.fetch_add(bytes, Ordering::SeqCst);
                    credit.granted.notify_one();
                }
                None
            }
            RequestBody::Unsubscribe { subscription } => {
                self.subscriptions.lock().expect("no panic").remove(&subscription);
                let (code, message) = (ErrorCode::Unsubscribed, String::new());
                let ended = SubscriptionEnded { code, message, next_sequence: SequenceNumber(0) };
                self.answer(subscription, ResponseBody::SubscriptionEnded(ended), Bytes::new());
                None
            }
            RequestBody::SplitShard(split) => {
                model.split(split.name.as_str(), split.shard.get());
                plain(model.describe(&split.name).map(ResponseBody::StreamDescription))
            }
            RequestBody::MergeShards(_)
            | RequestBody::ScaleStream(_)
            | RequestBody::CreateQueue(_)
            | RequestBody::DescribeQueue(_)
            | RequestBody::ListQueues(_)
            | RequestBody::UpdateQueue(_)
            | RequestBody::DeleteQueue(_)
            | RequestBody::SendMessages(_)
            | RequestBody::ReceiveMessages(_)
            | RequestBody::DeleteMessages(_)
            | RequestBody::ExtendMessages(_)
            | RequestBody::Consume(_)
            | RequestBody::MessageCredit(_)
            | RequestBody::PurgeQueue(_)
            | RequestBody::CountMessages(_)
            | RequestBody::StartMove(_)
            | RequestBody::CancelMove { .. }
            | RequestBody::ListMoves(_)
            | RequestBody::ListDeadLetterSources(_) => {
                plain(Err(Failure::new(ErrorCode::UnknownRequest, "an old server")))
            }
            RequestBody::Fetch(_) | RequestBody::Subscribe(_) => None,
        }
    }

    async fn fetch(&self, fetch: &Fetch) -> (ResponseBody, Bytes) {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(fetch.wait_ms.into());
        loop {
            let appended = self.shared.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            let fetched = self.shared.model.lock().expect("no panic").fetch(fetch);
            match fetched {
                Ok((fetched, run)) => {
                    let enough = !run.is_empty() || fetched.closed;
                    if enough || tokio::time::timeout_at(deadline, appended).await.is_err() {
                        return (ResponseBody::Fetched(fetched), run);
                    }
                }
                Err(failure) => return (ResponseBody::Failed(failure), Bytes::new()),
            }
        }
    }

    async fn push(self, id: RequestId, subscribe: Subscribe) {
        let credit = Arc::new(Credit::default());
        credit.bytes.store(subscribe.credit_bytes, Ordering::SeqCst);
        self.subscriptions.lock().expect("no panic").insert(id, Arc::clone(&credit));
        let mut position = subscribe.position;
        let mut pushes = 0;
        let cut_after = self.shared.cut_after_pushes.lock().expect("no panic").pop_front();
        loop {
            let left = credit.bytes.load(Ordering::SeqCst);
            if left == 0 {
                credit.granted.notified().await;
                continue;
            }
            let (shard, stream): (ShardIndex, _) = (subscribe.shard, subscribe.stream);
            let bytes_max = u32::try_from(left).unwrap_or(u32::MAX);
            let fetch = Fetch { stream, shard, position, bytes_max, wait_ms: 60_000 };
            let (answer, run) = self.fetch(&fetch).await;
            if !self.subscriptions.lock().expect("no panic").contains_key(&id) {
                return;
            }
            let ResponseBody::Fetched(fetched) = answer else { return self.answer(id, answer, run) };
            position = Position::Sequence(fetched.next_sequence);
            let used = (run.len() as u64).min(left);
            credit.bytes.fetch_sub(used, Ordering::SeqCst);
            let mut model = self.shared.model.lock().expect("no panic");
            model.pushed_over_credit = model.pushed_over_credit.max(run.len() as u64 - used);
            drop(model);
            if !run.is_empty() {
                self.answer(id, ResponseBody::Fetched(fetched), run);
                pushes += 1;
            }
            if fetched.closed {
                let next_sequence = fetched.next_sequence;
                let ended =
                    SubscriptionEnded { code: ErrorCode::ShardClosed, message: String::new(), next_sequence };
                return self.answer(id, ResponseBody::SubscriptionEnded(ended), Bytes::new());
            }
            if cut_after == Some(pushes) {
                return self.send(Out::Cut);
            }
        }
    }

    fn answer(&self, id: RequestId, body: ResponseBody, payload: Bytes) {
        self.send(Out::Answer(Box::new(Response { id, body }), payload));
    }

    fn send(&self, out: Out) {
        // The connection may have been cut.
        let _ = self.out.send(out);
    }
}
