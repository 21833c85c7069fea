//! Tests of `message`: round trips of every kind, golden bytes, what newer and hostile peers send.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::frame;
use crate::generated::tidemill::native as fb;
use crate::ids::*;
use crate::limits::{
    FAILURE_TEXT_BYTES_MAX, FRAME_BYTES_MAX, LIST_STREAMS_MAX, PEER_NAME_BYTES_MAX, STREAM_SHARDS_MAX,
};
use crate::routing::HashKey;
use crate::samples::{self, hex};

fn check_request(request: &Request) {
    assert_eq!(Request::decode(&samples::request_message(request)).as_ref(), Ok(request));
}

fn check_response(response: &Response) {
    assert_eq!(Response::decode(&samples::response_message(response)).as_ref(), Ok(response));
}

/// A request as another version or an attacker would build it.
pub(super) fn check_forged_request(
    body: impl FnOnce(&mut Builder) -> (fb::RequestBody, flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>),
    expected: DecodeReason,
) {
    let mut b = Builder::new();
    let (body_type, body) = body(&mut b);
    let root = fb::Request::create(&mut b, &fb::RequestArgs { id: 5, body_type, body: Some(body) });
    b.finish(root, None);
    let expected = DecodeError { id: Some(RequestId(5)), reason: expected };
    assert_eq!(Request::decode(b.finished_data()), Err(expected));
}

/// What an answer is read as that another version or an attacker would build.
pub(super) fn decode_forged_response(
    body: impl FnOnce(&mut Builder) -> (fb::ResponseBody, flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>),
) -> Result<ResponseBody, DecodeError> {
    let mut b = Builder::new();
    let (body_type, body) = body(&mut b);
    let root = fb::Response::create(&mut b, &fb::ResponseArgs { id: 5, body_type, body: Some(body) });
    b.finish(root, None);
    Response::decode(b.finished_data()).map(|response| response.body)
}

fn inconsistent(body: &Result<ResponseBody, DecodeError>) -> bool {
    matches!(body, Err(DecodeError { id: Some(RequestId(5)), reason: DecodeReason::Inconsistent(_) }))
}

#[test]
fn every_kind_of_request_comes_back() {
    samples::requests().iter().for_each(check_request);
}

#[test]
fn every_kind_of_answer_comes_back() {
    samples::responses().iter().for_each(check_response);
}

#[test]
fn append_has_the_bytes_of_the_schema() {
    let append = Append { stream: StreamId(7), shard: Some(ShardIndex(2)), ack: Ack::Written };
    let request = Request { id: RequestId(9), body: RequestBody::Append(append) };
    let mut out = BytesMut::new();
    Encoder::new().request(&mut out, &request, 3);
    out.extend_from_slice(b"abc");
    assert_eq!(out, hex(APPEND));
}

/// Frame lengths; root offset, vtable, table (id, type 8, offset); vtable, table (stream, shard, ack); body. Read with
/// a decoder of flatbuffers' binary rules that shares no code with the crate.
const APPEND: &str = "4f000000 48000000
    14000000 0000 0000 0000 0a00 1600 0c00 0700 0800 0a000000 000000 08 18000000 0900000000000000
    0000 0a00 1400 0c00 0800 0700 0a000000 000000 01 02000000 0700000000000000 616263";

#[test]
fn messages_of_one_encoder_do_not_leak_into_each_other() {
    let mut encoder = Encoder::new();
    let mut out = BytesMut::new();
    for request in samples::requests() {
        encoder.request(&mut out, &request, 0);
    }
    for response in samples::responses() {
        encoder.response(&mut out, &response, 0);
    }
    let mut next = || frame::cut(&mut out, FRAME_BYTES_MAX).expect("valid").expect("whole").message;
    for request in samples::requests() {
        assert_eq!(Request::decode(&next()), Ok(request));
    }
    for response in samples::responses() {
        assert_eq!(Response::decode(&next()), Ok(response));
    }
}

#[test]
fn unknown_request_is_told_with_its_id() {
    check_forged_request(
        |b| (fb::RequestBody(99), fb::Ping::create(b, &fb::PingArgs {}).as_union_value()),
        DecodeReason::UnknownBody(99),
    );
}

