//! Messages of queues by the native protocol: sent, received, deleted, hidden for longer, pushed, counted, moved; and what an SQS client sees of them.

use bytes::Bytes;
use tidemill_wire::attributes::{
    MessageAttribute, MessageAttributeValue, decode_attributes, encode_attributes,
};
use tidemill_wire::limits::{FRAME_BYTES_MAX, QUEUE_BATCH_MESSAGES_MAX};
use tidemill_wire::message::{
    Consume, CreateQueue, DeleteMessages, ErrorCode, ExtendMessages, ListDeadLetterSources, MessageCounts,
    MessageCredit, MessageParts, MessageReceipt, Move, MoveStatus, NewMessage, QueueChange, ReceiveMessages,
    ReceivedMessage, Redrive, RefusedItem, RequestBody, ResponseBody, SendMessages, SentMessages, StartMove,
};
use tidemill_wire::{QueueId, QueueName, RequestId};

use crate::client::Client;
use crate::fixture::{Fixture, cores};

/// A message that is to be sent: its group, its deduplication id and its body.
type Draft<'d> = (&'d str, &'d str, &'d [u8]);
/// A message that came, and its parts.
type Came = (ReceivedMessage, MessageParts);

fn name(text: &str) -> QueueName {
    QueueName::new(text).expect("tests use valid names")
}

fn create(client: &mut Client, text: &str, settings: QueueChange) -> QueueId {
    match client.ask(RequestBody::CreateQueue(CreateQueue { name: name(text), settings })) {
        ResponseBody::QueueDescription(queue) => queue.id,
        other => panic!("not created: {other:?}"),
    }
}

fn send(client: &mut Client, queue: QueueId, drafts: &[Draft<'_>]) -> SentMessages {
    let head = |(group, deduplication, body): &Draft<'_>| NewMessage {
        group_bytes: group.len() as u16,
        deduplication_bytes: deduplication.len() as u16,
        body_bytes: body.len() as u32,
        ..NewMessage::default()
    };
    let bytes: Vec<u8> = drafts
        .iter()
        .flat_map(|(group, id, body)| [group.as_bytes(), id.as_bytes(), *body].concat())
        .collect();
    let messages = drafts.iter().map(head).collect();
    sent(client, SendMessages { queue, messages }, &bytes)
}

fn sent(client: &mut Client, asked: SendMessages, bytes: &[u8]) -> SentMessages {
    let count = asked.messages.len();
    match client.ask_with(RequestBody::SendMessages(asked), bytes).0 {
        ResponseBody::SentMessages(sent) => {
            assert_eq!(sent.sent.len(), count);
            sent
        }
        other => panic!("not sent: {other:?}"),
    }
}

fn bodies(client: &mut Client, queue: QueueId, words: &[&str]) {
    let drafts: Vec<Draft<'_>> = words.iter().map(|word| ("", "", word.as_bytes())).collect();
    assert_eq!(send(client, queue, &drafts).refused, []);
}

fn asking(queue: QueueId, messages_max: u32, wait_ms: u32, visibility_s: Option<u32>) -> RequestBody {
    RequestBody::ReceiveMessages(ReceiveMessages {
        queue,
        messages_max,
        wait_ms,
        visibility_s,
        attempt: None,
    })
}

fn came(answer: ResponseBody, body: Bytes) -> Vec<Came> {
    match answer {
        ResponseBody::ReceivedMessages(heads) => {
            let parts = ReceivedMessage::split(&heads, body).expect("the parts are there");
            heads.into_iter().zip(parts).collect()
        }
        other => panic!("nothing received: {other:?}"),
    }
}

fn receive(client: &mut Client, queue: QueueId, max: u32) -> Vec<Came> {
    let (answer, body) = client.ask_with(asking(queue, max, 0, None), &[]);
    came(answer, body)
}

/// As many as are wanted, in however many receives; none is asked for twice.
fn receive_all(client: &mut Client, queue: QueueId, wanted: usize) -> Vec<Came> {
    let mut all = Vec::new();
    while all.len() < wanted {
        let (answer, body) = client.ask_with(asking(queue, 10, 10_000, None), &[]);
        let some = came(answer, body);
        assert!(!some.is_empty(), "{} of {wanted} messages came", all.len());
        all.extend(some);
    }
    all
}

fn pushed(client: &mut Client, id: RequestId) -> Vec<Came> {
    let (response, body) = client.receive();
    assert_eq!(response.id, id, "{response:?}");
    came(response.body, body)
}

