//! A lane's directory as an earlier version left it: it must open, and hold what it held.
//!
//! Each image in `tests/fixtures` is of a lane that was killed after it had rolled, recycled and compacted. None is written anew for a change of the code: a change of
//! the format gets an image of its own beside them, made by the last test with `TIDEMILL_LANE_IMAGE=FILE`.

use std::{fs, path::Path, time::Duration};

use tidemill_storage::{
    Env, KeyCompaction, Lane, LaneConfig, Retention,
    inspect::{SegmentState, verify},
    local::LocalEnv,
};
use tidemill_wire::{
    OwnerId, SequenceNumber,
    batch::{BatchBuilder, Compression},
    entry::EntryRun,
    message::Ack,
    numbered::NumberedBatch,
};

use crate::{
    image::{pack, unpack},
    lane::{config, run},
    record::{payload, read_all},
};

pub(crate) const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const PLAIN: OwnerId = OwnerId(7);
const KEYED: OwnerId = OwnerId(8);
/// What it has goes at once.
const FILLER: OwnerId = OwnerId(9);
const PLAIN_ENTRIES: u64 = 40;
const KEYS: u64 = 5;
const UPDATES: u64 = 60;

fn compacting(directory: &Path) -> LaneConfig {
    LaneConfig {
        upkeep_interval: Duration::from_millis(20),
        grouping_age: Duration::MAX,
        key_compaction_lag: Duration::from_millis(100),
        key_table_bytes_max: 1 << 20,
        ..config(directory)
    }
}

async fn open(env: &LocalEnv, config: LaneConfig) -> Lane<LocalEnv> {
    let lane = Lane::open(env.clone(), config).await.expect("opened").0;
    lane.adopt(PLAIN, Retention::FOREVER);
    lane.adopt(KEYED, Retention::FOREVER);
    lane.adopt(FILLER, Retention { age: Duration::MAX, bytes: Some(1000) });
    lane.compact_keys(KEYED, Some(KeyCompaction { tombstone_age: Duration::from_secs(3600) }));
    lane
}

fn batch(update: u64) -> bytes::Bytes {
    let mut builder = BatchBuilder::new();
    for key in 0..KEYS {
        builder.push(format!("key {key}").as_bytes(), value(update, key).as_bytes(), None).expect("small");
    }
    builder
        .build([Compression::None, Compression::Lz4, Compression::Zstd][update as usize % 3])
        .expect("records")
}

fn value(update: u64, key: u64) -> String {
    format!("value {update} of {key}")
}

async fn seal(lane: &Lane<LocalEnv>) {
    for label in 0..16 {
        lane.append(FILLER, payload(label, 3000), 1, Ack::Written).await.expect("appended");
    }
}

/// Lets a lane roll, recycle and compact, and leaves it as a killed process does.
async fn make(env: &LocalEnv, directory: &Path) {
    let lane = open(env, compacting(directory)).await;
    for n in 0..PLAIN_ENTRIES {
        if n % 8 == 0 {
            seal(&lane).await;
        }
        lane.append(PLAIN, payload(n, 100), 2, Ack::Written).await.expect("appended");
    }
    seal(&lane).await;
    while lane.stats().compactions == 0 {
        env.sleep(Duration::from_millis(20)).await;
    }
    for update in 0..UPDATES {
        lane.append(KEYED, batch(update), KEYS as u32, Ack::Written).await.expect("appended");
        if update % 20 == 19 {
            seal(&lane).await;
        }
    }
    while lane.stats().dropped_records == 0 {
        seal(&lane).await;
        env.sleep(Duration::from_millis(20)).await;
    }
    // The last checkpoint is of what is there now, if upkeep finds it worth one.
    // What compaction has begun it ends first.
    env.sleep(Duration::from_millis(500)).await;
    lane.pause_compaction(true);
    let before = lane.stats().checkpoints;
    for _ in 0..10 {
        if lane.stats().checkpoints == before {
            seal(&lane).await;
            env.sleep(Duration::from_millis(100)).await;
        }
    }
    env.sleep(Duration::from_millis(300)).await;
    lane.append(PLAIN, payload(PLAIN_ENTRIES, 100), 2, Ack::Durable).await.expect("appended");
    env.stop();
}

