//! Valid messages, batches and entries that the tests of several modules start from. Only for tests.

use bytes::{Bytes, BytesMut};

use crate::attributes::{MessageAttribute, MessageAttributeValue, encode_attributes};
use crate::batch::{BatchBuilder, BatchView, Compression};
use crate::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, stride};
use crate::frame;
use crate::ids::*;
use crate::limits::FRAME_BYTES_MAX;
use crate::message::*;
use crate::numbered::encode_sparse;
use crate::routing::{HashKey, HashKeyRange};

/// Bytes from hexadecimal digits; spaces and line ends are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let value = |digit: u8| (digit as char).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

pub(crate) fn name(text: &str) -> StreamName {
    StreamName::new(text).expect("a valid name")
}

/// Every kind of request, with small, ordinary and extreme values.
pub(crate) fn requests() -> Vec<Request> {
    let settings = Settings {
        retention_ms: Some(u64::MAX),
        retention_bytes: Some(0),
        quota: Some(Quota {
            write_bytes_per_second: 1,
            write_records_per_second: 0,
            read_bytes_per_second: u64::MAX,
        }),
        key_compaction: Some(KeyCompaction::On { tombstone_ms: u64::MAX }),
        read_calls_per_second: Some(u64::MAX),
    };
    let off = Settings { key_compaction: Some(KeyCompaction::Off), ..Settings::default() };
    let longest = name(&"x".repeat(128));
    let mut bodies = vec![
        RequestBody::Hello(Hello { version_min: 0, version_max: u16::MAX, client: String::new() }),
        RequestBody::Hello(Hello { version_min: 1, version_max: 1, client: "é".repeat(128) }),
        RequestBody::Ping,
        RequestBody::CreateStream(CreateStream { name: name("a"), shards: 0, settings: Settings::default() }),
        RequestBody::CreateStream(CreateStream { name: longest.clone(), shards: u32::MAX, settings }),
        RequestBody::DescribeStream(longest.clone()),
        RequestBody::ListStreams(ListStreams { after: None, limit: 0 }),
        RequestBody::ListStreams(ListStreams { after: Some(longest), limit: u32::MAX }),
        RequestBody::UpdateStream(UpdateStream { name: name("b"), settings }),
        RequestBody::UpdateStream(UpdateStream { name: name("b"), settings: off }),
        RequestBody::DeleteStream(name("c-1_2.3")),
        RequestBody::Append(Append { stream: StreamId(0), shard: None, ack: Ack::Durable }),
        RequestBody::Append(Append {
            stream: StreamId(u64::MAX),
            shard: Some(ShardIndex(u32::MAX - 1)),
            ack: Ack::Written,
        }),
        RequestBody::Credit { subscription: RequestId(u64::MAX), bytes: u64::MAX },
        RequestBody::Credit { subscription: RequestId(0), bytes: 0 },
        RequestBody::Unsubscribe { subscription: RequestId(7) },
        RequestBody::SplitShard(SplitShard {
            name: name("d"),
            shard: ShardIndex(3),
            at: HashKey(1 << 64 | 2),
        }),
        RequestBody::MergeShards(MergeShards {
            name: name("e"),
            shard: ShardIndex(4),
            adjacent: ShardIndex(u32::MAX),
        }),
        RequestBody::ScaleStream(ScaleStream { name: name("f"), shards: u32::MAX }),
    ];
    bodies.extend(queue_requests());
    bodies.extend(message_requests());
    for position in [
        Position::Oldest,
        Position::Newest,
        Position::Sequence(SequenceNumber(u64::MAX)),
        Position::Timestamp(Timestamp(0)),
    ] {
        let (stream, shard) = (StreamId(3), ShardIndex(4));
        bodies.push(RequestBody::Fetch(Fetch { stream, shard, position, bytes_max: u32::MAX, wait_ms: 1 }));
        bodies.push(RequestBody::Subscribe(Subscribe { stream, shard, position, credit_bytes: 1 << 40 }));
    }
    numbered(bodies).map(|(id, body)| Request { id, body }).collect()
}

