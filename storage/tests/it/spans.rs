//! Owners with records in very many segments: the index has only their oldest and newest parts, and the owner tables tell the rest.

use std::{fs, os::unix::fs::FileExt, path::Path, time::Duration};

use tidemill_storage::{
    Env, FetchError, Lane, LaneConfig, Retention,
    inspect::{SegmentState, inspect},
    sim::{Crash, Sim, SimEnv},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, Timestamp, message::Ack};

use crate::{
    lane::{config, run},
    record::{Seen, payload, read_all, times},
};

/// One has records in every segment, one in every seventh, and one in the first and the last.
const BUSY: OwnerId = OwnerId(1);
const SPARSE: OwnerId = OwnerId(2);
const RARE: OwnerId = OwnerId(3);
const OWNERS: [OwnerId; 3] = [BUSY, SPARSE, RARE];
const ROUNDS: u64 = 60;

fn sim_config() -> LaneConfig {
    LaneConfig {
        compaction_bytes_per_second: 0,
        recycled_segments_max: 0,
        ..LaneConfig::test_min("lane".into(), LaneId(1))
    }
}

/// A segment or more each round.
async fn fill<E: Env>(lane: &Lane<E>) {
    OWNERS.iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
    for round in 0..ROUNDS {
        let mut owners = vec![BUSY; 8];
        owners.extend((round % 7 == 0).then_some(SPARSE));
        owners.extend([0, ROUNDS - 1].contains(&round).then_some(RARE));
        for (n, owner) in owners.into_iter().enumerate() {
            let appended = lane.append(owner, payload(round * 100 + n as u64, 3500), 2, Ack::Durable);
            appended.await.expect("appended");
        }
    }
}

async fn open(env: &SimEnv) -> Lane<SimEnv> {
    let (lane, _) = Lane::open(env.clone(), sim_config()).await.expect("opened");
    lane
}

async fn everything(lane: &Lane<SimEnv>) -> Vec<Vec<Seen>> {
    let mut all = Vec::new();
    for owner in OWNERS {
        lane.adopt(owner, Retention::FOREVER);
        all.push(read_all(lane, owner, 9000).await);
    }
    all
}

#[test]
fn every_number_and_every_time_is_found() {
    let sim = Sim::new(1);
    let env = sim.env();
    sim.run(async {
        let lane = open(&env).await;
        fill(&lane).await;
        assert!(lane.stats().segments_sealed > 50, "{:?}", lane.stats());
        for start in 0..2 {
            let lane = if start == 0 { lane.clone() } else { open(&env).await };
            let all = everything(&lane).await;
            let counts: Vec<usize> = all.iter().map(Vec::len).collect();
            assert_eq!(counts, [8 * 60, 9, 2]);
            for (owner, entries) in OWNERS.into_iter().zip(&all) {
                let mut taken = Vec::new();
                // From the newest to the oldest, so that none is where the one before was.
                for entry in entries.iter().rev() {
                    let fetched =
                        lane.fetch(owner, SequenceNumber(entry.base.0 + 1), 1).await.expect("fetched");
                    let found = times(&fetched);
                    assert_eq!((found.len(), found[0].0), (1, entry.base));
                    taken.push((found[0].2, entry.base));
                }
                for (time, base) in &taken {
                    // Entries of one moment are found by the first of them.
                    let first = taken.iter().filter(|(other, _)| other == time).map(|(_, base)| *base).min();
                    assert_eq!(lane.sequence_at(owner, *time).await.ok(), first, "{owner} {base}");
                    let behind = taken.iter().filter(|(other, _)| other > time).map(|(_, base)| *base).min();
                    let next = behind.unwrap_or(lane.bounds(owner).expect("known").next);
                    assert_eq!(lane.sequence_at(owner, Timestamp(time.0 + 1)).await.ok(), Some(next));
                }
            }
            assert!(lane.stats().index_lookups > 50, "{:?}", lane.stats());
            lane.close().await;
        }
    })
    .expect("not stopped");
}

