//! Compaction: space comes back, reads stay right, and one owner's records come to lie together.
#![allow(clippy::print_stderr, reason = "what a run came to is for its reader")]

use std::{collections::VecDeque, fs, os::unix::fs::FileExt, path::Path, time::Duration};

use tidemill_storage::{
    Env, FetchError, Lane, LaneConfig, LaneStats, OpenError, Retention,
    inspect::{SegmentReport, verify},
    local::LocalEnv,
    sim::Sim,
};
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, message::Ack};

use crate::{
    lane::{OWNER, config, run},
    record::{payload, read_all, seen},
};

const SEGMENT_BYTES: u64 = 256 << 10;

fn larger(directory: &Path) -> LaneConfig {
    LaneConfig {
        segment_bytes: SEGMENT_BYTES,
        upkeep_interval: Duration::from_millis(20),
        compaction_bytes_per_second: 256 << 20,
        grouping_age: Duration::MAX,
        checkpoint_rows_min: 1000,
        ..config(directory)
    }
}

async fn open(env: &LocalEnv, config: LaneConfig) -> Lane<LocalEnv> {
    Lane::open(env.clone(), config).await.expect("opened").0
}

fn files_bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory.join("lane")).expect("the lane's directory");
    // A file may go between the listing and the look.
    files.filter_map(|entry| Some(entry.expect("an entry").metadata().ok()?.len())).sum()
}

async fn wait_for(env: &LocalEnv, lane: &Lane<LocalEnv>, reached: impl Fn(&LaneStats) -> bool) {
    for _ in 0..500 {
        if reached(&lane.stats()) {
            return;
        }
        env.sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come to that: {:?}", lane.stats());
}

fn label(owner: OwnerId, number: u64) -> u64 {
    owner.0 << 32 | number
}

/// An owner with a retention, and what the test knows to be live.
struct Client {
    owner: OwnerId,
    retention: Retention,
    next: u64,
    live: VecDeque<(Timestamp, u64)>,
}

impl Client {
    fn live_bytes(&mut self, now: Timestamp) -> u64 {
        let age = u64::try_from(self.retention.age.as_millis()).unwrap_or(u64::MAX);
        while self.live.front().is_some_and(|(time, _)| time.0 < now.0.saturating_sub(age)) {
            self.live.pop_front();
        }
        let bytes: u64 = self.live.iter().map(|(_, bytes)| bytes).sum();
        bytes.min(self.retention.bytes.unwrap_or(u64::MAX))
    }

    async fn check_read(&self, lane: &Lane<impl Env>, place: u64) {
        let bounds = lane.bounds(self.owner).expect("known");
        assert_eq!(bounds.next.0, self.next);
        let from = SequenceNumber(bounds.oldest.0 + bounds.next.since(bounds.oldest) * place / 100);
        let fetched = lane.fetch(self.owner, from, 20_000).await.expect("fetched");
        let mut number = fetched.from.0;
        for entry in seen(self.owner, &fetched) {
            assert_eq!(entry.base.0, number);
            assert_eq!(entry.payload, payload(label(self.owner, number), 2000));
            number += 1;
        }
        assert_eq!(number, fetched.next.0);
        assert!(number > fetched.from.0 || fetched.from == fetched.end);
    }
}

/// In the simulated world, where time passes by the work that is done and not by what else the machine does: the bound holds at every look.
#[test]
fn disk_use_stays_near_what_is_live_under_three_retentions() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let done = sim.run(three_retentions(&sim));
        assert!(done.is_some());
    }
}