/// Every kind of answer, with small, ordinary and extreme values.
pub(crate) fn responses() -> Vec<Response> {
    let appended = Appended {
        shard: ShardIndex(1),
        base_sequence: SequenceNumber(u64::MAX),
        append_time: Timestamp(1_700_000_000_000),
    };
    let routed = RoutedAppend {
        placements: vec![
            Placement { shard: ShardIndex(1), records: 2, outcome: Ok(appended) },
            Placement { shard: ShardIndex(2), records: 1, outcome: Err((ErrorCode::WriteThrottled, 250)) },
        ],
        placement_of: vec![0, 1, 0],
    };
    let summary = StreamSummary {
        id: StreamId(1),
        name: name("logs"),
        created: Timestamp(5),
        shards: 4,
        retention_ms: 86_400_000,
    };
    let mut bodies = vec![
        ResponseBody::Welcome(Welcome {
            version: 1,
            server: "tidemill 0.1.0".to_owned(),
            node: u64::MAX,
            core: 3,
            frame_bytes_max: 16 << 20,
            in_flight_max: 1_024,
            lanes: vec![(LaneId(0), 7_070), (LaneId(u32::MAX), u16::MAX)],
        }),
        ResponseBody::Done,
        ResponseBody::StreamDescription(description(3)),
        ResponseBody::StreamList { streams: vec![], more: false },
        ResponseBody::StreamList { streams: vec![summary.clone(), summary], more: true },
        ResponseBody::Appended(appended),
        ResponseBody::RoutedAppend(routed),
        ResponseBody::RoutedAppend(RoutedAppend { placements: vec![], placement_of: vec![] }),
        ResponseBody::Fetched(Fetched {
            from_sequence: SequenceNumber(0),
            next_sequence: SequenceNumber(1),
            oldest_sequence: SequenceNumber(2),
            end_sequence: SequenceNumber(u64::MAX),
            closed: true,
        }),
        ResponseBody::SubscriptionEnded(SubscriptionEnded {
            code: ErrorCode::Unsubscribed,
            message: String::new(),
            next_sequence: SequenceNumber(9),
        }),
    ];
    bodies.extend(queue_responses());
    bodies.extend(message_responses());
    bodies.extend(ErrorCode::ALL.iter().map(|code| {
        let wait = std::time::Duration::from_millis(u64::from(*code as u16));
        ResponseBody::Failed(Failure::new(*code, "why: ü").with_limit(u64::MAX, 1).with_retry_after(wait))
    }));
    numbered(bodies).map(|(id, body)| Response { id, body }).collect()
}

pub(crate) fn queue_name(text: &str) -> QueueName {
    QueueName::new(text).expect("a valid name")
}

/// A change of everything, and one of as much as can be taken back.
pub(crate) fn queue_changes() -> [QueueChange; 2] {
    let all = QueueChange {
        delay_s: Some(0),
        message_bytes_max: Some(u32::MAX),
        retention_s: Some(60),
        wait_s: Some(1),
        visibility_s: Some(43_200),
        redrive: Some(Some(Redrive { target: queue_name("dead.fifo"), receives_max: u32::MAX })),
        redrive_allow: Some(Allow::By(vec![queue_name("a"), queue_name(&"b".repeat(80))])),
        content_deduplication: Some(true),
        scope: Some(Scope::Group),
        limit: Some(ThroughputLimit::Group),
        policy: Some(Some("{}".to_owned())),
    };
    let back = QueueChange {
        redrive: Some(None),
        redrive_allow: Some(Allow::None),
        content_deduplication: Some(false),
        scope: Some(Scope::Queue),
        limit: Some(ThroughputLimit::Queue),
        policy: Some(None),
        ..QueueChange::default()
    };
    [all, back]
}

