//! A server of one stream in memory, on threads, with faults on demand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidemill_wire::batch::BatchView;
use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind};
use tidemill_wire::frame;
use tidemill_wire::limits::FRAME_BYTES_MAX_DEFAULT;
use tidemill_wire::message::{
    Append, Appended, CreateStream, Encoder, ErrorCode, Failure, Fetch, Fetched, Position, Quota, Request,
    RequestBody, Response, ResponseBody, Settings, ShardDescription, ShardState, StreamDescription,
    Subscribe, Welcome,
};
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{LaneId, OwnerId, RequestId, SequenceNumber, ShardIndex, StreamId, Timestamp};

/// What goes wrong with appends, by their number since the server began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Every so many are refused with a wait of 5 ms.
    Throttle(u64),
    /// From this one on all are, with a wait of a minute.
    ThrottleFrom(u64),
    /// This one is refused for good.
    Refuse(u64, ErrorCode),
    /// At this one the connection is closed.
    Close(u64),
    /// From this one on nothing is answered.
    Silence(u64),
    /// At this one the server does nothing for so long.
    Stall(u64, Duration),
    /// Every one takes so long, one after the other.
    Slow(Duration),
    /// Subscriptions get nothing.
    NoPush,
    /// This one is answered with another request's id.
    WrongId(u64),
    /// This one is answered with `Done`.
    WrongAnswer(u64),
    /// This one is answered with bytes that are no frame.
    NoFrame(u64),
    /// This one is answered with a frame that holds no message.
    NoMessage(u64),
}

/// Rates of a stream that is created without any.
const QUOTA_DEFAULT: Quota =
    Quota { write_bytes_per_second: 50_000, write_records_per_second: 0, read_bytes_per_second: 100_000 };

/// What the server has seen.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) fault: Fault,
    pub(crate) settings: Option<Settings>,
    pub(crate) stream: Option<StreamDescription>,
    pub(crate) deletions: u32,
    pub(crate) appends: u64,
    pub(crate) throttled: u64,
    pub(crate) stored_batches: u64,
    pub(crate) stored_records: u64,
    /// Of keys and data.
    pub(crate) stored_bytes: u64,
    /// Records whose key belongs to another shard than they were sent to.
    pub(crate) misrouted: u64,
    /// Batches that came in on another port than their lane's.
    pub(crate) wrong_port: u64,
    pub(crate) fetches: u64,
    /// Entries of each shard.
    pub(crate) entries: Vec<Vec<(u64, Bytes)>>,
}

/// A running server; its threads end with the test's process.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What happens after a request.
enum Next {
    Answer(ResponseBody, Vec<Bytes>),
    AnswerAs(RequestId, ResponseBody),
    Raw(Vec<u8>),
    Nothing,
    Close,
}

impl Server {
    /// Two lanes with a port each, beside the shared one.
    pub(crate) fn start(fault: Fault) -> Self {
        let state = Arc::new(Mutex::new(State { fault, ..State::default() }));
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let address = |listener: &TcpListener| listener.local_addr().expect("a bound address");
        let lanes: Vec<_> = (0..).map(LaneId).zip(listeners[1..].iter().map(|l| address(l).port())).collect();
        let shared = address(&listeners[0]);
        for (index, listener) in listeners.into_iter().enumerate() {
            let (state, lanes) = (state.clone(), lanes.clone());
            let lane = index.checked_sub(1).map(|lane| LaneId(lane as u32));
            thread::spawn(move || {
                for socket in listener.incoming().map_while(Result::ok) {
                    let (state, lanes) = (state.clone(), lanes.clone());
                    thread::spawn(move || serve(socket, lane, &lanes, &state));
                }
            });
        }
        Self { address: shared, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the server panics")
    }
}

fn serve(
    mut socket: TcpStream,
    lane: Option<LaneId>,
    lanes: &[(LaneId, u16)],
    state: &Arc<Mutex<State>>,
) -> Option<()> {
    let mut received = BytesMut::new();
    let mut encoder = Encoder::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let bytes = socket.read(&mut chunk).ok().filter(|bytes| *bytes > 0)?;
        received.extend_from_slice(&chunk[..bytes]);
        let mut out = BytesMut::new();
        while let Some(frame) = frame::cut(&mut received, FRAME_BYTES_MAX_DEFAULT).expect("frames") {
            let request = Request::decode(&frame.message).expect("a request");
            if let RequestBody::Subscribe(subscribe) = &request.body {
                let (subscribe, id, state) = (*subscribe, request.id, state.clone());
                let socket = socket.try_clone().ok()?;
                thread::spawn(move || push(socket, id, subscribe, &state));
                continue;
            }
            let next = state.lock().ok()?.next(&request, &frame.body, lane, lanes);
            let (id, body, bodies) = match next {
                Next::Answer(body, bodies) => (request.id, body, bodies),
                Next::AnswerAs(id, body) => (id, body, Vec::new()),
                Next::Raw(bytes) => {
                    out.extend_from_slice(&bytes);
                    continue;
                }
                Next::Nothing => continue,
                Next::Close => return None,
            };
            encoder.response(&mut out, &Response { id, body }, bodies.iter().map(Bytes::len).sum());
            bodies.iter().for_each(|body| out.extend_from_slice(body));
        }
        socket.write_all(&out).ok()?;
    }
}

