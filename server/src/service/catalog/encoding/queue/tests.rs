//! Round trips, golden bytes and arbitrary bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::super::tests::queues::{queue_name, samples};
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain() -> Definition {
    let partitions = vec![Partition { lane: LaneId(1), messages: OwnerId(9), journal: OwnerId(10) }];
    Definition {
        id: QueueId(7),
        name: queue_name("work"),
        created: Timestamp(1_700_000_000_123),
        modified: Timestamp(1_700_000_000_124),
        settings: QueueSettings::default(),
        tags: BTreeMap::new(),
        partitions,
    }
}

fn full() -> Definition {
    let settings = QueueSettings {
        redrive: Some(Redrive { target: queue_name("d.fifo"), receives_max: 3 }),
        redrive_allow: Allow::By(vec![queue_name("a"), queue_name("b")]),
        fifo: Some(Fifo { content_deduplication: true, scope: Scope::Group, limit: ThroughputLimit::Group }),
        policy: Some("{}".to_owned()),
        ..QueueSettings::default()
    };
    let tags = BTreeMap::from([("a".to_owned(), "bc".to_owned())]);
    Definition { name: queue_name("w.fifo"), settings, tags, ..plain() }
}

#[test]
fn the_bytes_are_those_of_the_format_page() {
    let start = concat!(
        "01",
        "0700000000000000",
        "7b68e5cf8b010000",
        "7c68e5cf8b010000",
        "00000000",
        "00001000",
        "00460500",
        "00000000",
        "1e000000",
    );
    let partitions = concat!("01000000", "01000000", "0900000000000000", "0a00000000000000");
    let queue = format!("{start}04776f726b00000000{}ffff{partitions}0000", "0000");
    assert_eq!(hex(&encode_queue(&plain())), queue);
    let rest = concat!("03000000", "06642e6669666f", "02020161", "0162", "0f", "02007b7d");
    let queue = format!("{start}06772e6669666f{rest}{partitions}01000100610200{}", "6263");
    assert_eq!(hex(&encode_queue(&full())), queue);
    let bits = |fifo: Fifo| {
        let settings = QueueSettings { fifo: Some(fifo), ..QueueSettings::default() };
        encode_queue(&Definition { settings, ..plain() })[FIFO_AT]
    };
    assert_eq!(bits(Fifo::default()), 1);
    assert_eq!(bits(Fifo { content_deduplication: true, ..Fifo::default() }), 3);
    assert_eq!(bits(Fifo { scope: Scope::Group, ..Fifo::default() }), 5);
    assert_eq!(bits(Fifo { limit: ThroughputLimit::Group, ..Fifo::default() }), 9);
    for queue in [plain(), full()].into_iter().chain(samples()) {
        assert_eq!(decode_queue(&encode_queue(&queue)), Ok(queue));
    }
}

/// Where the bits of the plain queue are, behind its name, redrive and allow.
const FIFO_AT: usize = 45 + 5 + 4 + 1;

#[test]
fn what_is_no_queue_is_refused() {
    let good = encode_queue(&full());
    for length in 0..good.len() {
        let error = decode_queue(&good[..length]).expect_err("it ends early");
        assert!(matches!(error, DecodeError::Truncated { .. }), "{length}: {error}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(decode_queue(&longer), Err(DecodeError::TrailingBytes { bytes: 1 }));
    let good = encode_queue(&plain());
    let check = |at: usize, to: u8, expected: &str| {
        let mut bytes = good.clone();
        bytes[at] = to;
        assert_eq!(decode_queue(&bytes).expect_err(expected).to_string(), expected);
    };
    check(0, 2, "value has version 2, which this server does not know");
    check(46, b'/', "queue name has the impossible value \"/ork\"");
    check(46, 0xff, "queue name has the impossible value \"\u{fffd}ork\"");
    check(FIFO_AT - 1, 3, "redrive allow has the impossible value 3");
    check(FIFO_AT, 2, "fifo has the impossible value 2");
    check(FIFO_AT, 17, "fifo has the impossible value 17");
}

fn name() -> impl Strategy<Value = QueueName> {
    "[a-zA-Z0-9_-]{1,75}(\\.fifo)?".prop_map(|text| QueueName::new(&text).expect("the pattern gives names"))
}

fn fifo() -> impl Strategy<Value = Fifo> {
    any::<(bool, bool, bool)>().prop_map(|(content_deduplication, scope, limit)| Fifo {
        content_deduplication,
        scope: if scope { Scope::Group } else { Scope::Queue },
        limit: if limit { ThroughputLimit::Group } else { ThroughputLimit::Queue },
    })
}

prop_compose! {
    fn settings()(
        (delay_s, message_bytes_max, retention_s, wait_s, visibility_s) in any::<(u32, u32, u32, u32, u32)>(),
        redrive in prop::option::of((name(), 1..=u32::MAX)),
        redrive_allow in prop_oneof![
            Just(Allow::All),
            Just(Allow::None),
            prop::collection::vec(name(), 0..4).prop_map(Allow::By),
        ],
        fifo in prop::option::of(fifo()),
        policy in prop::option::of("\\PC{0,40}"),
    ) -> QueueSettings {
        let redrive = redrive.map(|(target, receives_max)| Redrive { target, receives_max });
        QueueSettings { delay_s, message_bytes_max, retention_s, wait_s, visibility_s, redrive, redrive_allow, fifo, policy }
    }
}

prop_compose! {
    fn queue()(
        (id, created, modified) in any::<(u64, u64, u64)>(),
        name in name(),
        settings in settings(),
        tags in proptest::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..4),
        partitions in prop::collection::vec(any::<(u32, u64, u64)>(), 0..5),
    ) -> Definition {
        let partition = |(lane, messages, journal)| {
            Partition { lane: LaneId(lane), messages: OwnerId(messages), journal: OwnerId(journal) }
        };
        Definition {
            id: QueueId(id),
            name,
            created: Timestamp(created),
            modified: Timestamp(modified),
            settings,
            tags,
            partitions: partitions.into_iter().map(partition).collect(),
        }
    }
}

proptest! {
    #[test]
    fn queues_decode_to_what_they_were(queue in queue()) {
        prop_assert_eq!(decode_queue(&encode_queue(&queue)), Ok(queue));
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>, versioned: bool) {
        if let (true, Some(first)) = (versioned, bytes.first_mut()) {
            *first = VERSION;
        }
        let _ = decode_queue(&bytes);
    }

    #[test]
    fn a_changed_byte_never_panics_and_what_decodes_has_one_value(queue in queue(), at: prop::sample::Index, to: u8) {
        let mut bytes = encode_queue(&queue);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(decoded) = decode_queue(&bytes) {
            prop_assert_eq!(encode_queue(&decoded), bytes);
        }
    }
}