fn queue_requests() -> Vec<RequestBody> {
    let [all, back] = queue_changes();
    let (shortest, longest) = (queue_name("q"), queue_name(&format!("{}.fifo", "x".repeat(75))));
    let everyone = QueueChange { redrive_allow: Some(Allow::All), ..QueueChange::default() };
    vec![
        RequestBody::CreateQueue(CreateQueue { name: shortest.clone(), settings: QueueChange::default() }),
        RequestBody::CreateQueue(CreateQueue { name: longest.clone(), settings: all }),
        RequestBody::DescribeQueue(longest.clone()),
        RequestBody::ListQueues(ListQueues { prefix: String::new(), after: None, limit: 0 }),
        RequestBody::ListQueues(ListQueues {
            prefix: "x".repeat(80),
            after: Some(longest.clone()),
            limit: u32::MAX,
        }),
        RequestBody::UpdateQueue(UpdateQueue { name: longest, settings: back }),
        RequestBody::UpdateQueue(UpdateQueue { name: shortest.clone(), settings: everyone }),
        RequestBody::DeleteQueue(shortest),
    ]
}

/// Requests about messages, with none, one, and extreme values.
fn message_requests() -> Vec<RequestBody> {
    let queue = QueueId(u64::MAX);
    let receipt = MessageReceipt { sequence: u64::MAX, receives: u32::MAX, partition: u16::MAX };
    let message = NewMessage {
        delay_s: Some(0),
        group_bytes: u16::MAX,
        deduplication_bytes: 1,
        attributes_bytes: u32::MAX,
        body_bytes: 0,
    };
    let (consumer, visibility_s) = (RequestId(1), Some(0));
    vec![
        RequestBody::SendMessages(SendMessages { queue, messages: vec![] }),
        RequestBody::SendMessages(SendMessages { queue, messages: vec![message, NewMessage::default()] }),
        RequestBody::ReceiveMessages(ReceiveMessages {
            queue,
            messages_max: 10,
            wait_ms: 0,
            visibility_s,
            attempt: None,
        }),
        RequestBody::ReceiveMessages(ReceiveMessages {
            queue,
            messages_max: 1,
            wait_ms: u32::MAX,
            visibility_s: None,
            attempt: Some("again".to_owned()),
        }),
        RequestBody::DeleteMessages(DeleteMessages { queue, receipts: vec![receipt; 3] }),
        RequestBody::ExtendMessages(ExtendMessages { queue, extensions: vec![(receipt, 7)] }),
        RequestBody::Consume(Consume { queue, credit: u32::MAX, messages_max: 1, visibility_s: None }),
        RequestBody::MessageCredit(MessageCredit { consumer, messages: u32::MAX }),
        RequestBody::PurgeQueue(queue),
        RequestBody::CountMessages(queue),
        RequestBody::StartMove(StartMove { queue, target: None, messages_per_second: 0 }),
        RequestBody::CancelMove { queue, number: 3 },
        RequestBody::ListMoves(queue),
        RequestBody::ListDeadLetterSources(ListDeadLetterSources { queue, after: None, limit: 0 }),
    ]
}

/// Attributes as parts of a body.
pub(crate) fn attributes() -> Vec<Vec<u8>> {
    let text = MessageAttributeValue::Text("7".to_owned());
    let binary = MessageAttributeValue::Binary(Bytes::from_static(&[0, 255]));
    let attributes =
        [("a", "Number.int", text), ("b.c", "Binary", binary)].map(|(name, data_type, value)| {
            MessageAttribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
        });
    [&attributes[..0], &attributes[..1], &attributes]
        .map(|some| encode_attributes(some).expect("they are allowed").to_vec())
        .to_vec()
}

