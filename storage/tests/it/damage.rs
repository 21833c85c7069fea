//! Bytes that are not what they were, on the real disk: torn tails are cut, anything else is refused.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tidemill_storage::{Env, FetchError, Lane, OpenError, local::LocalEnv};
use tidemill_wire::{SequenceNumber, message::Ack};

use crate::{
    lane::{OWNER, config, open, run},
    record::{payload, read_all},
};

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory.join("lane"))
        .expect("the lane's directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a segment");
    file.write_all_at(bytes, offset).expect("written");
}

/// A first segment with five entries of 8 + 64 bytes, whose third begins at 4096 + 144, left without a close.
async fn five_entries(env: &LocalEnv, directory: &Path) {
    let lane = open(env, directory).await;
    // What a lane makes at its beginning is there, and nothing of it half done.
    while lane.stats().segments_spare == 0 || lane.stats().reserve_bytes == 0 {
        env.sleep(Duration::from_millis(1)).await;
    }
    for n in 0..5 {
        lane.append(OWNER, payload(n, 8), 1, Ack::Durable).await.expect("appended");
    }
    env.stop();
}

#[test]
fn a_torn_last_entry_is_cut_and_told() {
    run(|env, directory| async move {
        five_entries(&env, directory.path()).await;
        overwrite(&segments(directory.path())[0], 4096 + 4 * 72 + 64, &[0; 8]);
        let (lane, report) = Lane::open(env.clone(), config(directory.path())).await.expect("opened");
        let tail = report.torn_tail.expect("a torn tail");
        assert_eq!((tail.offset, tail.entries_dropped), (4096 + 4 * 72, 0));
        lane.adopt(OWNER, tidemill_storage::Retention::FOREVER);
        assert_eq!(read_all(&lane, OWNER, 1000).await.len(), 4);
        let appended = lane.append(OWNER, payload(9, 8), 1, Ack::Durable).await.expect("appended");
        assert_eq!(appended.base_sequence, SequenceNumber(4));
        env.stop();
        let (lane, report) = Lane::open(env, config(directory.path())).await.expect("opened");
        assert_eq!(report.torn_tail, None);
        lane.adopt(OWNER, tidemill_storage::Retention::FOREVER);
        assert_eq!(read_all(&lane, OWNER, 1000).await[4].payload, payload(9, 8));
    });
}

#[test]
fn whole_entries_behind_a_cut_never_come_back() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        lane.append(OWNER, payload(7, 8), 1, Ack::Durable).await.expect("appended");
        let group: Vec<_> = (0..5).map(|n| lane.append(OWNER, payload(n, 8), 1, Ack::Written)).collect();
        for append in group {
            append.await.expect("appended");
        }
        env.stop();
        overwrite(&segments(directory.path())[0], 4096 + 72 + 64, &[0xff]);
        let (lane, report) = Lane::open(env.clone(), config(directory.path())).await.expect("opened");
        let tail = report.torn_tail.expect("a torn tail");
        assert_eq!((tail.offset, tail.entries_dropped, tail.bytes_dropped), (4096 + 72, 4, 4 * 72));
        lane.adopt(OWNER, tidemill_storage::Retention::FOREVER);
        // As large as the one that was lost: it would end where the next of the old ones begins.
        lane.append(OWNER, payload(9, 8), 1, Ack::Durable).await.expect("appended");
        env.stop();
        let lane = open(&env, directory.path()).await;
        let entries = read_all(&lane, OWNER, 1000).await;
        assert_eq!(
            entries.iter().map(|entry| entry.payload.clone()).collect::<Vec<_>>(),
            [payload(7, 8), payload(9, 8)]
        );
    });
}

