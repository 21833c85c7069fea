//! A client that blocks: plain sockets and the wire crate, nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidemill_wire::batch::{BatchBuilder, Compression};
use tidemill_wire::entry::EntryRun;
use tidemill_wire::frame;
use tidemill_wire::limits::{FRAME_BYTES_MAX, PROTOCOL_VERSION};
use tidemill_wire::message::{
    Ack, Append, CreateStream, Encoder, ErrorCode, Failure, Fetch, Fetched, Hello, Position, Request,
    RequestBody, Response, ResponseBody, Settings, StreamDescription, Welcome,
};
use tidemill_wire::numbered::NumberedBatch;
use tidemill_wire::{RequestId, SequenceNumber, ShardIndex, StreamId, StreamName};

/// No test waits for longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    received: BytesMut,
    encoder: Encoder,
    next: u64,
    pub(crate) welcome: Option<Welcome>,
}

/// A record as it came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) key: Bytes,
    pub(crate) data: Bytes,
}

impl Client {
    /// Connects and says hello.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self::connect_silently(address);
        match client.ask(hello()) {
            ResponseBody::Welcome(welcome) => client.welcome = Some(welcome),
            other => panic!("a hello was answered with {other:?}"),
        }
        client
    }

    /// Connects and says nothing.
    pub(crate) fn connect_silently(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        socket.set_nodelay(true).expect("a socket option");
        Self { socket, received: BytesMut::new(), encoder: Encoder::new(), next: 1, welcome: None }
    }

    /// Sends a request and returns its id.
    pub(crate) fn send(&mut self, body: RequestBody) -> RequestId {
        self.send_with(body, &[])
    }

    /// Sends a request with bytes behind its message.
    pub(crate) fn send_with(&mut self, body: RequestBody, bytes: &[u8]) -> RequestId {
        let (id, frame) = self.frame(body, bytes);
        self.send_raw(&frame);
        id
    }

    /// A request's frame, not sent.
    pub(crate) fn frame(&mut self, body: RequestBody, bytes: &[u8]) -> (RequestId, BytesMut) {
        let id = RequestId(self.next);
        self.next += 1;
        let mut out = BytesMut::new();
        self.encoder.request(&mut out, &Request { id, body }, bytes.len());
        out.extend_from_slice(bytes);
        (id, out)
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server reads");
    }

    /// The next answer, or `None` when the server has closed the connection.
    pub(crate) fn try_receive(&mut self) -> Option<(Response, Bytes)> {
        loop {
            if let Some(frame) =
                frame::cut(&mut self.received, FRAME_BYTES_MAX).expect("frames from the server")
            {
                let response = Response::decode(&frame.message).expect("a message from the server");
                return Some((response, frame.body));
            }
            let mut buffer = vec![0; 64 << 10];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
                // A socket with a time limit is interrupted when the process is stopped and goes on.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// The next answer.
    pub(crate) fn receive(&mut self) -> (Response, Bytes) {
        self.try_receive().expect("the server has closed the connection")
    }

    /// Sends a request and returns its answer, which must be the next.
    pub(crate) fn ask(&mut self, body: RequestBody) -> ResponseBody {
        self.ask_with(body, &[]).0
    }

    pub(crate) fn ask_with(&mut self, body: RequestBody, bytes: &[u8]) -> (ResponseBody, Bytes) {
        let id = self.send_with(body, bytes);
        let (response, body) = self.receive();
        assert_eq!(response.id, id, "{response:?}");
        (response.body, body)
    }

    /// Asks for what must be refused.
    pub(crate) fn ask_refused(&mut self, body: RequestBody) -> Failure {
        match self.ask(body) {
            ResponseBody::Failed(failure) => failure,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn create(&mut self, stream: &str, shards: u32, settings: Settings) -> StreamDescription {
        let asked = CreateStream { name: name(stream), shards, settings };
        match self.ask(RequestBody::CreateStream(asked)) {
            ResponseBody::StreamDescription(description) => description,
            other => panic!("not created: {other:?}"),
        }
    }

    pub(crate) fn describe(&mut self, stream: &str) -> StreamDescription {
        match self.ask(RequestBody::DescribeStream(name(stream))) {
            ResponseBody::StreamDescription(description) => description,
            other => panic!("not described: {other:?}"),
        }
    }

    /// Appends durably to a shard and returns the first record's number.
    pub(crate) fn append(&mut self, stream: StreamId, shard: u32, batch: &[u8]) -> Result<u64, Failure> {
        match self.ask_with(append(stream, Some(shard), Ack::Durable), batch).0 {
            ResponseBody::Appended(appended) => {
                assert_eq!(appended.shard, ShardIndex(shard));
                Ok(appended.base_sequence.0)
            }
            ResponseBody::Failed(failure) => Err(failure),
            other => panic!("an append was answered with {other:?}"),
        }
    }

    pub(crate) fn fetch(&mut self, fetch: Fetch) -> Result<(Fetched, Vec<Record>), Failure> {
        let (body, run) = self.ask_with(RequestBody::Fetch(fetch), &[]);
        match body {
            ResponseBody::Fetched(fetched) => Ok((fetched, records(&fetched, run))),
            ResponseBody::Failed(failure) => Err(failure),
            other => panic!("a fetch was answered with {other:?}"),
        }
    }

    /// Reads a shard from its oldest record to its present end.
    pub(crate) fn read_all(&mut self, stream: StreamId, shard: u32) -> Vec<Record> {
        let mut all = Vec::new();
        let mut next = from_oldest(stream, shard);
        loop {
            let (fetched, mut records) = self.fetch(next).expect("a readable shard");
            all.append(&mut records);
            if fetched.next_sequence == fetched.end_sequence {
                return all;
            }
            next = Fetch { position: Position::Sequence(fetched.next_sequence), ..next };
        }
    }

    /// Expects a refusal without a request's id, and the end of the connection.
    pub(crate) fn expect_ended(&mut self) -> Option<ErrorCode> {
        let code = self.try_receive().map(|(response, _)| match response.body {
            ResponseBody::Failed(failure) => failure.code,
            other => panic!("not refused: {other:?}"),
        });
        assert_eq!(self.try_receive(), None, "the connection goes on");
        code
    }
}

pub(crate) fn hello() -> RequestBody {
    let (version_min, version_max) = (PROTOCOL_VERSION, PROTOCOL_VERSION);
    RequestBody::Hello(Hello { version_min, version_max, client: "test".to_owned() })
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::new(text).expect("a stream's name")
}

pub(crate) fn append(stream: StreamId, shard: Option<u32>, ack: Ack) -> RequestBody {
    RequestBody::Append(Append { stream, shard: shard.map(ShardIndex), ack })
}

pub(crate) fn from_oldest(stream: StreamId, shard: u32) -> Fetch {
    let shard = ShardIndex(shard);
    Fetch { stream, shard, position: Position::Oldest, bytes_max: 1 << 20, wait_ms: 0 }
}

pub(crate) fn from_sequence(stream: StreamId, shard: u32, sequence: u64) -> Fetch {
    Fetch { position: Position::Sequence(SequenceNumber(sequence)), ..from_oldest(stream, shard) }
}

/// A batch of these records.
pub(crate) fn batch<K: AsRef<[u8]>, D: AsRef<[u8]>>(records: impl IntoIterator<Item = (K, D)>) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (key, data) in records {
        builder.push(key.as_ref(), data.as_ref(), None).expect("a small batch");
    }
    builder.build(Compression::None).expect("a batch of at least one record")
}

/// A batch of records without keys.
pub(crate) fn keyless<D: AsRef<[u8]>>(data: impl IntoIterator<Item = D>) -> Bytes {
    batch(data.into_iter().map(|data| ("", data)))
}

/// The records of a run that were asked for.
pub(crate) fn records(fetched: &Fetched, run: Bytes) -> Vec<Record> {
    let mut all = Vec::new();
    for entry in EntryRun::new(run) {
        let (header, payload) = entry.expect("a whole entry");
        let batch =
            NumberedBatch::parse(&header, payload).expect("a valid batch").expect("an entry with records");
        let numbered = batch.into_records().expect("readable data");
        all.extend(numbered.map(|(sequence, record)| Record {
            sequence: sequence.0,
            key: record.key,
            data: record.data,
        }));
    }
    all.retain(|record| record.sequence >= fetched.from_sequence.0);
    all
}
