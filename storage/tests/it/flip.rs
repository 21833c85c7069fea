//! Flipped bits anywhere in a lane: what verification says is what a start and the reader find.

use std::{fs, os::unix::fs::FileExt, path::Path, time::Duration};

use tidemill_storage::{
    FetchError, Lane, LaneConfig, OpenError, Retention,
    inspect::{SegmentState, inspect, verify},
    local::LocalEnv,
};
use tidemill_wire::{OwnerId, SequenceNumber, message::Ack};

use crate::{
    lane::{config, run},
    record::{Seen, payload, seen},
};

/// Owners that keep everything, and one that keeps little, so that compaction has work.
pub(crate) const KEPT: [OwnerId; 2] = [OwnerId(1), OwnerId(2)];
pub(crate) const PASSING: OwnerId = OwnerId(9);

/// A lane in the folder `lane` with segments of both versions, closed in order, and none that was replaced. Returns the oldest number that is left of `PASSING`.
pub(crate) async fn fill(env: &LocalEnv, directory: &Path) -> SequenceNumber {
    let compacting = LaneConfig { upkeep_interval: Duration::from_millis(5), ..config(directory) };
    let (lane, _) = Lane::open(env.clone(), compacting).await.expect("opened");
    for owner in KEPT {
        lane.adopt(owner, Retention::FOREVER);
    }
    lane.adopt(PASSING, Retention { bytes: Some(4 << 10), ..Retention::FOREVER });
    for n in 0..90_u64 {
        let owner = if n % 3 == 0 { KEPT[(n % 2) as usize] } else { PASSING };
        lane.append(owner, payload(n, 500 + n as usize * 20), 2, Ack::Durable).await.expect("appended");
    }
    for _ in 0..200 {
        if lane.stats().compactions > 0 {
            break;
        }
        tidemill_storage::Env::sleep(env, Duration::from_millis(10)).await;
    }
    assert!(lane.stats().compactions > 0);
    lane.close().await;
    let segments = inspect(env, &directory.join("lane")).await.expect("inspected").segments;
    // Segments that were replaced are here or not as time would have it, and so is what is over.
    let (replaced, others): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.state == SegmentState::Superseded);
    for segment in replaced {
        fs::remove_file(segment.path).expect("removed");
    }
    let rows = others.iter().flat_map(|segment| &segment.owners);
    let live = rows.filter(|row| row.owner == PASSING && row.is_live);
    live.map(|row| row.first).min().expect("its last records are kept")
}

/// Everything of the owners that keep it, or why not.
pub(crate) async fn read(env: &LocalEnv, directory: &Path) -> Result<Vec<Vec<Seen>>, String> {
    // Nothing moves while it is read.
    let quiet = LaneConfig { compaction_bytes_per_second: 0, ..config(directory) };
    let lane = match Lane::open(env.clone(), quiet).await {
        Ok((lane, _)) => lane,
        Err(OpenError::Damaged(damage)) => return Err(damage.to_string()),
        Err(other) => panic!("{other}"),
    };
    let mut all = Vec::new();
    for owner in KEPT {
        lane.adopt(owner, Retention::FOREVER);
        let (mut entries, mut from) = (Vec::new(), lane.bounds(owner).expect("known").oldest);
        loop {
            let fetched = match lane.fetch(owner, from, 3000).await {
                Ok(fetched) => fetched,
                Err(FetchError::Damaged(damage)) => {
                    env.stop();
                    return Err(damage.to_string());
                }
                Err(other) => panic!("{other}"),
            };
            if fetched.entries.is_empty() {
                break;
            }
            entries.extend(seen(owner, &fetched));
            from = fetched.next;
        }
        all.push(entries);
    }
    env.stop();
    Ok(all)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    // Left by the round before, if there was one.
    _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("the directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Flips a bit of one of the directory's files, all of whose bytes are equally likely, and returns where.
pub(crate) fn flip(directory: &Path, draw: u64) -> (String, u64) {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let sizes: Vec<u64> = files.iter().map(|file| fs::metadata(file).expect("a file").len()).collect();
    let mut place = (draw >> 3) % sizes.iter().sum::<u64>();
    let index = sizes.iter().position(|size| place.checked_sub(*size).map(|rest| place = rest).is_none());
    let path = &files[index.expect("within the files")];
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("read");
    file.write_all_at(&[byte[0] ^ 1 << (draw % 8)], place).expect("written");
    (path.file_name().expect("a name").to_string_lossy().into_owned(), place)
}

pub(crate) fn draws(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    // Splitmix64: the same flips in each run, without a generator from elsewhere.
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[test]
fn what_verification_calls_sound_can_be_opened_and_read() {
    run(|env, directory| async move {
        let directory = directory.path();
        let original = directory.join("original");
        fs::create_dir(&original).expect("made");
        fill(&env, &original).await;
        let (original, lane) = (original.join("lane"), directory.join("lane"));
        copy(&original, &lane);
        let report = verify(&env, &lane).await.expect("verified");
        assert!(report.is_sound(), "{report:?}");
        assert!(report.segments.iter().any(|segment| segment.covers.is_some()));
        let whole = read(&env, directory).await.expect("sound");
        assert!(whole.iter().all(|entries| entries.len() > 10));
        let (mut damaged, mut refused) = (0, 0);
        for draw in draws(7).take(300) {
            copy(&original, &lane);
            let place = flip(&lane, draw);
            let report = verify(&env, &lane).await.expect("verified");
            let read = read(&env, directory).await;
            damaged += u32::from(!report.is_sound());
            refused += u32::from(read.is_err());
            match read {
                Err(error) => assert!(!report.is_sound(), "{place:?}: {error}, and {report:?}"),
                Ok(entries) => assert_eq!(entries, whole, "{place:?}"),
            }
        }
        assert!(damaged > 30 && refused > 10 && damaged >= refused, "{damaged} damaged, {refused} refused");
    });
}

#[test]
fn a_record_is_lost_to_readers_only_where_it_is_damaged() {
    run(|env, directory| async move {
        fill(&env, directory.path()).await;
        let lane = directory.path().join("lane");
        let report = verify(&env, &lane).await.expect("verified");
        let sealed =
            report.segments.iter().find(|segment| segment.covers.is_some()).expect("a compacted one");
        let file = fs::OpenOptions::new().write(true).open(&sealed.path).expect("opened");
        file.write_all_at(&[0xff], 4096 + 64 + 100).expect("written");
        let quiet = LaneConfig { compaction_bytes_per_second: 0, ..config(directory.path()) };
        let (lane, _) =
            Lane::open(env.clone(), quiet).await.expect("a start does not look at sealed entries");
        let damaged = sealed.owners[0].owner;
        for owner in KEPT {
            lane.adopt(owner, Retention::FOREVER);
            let fetched = lane.fetch(owner, SequenceNumber(0), 1 << 20).await;
            assert_eq!(fetched.is_err(), owner == damaged, "{fetched:?}");
        }
    });
}