#[test]
fn damage_to_stable_entries_is_refused_with_file_and_offset() {
    run(|env, directory| async move {
        five_entries(&env, directory.path()).await;
        let file = segments(directory.path())[0].clone();
        overwrite(&file, 4096 + 2 * 72 + 64, &[0xff]);
        let before = fs::read(&file).expect("the segment");
        let Err(OpenError::Damaged(damage)) = Lane::open(env, config(directory.path())).await else {
            panic!("damage was accepted");
        };
        assert_eq!((damage.path, damage.offset), (file.clone(), 4096 + 2 * 72));
        assert_eq!(fs::read(&file).expect("the segment"), before);
    });
}

#[test]
fn after_a_clean_close_even_the_last_entry_is_vouched_for() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        lane.append(OWNER, payload(0, 8), 1, Ack::Written).await.expect("appended");
        lane.close().await;
        overwrite(&segments(directory.path())[0], 4096 + 64, &[0xff]);
        assert!(matches!(Lane::open(env, config(directory.path())).await, Err(OpenError::Damaged(_))));
    });
}

#[test]
fn broken_headers_and_lengths_are_refused() {
    run(|env, directory| async move {
        five_entries(&env, directory.path()).await;
        let file = segments(directory.path())[0].clone();
        let original = fs::read(&file).expect("the segment");
        for (offset, byte) in [(0, 1), (9, !original[9]), (24, 9), (32, 7)] {
            overwrite(&file, offset, &[byte]);
            let opened = Lane::open(env.clone(), config(directory.path())).await;
            assert!(matches!(opened, Err(OpenError::Damaged(_))), "byte {offset}");
            fs::write(&file, &original).expect("restored");
        }
        fs::write(&file, &original[..20_000]).expect("truncated");
        assert!(matches!(
            Lane::open(env.clone(), config(directory.path())).await,
            Err(OpenError::Damaged(_))
        ));
        fs::write(&file, &original).expect("restored");
        let mut foreign = config(directory.path());
        foreign.lane = tidemill_wire::LaneId(4);
        assert!(matches!(Lane::open(env, foreign).await, Err(OpenError::ForeignLane { .. })));
    });
}

#[test]
fn a_broken_footer_is_built_again_and_broken_entries_behind_it_are_found_by_the_fetch() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        for n in 0..60 {
            lane.append(OWNER, payload(n, 3000), 1, Ack::Durable).await.expect("appended");
        }
        lane.close().await;
        let sealed = segments(directory.path())[0].clone();
        let bytes = fs::read(&sealed).expect("the segment");
        let trailer = bytes.len() - 4096;
        let footer = u64::from_le_bytes(bytes[trailer + 32..trailer + 40].try_into().expect("eight bytes"));
        overwrite(&sealed, footer, &[0xff; 8]);
        // With a checkpoint, if upkeep has had time for one, the start need not look at the footer.
        _ = fs::remove_file(directory.path().join("lane/index.checkpoint"));
        let (lane, report) = Lane::open(env.clone(), config(directory.path())).await.expect("opened");
        assert_eq!(report.footers_rebuilt, 1);
        lane.adopt(OWNER, tidemill_storage::Retention::FOREVER);
        assert_eq!(read_all(&lane, OWNER, 10_000).await.len(), 60);
        lane.close().await;
        overwrite(&sealed, 4096 + 200, &[0xff]);
        let lane = open(&env, directory.path()).await;
        let Err(FetchError::Damaged(damage)) = lane.fetch(OWNER, SequenceNumber(0), 100).await else {
            panic!("damage was served");
        };
        assert_eq!((damage.path, damage.offset), (sealed, 4096));
        let later = lane.fetch(OWNER, SequenceNumber(30), 100).await.expect("the rest is there");
        assert_eq!(later.next, SequenceNumber(31));
    });
}

#[test]
fn half_prepared_files_are_removed() {
    run(|env, directory| async move {
        five_entries(&env, directory.path()).await;
        let half = directory.path().join("lane/00000000000000ff.preparing");
        fs::write(&half, [1; 100]).expect("written");
        let (_lane, report) = Lane::open(env, config(directory.path())).await.expect("opened");
        assert_eq!(report.files_removed, 1, "{report:?}");
        assert!(!half.exists());
    });
}