fn words(came: &[Came]) -> Vec<String> {
    came.iter().map(|(_, parts)| String::from_utf8_lossy(&parts.body).into_owned()).collect()
}

fn receipts(came: &[Came]) -> Vec<MessageReceipt> {
    came.iter().map(|(head, _)| head.receipt).collect()
}

fn settled(answer: ResponseBody) -> Vec<RefusedItem> {
    match answer {
        ResponseBody::SettledMessages(refused) => refused,
        other => panic!("not settled: {other:?}"),
    }
}

fn delete(client: &mut Client, queue: QueueId, receipts: Vec<MessageReceipt>) -> Vec<RefusedItem> {
    settled(client.ask(RequestBody::DeleteMessages(DeleteMessages { queue, receipts })))
}

fn extend(client: &mut Client, queue: QueueId, came: &[Came], seconds: u32) -> Vec<RefusedItem> {
    let extensions = receipts(came).into_iter().map(|receipt| (receipt, seconds)).collect();
    settled(client.ask(RequestBody::ExtendMessages(ExtendMessages { queue, extensions })))
}

fn count(client: &mut Client, queue: QueueId) -> (u64, u64, u64) {
    let MessageCounts { visible, in_flight, delayed, .. } = counts(client, queue);
    (visible, in_flight, delayed)
}

fn counts(client: &mut Client, queue: QueueId) -> MessageCounts {
    match client.ask(RequestBody::CountMessages(queue)) {
        ResponseBody::MessageCounts(counts) => counts,
        other => panic!("not counted: {other:?}"),
    }
}

fn moves(client: &mut Client, asked: RequestBody) -> Vec<Move> {
    match client.ask(asked) {
        ResponseBody::MoveList(moves) => moves,
        other => panic!("no moves: {other:?}"),
    }
}

fn ended(client: &mut Client, id: RequestId) -> ErrorCode {
    let (response, _) = client.receive();
    assert_eq!(response.id, id);
    match response.body {
        ResponseBody::SubscriptionEnded(ended) => ended.code,
        other => panic!("not ended: {other:?}"),
    }
}

#[test]
fn messages_go_in_and_out_on_every_core_and_survive_a_restart() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let queue = create(&mut client, "work", QueueChange::default());
    for core in 0..cores() as usize {
        let mut sender = server.client_of_core(core);
        let mut receiver = server.client_of_core((core + 1) % cores() as usize);
        bodies(&mut sender, queue, &["a", "", "c"]);
        let got = receive_all(&mut receiver, queue, 3);
        assert_eq!(words(&got), ["a", "", "c"]);
        let (head, _) = got[0];
        assert!(head.first_received >= head.sent && head.receipt.receives == 1);
        assert_eq!(count(&mut client, queue), (0, 3, 0));
        assert_eq!(delete(&mut sender, queue, receipts(&got)), []);
        assert_eq!(delete(&mut sender, queue, receipts(&got)), [], "it is gone, which is what was wanted");
        assert_eq!(counts(&mut client, queue), MessageCounts::default());
    }
    bodies(&mut client, queue, &["kept", "hidden"]);
    let got = receive(&mut client, queue, 1);
    assert_eq!(count(&mut client, queue), (1, 1, 0));
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(count(&mut client, queue), (1, 1, 0), "hidden is hidden");
    assert_eq!(delete(&mut client, queue, receipts(&got)), [], "a receipt is as good as before");
    assert_eq!(words(&receive_all(&mut client, queue, 1)), ["hidden"]);
}

#[test]
fn hidden_messages_come_back_when_they_are_told_to() {
    let server = Fixture::start();
    let mut client = server.client();
    let queue = create(&mut client, "work", QueueChange::default());
    bodies(&mut client, queue, &["a"]);
    let first = receive(&mut client, queue, 10);
    assert_eq!(receive(&mut client, queue, 10), []);
    assert_eq!(extend(&mut client, queue, &first, 600), []);
    assert_eq!(receive(&mut client, queue, 10), []);
    assert_eq!(extend(&mut client, queue, &first, 0), []);
    let second = receive_all(&mut client, queue, 1);
    assert_eq!((second[0].0.receipt.receives, second[0].0.id), (2, first[0].0.id));
    let refused = extend(&mut client, queue, &first, 1);
    assert_eq!((refused[0].index, refused[0].code), (0, ErrorCode::NotInFlight));
    assert_eq!(delete(&mut client, queue, receipts(&second)), []);
    let never = MessageReceipt { sequence: 99, ..second[0].0.receipt };
    let elsewhere = MessageReceipt { partition: 9, ..never };
    let refused = delete(&mut client, queue, vec![second[0].0.receipt, never, elsewhere]);
    let found: Vec<_> = refused.iter().map(|refused| (refused.index, refused.code)).collect();
    assert_eq!(found, [(1, ErrorCode::InvalidReceipt), (2, ErrorCode::InvalidReceipt)]);
    let longest = ExtendMessages { queue, extensions: vec![(never, 43_201)] };
    let failure = client.ask_refused(RequestBody::ExtendMessages(longest));
    assert_eq!((failure.value, failure.limit), (43_201, 43_200));
}