/// Pushes what a shard gets, as much as there is, whatever the credit, until the connection ends.
fn push(mut socket: TcpStream, id: RequestId, subscribe: Subscribe, state: &Mutex<State>) -> Option<()> {
    let mut encoder = Encoder::new();
    let mut position = subscribe.position;
    loop {
        thread::sleep(Duration::from_millis(1));
        let next = {
            let mut state = state.lock().ok()?;
            let index = subscribe.shard.0 as usize;
            if position == Position::Newest {
                position = Position::Sequence(end(state.entries.get(index)?));
            }
            let is_new = match position {
                Position::Sequence(sequence) => sequence < end(state.entries.get(index)?),
                _ => !state.entries.get(index)?.is_empty(),
            };
            if matches!(state.fault, Fault::NoPush) || !is_new {
                continue;
            }
            let Position::Sequence(_) = position else {
                position = Position::Sequence(SequenceNumber(0));
                continue;
            };
            let (stream, shard) = (subscribe.stream, subscribe.shard);
            state.fetch(&Fetch { stream, shard, position, bytes_max: 1 << 20, wait_ms: 0 })
        };
        let Next::Answer(ResponseBody::Fetched(fetched), bodies) = next else { return None };
        position = Position::Sequence(fetched.next_sequence);
        let mut out = BytesMut::new();
        let body = ResponseBody::Fetched(fetched);
        encoder.response(&mut out, &Response { id, body }, bodies.iter().map(Bytes::len).sum());
        bodies.iter().for_each(|body| out.extend_from_slice(body));
        socket.write_all(&out).ok()?;
    }
}

impl State {
    fn next(
        &mut self,
        request: &Request,
        body: &Bytes,
        lane: Option<LaneId>,
        lanes: &[(LaneId, u16)],
    ) -> Next {
        let plain = |body| Next::Answer(body, Vec::new());
        let unknown =
            || plain(ResponseBody::Failed(Failure::new(ErrorCode::UnknownStream, "no such stream")));
        match &request.body {
            RequestBody::Hello(_) => plain(ResponseBody::Welcome(Welcome {
                version: 1,
                server: "test 1".to_owned(),
                node: 7,
                core: 0,
                frame_bytes_max: 1 << 20,
                in_flight_max: 64,
                lanes: lanes.to_vec(),
            })),
            RequestBody::DescribeStream(_) => match &self.stream {
                Some(_) => plain(ResponseBody::StreamDescription(self.describe())),
                None => unknown(),
            },
            RequestBody::CreateStream(create) => {
                self.create(create);
                plain(ResponseBody::StreamDescription(self.describe()))
            }
            RequestBody::DeleteStream(_) => {
                self.deletions += 1;
                if self.stream.take().is_some() { plain(ResponseBody::Done) } else { unknown() }
            }
            RequestBody::Append(append) => self.append(request.id, append, body, lane),
            RequestBody::Fetch(fetch) => self.fetch(fetch),
            RequestBody::Credit { .. } => Next::Nothing,
            other => panic!("the generator does not ask for {other:?}"),
        }
    }

    pub(crate) fn create(&mut self, create: &CreateStream) {
        self.settings = Some(create.settings);
        let shard = |(index, range): (u32, &HashKeyRange)| ShardDescription {
            index: ShardIndex(index),
            lane: LaneId(index % 2),
            range: *range,
            state: ShardState::Open,
            oldest_sequence: SequenceNumber(0),
            next_sequence: SequenceNumber(0),
            bytes: 0,
            parent: None,
            adjacent_parent: None,
        };
        let ranges = HashKeyRange::split_evenly(create.shards);
        self.entries = ranges.iter().map(|_| Vec::new()).collect();
        self.stream = Some(StreamDescription {
            id: StreamId(3),
            name: create.name.clone(),
            created: Timestamp(0),
            retention_ms: 1_000_000,
            retention_bytes: create.settings.retention_bytes.unwrap_or(0),
            quota: create.settings.quota.unwrap_or(QUOTA_DEFAULT),
            map_version: 1,
            key_compaction: Default::default(),
            read_calls_per_second: 0,
            shards: (0..).zip(&ranges).map(shard).collect(),
        });
    }

