//! Golden bytes of a send and a receive, what is refused, and strategies for the round trips of all messages.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::tests::{check_forged_request, decode_forged_response};
use super::super::{DecodeReason, Encoder, Request, RequestBody, Response, ResponseBody};
use super::*;
use crate::generated::tidemill::native as fb;
use crate::limits::{QUEUE_BATCH_MESSAGES_MAX, QUEUE_MOVES_MAX};
use crate::samples::{self, hex};

#[test]
fn a_send_has_the_bytes_of_the_schema() {
    let message = NewMessage { group_bytes: 1, body_bytes: 2, ..NewMessage::default() };
    let send = SendMessages { queue: QueueId(7), messages: vec![message] };
    let request = Request { id: RequestId(9), body: RequestBody::SendMessages(send) };
    let mut out = BytesMut::new();
    Encoder::new().request(&mut out, &request, 3);
    out.extend_from_slice(b"gab");
    assert_eq!(out, hex(SEND));
}

/// Frame lengths; root offset, vtable, table (id, type 21, offset); vtable, table (messages, queue); one message: delay, group 1, deduplication 0, attributes 0, body 2;
/// the parts. Read with a decoder of flatbuffers' binary rules that shares no code with the crate.
const SEND: &str = "5f000000 58000000
    14000000 0000 0000 0000 0a00 1400 0c00 0700 0800 0a000000 000000 15 14000000 0900000000000000
    0800 1400 0800 0400 08000000 10000000 0700000000000000 00000000 01000000
    ffffffff 0100 0000 00000000 02000000 676162";

#[test]
fn a_body_is_cut_into_the_parts_of_its_messages() {
    let whole = NewMessage {
        delay_s: None,
        group_bytes: 1,
        deduplication_bytes: 2,
        attributes_bytes: 3,
        body_bytes: 4,
    };
    let bodies = [whole, NewMessage::default(), NewMessage { body_bytes: 1, ..NewMessage::default() }];
    let parts = NewMessage::split(&bodies, Bytes::from_static(b"gddaaabbbbx")).expect("they fit");
    let first = MessageParts {
        group: Bytes::from_static(b"g"),
        deduplication: Bytes::from_static(b"dd"),
        source: Bytes::new(),
        attributes: Bytes::from_static(b"aaa"),
        body: Bytes::from_static(b"bbbb"),
    };
    let last = MessageParts { body: Bytes::from_static(b"x"), ..MessageParts::default() };
    assert_eq!(parts, [first, MessageParts::default(), last]);
    for body in [&b"gddaaabbbb"[..], b"gddaaabbbbxx"] {
        let error = NewMessage::split(&bodies, Bytes::copy_from_slice(body)).expect_err("it does not fit");
        assert_eq!(error, PartsError { parts: 11, body: body.len() as u64 });
    }
    let received = ReceivedMessage { source_bytes: 2, body_bytes: 1, ..ReceivedMessage::default() };
    let parts = ReceivedMessage::split(&[received], Bytes::from_static(b"qqb")).expect("they fit");
    assert_eq!((parts[0].source.as_ref(), parts[0].body.as_ref()), (&b"qq"[..], &b"b"[..]));
    let most = ReceivedMessage { attributes_bytes: u32::MAX, body_bytes: u32::MAX, ..received };
    ReceivedMessage::split(&[most; 9], Bytes::new()).expect_err("nothing is there");
}

#[test]
fn batches_have_a_bound_in_both_directions() {
    let receipts = vec![MessageReceipt::default(); QUEUE_BATCH_MESSAGES_MAX as usize + 1];
    let delete = DeleteMessages { queue: QueueId(1), receipts };
    let request = Request { id: RequestId(1), body: RequestBody::DeleteMessages(delete) };
    let error = Request::decode(&samples::request_message(&request)).expect_err("it is too long");
    assert!(matches!(error.reason, DecodeReason::Inconsistent(_)), "{error}");
    let received = vec![ReceivedMessage::default(); QUEUE_BATCH_MESSAGES_MAX as usize + 1];
    let response = Response { id: RequestId(1), body: ResponseBody::ReceivedMessages(received) };
    Response::decode(&samples::response_message(&response)).expect_err("it is too long");
    let one = Move {
        number: 1,
        target: None,
        messages_per_second: 0,
        status: MoveStatus::Completed,
        moved: 0,
        to_move: 0,
        started: Timestamp(1),
    };
    let response =
        Response { id: RequestId(1), body: ResponseBody::MoveList(vec![one; QUEUE_MOVES_MAX + 1]) };
    Response::decode(&samples::response_message(&response)).expect_err("it is too long");
}

