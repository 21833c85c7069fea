//! Ranges of settings, and how shards are dealt to lanes.

use proptest::prelude::*;
use tidemill_wire::routing::RoutingTable;

use super::*;

const DEFAULTS: StreamDefaults = StreamDefaults {
    retention: Retention { age: Duration::from_secs(86_400), bytes: None },
    quota: Quota::OFF,
    read_calls_per_second: 0,
};

/// What settings come to, or which one is refused.
fn check(settings: Settings, expected: Result<(u64, Option<u64>, Quota), &str>) {
    let settled = settle(DEFAULTS, false, settings);
    let shown = settled.map(|(retention, quota)| (millis(retention.age), retention.bytes, quota));
    assert_eq!(shown.map_err(|error| error.setting), expected);
}

#[test]
fn what_is_not_given_stays() {
    check(Settings::default(), Ok((86_400_000, None, Quota::OFF)));
    let quota =
        Quota { write_bytes_per_second: 1, write_records_per_second: 0, read_bytes_per_second: RATE_MAX };
    check(Settings { quota: Some(quota), ..Settings::default() }, Ok((86_400_000, None, quota)));
    let settings = Settings {
        retention_ms: Some(60_000),
        retention_bytes: Some(1 << 20),
        quota: None,
        ..Settings::default()
    };
    check(settings, Ok((60_000, Some(1 << 20), Quota::OFF)));
    check(Settings { retention_bytes: Some(0), ..Settings::default() }, Ok((86_400_000, None, Quota::OFF)));
}

#[test]
fn what_is_out_of_range_is_refused() {
    let year_ms = 365 * 86_400_000;
    for retention_ms in [0, 59_999, year_ms + 1, u64::MAX] {
        let settings = Settings { retention_ms: Some(retention_ms), ..Settings::default() };
        check(settings, Err("retention_ms"));
    }
    check(Settings { retention_ms: Some(year_ms), ..Settings::default() }, Ok((year_ms, None, Quota::OFF)));
    for retention_bytes in [1, (1 << 20) - 1, u64::MAX] {
        let settings = Settings { retention_bytes: Some(retention_bytes), ..Settings::default() };
        check(settings, Err("retention_bytes"));
    }
    for (field, name) in
        [(0, "write_bytes_per_second"), (1, "write_records_per_second"), (2, "read_bytes_per_second")]
    {
        let rate = |at| if at == field { RATE_MAX + 1 } else { 1 };
        let quota = Quota {
            write_bytes_per_second: rate(0),
            write_records_per_second: rate(1),
            read_bytes_per_second: rate(2),
        };
        check(Settings { quota: Some(quota), ..Settings::default() }, Err(name));
    }
}

#[test]
fn a_refusal_names_value_and_range() {
    let settings = Settings { retention_bytes: Some(7), ..Settings::default() };
    let error = settle(DEFAULTS, false, settings).expect_err("7 bytes are too few");
    let expected =
        "retention_bytes = 7 is out of range: expected 1048576 to 1152921504606846976, or 0 for no limit";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn shards_go_round_from_the_emptiest_lane() {
    let lanes = |shards, load: &[u64]| -> Vec<u32> {
        deal(shards, OwnerId(5), load, Timestamp(1)).iter().map(|shard| shard.lane.get()).collect()
    };
    assert_eq!(lanes(5, &[3, 1, 2]), [1, 2, 0, 1, 2]);
    assert_eq!(lanes(3, &[0]), [0, 0, 0]);
    assert_eq!(lanes(2, &[4, 4]), [0, 1]);
}

proptest! {
    #[test]
    fn dealt_shards_cover_all_keys_and_own_themselves(shards in 1..300_u32, load in prop::collection::vec(0..9_u64, 1..9)) {
        let dealt = deal(shards, OwnerId(100), &load, Timestamp(1));
        prop_assert_eq!(dealt.len(), shards as usize);
        prop_assert!(RoutingTable::new(dealt.iter().map(|shard| (shard.range, shard.index))).is_ok());
        let mut per_lane = vec![0_u32; load.len()];
        for (at, shard) in (0_u32..).zip(dealt.iter()) {
            prop_assert_eq!((shard.index.get(), shard.owner.get()), (at, 100 + u64::from(at)));
            per_lane[shard.lane.get() as usize] += 1;
        }
        prop_assert!(per_lane.iter().max().unwrap() - per_lane.iter().min().unwrap() <= 1);
    }
}

#[test]
fn a_stream_that_keeps_the_last_record_of_each_key_may_keep_it_forever() {
    let forever = Settings { retention_ms: Some(0), ..Settings::default() };
    let (retention, _) = settle(DEFAULTS, true, forever).expect("no bound");
    assert_eq!(retention.age, RETENTION_AGE_FOREVER);
    let present = StreamDefaults { retention, ..DEFAULTS };
    assert_eq!(settle(present, true, Settings::default()).map(|settled| settled.0), Ok(retention));
    let error = settle(present, false, Settings::default()).expect_err("all records for ever are too much");
    assert_eq!(error.setting, "retention_ms");
}

#[test]
fn key_compaction_is_changed_as_a_whole() {
    let policy = |ms| Some(KeyCompaction { tombstone_age: Duration::from_millis(ms) });
    let on = |tombstone_ms| Some(KeySetting::On { tombstone_ms });
    assert_eq!(settle_keys(policy(5), None), Ok(policy(5)));
    assert_eq!(settle_keys(policy(5), on(0)), Ok(policy(0)));
    assert_eq!(settle_keys(policy(5), Some(KeySetting::Off)), Ok(None));
    assert_eq!(settle_keys(None, on(u64::MAX)).expect_err("over a year").setting, "tombstone_ms");
}