#[test]
fn one_request_deletes_at_every_partition_and_none_is_forgotten() {
    let server = Fixture::start();
    let (mut client, mut other) = (server.client_of_core(0), server.client_of_core(1));
    let queue = create(&mut client, "work", QueueChange::default());
    let near: Vec<&str> = vec!["near"; 70];
    bodies(&mut client, queue, &near);
    bodies(&mut other, queue, &["far"]);
    let mut got = Vec::new();
    for _ in 0..64 {
        got.extend(receive(&mut client, queue, 1));
    }
    assert_eq!(got.len(), 64);
    assert!(words(&got).contains(&"far".to_owned()), "what others hold is looked at, however much is near");
    let partitions: std::collections::BTreeSet<u16> =
        got.iter().map(|(head, _)| head.receipt.partition).collect();
    assert_eq!(partitions.len(), 2);
    assert_eq!(extend(&mut client, queue, &got, 600), []);
    assert_eq!(delete(&mut client, queue, receipts(&got)), []);
    assert_eq!(count(&mut client, queue), (7, 0, 0));
}

#[test]
fn a_receive_waits_for_what_is_sent_and_ends_without_it() {
    let server = Fixture::start();
    let (mut client, mut other) = (server.client_of_core(0), server.client_of_core(1));
    let queue = create(&mut client, "work", QueueChange::default());
    let waiting = client.send(asking(queue, 10, 15_000, None));
    bodies(&mut other, queue, &["at last"]);
    assert_eq!(words(&pushed(&mut client, waiting)), ["at last"]);
    let (answer, body) = client.ask_with(asking(queue, 10, 20, None), &[]);
    assert_eq!(came(answer, body), []);
}

#[test]
fn fifo_queues_keep_order_and_send_once() {
    let server = Fixture::start();
    let mut client = server.client();
    let settings = QueueChange { content_deduplication: Some(true), ..QueueChange::default() };
    let queue = create(&mut client, "orders.fifo", settings);
    let drafts: [Draft<'_>; 5] =
        [("g", "1", b"a"), ("g", "1", b"again"), ("h", "", b"b"), ("h", "", b"b"), ("g", "2", b"c")];
    let outcome = send(&mut client, queue, &drafts);
    assert_eq!(outcome.refused, []);
    assert_eq!((outcome.sent[0], outcome.sent[2]), (outcome.sent[1], outcome.sent[3]));
    let got = receive_all(&mut client, queue, 3);
    let found: Vec<_> = got.iter().map(|(_, parts)| (parts.group.as_ref(), parts.body.as_ref())).collect();
    assert_eq!(found, [(&b"g"[..], &b"a"[..]), (b"g", b"c"), (b"h", b"b")]);
    assert_eq!((got[0].1.deduplication.as_ref(), got[2].1.deduplication.len()), (&b"1"[..], 64));
    let refused =
        send(&mut client, queue, &[("", "3", b"x"), ("i", "3", b"y"), ("not printable ", "4", b"z")]);
    let found: Vec<_> = refused.refused.iter().map(|refused| (refused.index, refused.code)).collect();
    assert_eq!(found, [(0, ErrorCode::InvalidRequest), (2, ErrorCode::InvalidRequest)]);
}

#[test]
fn an_attempt_that_is_made_again_gets_the_same_messages_also_after_a_restart() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let settings = QueueChange { content_deduplication: Some(true), ..QueueChange::default() };
    let (queue, standard) =
        (create(&mut client, "orders.fifo", settings), create(&mut client, "work", QueueChange::default()));
    let by = |queue, attempt: &str| {
        let (visibility_s, attempt) = (Some(600), Some(attempt.to_owned()));
        RequestBody::ReceiveMessages(ReceiveMessages {
            queue,
            messages_max: 2,
            wait_ms: 0,
            visibility_s,
            attempt,
        })
    };
    let receive_by = |client: &mut Client, attempt: &str| {
        let (answer, body) = client.ask_with(by(queue, attempt), &[]);
        came(answer, body)
    };
    send(&mut client, queue, &[("g", "", b"a"), ("g", "", b"b"), ("g", "", b"c")]);
    let first = receive_by(&mut client, "one");
    assert_eq!(words(&first), ["a", "b"]);
    assert_eq!(receive_by(&mut client, "one"), first);
    assert_eq!(receive_by(&mut client, "two"), [], "the group has messages in flight");
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(receive_by(&mut client, "one"), first);
    assert_eq!(delete(&mut client, queue, receipts(&first)), []);
    assert_eq!(words(&receive_by(&mut client, "one")), ["c"], "the next ones, for those are done with");
    for (queue, attempt) in [(standard, "one"), (queue, ""), (queue, "a b"), (queue, &*"x".repeat(129))] {
        match client.ask(by(queue, attempt)) {
            ResponseBody::Failed(failure) => assert_eq!(failure.code, ErrorCode::InvalidRequest),
            other => panic!("not refused: {other:?}"),
        }
    }
}

