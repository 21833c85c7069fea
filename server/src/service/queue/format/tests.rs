//! Messages and events as bytes: there and back, damaged, and golden.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn attribute() -> impl Strategy<Value = Attribute> {
    let text = "[a-z0-9]{0,20}".prop_map(AttributeValue::Text);
    let binary = vec(any::<u8>(), 0..20).prop_map(|bytes| AttributeValue::Binary(bytes.into()));
    ("[a-zA-Z_.]{1,20}", "(String|Number|Binary)(\\.[a-z]{1,5})?", prop_oneof![text, binary])
        .prop_map(|(name, data_type, value)| Attribute { name, data_type, value })
}

prop_compose! {
    fn content()(
        body in vec(any::<u8>(), 0..200),
        attributes in vec(attribute(), 0..4),
        trace_header in option::of(".{0,20}"),
        sender in ".{0,20}",
        delay_s in option::of(0_u32..901),
        group in option::of(".{1,20}"),
        deduplication in option::of(".{1,20}"),
    ) -> NewMessage {
        NewMessage { body: body.into(), attributes, trace_header, sender, delay_s, group, deduplication }
    }
}

prop_compose! {
    fn message()(
        id in any::<[u8; 16]>(),
        sent in any::<u64>(),
        dead_letter_source in option::of(".{1,20}"),
        content in content(),
    ) -> Message {
        Message { id: MessageId(id), sent: Timestamp(sent), dead_letter_source, content }
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let phase = prop_oneof![
        Just(Phase::Ready),
        any::<u64>().prop_map(|until| Phase::InFlight(Timestamp(until))),
        any::<u64>().prop_map(|due| Phase::Delayed(Timestamp(due))),
        any::<u64>().prop_map(|until| Phase::Moving(Timestamp(until))),
    ];
    (phase, any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>()).prop_map(
        |(phase, group, receives, first, received)| Entry {
            phase,
            group,
            receives,
            first_received: Timestamp(first),
            received: Timestamp(received),
        },
    )
}

pub(in super::super) fn kept() -> impl Strategy<Value = Kept> {
    (any::<u64>(), entry()).prop_map(|(sequence, entry)| Kept { sequence, entry })
}

pub(in super::super) fn event() -> impl Strategy<Value = Event> {
    let run = (0..u64::MAX / 2, 1..RUN_MAX / 5, any::<u64>(), any::<u64>())
        .prop_map(|(first, count, due, group)| Passed { first, count, due: Timestamp(due), group });
    let waiting = (0..u64::MAX / 2, 1..u64::MAX / 2, any::<u64>()).prop_map(|(first, count, group)| Passed {
        first,
        count,
        due: Timestamp(0),
        group,
    });
    let numbers = || vec(any::<u64>(), 0..12);
    let times = (any::<(u64, u64)>(), any::<u64>(), any::<u64>());
    let received = (times, vec(run, 0..5), numbers(), numbers(), option::of(".{1,20}")).prop_map(
        |(((at, from), until, cursor), passed, picked, moving, attempt)| Event::Received {
            at: Timestamp(at),
            until: Timestamp(until),
            from,
            cursor,
            passed,
            picked,
            moving,
            attempt,
        },
    );
    let attempt = (".{0,20}", any::<u64>(), vec(any::<(u64, u32)>(), 0..4))
        .prop_map(|(name, at, picked)| Attempt { name, at: Timestamp(at), picked });
    let change = any::<(u64, u64)>().prop_map(|(sequence, until)| (sequence, Timestamp(until)));
    prop_oneof![
        received,
        numbers().prop_map(Event::Deleted),
        vec(change, 0..12).prop_map(Event::Hidden),
        any::<u64>().prop_map(|below| Event::Purged { below }),
        any::<(u64, u64)>().prop_map(|(cursor, messages)| Event::Snapshot { cursor, messages }),
        vec(kept(), 0..12).prop_map(Event::Kept),
        any::<u64>().prop_map(|cursor| Event::Begun { cursor }),
        Just(Event::Ended),
        vec(attempt, 0..4).prop_map(Event::Attempted),
        vec(waiting, 0..4).prop_map(Event::Waiting),
    ]
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(message in message()) {
        let bytes = Bytes::from(encode_message(&message));
        let key = message.content.group.clone().unwrap_or_default();
        prop_assert_eq!(decode_message(key.as_bytes(), &bytes), Ok(message.clone()));
        prop_assert_eq!(decode_times(&bytes), Ok((message.sent, message.content.delay_s)));
    }

    #[test]
    fn an_event_is_read_as_it_was_written(event in event()) {
        prop_assert_eq!(decode_event(&encode_event(&event)), Ok(event));
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_be_read_as_two_things(bytes in vec(any::<u8>(), 0..300), event in event(), at in any::<prop::sample::Index>(), to: u8) {
        let _ = decode_message(b"", &Bytes::from(bytes.clone()));
        let _ = decode_times(&bytes);
        let _ = decode_event(&bytes);
        let mut damaged = encode_event(&event);
        let at = at.index(damaged.len());
        damaged[at] = to;
        if let Ok(other) = decode_event(&damaged) {
            prop_assert_eq!(decode_event(&encode_event(&other)), Ok(other));
        }
        damaged.truncate(at);
        prop_assert!(decode_event(&damaged).is_err());
    }
}

/// A message with some of everything.
fn sample_message() -> Message {
    Message {
        id: MessageId(*b"0123456789abcdef"),
        sent: Timestamp(1_700_000_000_000),
        dead_letter_source: None,
        content: NewMessage {
            body: Bytes::from_static(b"hello"),
            attributes: vec![Attribute {
                name: "n".to_owned(),
                data_type: "Number".to_owned(),
                value: AttributeValue::Text("7".to_owned()),
            }],
            trace_header: None,
            sender: "me".to_owned(),
            delay_s: Some(5),
            group: None,
            deduplication: Some("d".to_owned()),
        },
    }
}

/// Each kind of event.
fn sample_events() -> [Event; 11] {
    let passed = vec![Passed { first: 7, count: 3, due: Timestamp(0), group: 9 }];
    let (at, until) = (Timestamp(1), Timestamp(2));
    let entry =
        Entry { phase: Phase::InFlight(until), group: 9, receives: 1, first_received: at, received: at };
    let received = |attempt| Event::Received {
        at,
        until,
        from: 7,
        cursor: 10,
        passed: passed.clone(),
        picked: vec![7, 8],
        moving: vec![9],
        attempt,
    };
    [
        received(None),
        received(Some("again".to_owned())),
        Event::Deleted(vec![7]),
        Event::Hidden(vec![(8, Timestamp(3))]),
        Event::Purged { below: 10 },
        Event::Snapshot { cursor: 10, messages: 1 },
        Event::Kept(vec![Kept { sequence: 8, entry }]),
        Event::Begun { cursor: 10 },
        Event::Ended,
        Event::Attempted(vec![Attempt { name: "again".to_owned(), at, picked: vec![(7, 1), (8, 300)] }]),
        Event::Waiting(passed.clone()),
    ]
}

/// Valid bytes to begin with.
pub(in crate::service::queue) fn samples() -> Vec<Vec<u8>> {
    sample_events().iter().map(encode_event).chain([encode_message(&sample_message())]).collect()
}

#[test]
fn bytes_stay_what_they_are() {
    let golden = b"\x8a\x01\x500123456789abcdef\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x00\x62me\x05\x61d\xf6\xf6\
        \x81\x83\x61n\x66Number\x617\x45hello";
    assert_eq!(encode_message(&sample_message()), golden);
    let golden: [&[u8]; 11] = [
        b"\x89\x01\x01\x01\x02\x07\x0a\x81\x84\x07\x03\x00\x09\x82\x07\x08\x81\x09",
        b"\x8a\x01\x01\x01\x02\x07\x0a\x81\x84\x07\x03\x00\x09\x82\x07\x08\x81\x09\x65again",
        b"\x83\x01\x02\x81\x07",
        b"\x83\x01\x03\x81\x82\x08\x03",
        b"\x83\x01\x04\x0a",
        b"\x84\x01\x05\x0a\x01",
        b"\x83\x01\x06\x81\x87\x08\x01\x02\x09\x01\x01\x01",
        b"\x83\x01\x07\x0a",
        b"\x82\x01\x08",
        b"\x83\x01\x09\x81\x83\x65again\x01\x82\x82\x07\x01\x82\x08\x19\x01\x2c",
        b"\x83\x01\x0a\x81\x83\x07\x03\x09",
    ];
    assert_eq!(sample_events().each_ref().map(encode_event), golden);
}

#[test]
fn what_is_newer_is_refused_as_that() {
    assert_eq!(decode_event(b"\x83\x02\x02\x81\x07"), Err(FormatError::Version { what: "event", found: 2 }));
    let kind = Err(FormatError::Impossible { what: "event", field: "kind", found: 99 });
    assert_eq!(decode_event(b"\x83\x01\x18\x63\x81\x07"), kind);
}