#[test]
fn what_contradicts_itself_or_is_unknown_is_refused() {
    let sent = decode_forged_response(|b| {
        let refused = Some(b.create_vector(&[fb::RefusedItem::new(0, 0, 1, 0, 64)]));
        let sent = Some(b.create_vector(&[fb::SentMessage::default()]));
        let answer = fb::SentMessages::create(b, &fb::SentMessagesArgs { sent, refused });
        (fb::ResponseBody::SentMessages, answer.as_union_value())
    });
    let refused = sent.expect_err("there is no such message").reason;
    assert!(matches!(refused, DecodeReason::Inconsistent(_)), "{refused}");
    let moves = decode_forged_response(|b| {
        let status = fb::MoveStatus(5);
        let one = fb::Move::create(b, &fb::MoveArgs { status, ..Default::default() });
        let moves = Some(b.create_vector(&[one]));
        (fb::ResponseBody::MoveList, fb::MoveList::create(b, &fb::MoveListArgs { moves }).as_union_value())
    });
    let reason = DecodeReason::UnknownValue { field: "move status", value: 5 };
    assert_eq!(moves.expect_err("it is not known").reason, reason);
    check_forged_request(
        |b| {
            let target = Some(b.create_string("a.b"));
            let start = fb::StartMove::create(b, &fb::StartMoveArgs { target, ..Default::default() });
            (fb::RequestBody::StartMove, start.as_union_value())
        },
        DecodeReason::QueueName(crate::ids::QueueNameError { text: "a.b".to_owned() }),
    );
}

fn any_receipt() -> impl Strategy<Value = MessageReceipt> {
    any::<(u64, u32, u16)>().prop_map(|(sequence, receives, partition)| MessageReceipt {
        sequence,
        receives,
        partition,
    })
}

fn any_new() -> impl Strategy<Value = NewMessage> {
    (prop::option::of(0..u32::MAX), any::<[u16; 2]>(), any::<[u32; 2]>()).prop_map(
        |(delay_s, [group_bytes, deduplication_bytes], [attributes_bytes, body_bytes])| NewMessage {
            delay_s,
            group_bytes,
            deduplication_bytes,
            attributes_bytes,
            body_bytes,
        },
    )
}

fn any_received() -> impl Strategy<Value = ReceivedMessage> {
    (any::<u128>(), any_receipt(), any::<[u64; 2]>(), any::<[u16; 3]>(), any::<[u32; 2]>()).prop_map(
        |(
            id,
            receipt,
            [sent, first],
            [group_bytes, deduplication_bytes, source_bytes],
            [attributes, body],
        )| {
            ReceivedMessage {
                id: MessageId(id),
                receipt,
                sent: Timestamp(sent),
                first_received: Timestamp(first),
                group_bytes,
                deduplication_bytes,
                source_bytes,
                attributes_bytes: attributes,
                body_bytes: body,
            }
        },
    )
}

fn any_refused(count: u32) -> impl Strategy<Value = Vec<RefusedItem>> {
    let code = prop::sample::select(ErrorCode::ALL);
    let one = (0..count, code, any::<u32>(), any::<[u64; 2]>()).prop_map(
        |(index, code, retry_after_ms, [value, limit])| RefusedItem {
            index,
            code,
            retry_after_ms,
            value,
            limit,
        },
    );
    prop::collection::vec(one, 0..5)
}

fn any_name() -> impl Strategy<Value = Option<QueueName>> {
    prop::option::of("[a-z]{1,9}(\\.fifo)?".prop_map(|text| samples::queue_name(&text)))
}