#[test]
fn what_a_queue_does_not_take_is_told_one_by_one() {
    let server = Fixture::start();
    let mut client = server.client();
    let settings = QueueChange { message_bytes_max: Some(1_024), ..QueueChange::default() };
    let queue = create(&mut client, "small", settings);
    let outcome = send(
        &mut client,
        queue,
        &[("", "", &[7; 1_025]), ("", "", &[8; 1_024]), ("", "for fifo", b"x"), ("g", "", b"")],
    );
    let found: Vec<_> =
        outcome.refused.iter().map(|one| (one.index, one.code, one.value, one.limit)).collect();
    let expected = [(0, ErrorCode::MessageTooLarge, 1_025, 1_024), (2, ErrorCode::InvalidRequest, 0, 0)];
    assert_eq!(found, expected);
    let late = NewMessage { delay_s: Some(901), ..NewMessage::default() };
    let outcome = sent(&mut client, SendMessages { queue, messages: vec![late] }, &[]);
    assert_eq!((outcome.refused[0].value, outcome.refused[0].limit), (901, 900));
    let delayed = NewMessage { delay_s: Some(900), ..NewMessage::default() };
    assert_eq!(sent(&mut client, SendMessages { queue, messages: vec![delayed] }, &[]).refused, []);
    assert_eq!(receive_all(&mut client, queue, 2).len(), 2);
    assert_eq!(receive(&mut client, queue, 1), [], "it is not due");
    assert_eq!(count(&mut client, queue), (0, 2, 1));
    let one = NewMessage { body_bytes: 2, ..NewMessage::default() };
    let asked = RequestBody::SendMessages(SendMessages { queue, messages: vec![one] });
    let ResponseBody::Failed(failure) = client.ask_with(asked, b"xyz").0 else {
        panic!("the parts are short")
    };
    assert_eq!((failure.code, failure.value, failure.limit), (ErrorCode::InvalidBatch, 2, 3));
    let refused = |client: &mut Client, asked| client.ask_refused(asked).code;
    let nothing = SendMessages { queue, messages: vec![] };
    assert_eq!(refused(&mut client, RequestBody::SendMessages(nothing)), ErrorCode::InvalidRequest);
    assert_eq!(refused(&mut client, asking(queue, 0, 0, None)), ErrorCode::InvalidRequest);
    let over = QUEUE_BATCH_MESSAGES_MAX + 1;
    assert_eq!(refused(&mut client, asking(queue, over, 0, None)), ErrorCode::InvalidRequest);
    assert_eq!(refused(&mut client, asking(queue, 1, 0, Some(43_201))), ErrorCode::InvalidRequest);
    let unknown = QueueId(queue.0 + 77);
    assert_eq!(refused(&mut client, asking(unknown, 1, 0, None)), ErrorCode::UnknownQueue);
    assert_eq!(refused(&mut client, RequestBody::PurgeQueue(unknown)), ErrorCode::UnknownQueue);
    assert_eq!(refused(&mut client, RequestBody::CountMessages(unknown)), ErrorCode::UnknownQueue);
    let nowhere = SendMessages { queue: unknown, messages: vec![NewMessage::default()] };
    assert_eq!(refused(&mut client, RequestBody::SendMessages(nowhere)), ErrorCode::UnknownQueue);
    let refused = delete(&mut client, unknown, vec![MessageReceipt::default()]);
    assert_eq!(refused[0].code, ErrorCode::UnknownQueue);
    assert_eq!(client.ask(RequestBody::PurgeQueue(queue)), ResponseBody::Done);
    assert_eq!(count(&mut client, queue), (0, 0, 0));
}