async fn three_retentions(sim: &Sim) {
    let (env, directory) = (sim.env(), Path::new("/disk"));
    let lane = Lane::open(env.clone(), larger(directory)).await.expect("opened").0;
    let age = |ms| Retention { age: Duration::from_millis(ms), bytes: None };
    let kept = Retention { age: Duration::MAX, bytes: Some(3 << 20) };
    let client =
        |(retention, owner)| Client { owner: OwnerId(owner), retention, next: 0, live: VecDeque::new() };
    let mut clients: Vec<Client> = [age(200), age(1500), kept].into_iter().zip(1..).map(client).collect();
    clients.iter().for_each(|client| lane.adopt(client.owner, client.retention));
    let (mut worst, mut looks) = (0.0_f64, 0);
    for round in 0..3000_u64 {
        let mut appends = Vec::new();
        for client in &mut clients {
            for _ in 0..3 {
                let bytes = payload(label(client.owner, client.next), 2000);
                appends.push((client.owner, lane.append(client.owner, bytes, 1, Ack::Written)));
                client.next += 1;
            }
        }
        for (owner, append) in appends {
            let taken = append.await.expect("appended").append_time;
            clients[(owner.0 - 1) as usize].live.push_back((taken, 2000));
        }
        if round % 10 == 0 {
            for client in &clients {
                client.check_read(&lane, env.random_u64() % 100).await;
            }
            env.sleep(Duration::from_millis(10)).await;
        }
        let live: u64 = clients.iter_mut().map(|client| client.live_bytes(env.now())).sum();
        let beyond = sim.disk_bytes().saturating_sub(4 * SEGMENT_BYTES) as f64 / live as f64;
        assert!(beyond <= 1.6, "{beyond} at round {round}: {live} live bytes, {:?}", lane.stats());
        (worst, looks) = (worst.max(beyond), looks + 1);
    }
    let stats = lane.stats();
    let amplification = (stats.appended_bytes + stats.rewritten_bytes) as f64 / stats.appended_bytes as f64;
    assert!(stats.compactions > 5 && looks == 3000, "{worst} {stats:?}");
    assert!(amplification < 3.0, "{amplification} {stats:?}");
    eprintln!("worst share {worst:.2}, amplification {amplification:.2}, in {:?}", env.monotonic());
    lane.close().await;
    let lane = Lane::open(env.clone(), larger(directory)).await.expect("opened").0;
    for client in &clients {
        lane.adopt(client.owner, client.retention);
        for place in [0, 50, 99] {
            client.check_read(&lane, place).await;
        }
    }
}

async fn interleave(lane: &Lane<LocalEnv>, owners: u64, entries: u64) -> Vec<(Timestamp, SequenceNumber)> {
    let mut times = Vec::new();
    for number in 0..entries {
        for owner in (1..=owners).map(OwnerId) {
            let bytes = payload(label(owner, number), 200);
            let appended = lane.append(owner, bytes, 1, Ack::Written).await.expect("appended");
            if owner == OWNER {
                times.push((appended.append_time, appended.base_sequence));
            }
        }
    }
    times
}

#[test]
fn compaction_lets_one_owner_read_in_few_pieces() {
    run(|env, directory| async move {
        let config = LaneConfig { grouping_age: Duration::from_millis(300), ..larger(directory.path()) };
        let lane = open(&env, config.clone()).await;
        (1..=20).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        lane.pause_compaction(true);
        let times = interleave(&lane, 20, 300).await;
        let before = lane.fetch(OWNER, SequenceNumber(0), 1 << 20).await.expect("fetched").entries;
        assert!(before.len() > 200, "{} pieces", before.len());
        env.sleep(Duration::from_millis(400)).await;
        assert_eq!(lane.stats().compactions, 0);
        lane.pause_compaction(false);
        let sealed = lane.stats().segments_sealed;
        wait_for(&env, &lane, |stats| stats.compacted_segments >= sealed).await;
        let entries = read_all(&lane, OWNER, 10_000).await;
        let in_order = |(entry, number): (&crate::record::Seen, u64)| {
            entry.base.0 == number && entry.payload == payload(label(OWNER, number), 200)
        };
        assert!(entries.len() == 300 && entries.iter().zip(0..).all(in_order));
        let fetched = lane.fetch(OWNER, SequenceNumber(0), 50_000).await.expect("fetched");
        assert!(fetched.entries.len() <= 6, "{} pieces for {} bytes", fetched.entries.len(), fetched.bytes);
        for (time, _) in &times {
            let first = times.iter().find(|(t, _)| t >= time).expect("it is one of them").1;
            assert_eq!(lane.sequence_at(OWNER, *time).await, Ok(first));
        }
        lane.close().await;
        let report = verify(&env, &directory.path().join("lane")).await.expect("verified");
        assert!(report.is_sound(), "{report:?}");
        assert!(report.segments.iter().any(|segment| segment.covers.is_some()), "{report:?}");
        let lane = open(&env, config).await;
        lane.adopt(OWNER, Retention::FOREVER);
        assert_eq!(read_all(&lane, OWNER, 10_000).await, entries);
        assert_eq!(lane.sequence_at(OWNER, times[200].0).await.map(|n| n.0 <= 200), Ok(true));
    });
}

#[test]
fn forgotten_owners_give_their_space_back() {
    run(|env, directory| async move {
        let lane = open(&env, larger(directory.path())).await;
        (1..=8).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        interleave(&lane, 8, 1000).await;
        (1..=8).map(OwnerId).filter(|owner| *owner != OWNER).for_each(|owner| lane.forget(owner));
        let live = 1000 * 264;
        wait_for(&env, &lane, |_| files_bytes(directory.path()) <= live * 16 / 10 + 4 * SEGMENT_BYTES).await;
        assert_eq!(read_all(&lane, OWNER, 10_000).await.len(), 1000);
        assert_eq!(lane.stats().owners, 1);
    });
}