#[test]
fn retention_and_forgetting_let_go_of_all_that_they_should() {
    let sim = Sim::new(2);
    let env = sim.env();
    sim.run(async {
        let lane = open(&env).await;
        fill(&lane).await;
        let all = everything(&lane).await;
        let sealed = lane.stats().segments_sealed;
        // What was dropped is nowhere an obstacle: each segment goes when nobody has anything in it.
        lane.adopt(BUSY, Retention { bytes: Some(100_000), ..Retention::FOREVER });
        env.sleep(Duration::from_secs(2)).await;
        let kept = read_all(&lane, BUSY, 9000).await;
        assert!((28..40).contains(&kept.len()), "{}", kept.len());
        assert!(all[0].ends_with(&kept));
        let stats = lane.stats();
        assert!(stats.expiry_lookups > 40 && stats.index_lookups > 0, "{stats:?}");
        // Those with records of the others, those at the end, and what waits to be used or removed.
        assert!(stats.segments_sealed < 20 && stats.segments_sealed > 9, "{stats:?}");
        assert_eq!(read_all(&lane, SPARSE, 9000).await, all[1]);
        assert_eq!(read_all(&lane, RARE, 9000).await, all[2]);

        lane.forget(SPARSE);
        assert!(!lane.owners().contains(&SPARSE) && lane.stats().owners == 2);
        assert!(matches!(lane.fetch(SPARSE, SequenceNumber(0), 1).await, Err(FetchError::UnknownOwner(_))));
        env.sleep(Duration::from_secs(2)).await;
        let stats = lane.stats();
        assert!(stats.segments_sealed < 9, "{sealed} before, {stats:?}");
        assert_eq!(read_all(&lane, RARE, 9000).await, all[2]);
        lane.close().await;

        let lane = open(&env).await;
        lane.adopt(BUSY, Retention::FOREVER);
        assert!(read_all(&lane, BUSY, 9000).await.ends_with(&kept));
        lane.forget(BUSY);
        lane.forget(RARE);
        lane.owners().into_iter().for_each(|owner| lane.forget(owner));
        env.sleep(Duration::from_secs(2)).await;
        let stats = lane.stats();
        assert_eq!((stats.segments_sealed, stats.owners, stats.live_bytes), (0, 0, 0), "{stats:?}");
        lane.close().await;
    })
    .expect("not stopped");
}

/// Compaction rewrites segments in the middle of what the index does not have.
#[test]
fn a_long_history_survives_compaction() {
    let sim = Sim::new(3);
    let env = sim.env();
    sim.run(async {
        let lane = open(&env).await;
        fill(&lane).await;
        let all = everything(&lane).await;
        lane.close().await;
        let compacting = LaneConfig { compaction_bytes_per_second: 64 << 20, ..sim_config() };
        let (lane, _) = Lane::open(env.clone(), compacting).await.expect("opened");
        lane.adopt(BUSY, Retention { bytes: Some(100_000), ..Retention::FOREVER });
        [SPARSE, RARE].iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
        env.sleep(Duration::from_secs(20)).await;
        let stats = lane.stats();
        assert!(stats.compactions > 0 && stats.compacted_segments > 5, "{stats:?}");
        assert_eq!(read_all(&lane, SPARSE, 9000).await, all[1]);
        assert_eq!(read_all(&lane, RARE, 9000).await, all[2]);
        assert!(all[0].ends_with(&read_all(&lane, BUSY, 9000).await));
    })
    .expect("not stopped");
    sim.crash(Crash::Power);
    sim.run(async {
        let lane = open(&env).await;
        let all = everything(&lane).await;
        assert_eq!((all[1].len(), all[2].len()), (9, 2));
        lane.close().await;
    })
    .expect("not stopped");
}

fn flip(path: &Path, place: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("read");
    file.write_all_at(&[byte[0] ^ 1], place).expect("written");
}

/// Where the owner table of a sealed segment begins.
fn owner_table(path: &Path) -> u64 {
    let file = fs::File::open(path).expect("opened");
    let mut position = [0; 8];
    file.read_exact_at(&mut position, file.metadata().expect("a file").len() - 4096 + 32).expect("read");
    u64::from_le_bytes(position)
}