fn message_responses() -> Vec<ResponseBody> {
    let sent = SentMessage { id: MessageId(u128::MAX), sequence: 1 };
    let refused = RefusedItem {
        index: 1,
        code: ErrorCode::MessageTooLarge,
        retry_after_ms: 0,
        value: u64::MAX,
        limit: 1,
    };
    let received =
        ReceivedMessage { id: MessageId(1 << 64), sent: Timestamp(1), ..ReceivedMessage::default() };
    let counts = MessageCounts { visible: u64::MAX, in_flight: 0, delayed: 1, oldest_sent: None };
    let one = Move {
        number: 0,
        target: Some(queue_name("work")),
        messages_per_second: 500,
        status: MoveStatus::Failed("why".to_owned()),
        moved: 1,
        to_move: 2,
        started: Timestamp(3),
    };
    vec![
        ResponseBody::SentMessages(SentMessages { sent: vec![sent, sent], refused: vec![refused] }),
        ResponseBody::SentMessages(SentMessages { sent: vec![], refused: vec![] }),
        ResponseBody::ReceivedMessages(vec![]),
        ResponseBody::ReceivedMessages(vec![received, received]),
        ResponseBody::SettledMessages(vec![]),
        ResponseBody::SettledMessages(vec![refused]),
        ResponseBody::MessageCounts(counts),
        ResponseBody::MoveList(vec![one.clone(), Move { target: None, status: MoveStatus::Running, ..one }]),
    ]
}

fn queue_responses() -> Vec<ResponseBody> {
    let plain = QueueDescription {
        id: QueueId(3),
        name: queue_name("work"),
        created: Timestamp(1_700_000_000_000),
        modified: Timestamp(u64::MAX),
        settings: QueueSettings::default(),
        lanes: vec![LaneId(0), LaneId(u32::MAX)],
    };
    let name = queue_name("work.fifo");
    let mut settings = QueueSettings::default_of(&name);
    let fifo = QueueDescription { name: name.clone(), settings: settings.clone(), ..plain.clone() };
    let [all, _] = queue_changes();
    all.apply(&mut settings);
    let full = QueueDescription { name, settings, lanes: vec![], ..plain };
    let summary = |text| QueueSummary {
        id: QueueId(u64::MAX),
        name: queue_name(text),
        created: Timestamp(5),
        partitions: 2,
    };
    vec![
        ResponseBody::QueueDescription(plain),
        ResponseBody::QueueDescription(fifo),
        ResponseBody::QueueDescription(full),
        ResponseBody::QueueList { queues: vec![], more: false },
        ResponseBody::QueueList { queues: vec![summary("a"), summary("b.fifo")], more: true },
    ]
}

/// A stream whose open shards divide the keys evenly, and one closed shard.
pub(crate) fn description(open: u32) -> StreamDescription {
    let shard = |(index, range)| ShardDescription {
        index: ShardIndex(index),
        lane: LaneId(index % 2),
        range,
        state: ShardState::Open,
        oldest_sequence: SequenceNumber(10),
        next_sequence: SequenceNumber(u64::MAX),
        bytes: 1 << 40,
        parent: Some(ShardIndex(0)),
        adjacent_parent: None,
    };
    let mut shards: Vec<_> = (1..).zip(HashKeyRange::split_evenly(open)).map(shard).collect();
    let range = HashKeyRange::split_evenly(1)[0];
    shards.push(ShardDescription { state: ShardState::Closed, parent: None, ..shard((0, range)) });
    StreamDescription {
        id: StreamId(8),
        name: name("orders"),
        created: Timestamp(1_700_000_000_000),
        retention_ms: 86_400_000,
        retention_bytes: 0,
        quota: Quota::OFF,
        map_version: 2,
        shards,
        key_compaction: KeyCompaction::On { tombstone_ms: 1 },
        read_calls_per_second: 5,
    }
}

fn numbered<T>(bodies: Vec<T>) -> impl Iterator<Item = (RequestId, T)> {
    let ids = [0, 1, u64::from(u32::MAX), u64::MAX].into_iter().cycle();
    ids.map(RequestId).zip(bodies)
}

/// The message of a request, without its frame.
pub(crate) fn request_message(request: &Request) -> Bytes {
    let mut out = BytesMut::new();
    Encoder::new().request(&mut out, request, 0);
    only_message(out)
}

