//! Round trips, golden bytes and arbitrary bytes.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::tests::NODE;
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sample() -> Stream {
    Stream {
        id: StreamId(7),
        name: StreamName::new("app.logs").expect("a valid name"),
        created: Timestamp(1_700_000_000_123),
        retention: Retention { age: Duration::from_secs(86_400), bytes: Some(1 << 30) },
        quota: Quota {
            write_bytes_per_second: 1_000_000,
            write_records_per_second: 1_000,
            read_bytes_per_second: 0,
        },
        key_compaction: None,
        map_version: 2,
        tags: BTreeMap::new(),
        shards: Arc::new([Shard {
            index: ShardIndex(3),
            owner: OwnerId(9),
            lane: LaneId(1),
            range: HashKeyRange { start: HashKey(0), end: HashKey(u128::MAX) },
            opened: Timestamp(1_700_000_000_123),
            closed: None,
            parent: Some(ShardIndex(2)),
            adjacent_parent: None,
        }]),
    }
}

#[test]
fn the_bytes_are_those_of_the_format_page() {
    let stream = concat!(
        "01",
        "0700000000000000",
        "7b68e5cf8b010000",
        "005c260500000000",
        "0000004000000000",
        "40420f0000000000",
        "e803000000000000",
        "0000000000000000",
        "02000000",
        "08",
        "6170702e6c6f6773",
        "01000000",
        "03000000",
        "0900000000000000",
        "01000000",
        "00000000000000000000000000000000",
        "ffffffffffffffffffffffffffffffff",
        "00",
        "02000000",
        "ffffffff",
    );
    assert_eq!(hex(&encode_stream(&sample())), stream);
    let keyed = Stream {
        key_compaction: Some(KeyCompaction { tombstone_age: Duration::from_millis(0x0102) }),
        ..sample()
    };
    assert_eq!(hex(&encode_stream(&keyed)), format!("02{}0201000000000000", &stream[2..]));
    assert_eq!(decode_stream(&encode_stream(&keyed)), Ok(keyed.clone()));
    let tags = BTreeMap::from([("a".to_owned(), "bc".to_owned()), ("d".to_owned(), String::new())]);
    let tagged = Stream { tags: tags.clone(), ..sample() };
    let tail = "02000100610200626301006400 00".replace(' ', "");
    assert_eq!(hex(&encode_stream(&tagged)), format!("03{}ffffffffffffffff{tail}", &stream[2..]));
    assert_eq!(decode_stream(&encode_stream(&tagged)), Ok(tagged));
    let both = Stream { tags, ..keyed };
    assert_eq!(hex(&encode_stream(&both)), format!("03{}0201000000000000{tail}", &stream[2..]));
    assert_eq!(decode_stream(&encode_stream(&both)), Ok(both.clone()));
    let closed = Some(ShardEnd { at: Timestamp(0x0304), next: SequenceNumber(5) });
    let shards = [Shard { opened: Timestamp(0x0102), closed, ..sample().shards[0] }];
    let resharded = Stream { shards: Arc::new(shards), ..sample() };
    let shard = "0102000000ffffffff020100000000000004030000000000000500000000000000";
    let start = &stream[2..stream.len() - 18];
    assert_eq!(hex(&encode_stream(&resharded)), format!("04{start}{shard}ffffffffffffffff0000"));
    assert_eq!(decode_stream(&encode_stream(&resharded)), Ok(resharded));
    let all = Stream { shards: Arc::new(shards), ..both };
    assert_eq!(hex(&encode_stream(&all)), format!("04{start}{shard}0201000000000000{tail}"));
    assert_eq!(decode_stream(&encode_stream(&all)), Ok(all));
    assert_eq!(hex(&encode_node(NODE)), "01efcdab896745230103000000");
    let counters = Counters { next_stream: 8, next_owner: 10 };
    assert_eq!(hex(&encode_counters(counters)), "0108000000000000000a00000000000000");
}