#[test]
fn a_row_that_rots_while_the_lane_is_open_is_made_anew_or_told() {
    run(|env, directory| async move {
        let quiet = LaneConfig { compaction_bytes_per_second: 0, ..config(directory.path()) };
        let (lane, _) = Lane::open(env.clone(), quiet.clone()).await.expect("opened");
        fill(&lane).await;
        env.sleep(Duration::from_millis(300)).await;
        let segments = inspect(&env, &quiet.directory).await.expect("inspected").segments;
        let sealed: Vec<_> =
            segments.into_iter().filter(|segment| segment.state == SegmentState::Sealed).collect();
        let row = |n: usize| sealed[n].owners.iter().find(|row| row.owner == BUSY).expect("it has records");

        let middle = sealed.len() / 2;
        let (path, first) = (&sealed[middle].path, row(middle).first);
        flip(path, owner_table(path) + 20);
        let fetched = lane.fetch(BUSY, first, 1).await.expect("the entries tell the row");
        assert_eq!(times(&fetched)[0].0, first);
        let whole = inspect(&env, &quiet.directory).await.expect("inspected").segments;
        assert!(whole.iter().all(|segment| segment.findings.is_empty()), "it was written anew: {whole:?}");

        let (path, first) = (&sealed[middle + 5].path, row(middle + 5).first);
        flip(path, owner_table(path) + 20);
        flip(path, 4096 + 64 + 9);
        let error = lane.fetch(BUSY, first, 1).await.expect_err("nothing tells where it is");
        let FetchError::Damaged(damage) = error else { panic!("{error}") };
        assert_eq!((&damage.path, damage.offset), (path, owner_table(path)), "{damage}");
        // Nothing else is lost.
        let other = row(middle - 5).first;
        assert_eq!(times(&lane.fetch(BUSY, other, 1).await.expect("fetched"))[0].0, other);
        lane.close().await;
    });
}

/// Segments of the log, each with an entry of this owner.
async fn fill_many(lane: &Lane<SimEnv>, segments: u64) {
    lane.adopt(BUSY, Retention::FOREVER);
    lane.adopt(RARE, Retention::FOREVER);
    for round in 0..segments {
        let owners = std::iter::repeat_n(BUSY, 8).chain((round % (segments / 12) == 0).then_some(RARE));
        for (n, owner) in owners.enumerate() {
            let appended = lane.append(owner, payload(round * 100 + n as u64, 3500), 2, Ack::Written);
            appended.await.expect("appended");
        }
    }
}

/// Reads a rare owner's entries from the newest to the oldest, so that none is where the one before was. Returns how many owner tables were asked for each.
async fn tables_asked(lane: &Lane<SimEnv>, entries: &[Seen]) -> Vec<u64> {
    let mut asked = Vec::new();
    for entry in entries.iter().rev() {
        let before = lane.stats();
        let fetched = lane.fetch(RARE, entry.base, 1).await.expect("fetched");
        assert_eq!(times(&fetched)[0].0, entry.base);
        let after = lane.stats();
        if after.index_lookups > before.index_lookups {
            asked.push(after.index_tables - before.index_tables);
        }
    }
    asked
}

#[test]
fn a_rare_owner_of_hundreds_of_segments_is_found_with_a_few_owner_tables() {
    const SEGMENTS: u64 = 400;
    let sim = Sim::new(4);
    let env = sim.env();
    sim.run(async {
        let config = LaneConfig { checkpoint_rows_min: 1, ..sim_config() };
        let (lane, _) = Lane::open(env.clone(), config.clone()).await.expect("opened");
        fill_many(&lane, SEGMENTS).await;
        let sealed = lane.stats().segments_sealed;
        assert!(sealed > SEGMENTS, "{sealed}");
        let entries = read_all(&lane, RARE, 1).await;
        let asked = tables_asked(&lane, &entries).await;
        // Halving asks the one that has it, and now and then one that the filter takes for another.
        assert!(!asked.is_empty() && asked.iter().all(|count| *count <= 10), "{asked:?} of {sealed}");
        env.sleep(Duration::from_secs(2)).await;
        lane.close().await;

        // A start from a checkpoint has not read the tables: the first one who asks them pays, once.
        let (lane, report) = Lane::open(env.clone(), config).await.expect("opened");
        assert_eq!(report.owners_listed, 2, "{report:?}");
        lane.adopt(RARE, Retention::FOREVER);
        let first = tables_asked(&lane, &entries).await;
        assert!(first.iter().sum::<u64>() <= 2 * sealed, "{first:?} of {sealed}");
        let again = tables_asked(&lane, &entries).await;
        assert!(again.iter().all(|count| *count <= 10), "{again:?} of {sealed}");
        lane.close().await;
    })
    .expect("not stopped");
}
