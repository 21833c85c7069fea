//! Key compaction on the real disk: of each key the last record stays, gaps are skipped, and deleted keys go.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use tidemill_storage::{
    Env, KeyCompaction, Lane, LaneConfig, LaneStats, Retention, inspect::verify, local::LocalEnv,
};
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    batch::{BatchBuilder, Compression},
    entry::EntryRun,
    message::Ack,
    numbered::NumberedBatch,
};

use crate::{
    lane::{OWNER, config, run},
    record::payload,
};

const OTHER: OwnerId = OwnerId(99);
/// Longer than any test: no tombstone goes.
const LONG: Duration = Duration::from_secs(3600);

fn small(directory: &Path) -> LaneConfig {
    LaneConfig {
        upkeep_interval: Duration::from_millis(20),
        compaction_bytes_per_second: 256 << 20,
        grouping_age: Duration::MAX,
        key_compaction_lag: Duration::from_millis(100),
        key_table_bytes_max: 1 << 20,
        ..config(directory)
    }
}

async fn open(env: &LocalEnv, config: LaneConfig, tombstone_age: Duration) -> Lane<LocalEnv> {
    let lane = Lane::open(env.clone(), config).await.expect("opened").0;
    lane.adopt(OTHER, Retention { age: Duration::MAX, bytes: Some(1000) });
    lane.adopt(OWNER, Retention::FOREVER);
    lane.compact_keys(OWNER, Some(KeyCompaction { tombstone_age }));
    lane
}

type Rows = Vec<(u64, String, String)>;

/// A keyed owner, and what it was given.
struct Writer {
    owner: OwnerId,
    rows: Rows,
    times: Vec<(Timestamp, u64)>,
}

impl Writer {
    fn new(owner: OwnerId) -> Self {
        Self { owner, rows: Vec::new(), times: Vec::new() }
    }

    async fn append(&mut self, lane: &Lane<LocalEnv>, records: &[(String, String)], codec: Compression) {
        let mut builder = BatchBuilder::new();
        for (key, data) in records {
            builder.push(key.as_bytes(), data.as_bytes(), None).expect("small");
        }
        let batch = builder.build(codec).expect("records");
        let appended =
            lane.append(self.owner, batch, records.len() as u32, Ack::Written).await.expect("appended");
        self.times.push((appended.append_time, appended.base_sequence.0));
        for (number, (key, data)) in (appended.base_sequence.0..).zip(records) {
            self.rows.push((number, key.clone(), data.clone()));
        }
    }

    /// Updates `keys` keys in turn, in batches of different sizes and codecs.
    async fn update(&mut self, lane: &Lane<LocalEnv>, keys: u64, batches: u64) {
        for batch in 0..batches {
            let codec = [Compression::None, Compression::Lz4, Compression::Zstd][batch as usize % 3];
            let record = |n: u64| {
                let number = self.rows.len() as u64 + n;
                (format!("key-{}", number * 7 % keys), format!("value {number} {}", "x".repeat(100)))
            };
            let records: Vec<(String, String)> = (0..1 + batch % 9).map(record).collect();
            self.append(lane, &records, codec).await;
        }
    }

    /// What has to be left when everything has gone that could.
    fn last(&self) -> Rows {
        let last: BTreeMap<&str, u64> = self.rows.iter().map(|row| (row.1.as_str(), row.0)).collect();
        self.rows.iter().filter(|row| row.1.is_empty() || last[row.1.as_str()] == row.0).cloned().collect()
    }
}

/// Seals what was written so far, with entries that retention takes at once.
async fn seal(lane: &Lane<LocalEnv>) {
    for label in 0..16 {
        lane.append(OTHER, payload(label, 3000), 1, Ack::Written).await.expect("appended");
    }
}