/// Checks that all is there, with headers and trailers of these versions, and that the lane goes on.
async fn check(env: &LocalEnv, directory: &Path, headers: &[u8], trailer: u8, has_checkpoint: Option<bool>) {
    let files = directory.join("lane");
    let versions = |path: &Path| fs::read(path).expect("read")[12];
    let trailer_version = |path: &Path| {
        let file = fs::read(path).expect("read");
        file[file.len() - 4096 + 12]
    };
    let report = verify(env, &files).await.expect("read");
    assert!(report.is_sound(), "{report:?}");
    let segments = report.segments.iter().filter(|segment| segment.id.is_some());
    let found: Vec<u8> = segments.map(|segment| versions(&segment.path)).collect();
    assert!(headers.iter().all(|version| found.contains(version)), "{found:?}");
    assert!(report.segments.iter().any(|segment| segment.state == SegmentState::Open));
    let mut sealed = report.segments.iter().filter(|segment| segment.state == SegmentState::Sealed);
    assert!(sealed.all(|segment| trailer_version(&segment.path) == trailer));
    let lane = Lane::open(env.clone(), config(directory)).await.expect("opened");
    assert!(has_checkpoint.is_none_or(|has| (lane.1.owners_listed > 0) == has), "{:?}", lane.1);
    lane.0.close().await;
    let lane = open(env, config(directory)).await;
    let plain = read_all(&lane, PLAIN, 1000).await;
    assert_eq!(plain.len() as u64, PLAIN_ENTRIES + 1);
    for (entry, n) in plain.iter().zip(0..) {
        assert_eq!(
            (entry.base, entry.record_count, &entry.payload),
            (SequenceNumber(2 * n), 2, &payload(n, 100))
        );
    }
    let fetched = lane.fetch(KEYED, SequenceNumber(0), 1 << 20).await.expect("fetched");
    assert_eq!((fetched.from, fetched.next), (SequenceNumber(0), SequenceNumber(UPDATES * KEYS)));
    let mut last = vec![String::new(); KEYS as usize];
    let mut records = 0;
    for entry in fetched.entries.iter().flat_map(|run| EntryRun::new(run.clone())) {
        let (header, payload) = entry.expect("a whole entry");
        let batch = NumberedBatch::parse(&header, payload).expect("a valid batch");
        let Some(batch) = batch else { continue };
        for (number, record) in batch.into_records().expect("valid data") {
            let (update, key) = (number.0 / KEYS, number.0 % KEYS);
            assert_eq!(&record.key[..], format!("key {key}").as_bytes());
            assert_eq!(&record.data[..], value(update, key).as_bytes());
            last[key as usize] = value(update, key);
            records += 1;
        }
    }
    assert!(records < UPDATES * KEYS, "nothing was dropped");
    assert!(last.iter().zip(0..).all(|(last, key)| *last == value(UPDATES - 1, key)), "{last:?}");
    let appended = lane.append(PLAIN, payload(1000, 100), 1, Ack::Durable).await.expect("appended");
    assert_eq!(appended.base_sequence, SequenceNumber(2 * (PLAIN_ENTRIES + 1)));
    lane.close().await;
}

fn opens_and_goes_on(image: &'static str, headers: &'static [u8], trailer: u8, has_checkpoint: bool) {
    run(move |env, directory| async move {
        let files = directory.path().join("lane");
        fs::create_dir(&files).expect("made");
        unpack(&fs::read(Path::new(IMAGES).join(image)).expect("the image"), &files);
        check(&env, directory.path(), headers, trailer, Some(has_checkpoint)).await;
    });
}

#[test]
fn a_lane_with_plain_owner_tables_opens_and_goes_on() {
    opens_and_goes_on("lane-headers-1-2-3.image", &[1, 2, 3], 1, false);
}

#[test]
fn a_lane_with_checked_owner_rows_opens_and_goes_on() {
    opens_and_goes_on("lane-trailers-2.image", &[1, 3], 2, false);
}

#[test]
fn a_lane_with_a_checkpoint_of_the_index_opens_and_goes_on() {
    opens_and_goes_on("lane-checkpoint-1.image", &[1, 3], 2, true);
}

#[test]
fn a_lane_that_is_made_now_is_like_the_image() {
    run(|env, directory| async move {
        make(&env, directory.path()).await;
        let image = pack(&directory.path().join("lane"));
        if let Some(path) = std::env::var_os("TIDEMILL_LANE_IMAGE") {
            fs::write(path, &image).expect("written");
        }
        let copy = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(copy.path().join("lane")).expect("made");
        unpack(&image, &copy.path().join("lane"));
        // Compaction may have taken its own results in once more.
        check(&env, copy.path(), &[1, 3], 2, None).await;
    });
}