#[test]
fn unknown_values_are_told_with_their_field() {
    let args = fb::AppendArgs { stream: 1, shard: 1, ack: fb::Ack(9) };
    check_forged_request(
        |b| (fb::RequestBody::Append, fb::Append::create(b, &args).as_union_value()),
        DecodeReason::UnknownValue { field: "ack", value: 9 },
    );
    let args = fb::FetchArgs { position: fb::Position(4), ..Default::default() };
    check_forged_request(
        |b| (fb::RequestBody::Fetch, fb::Fetch::create(b, &args).as_union_value()),
        DecodeReason::UnknownValue { field: "position", value: 4 },
    );
}

#[test]
fn malformed_name_is_told_with_the_requests_id() {
    check_forged_request(
        |b| {
            let name = Some(b.create_string("a b"));
            let args = fb::DescribeStreamArgs { name };
            (fb::RequestBody::DescribeStream, fb::DescribeStream::create(b, &args).as_union_value())
        },
        DecodeReason::StreamName(StreamNameError::Character { character: ' ', position: 1 }),
    );
}

#[test]
fn refusal_of_a_newer_server_keeps_its_number_text_and_waiting_time() {
    let body = decode_forged_response(|b| {
        let message = Some(b.create_string("too many moons"));
        let args = fb::FailedArgs { code: 777, message, retry_after_ms: 20, value: 3, limit: 2 };
        (fb::ResponseBody::Failed, fb::Failed::create(b, &args).as_union_value())
    });
    let expected = Failure {
        code: ErrorCode::Unrecognized,
        message: "code 777: too many moons".to_owned(),
        retry_after_ms: 20,
        value: 3,
        limit: 2,
    };
    assert!(expected.is_retryable(), "the server says when to come back");
    assert!(!Failure::new(ErrorCode::Unrecognized, "").is_retryable());
    assert_eq!(body, Ok(ResponseBody::Failed(expected)));
}

#[test]
fn subscription_ended_and_placement_by_a_newer_server_are_understood() {
    let ended = decode_forged_response(|b| {
        let args = fb::SubscriptionEndedArgs { code: 778, message: None, next_sequence: 4 };
        (fb::ResponseBody::SubscriptionEnded, fb::SubscriptionEnded::create(b, &args).as_union_value())
    });
    let (code, message, next_sequence) =
        (ErrorCode::Unrecognized, "code 778: ".to_owned(), SequenceNumber(4));
    let expected = SubscriptionEnded { code, message, next_sequence };
    assert_eq!(ended, Ok(ResponseBody::SubscriptionEnded(expected)));
    let routed = forged_routed(Some(&[fb::Placement::new(0, 0, 6, 1, 30, 779)]), Some(&[0]));
    let placement = Placement { shard: ShardIndex(6), records: 1, outcome: Err((code, 30)) };
    let expected = RoutedAppend { placements: vec![placement], placement_of: vec![0] };
    assert_eq!(routed, Ok(ResponseBody::RoutedAppend(expected)));
}

fn forged_routed(
    placements: Option<&[fb::Placement]>,
    placement_of: Option<&[u16]>,
) -> Result<ResponseBody, DecodeError> {
    decode_forged_response(|b| {
        let placements = placements.map(|placements| b.create_vector(placements));
        let placement_of = placement_of.map(|placement_of| b.create_vector(placement_of));
        let args = fb::AppendedArgs { placements, placement_of, ..Default::default() };
        (fb::ResponseBody::Appended, fb::Appended::create(b, &args).as_union_value())
    })
}

#[test]
fn routed_answer_that_contradicts_itself_is_refused() {
    let placement = |records| fb::Placement::new(0, 0, 0, records, 0, 0);
    assert!(forged_routed(Some(&[placement(2)]), Some(&[0, 0])).is_ok());
    assert!(inconsistent(&forged_routed(Some(&[placement(1)]), Some(&[0, 0]))));
    assert!(inconsistent(&forged_routed(Some(&[placement(2)]), Some(&[0, 1]))));
    assert!(inconsistent(&forged_routed(Some(&[placement(1), placement(1)]), Some(&[1, 1]))));
    assert!(inconsistent(&forged_routed(Some(&[placement(1)]), None)));
    assert!(inconsistent(&forged_routed(None, Some(&[]))));
}