#[test]
fn what_is_not_a_value_is_refused() {
    let good = encode_stream(&sample());
    for length in 0..good.len() {
        let error = decode_stream(&good[..length]).expect_err("it ends early");
        assert!(matches!(error, DecodeError::Truncated { .. }), "{length}: {error}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(decode_stream(&longer), Err(DecodeError::TrailingBytes { bytes: 1 }));
    let mut newer = good.clone();
    newer[0] = 5;
    let error = decode_stream(&newer).expect_err("the version is unknown");
    assert_eq!(error.to_string(), "value has version 5, which this server does not know");
    let mut state = good.clone();
    let at = state.len() - 9;
    for impossible in [1, 2] {
        state[at] = impossible;
        let error = decode_stream(&state).expect_err("no shard of this version is closed");
        assert_eq!(error.to_string(), format!("shard state has the impossible value {impossible}"));
    }
    let original = Stream { tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..sample() };
    let mut longer = encode_stream(&original);
    longer[0] = VERSION_RESHARDED;
    let times = [original.created.get(), NOT_CLOSED, 0].into_iter().flat_map(u64::to_le_bytes);
    longer.splice(good.len()..good.len(), times);
    let error = decode_stream(&longer).expect_err("the encoder makes a shorter value of it");
    assert_eq!(error.to_string(), "version has the impossible value 4");
    let mut name = good;
    name[62] = b'/';
    let error = decode_stream(&name).expect_err("the name is not one");
    assert_eq!(error.to_string(), "stream name has the impossible value \"/pp.logs\"");
    assert!(decode_node(&encode_node(Node { lanes: 0, ..NODE })).is_err());
}

fn shard() -> impl Strategy<Value = Shard> {
    let parent = || prop::option::of((0..u32::MAX).prop_map(ShardIndex));
    let closing = (0..u64::MAX, any::<u64>());
    let closing = closing.prop_map(|(at, end)| ShardEnd { at: Timestamp(at), next: SequenceNumber(end) });
    (any::<(u32, u64, u32, u128, u128, u64)>(), prop::option::of(closing), parent(), parent()).prop_map(
        |((index, owner, lane, start, end, opened), closed, parent, adjacent_parent)| Shard {
            index: ShardIndex(index),
            owner: OwnerId(owner),
            lane: LaneId(lane),
            range: HashKeyRange { start: HashKey(start), end: HashKey(end) },
            opened: Timestamp(opened),
            closed,
            parent,
            adjacent_parent,
        },
    )
}

prop_compose! {
    fn stream()(
        (id, created, age_ms, bytes) in any::<(u64, u64, u64, u64)>(),
        (write_bytes_per_second, write_records_per_second, read_bytes_per_second) in any::<(u64, u64, u64)>(),
        map_version: u32,
        tags in proptest::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..4),
        tombstone_ms: Option<u64>,
        name in "[a-zA-Z0-9_.-]{1,128}",
        shards in prop::collection::vec(shard(), 0..20),
    ) -> Stream {
        Stream {
            id: StreamId(id),
            name: StreamName::new(&name).expect("the pattern gives valid names"),
            created: Timestamp(created),
            retention: Retention { age: Duration::from_millis(age_ms), bytes: Some(bytes).filter(|bytes| *bytes > 0) },
            quota: Quota { write_bytes_per_second, write_records_per_second, read_bytes_per_second },
            key_compaction: tombstone_ms.map(|ms| KeyCompaction { tombstone_age: Duration::from_millis(ms) }),
            map_version,
            tags,
            shards: shards.into(),
        }
    }
}

proptest! {
    #[test]
    fn streams_decode_to_what_they_were(stream in stream()) {
        prop_assert_eq!(decode_stream(&encode_stream(&stream)), Ok(stream));
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>, versioned: bool) {
        if let (true, Some(first)) = (versioned, bytes.first_mut()) {
            *first = VERSION;
        }
        let _ = (decode_stream(&bytes), decode_node(&bytes), decode_counters(&bytes));
    }

    #[test]
    fn a_changed_byte_never_panics(stream in stream(), at: prop::sample::Index, to: u8) {
        let mut bytes = encode_stream(&stream);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(decoded) = decode_stream(&bytes) {
            prop_assert_eq!(encode_stream(&decoded), bytes);
        }
    }
}
