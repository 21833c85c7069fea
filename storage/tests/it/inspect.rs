//! The offline look at a lane: right about a sound one, right about a damaged one, and without a trace.

use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, path::Path, time::Duration};

use tidemill_storage::{
    Env,
    inspect::{SegmentState, Severity, inspect, verify},
};
use tidemill_wire::{SequenceNumber, message::Ack};

use crate::{
    lane::{OWNER, open, run},
    record::payload,
};

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
    };
    fs::read_dir(directory).expect("the directory").map(|entry| read(entry.expect("an entry"))).collect()
}

#[test]
fn a_lane_is_inspected_and_verified_without_a_trace() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        for n in 0..60 {
            lane.append(OWNER, payload(n, 3000), 2, Ack::Written).await.expect("appended");
        }
        // The next segment is there, however slow the disk is.
        while lane.stats().segments_spare == 0 {
            env.sleep(Duration::from_millis(1)).await;
        }
        lane.close().await;
        let directory = directory.path().join("lane");
        let before = files(&directory);
        let quick = inspect(&env, &directory).await.expect("inspected");
        let whole = verify(&env, &directory).await.expect("verified");
        assert_eq!(quick, whole);
        assert!(whole.is_sound());
        let states: Vec<SegmentState> = whole.segments.iter().map(|segment| segment.state).collect();
        assert!(states.starts_with(&[SegmentState::Sealed, SegmentState::Sealed]), "{states:?}");
        let others = states.iter().filter(|state| **state != SegmentState::Sealed).copied();
        // Whether upkeep has had time for one is left open.
        let others: Vec<_> = others.filter(|state| *state != SegmentState::Checkpoint).collect();
        assert_eq!(others, [SegmentState::Open, SegmentState::Spare, SegmentState::Reserve]);
        let last = whole.segments.iter().find(|segment| segment.state == SegmentState::Open).expect("one");
        assert_eq!(last.owners[0].next, SequenceNumber(120));
        assert!(whole.segments.iter().all(|segment| segment.findings.is_empty()), "{whole:?}");
        assert_eq!(files(&directory), before);
    });
}

#[test]
fn damage_is_found_where_it_is() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        for n in 0..60 {
            lane.append(OWNER, payload(n, 3000), 2, Ack::Written).await.expect("appended");
        }
        lane.close().await;
        let directory = directory.path().join("lane");
        let overwrite = |index: usize, offset: u64| {
            let name = files(&directory).into_keys().nth(index).expect("a segment");
            let file = fs::OpenOptions::new().write(true).open(directory.join(name)).expect("opened");
            file.write_all_at(&[0xfe; 4], offset).expect("written");
        };
        // The second entry of the first segment, and the header of the second one.
        overwrite(0, 4096 + 3064 + 70);
        overwrite(1, 20);
        assert!(inspect(&env, &directory).await.expect("inspected").segments[0].findings.is_empty());
        let report = verify(&env, &directory).await.expect("verified");
        assert!(!report.is_sound());
        let finding = &report.segments[0].findings[0];
        assert_eq!((finding.severity, finding.offset), (Severity::Damage, 4096 + 3064));
        assert_eq!(report.segments[1].state, SegmentState::Unreadable);
        assert!(report.segments[2].findings.is_empty());
    });
}