#[test]
fn unknown_answers_and_states_are_refused() {
    let unknown = decode_forged_response(|b| {
        (fb::ResponseBody(99), fb::Done::create(b, &fb::DoneArgs {}).as_union_value())
    });
    assert_eq!(unknown.expect_err("unknown").reason, DecodeReason::UnknownBody(99));
    let state = decode_forged_response(|b| {
        let name = Some(b.create_string("a"));
        let key = fb::HashKey::new(0, 0);
        let shard = fb::Shard::new(0, 0, &key, &key, 0, 0, 0, 0, 0, fb::ShardState(2));
        let shards = Some(b.create_vector(&[shard]));
        let quota = Quota::OFF.encode();
        let args = fb::StreamDescriptionArgs { name, shards, quota: Some(&quota), ..Default::default() };
        (fb::ResponseBody::StreamDescription, fb::StreamDescription::create(b, &args).as_union_value())
    });
    let expected = DecodeReason::UnknownValue { field: "shard state", value: 2 };
    assert_eq!(state.expect_err("unknown").reason, expected);
}

#[test]
fn truncated_message_is_corrupt_and_told_in_one_line() {
    for message in samples::requests().iter().map(samples::request_message) {
        for length in 0..message.len() {
            // A message may survive the loss of its last padding.
            if let Err(error) = Request::decode(&message[..length]) {
                assert!(error.id.is_none() && matches!(error.reason, DecodeReason::Corrupt(_)), "{error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    assert!(Request::decode(&[]).is_err() && Response::decode(&[0; 3]).is_err());
}

#[test]
fn list_that_repeats_one_stream_without_end_is_refused() {
    let decoded = |streams: usize| {
        decode_forged_response(|b| {
            let name = Some(b.create_string("a"));
            let one = fb::StreamSummary::create(b, &fb::StreamSummaryArgs { name, ..Default::default() });
            let streams = Some(b.create_vector(&vec![one; streams]));
            let list = fb::StreamList::create(b, &fb::StreamListArgs { streams, more: false });
            (fb::ResponseBody::StreamList, list.as_union_value())
        })
    };
    assert!(decoded(LIST_STREAMS_MAX as usize).is_ok());
    let error = decoded(MESSAGE_TABLES_MAX).expect_err("more tables than the verifier visits");
    assert!(matches!(error.reason, DecodeReason::Corrupt(_)), "{error}");
}

#[test]
fn long_texts_are_cut_between_characters_by_both_sides() {
    let long = "ü".repeat(5_000);
    let failure = Failure::new(ErrorCode::Internal, format!("x{long}"));
    let message =
        samples::response_message(&Response { id: RequestId(1), body: ResponseBody::Failed(failure) });
    assert!(message.len() < FAILURE_TEXT_BYTES_MAX + 100);
    let body = Response::decode(&message).expect("valid").body;
    let ResponseBody::Failed(failure) = body else { panic!("{body:?}") };
    assert_eq!(failure.message.len(), FAILURE_TEXT_BYTES_MAX - 1);
    let welcome = decode_forged_response(|b| {
        let server = Some(b.create_string(&long));
        let args = fb::WelcomeArgs { server, ..Default::default() };
        (fb::ResponseBody::Welcome, fb::Welcome::create(b, &args).as_union_value())
    });
    let Ok(ResponseBody::Welcome(welcome)) = welcome else { panic!("{welcome:?}") };
    assert_eq!(welcome.server.len(), PEER_NAME_BYTES_MAX);
}

#[test]
fn largest_answers_fit_a_message() {
    let mut description = samples::description(STREAM_SHARDS_MAX - 1);
    description.name = samples::name(&"n".repeat(128));
    let summary = StreamSummary {
        id: StreamId(u64::MAX),
        name: description.name.clone(),
        created: Timestamp(u64::MAX),
        shards: u32::MAX,
        retention_ms: u64::MAX,
    };
    let part = |shard: u32| Placement {
        shard: ShardIndex(shard),
        records: 16,
        outcome: Err((ErrorCode::WriteThrottled, 1)),
    };
    let placement_of = (0..1 << 16).map(|record: u32| (record % STREAM_SHARDS_MAX) as u16).collect();
    let placements = (0..STREAM_SHARDS_MAX).map(part).collect();
    for body in [
        ResponseBody::StreamDescription(description),
        ResponseBody::StreamList { streams: vec![summary; LIST_STREAMS_MAX as usize], more: true },
        ResponseBody::RoutedAppend(RoutedAppend { placements, placement_of }),
    ] {
        check_response(&Response { id: RequestId(u64::MAX), body });
    }
}

#[test]
fn waiting_time_is_rounded_up_and_bounded() {
    let check = |wait, expected| {
        assert_eq!(Failure::new(ErrorCode::Overloaded, "").with_retry_after(wait).retry_after_ms, expected);
    };
    check(std::time::Duration::ZERO, 0);
    check(std::time::Duration::from_nanos(1), 1);
    check(std::time::Duration::from_millis(7), 7);
    check(std::time::Duration::MAX, u32::MAX);
}

#[test]
fn codes_are_in_order_and_found_by_their_numbers() {
    assert!(ErrorCode::ALL.windows(2).all(|pair| (pair[0] as u16) < pair[1] as u16));
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_number(*code as u16), Some(*code));
        assert!(!code.meaning().is_empty() && !code.meaning().contains("  "), "{}", code.meaning());
    }
    assert_eq!(ErrorCode::from_number(0), None);
    assert_eq!(ErrorCode::of(60_000), ErrorCode::Unrecognized);
}

#[test]
fn documented_error_codes_are_those_of_the_code() {
    let page = include_str!("../../../../docs/protocol/native.md");
    let rows = ErrorCode::ALL.iter().map(|code| {
        let retry = if code.is_retryable() { "yes" } else { "no" };
        format!("| {} | `{code}` | {retry} | {} |\n", *code as u16, code.meaning())
    });
    let expected: String = rows.collect();
    let found = page.split_once("<!-- error codes -->").and_then(|(_, rest)| rest.split_once("<!-- end -->"));
    let found = found.map_or("", |(table, _)| table).trim_start();
    let table = format!("| number | word | retry | meaning |\n|---|---|---|---|\n{expected}");
    assert_eq!(found, table, "docs/protocol/native.md has to hold this table:\n{table}");
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let quota = any::<[u64; 3]>().prop_map(|[write, records, read]| Quota {
        write_bytes_per_second: write,
        write_records_per_second: records,
        read_bytes_per_second: read,
    });
    (any::<Option<u64>>(), any::<Option<u64>>(), prop::option::of(quota)).prop_map(
        |(retention_ms, retention_bytes, quota)| Settings {
            retention_ms,
            retention_bytes,
            quota,
            key_compaction: retention_ms.map(|tombstone_ms| KeyCompaction::On { tombstone_ms }),
            read_calls_per_second: retention_bytes.map(|bytes| bytes / 3),
        },
    )
}

fn any_position() -> impl Strategy<Value = Position> {
    prop_oneof![
        any::<u64>().prop_map(|at| Position::Sequence(SequenceNumber(at))),
        any::<u64>().prop_map(|at| Position::Timestamp(Timestamp(at))),
        Just(Position::Oldest),
        Just(Position::Newest),
    ]
}

fn any_request() -> impl Strategy<Value = RequestBody> {
    let name = || "[a-zA-Z0-9_.-]{1,128}".prop_map(|text| samples::name(&text));
    let id = any::<u64>().prop_map(RequestId);
    let shard =
        (any::<u64>(), any::<u32>()).prop_map(|(stream, shard)| (StreamId(stream), ShardIndex(shard)));
    let ack = prop_oneof![Just(Ack::Durable), Just(Ack::Written)];
    let target = prop::option::of((0..u32::MAX).prop_map(ShardIndex));
    prop_oneof![
        ("\\PC{0,60}", any::<u16>(), any::<u16>()).prop_map(|(client, version_min, version_max)| {
            RequestBody::Hello(Hello { version_min, version_max, client })
        }),
        (name(), any::<u32>(), any_settings()).prop_map(|(name, shards, settings)| {
            RequestBody::CreateStream(CreateStream { name, shards, settings })
        }),
        (prop::option::of(name()), any::<u32>())
            .prop_map(|(after, limit)| RequestBody::ListStreams(ListStreams { after, limit })),
        (name(), any_settings())
            .prop_map(|(name, settings)| RequestBody::UpdateStream(UpdateStream { name, settings })),
        name().prop_map(RequestBody::DescribeStream),
        name().prop_map(RequestBody::DeleteStream),
        (name(), any::<u32>(), any::<u128>()).prop_map(|(name, shard, at)| {
            RequestBody::SplitShard(SplitShard { name, shard: ShardIndex(shard), at: HashKey(at) })
        }),
        (name(), any::<u32>(), any::<u32>()).prop_map(|(name, shard, adjacent)| {
            let (shard, adjacent) = (ShardIndex(shard), ShardIndex(adjacent));
            RequestBody::MergeShards(MergeShards { name, shard, adjacent })
        }),
        (name(), any::<u32>())
            .prop_map(|(name, shards)| RequestBody::ScaleStream(ScaleStream { name, shards })),
        (any::<u64>(), target, ack).prop_map(|(stream, shard, ack)| {
            RequestBody::Append(Append { stream: StreamId(stream), shard, ack })
        }),
        (shard.clone(), any_position(), any::<u32>(), any::<u32>()).prop_map(
            |((stream, shard), position, bytes_max, wait_ms)| {
                RequestBody::Fetch(Fetch { stream, shard, position, bytes_max, wait_ms })
            }
        ),
        (shard, any_position(), any::<u64>()).prop_map(|((stream, shard), position, credit_bytes)| {
            RequestBody::Subscribe(Subscribe { stream, shard, position, credit_bytes })
        }),
        (id.clone(), any::<u64>())
            .prop_map(|(subscription, bytes)| RequestBody::Credit { subscription, bytes }),
        id.prop_map(|subscription| RequestBody::Unsubscribe { subscription }),
        crate::message::queue::tests::any_request(),
        crate::message::messages::tests::any_request(),
    ]
}

fn any_response() -> impl Strategy<Value = ResponseBody> {
    let number = any::<u64>;
    let code = prop::sample::select(ErrorCode::ALL);
    prop_oneof![
        (any::<[u64; 4]>(), any::<bool>()).prop_map(|([from, next, oldest, end], closed)| {
            ResponseBody::Fetched(Fetched {
                from_sequence: SequenceNumber(from),
                next_sequence: SequenceNumber(next),
                oldest_sequence: SequenceNumber(oldest),
                end_sequence: SequenceNumber(end),
                closed,
            })
        }),
        (any::<u32>(), number(), number()).prop_map(|(shard, base, time)| {
            ResponseBody::Appended(Appended {
                shard: ShardIndex(shard),
                base_sequence: SequenceNumber(base),
                append_time: Timestamp(time),
            })
        }),
        (code, "\\PC{0,90}", any::<u32>(), number(), number()).prop_map(
            |(code, message, retry_after_ms, value, limit)| {
                ResponseBody::Failed(Failure { code, message, retry_after_ms, value, limit })
            }
        ),
        crate::message::queue::tests::any_response(),
        crate::message::messages::tests::any_response(),
        (1_u32..40).prop_map(|open| ResponseBody::StreamDescription(samples::description(open))),
        prop::collection::vec(any::<(u32, u16)>(), 0..70).prop_map(|lanes| {
            ResponseBody::Welcome(Welcome {
                version: 1,
                server: String::new(),
                node: 1,
                core: 2,
                frame_bytes_max: 3,
                in_flight_max: 4,
                lanes: lanes.into_iter().map(|(lane, port)| (LaneId(lane), port)).collect(),
            })
        }),
    ]
}

proptest! {
    #[test]
    fn requests_come_back(id: u64, body in any_request()) {
        check_request(&Request { id: RequestId(id), body });
    }

    #[test]
    fn answers_come_back(id: u64, body in any_response()) {
        check_response(&Response { id: RequestId(id), body });
    }

    #[test]
    fn arbitrary_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _request = Request::decode(&bytes);
        let _response = Response::decode(&bytes);
    }
}