/// All records from a number on, and whether the first entry holds that number.
async fn read(lane: &Lane<LocalEnv>, owner: OwnerId, from: u64) -> Rows {
    let mut rows = Vec::new();
    let mut next = SequenceNumber(from);
    loop {
        let fetched = lane.fetch(owner, next, 5000).await.expect("a gap is no error");
        if fetched.entries.is_empty() {
            assert_eq!(fetched.next, fetched.end);
            return rows;
        }
        assert_eq!(fetched.from, next, "nothing is over its time");
        for run in &fetched.entries {
            rows.extend(rows_of(run.clone()).into_iter().filter(|row| row.0 >= next.0));
        }
        next = fetched.next;
    }
}

fn rows_of(run: Bytes) -> Rows {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let mut rows = Vec::new();
    for entry in EntryRun::new(run) {
        let (header, payload) = entry.expect("a whole entry");
        let batch = NumberedBatch::parse(&header, payload).expect("a valid batch").expect("records");
        let records = batch.into_records().expect("valid data");
        rows.extend(records.map(|(number, record)| (number.0, text(record.key), text(record.data))));
    }
    rows
}

async fn wait_until_left(env: &LocalEnv, lane: &Lane<LocalEnv>, owner: OwnerId, expected: &Rows) {
    let mut found = Vec::new();
    for _ in 0..500 {
        found = read(lane, owner, 0).await;
        if found == *expected {
            return;
        }
        env.sleep(Duration::from_millis(20)).await;
    }
    let surplus: Vec<_> = found.iter().filter(|row| !expected.contains(row)).take(5).collect();
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).take(5).collect();
    let (found, expected) = (found.len(), expected.len());
    panic!("{found} are left, not {expected}: {surplus:?} are, {missing:?} are not; {:?}", lane.stats());
}

#[test]
fn of_each_key_the_last_record_stays() {
    run(|env, directory| async move {
        let lane = open(&env, small(directory.path()), LONG).await;
        let mut writer = Writer::new(OWNER);
        writer.append(&lane, &[(String::new(), "without a key".to_owned())], Compression::None).await;
        writer.update(&lane, 10, 500).await;
        seal(&lane).await;
        let expected = writer.last();
        assert_eq!(expected.len(), 11);
        wait_until_left(&env, &lane, OWNER, &expected).await;

        // From any number on it begins at the next record, and no time leads behind a record that was taken later.
        for from in (0..writer.rows.len() as u64).step_by(37) {
            let rest: Rows = expected.iter().filter(|row| row.0 >= from).cloned().collect();
            assert_eq!(read(&lane, OWNER, from).await, rest, "from {from}");
        }
        for (time, _) in writer.times.iter().step_by(11) {
            let at = lane.sequence_at(OWNER, *time).await.expect("found").0;
            let first = writer.times.iter().find(|(other, _)| other >= time).expect("it is one of them").1;
            let left = expected.iter().map(|row| row.0).find(|number| *number >= first);
            assert!(left.is_none_or(|left| at <= left), "records from {left:?} on are wanted, found {at}");
            let before = writer.times.iter().rev().find(|(other, _)| other < time);
            assert!(before.is_none_or(|(_, number)| at > *number), "{at} is too early");
        }

        lane.close().await;
        let report = verify(&env, &directory.path().join("lane")).await.expect("verified");
        assert!(report.is_sound(), "{report:?}");
        let lane = open(&env, small(directory.path()), LONG).await;
        assert_eq!(read(&lane, OWNER, 0).await, expected);
        assert_eq!(lane.bounds(OWNER).expect("known").next.0, writer.rows.len() as u64);
        writer.update(&lane, 10, 100).await;
        seal(&lane).await;
        wait_until_left(&env, &lane, OWNER, &writer.last()).await;
    });
}