    fn describe(&self) -> StreamDescription {
        let mut stream = self.stream.clone().expect("asked for a stream that is there");
        for (shard, entries) in stream.shards.iter_mut().zip(&self.entries) {
            shard.next_sequence = end(entries);
            shard.bytes = entries.iter().map(|(_, entry)| entry.len() as u64).sum();
        }
        stream
    }

    fn append(&mut self, id: RequestId, append: &Append, body: &Bytes, lane: Option<LaneId>) -> Next {
        let number = self.appends;
        self.appends += 1;
        let plain = |body| Next::Answer(body, Vec::new());
        match self.fault {
            Fault::Throttle(every) if number.is_multiple_of(every) => {
                self.throttled += 1;
                return plain(ResponseBody::Failed(throttled(5)));
            }
            Fault::ThrottleFrom(from) if number >= from => {
                self.throttled += 1;
                return plain(ResponseBody::Failed(throttled(60_000)));
            }
            Fault::Refuse(at, code) if number == at => {
                return plain(ResponseBody::Failed(Failure::new(code, "no")));
            }
            Fault::Close(at) if number == at => return Next::Close,
            Fault::Silence(from) if number >= from => return Next::Nothing,
            // The lock is held meanwhile, so nobody gets anything.
            Fault::Stall(at, time) if number == at => thread::sleep(time),
            Fault::Slow(time) => thread::sleep(time),
            Fault::WrongId(at) if number == at => {
                return Next::AnswerAs(RequestId(id.0 + 1_000), ResponseBody::Done);
            }
            Fault::WrongAnswer(at) if number == at => return plain(ResponseBody::Done),
            Fault::NoFrame(at) if number == at => return Next::Raw(vec![0xff; 64]),
            Fault::NoMessage(at) if number == at => {
                return Next::Raw([12, 8].map(u32::to_le_bytes).concat().repeat(2));
            }
            _ => {}
        }
        let stream = self.stream.as_ref().expect("the stream is there");
        let batch = BatchView::parse(body.clone()).expect("a batch");
        let index = append.shard.expect("the generator names the shard");
        let shard = &stream.shards[index.0 as usize];
        self.wrong_port += u64::from(lane != Some(shard.lane));
        self.stored_batches += 1;
        self.stored_records += u64::from(batch.count());
        self.stored_bytes += batch.payload_bytes() as u64;
        let is_misrouted = |record: &u32| !shard.range.contains(HashKey::of(batch.key(*record)));
        self.misrouted += (0..batch.count()).filter(is_misrouted).count() as u64;
        let entries = &mut self.entries[index.0 as usize];
        let base_sequence = end(entries);
        entries.push((base_sequence.0, entry(base_sequence, batch.count(), body)));
        let appended = Appended { shard: index, base_sequence, append_time: Timestamp(0) };
        Next::Answer(ResponseBody::Appended(appended), Vec::new())
    }

    fn fetch(&mut self, fetch: &Fetch) -> Next {
        self.fetches += 1;
        let entries = &self.entries[fetch.shard.0 as usize];
        let from = match fetch.position {
            Position::Sequence(sequence) => sequence,
            Position::Oldest => SequenceNumber(0),
            other => panic!("the generator does not read from {other:?}"),
        };
        let first = entries.partition_point(|(base, _)| *base <= from.0).saturating_sub(1);
        let mut room = fetch.bytes_max as usize;
        let run: Vec<Bytes> = (0..)
            .zip(&entries[first..])
            .take_while(|(index, (_, entry))| {
                let fits = *index == 0 || entry.len() <= room;
                room = room.saturating_sub(entry.len());
                fits
            })
            .map(|(_, (_, entry))| entry.clone())
            .collect();
        let next_sequence = end(&entries[..first + run.len()]);
        let fetched = Fetched {
            from_sequence: from,
            next_sequence,
            oldest_sequence: SequenceNumber(0),
            end_sequence: end(entries),
            closed: false,
        };
        Next::Answer(ResponseBody::Fetched(fetched), run)
    }
}

fn throttled(retry_after_ms: u32) -> Failure {
    Failure { retry_after_ms, ..Failure::new(ErrorCode::WriteThrottled, "slow down") }
}

fn end(entries: &[(u64, Bytes)]) -> SequenceNumber {
    entries.last().map_or(SequenceNumber(0), |(_, entry)| {
        EntryHeader::decode(entry).expect("an entry of this server").next_sequence()
    })
}

fn entry(base_sequence: SequenceNumber, record_count: u32, payload: &[u8]) -> Bytes {
    let header = EntryHeader {
        length: u32::try_from(ENTRY_HEADER_BYTES + payload.len()).expect("bounded by the frame"),
        kind: EntryKind::Batch,
        key_id: 0,
        record_count,
        owner: OwnerId(1),
        base_sequence,
        append_time: Timestamp(0),
        segment_epoch: 1,
        durable_before: 0,
    };
    let mut bytes = header.encode(payload).to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(header.stride(), 0);
    bytes.into()
}