#[test]
fn attributes_come_out_as_they_went_in() {
    let server = Fixture::start();
    let mut client = server.client();
    let queue = create(&mut client, "work", QueueChange::default());
    let attribute = |name: &str, data_type: &str, value| MessageAttribute {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        value,
    };
    let attributes = [
        attribute("kind", "String", MessageAttributeValue::Text("x".to_owned())),
        attribute("raw", "Binary.png", MessageAttributeValue::Binary(Bytes::from_static(&[0, 255]))),
    ];
    let bytes = encode_attributes(&attributes).expect("they are allowed");
    let head = NewMessage { attributes_bytes: bytes.len() as u32, body_bytes: 4, ..NewMessage::default() };
    let whole = [bytes.as_ref(), b"body"].concat();
    assert_eq!(sent(&mut client, SendMessages { queue, messages: vec![head] }, &whole).refused, []);
    let got = receive_all(&mut client, queue, 1);
    assert_eq!(decode_attributes(got[0].1.attributes.clone()), Ok(attributes.to_vec()));
    assert_eq!(got[0].1.body, "body");
    let cut = NewMessage { attributes_bytes: 3, ..NewMessage::default() };
    let outcome = sent(&mut client, SendMessages { queue, messages: vec![cut] }, &whole[..3]);
    assert_eq!(outcome.refused[0].code, ErrorCode::InvalidRequest);
}

#[test]
fn many_small_messages_come_at_once_and_large_ones_within_a_frame() {
    let server = Fixture::start();
    let mut client = server.client_of_core(0);
    let queue = create(&mut client, "work", QueueChange::default());
    let all: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    let refs: Vec<&str> = all.iter().map(String::as_str).collect();
    bodies(&mut client, queue, &refs);
    let mut got = Vec::new();
    let mut receives = 0;
    while got.len() < all.len() {
        got.extend(receive(&mut client, queue, QUEUE_BATCH_MESSAGES_MAX));
        receives += 1;
        assert!(receives <= all.len(), "{} messages came", got.len());
    }
    assert!(receives < all.len() / 10, "{receives} receives");
    assert_eq!(words(&got), all);
    // What is back may be of any size, so no more than a few come together.
    assert_eq!(extend(&mut client, queue, &got, 0), []);
    assert_eq!(receive(&mut client, queue, 100).len(), 10);
    assert_eq!(client.ask(RequestBody::PurgeQueue(queue)), ResponseBody::Done);
    let large = vec![7_u8; 512 << 10];
    for _ in 0..12 {
        assert_eq!(send(&mut client, queue, &[("", "", &large)]).refused, []);
    }
    let mut found = 0;
    while found < 12 {
        let (answer, body) = client.ask_with(asking(queue, 1_000, 10_000, None), &[]);
        assert!(body.len() < FRAME_BYTES_MAX as usize);
        let some = came(answer, body);
        assert!(!some.is_empty());
        found += some.len();
    }
}