#[test]
fn more_keys_than_fit_the_memory_are_compacted_in_rounds() {
    run(|env, directory| async move {
        let config = LaneConfig { key_table_bytes_max: 2000, ..small(directory.path()) };
        let lane = open(&env, config, LONG).await;
        let others: Vec<OwnerId> = (1..=3).map(OwnerId).collect();
        let mut writers = vec![Writer::new(OWNER)];
        for owner in &others {
            lane.adopt(*owner, Retention::FOREVER);
            lane.compact_keys(*owner, Some(KeyCompaction { tombstone_age: LONG }));
            writers.push(Writer::new(*owner));
        }
        for _ in 0..10 {
            for writer in &mut writers {
                writer.update(&lane, 101, 15).await;
            }
        }
        seal(&lane).await;
        for writer in &writers {
            assert_eq!(writer.last().len(), 101);
            wait_until_left(&env, &lane, writer.owner, &writer.last()).await;
        }
        assert!(lane.stats().key_rounds > 8, "{:?}", lane.stats());
    });
}

#[test]
fn deleted_keys_go_after_the_tombstones_time_and_do_not_come_back() {
    run(|env, directory| async move {
        let age = Duration::from_millis(1500);
        let lane = open(&env, small(directory.path()), age).await;
        let mut writer = Writer::new(OWNER);
        writer.update(&lane, 20, 200).await;
        let deleted: Vec<(String, String)> =
            (0..10).map(|key| (format!("key-{key}"), String::new())).collect();
        writer.append(&lane, &deleted, Compression::None).await;
        let taken = env.monotonic();
        seal(&lane).await;
        let with_tombstones = writer.last();
        assert_eq!(with_tombstones.iter().filter(|row| row.2.is_empty()).count(), 10);
        wait_until_left(&env, &lane, OWNER, &with_tombstones).await;
        assert!(env.monotonic() - taken < age, "the machine is too slow for this test");

        let expected: Rows = with_tombstones.into_iter().filter(|row| !row.2.is_empty()).collect();
        assert_eq!(expected.len(), 10);
        wait_until_left(&env, &lane, OWNER, &expected).await;
        env.stop();
        let lane = open(&env, small(directory.path()), age).await;
        assert_eq!(read(&lane, OWNER, 0).await, expected);
    });
}

#[test]
fn nothing_goes_without_the_option_or_from_what_is_not_sealed() {
    run(|env, directory| async move {
        let lane = open(&env, small(directory.path()), LONG).await;
        let plain = OwnerId(5);
        lane.adopt(plain, Retention::FOREVER);
        let (mut keyed, mut other) = (Writer::new(OWNER), Writer::new(plain));
        keyed.update(&lane, 3, 30).await;
        env.sleep(Duration::from_millis(300)).await;
        assert_eq!(read(&lane, OWNER, 0).await, keyed.rows, "the segment is not full");
        other.update(&lane, 3, 300).await;
        seal(&lane).await;
        wait_until_left(&env, &lane, OWNER, &keyed.last()).await;
        assert_eq!(read(&lane, plain, 0).await, other.rows);
        let LaneStats { dropped_records, .. } = lane.stats();
        assert_eq!(dropped_records, (keyed.rows.len() - 3) as u64);
        lane.compact_keys(OWNER, None);
        keyed.update(&lane, 3, 300).await;
        seal(&lane).await;
        env.sleep(Duration::from_millis(500)).await;
        assert_eq!(lane.stats().dropped_records, dropped_records);
    });
}

#[test]
fn what_is_little_of_its_segments_waits_for_the_lag() {
    run(|env, directory| async move {
        let config = LaneConfig { key_compaction_lag: Duration::from_millis(800), ..small(directory.path()) };
        let lane = open(&env, config, LONG).await;
        let plain = OwnerId(5);
        lane.adopt(plain, Retention::FOREVER);
        let mut writer = Writer::new(OWNER);
        let start = env.monotonic();
        for number in 0..60 {
            writer.append(&lane, &[("key".to_owned(), format!("{number}"))], Compression::None).await;
            lane.append(plain, payload(number, 3500), 1, Ack::Written).await.expect("appended");
        }
        seal(&lane).await;
        wait_until_left(&env, &lane, OWNER, &writer.last()).await;
        assert!(env.monotonic() - start >= Duration::from_millis(700), "{:?}", env.monotonic() - start);
    });
}