/// The message of an answer, without its frame.
pub(crate) fn response_message(response: &Response) -> Bytes {
    let mut out = BytesMut::new();
    Encoder::new().response(&mut out, response, 0);
    only_message(out)
}

fn only_message(mut out: BytesMut) -> Bytes {
    let frame = frame::cut(&mut out, FRAME_BYTES_MAX).expect("a valid frame").expect("a whole frame");
    assert!(out.is_empty() && frame.body.is_empty());
    frame.message
}

/// A batch for each layout and codec.
pub(crate) fn batches() -> Vec<Bytes> {
    let mut batches = Vec::new();
    for codec in [Compression::None, Compression::Lz4, Compression::Zstd] {
        for (keys, timestamps) in [(1, false), (1, true), (3, false), (3, true)] {
            let mut builder = BatchBuilder::new();
            for index in 0..9_u64 {
                let key = format!("key-{}", index % keys);
                let time = timestamps.then_some(Timestamp(index));
                builder.push(key.as_bytes(), &[b'a'; 40], time).expect("room");
            }
            batches.push(builder.build(codec).expect("has records"));
        }
    }
    batches
}

/// Sparse batches that are left of these batches, for entries of 100 numbers.
pub(crate) fn sparse_batches() -> Vec<Bytes> {
    let mut sparse = vec![encode_sparse(&[], &[])];
    for batch in batches() {
        sparse.push(encode_sparse(&[0, 1, 2, 3, 4, 5, 6, 7, 99], &batch));
        let view = BatchView::parse(batch).expect("a batch");
        let left = view.select(&[2, 7]).expect("valid data").expect("two records");
        sparse.push(encode_sparse(&[50, 98], &left));
    }
    sparse
}

/// Payloads of both kinds behind the kind and the numbers of their entries, as the fuzz target takes them.
pub(crate) fn numbered_payloads() -> Vec<Vec<u8>> {
    let numbered = |kind: u8, span: u32| {
        move |payload: Bytes| [&[kind], span.to_le_bytes().as_slice(), &payload].concat()
    };
    let full = batches().into_iter().map(numbered(1, 9));
    full.chain(sparse_batches().into_iter().map(numbered(0, 100))).collect()
}

/// An entry around a payload, padded.
pub(crate) fn entry(payload: &[u8], base: u64, record_count: u32) -> Vec<u8> {
    entry_of(EntryKind::Batch, payload, base, record_count)
}

/// As [`entry`], of any kind.
pub(crate) fn entry_of(kind: EntryKind, payload: &[u8], base: u64, record_count: u32) -> Vec<u8> {
    let header = EntryHeader {
        length: (ENTRY_HEADER_BYTES + payload.len()) as u32,
        kind,
        key_id: 0,
        record_count,
        owner: OwnerId(5),
        base_sequence: SequenceNumber(base),
        append_time: Timestamp(1_700_000_000_000),
        segment_epoch: 6,
        durable_before: 4_096,
    };
    let mut bytes = header.encode(payload).to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(stride(bytes.len()), 0);
    bytes
}

/// A run of entries, as the body of a fetch's answer.
pub(crate) fn run() -> Vec<u8> {
    let full = (0..).zip(batches()).flat_map(|(index, batch)| entry(&batch, index * 9, 9));
    let sparse = (10..).zip(sparse_batches());
    full.chain(sparse.flat_map(|(index, batch)| entry_of(EntryKind::Sparse, &batch, index * 100, 100)))
        .collect()
}

/// Frames one behind the other, with and without bodies.
pub(crate) fn frames() -> Vec<u8> {
    let mut out = BytesMut::new();
    let batches = batches();
    for (index, request) in requests().iter().enumerate() {
        let body = batches.get(index).map_or(&[][..], |batch| batch);
        Encoder::new().request(&mut out, request, body.len());
        out.extend_from_slice(body);
    }
    out.to_vec()
}