#[test]
fn messages_are_pushed_as_far_as_there_is_credit() {
    let server = Fixture::start();
    let (mut client, mut consumer) = (server.client_of_core(0), server.client_of_core(1));
    let queue = create(&mut client, "work", QueueChange::default());
    bodies(&mut client, queue, &["a", "b"]);
    let asked = Consume { queue, credit: 0, messages_max: 2, visibility_s: Some(600) };
    let id = consumer.send(RequestBody::Consume(asked));
    assert_eq!(consumer.ask(RequestBody::Ping), ResponseBody::Done, "nothing comes without credit");
    let mut got = Vec::new();
    consumer.send(RequestBody::MessageCredit(MessageCredit { consumer: id, messages: 3 }));
    while got.len() < 2 {
        got.extend(pushed(&mut consumer, id));
    }
    bodies(&mut client, queue, &["c", "d", "e"]);
    got.extend(pushed(&mut consumer, id));
    assert_eq!(got.len(), 3, "the credit is used up");
    assert_eq!(consumer.ask(RequestBody::Ping), ResponseBody::Done);
    assert_eq!(count(&mut client, queue), (2, 3, 0));
    assert_eq!(delete(&mut consumer, queue, receipts(&got)), []);
    // Credit in bytes is for those who read streams.
    consumer.send(RequestBody::Credit { subscription: id, bytes: 100 });
    assert_eq!(consumer.ask(RequestBody::Ping), ResponseBody::Done);
    consumer.send(RequestBody::MessageCredit(MessageCredit { consumer: id, messages: 100 }));
    let mut rest = Vec::new();
    while rest.len() < 2 {
        let some = pushed(&mut consumer, id);
        assert!(some.len() <= 2, "no more than was asked for at once");
        rest.extend(some);
    }
    let mut all = words(&[got, rest].concat());
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c", "d", "e"]);
    consumer.send(RequestBody::Unsubscribe { subscription: id });
    assert_eq!(ended(&mut consumer, id), ErrorCode::Unsubscribed);
    bodies(&mut client, queue, &["f"]);
    assert_eq!(consumer.ask(RequestBody::Ping), ResponseBody::Done, "nobody consumes any more");
    assert_eq!(words(&receive_all(&mut client, queue, 1)), ["f"]);
    let unknown = Consume { queue: QueueId(queue.0 + 9), credit: 1, ..asked };
    let id = consumer.send(RequestBody::Consume(unknown));
    assert_eq!(ended(&mut consumer, id), ErrorCode::UnknownQueue);
    let id = consumer.send(RequestBody::Consume(Consume { credit: 1, ..asked }));
    client.ask(RequestBody::DeleteQueue(name("work")));
    assert_eq!(ended(&mut consumer, id), ErrorCode::UnknownQueue, "the queue was deleted");
}

#[test]
fn dead_letters_are_moved_back_whichever_core_is_asked() {
    let server = Fixture::start();
    let mut client = server.client_of_core(0);
    let dead = create(&mut client, "dead", QueueChange::default());
    let redrive = Some(Some(Redrive { target: name("dead"), receives_max: 1 }));
    let work = create(&mut client, "work", QueueChange { redrive, ..QueueChange::default() });
    let start = |queue, target: Option<&str>, messages_per_second| {
        RequestBody::StartMove(StartMove { queue, target: target.map(name), messages_per_second })
    };
    assert_eq!(client.ask_refused(start(work, None, 0)).code, ErrorCode::InvalidRequest);
    assert_eq!(client.ask_refused(start(dead, Some("dead"), 0)).code, ErrorCode::InvalidRequest);
    assert_eq!(client.ask_refused(start(dead, Some("none"), 0)).code, ErrorCode::UnknownQueue);
    let asked = ListDeadLetterSources { queue: dead, after: None, limit: 0 };
    match client.ask(RequestBody::ListDeadLetterSources(asked)) {
        ResponseBody::QueueList { queues, more } => {
            assert_eq!((queues.len(), &queues[0].name, more), (1, &name("work"), false));
        }
        other => panic!("not listed: {other:?}"),
    }
    bodies(&mut client, work, &["a", "b"]);
    let got = receive_all(&mut client, work, 2);
    assert_eq!(extend(&mut client, work, &got, 0), []);
    // Who is received again has come too often, and goes to the other queue.
    assert_eq!(receive(&mut client, work, 10), []);
    let letters = receive_all(&mut client, dead, 2);
    assert!(letters.iter().all(|(_, parts)| parts.source == "work"), "{letters:?}");
    assert_eq!(extend(&mut client, dead, &letters, 0), []);
    // One a second, so that it surely runs while it is looked at and ended from another core.
    let begun = moves(&mut client, start(dead, None, 1));
    assert_eq!((begun[0].to_move, &begun[0].target, begun[0].messages_per_second), (2, &None, 1));
    let number = begun[0].number;
    let mut other = server.client_of_core(1);
    let list = moves(&mut other, RequestBody::ListMoves(dead));
    assert_eq!((list.len(), list[0].number), (1, number));
    if list[0].status == MoveStatus::Running
        && let ResponseBody::Failed(failure) = other.ask(start(dead, None, 0))
    {
        assert_eq!(failure.code, ErrorCode::MoveRunning);
    }
    let back = receive_all(&mut other, work, 2);
    assert!(back.iter().all(|(head, _)| head.receipt.receives == 1), "{back:?}");
    let unknown = RequestBody::CancelMove { queue: dead, number: number + 99 };
    assert_eq!(other.ask_refused(unknown).code, ErrorCode::UnknownMove);
}