#[test]
fn slices_of_compacted_segments_keep_their_bytes() {
    run(|env, directory| async move {
        let lane = open(&env, larger(directory.path())).await;
        (1..=8).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        interleave(&lane, 8, 1000).await;
        let held = lane.fetch(OWNER, SequenceNumber(0), 1 << 20).await.expect("fetched");
        (1..7).for_each(|owner| lane.forget(OwnerId(owner)));
        wait_for(&env, &lane, |stats| stats.compactions > 0 && stats.retired_segments > 0).await;
        for number in 1000..3000 {
            lane.append(OWNER, payload(number, 500), 1, Ack::Written).await.expect("appended");
        }
        let kept = seen(OWNER, &held);
        assert!(kept.iter().zip(0..).all(|(entry, n)| entry.payload == payload(label(OWNER, n), 200)));
    });
}

/// The first file that compaction made, or that it did not.
async fn find(env: &LocalEnv, directory: &Path, compacted: bool) -> SegmentReport {
    let report = verify(env, &directory.join("lane")).await.expect("verified");
    let mut segments = report.segments.into_iter();
    segments.find(|segment| segment.covers.is_some() == compacted).expect("there is one")
}

#[test]
fn damage_is_left_alone_and_told() {
    run(|env, directory| async move {
        let lane = open(&env, larger(directory.path())).await;
        (1..=8).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        interleave(&lane, 8, 1000).await;
        lane.close().await;
        let damaged = find(&env, directory.path(), false).await.path;
        let file = fs::OpenOptions::new().write(true).open(&damaged).expect("opened");
        // In the payload of the seventh entry, which is the first of the owner that stays.
        file.write_all_at(&[0xff; 4], 4096 + 6 * 264 + 100).expect("written");
        let lane = open(&env, larger(directory.path())).await;
        lane.adopt(OWNER, Retention::FOREVER);
        (1..=8).map(OwnerId).filter(|owner| *owner != OWNER).for_each(|owner| lane.forget(owner));
        wait_for(&env, &lane, |stats| stats.setbacks.damaged > 0 && stats.compactions > 0).await;
        let Err(FetchError::Damaged(damage)) = lane.fetch(OWNER, SequenceNumber(0), 100).await else {
            panic!("damage was served");
        };
        assert_eq!((damage.path, damage.offset), (damaged, 4096 + 6 * 264));
        let later = lane.fetch(OWNER, SequenceNumber(500), 300).await.expect("the rest is there");
        assert_eq!(seen(OWNER, &later)[0].payload, payload(label(OWNER, 500), 200));
    });
}

#[test]
fn unfinished_outputs_go_and_finished_ones_must_be_whole() {
    run(|env, directory| async move {
        let lane = open(&env, larger(directory.path())).await;
        (1..=8).for_each(|owner| lane.adopt(OwnerId(owner), Retention::FOREVER));
        interleave(&lane, 8, 1000).await;
        (1..=8).map(OwnerId).filter(|owner| *owner != OWNER).for_each(|owner| lane.forget(owner));
        wait_for(&env, &lane, |stats| stats.compactions > 0).await;
        lane.close().await;
        fs::write(directory.path().join("lane/00000000000000ff.compacting"), [1; 100]).expect("written");
        let opened = Lane::open(env.clone(), larger(directory.path())).await;
        let (lane, report) = opened.expect("opened");
        assert_eq!((report.compactions_unfinished, report.files_removed), (1, 1));
        assert!(report.segments_compacted > 0);
        lane.adopt(OWNER, Retention::FOREVER);
        assert_eq!(read_all(&lane, OWNER, 10_000).await.len(), 1000);
        lane.close().await;
        let compacted = find(&env, directory.path(), true).await;
        let file = fs::OpenOptions::new().write(true).open(&compacted.path).expect("opened");
        file.write_all_at(&[0xff; 4], compacted.file_bytes - 4096 + 20).expect("written");
        let Err(OpenError::Damaged(damage)) = Lane::open(env.clone(), larger(directory.path())).await else {
            panic!("damage was accepted");
        };
        assert_eq!((damage.path.clone(), damage.offset), (compacted.path, compacted.file_bytes - 4096));
        let report = verify(&env, &directory.path().join("lane")).await.expect("verified");
        assert!(!report.is_sound());
    });
}