fn any_move() -> impl Strategy<Value = Move> {
    let status = prop_oneof![
        Just(MoveStatus::Running),
        Just(MoveStatus::Cancelling),
        Just(MoveStatus::Cancelled),
        Just(MoveStatus::Completed),
        "\\PC{0,30}".prop_map(MoveStatus::Failed),
    ];
    (any::<[u64; 4]>(), any_name(), any::<u32>(), status).prop_map(
        |([number, moved, to_move, started], target, messages_per_second, status)| Move {
            number,
            target,
            messages_per_second,
            status,
            moved,
            to_move,
            started: Timestamp(started),
        },
    )
}

pub(in crate::message) fn any_request() -> impl Strategy<Value = RequestBody> {
    let queue = || any::<u64>().prop_map(QueueId);
    let visibility = || prop::option::of(any::<u32>());
    prop_oneof![
        (queue(), prop::collection::vec(any_new(), 0..20))
            .prop_map(|(queue, messages)| RequestBody::SendMessages(SendMessages { queue, messages })),
        (queue(), any::<[u32; 2]>(), visibility(), prop::option::of("[!-~]{1,128}")).prop_map(
            |(queue, [messages_max, wait_ms], visibility_s, attempt)| {
                let receive = ReceiveMessages { queue, messages_max, wait_ms, visibility_s, attempt };
                RequestBody::ReceiveMessages(receive)
            }
        ),
        (queue(), prop::collection::vec(any_receipt(), 0..20))
            .prop_map(|(queue, receipts)| RequestBody::DeleteMessages(DeleteMessages { queue, receipts })),
        (queue(), prop::collection::vec((any_receipt(), any::<u32>()), 0..20)).prop_map(
            |(queue, extensions)| RequestBody::ExtendMessages(ExtendMessages { queue, extensions })
        ),
        (queue(), any::<[u32; 2]>(), visibility()).prop_map(
            |(queue, [credit, messages_max], visibility_s)| {
                RequestBody::Consume(Consume { queue, credit, messages_max, visibility_s })
            }
        ),
        any::<(u64, u32)>().prop_map(|(consumer, messages)| {
            RequestBody::MessageCredit(MessageCredit { consumer: RequestId(consumer), messages })
        }),
        queue().prop_map(RequestBody::PurgeQueue),
        queue().prop_map(RequestBody::CountMessages),
        (queue(), any_name(), any::<u32>()).prop_map(|(queue, target, messages_per_second)| {
            RequestBody::StartMove(StartMove { queue, target, messages_per_second })
        }),
        (queue(), any::<u64>()).prop_map(|(queue, number)| RequestBody::CancelMove { queue, number }),
        queue().prop_map(RequestBody::ListMoves),
        (queue(), any_name(), any::<u32>()).prop_map(|(queue, after, limit)| {
            RequestBody::ListDeadLetterSources(ListDeadLetterSources { queue, after, limit })
        }),
    ]
}

pub(in crate::message) fn any_response() -> impl Strategy<Value = ResponseBody> {
    let sent = any::<(u128, u64)>().prop_map(|(id, sequence)| SentMessage { id: MessageId(id), sequence });
    prop_oneof![
        (prop::collection::vec(sent, 9), any_refused(9))
            .prop_map(|(sent, refused)| ResponseBody::SentMessages(SentMessages { sent, refused })),
        prop::collection::vec(any_received(), 0..20).prop_map(ResponseBody::ReceivedMessages),
        any_refused(u32::MAX).prop_map(ResponseBody::SettledMessages),
        (any::<[u64; 3]>(), prop::option::of(any::<u64>())).prop_map(
            |([visible, in_flight, delayed], oldest)| {
                let oldest_sent = oldest.map(Timestamp);
                ResponseBody::MessageCounts(MessageCounts { visible, in_flight, delayed, oldest_sent })
            }
        ),
        prop::collection::vec(any_move(), 0..QUEUE_MOVES_MAX).prop_map(ResponseBody::MoveList),
    ]
}
