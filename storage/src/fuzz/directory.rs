//! Recovery of arbitrary directories: the files of a lane, changed as the input says, in the simulated world.
//!
//! Whatever is in the directory, a lane opens or says why not, within a bounded number of steps; what it serves then is whole, belongs to its owner and rises;
//! it takes an append and closes, or says why not. Wrong bytes are never served: every entry that comes is checked against its checksum.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use bytes::Bytes;
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, entry::EntryRun, message::Ack};

use crate::{
    Lane, LaneConfig, Retention,
    env::Env,
    inspect::verify,
    segment::{header::HEADER_BYTES, segment_path},
    sim::{Crash, Sim, SimEnv},
};

const DIRECTORY: &str = "/lane";
/// What an open, a read and a close take at most, by far.
const STEPS_MAX: u64 = 1_000_000;
/// Changes that one input makes at most.
const CHANGES_MAX: usize = 16;

type Files = Vec<(PathBuf, Vec<u8>)>;

/// Opens and reads a lane whose files are changed by what the input says, eight bytes a change.
pub(super) fn open_mutated(input: &[u8]) {
    static IMAGE: OnceLock<Files> = OnceLock::new();
    let mut files = IMAGE.get_or_init(make).clone();
    for change in input.chunks_exact(8).take(CHANGES_MAX) {
        mutate(&mut files, change);
    }
    let sim = Sim::new(1);
    for (path, bytes) in files {
        sim.put_file(path, &bytes);
    }
    sim.stop_after(STEPS_MAX);
    let env = sim.env();
    let done = sim.run(async {
        // What is found is not judged here: that it comes to an end is.
        let verified = verify(&env, Path::new(DIRECTORY)).await;
        verified.expect("the disk does not fail");
        if let Ok((lane, _)) = Lane::open(env.clone(), config()).await {
            read_and_go_on(&env, &lane).await;
        }
    });
    assert!(done.is_some(), "it does not come to an end");
}

fn config() -> LaneConfig {
    LaneConfig::test_min(PathBuf::from(DIRECTORY), LaneId(1))
}

async fn read_and_go_on(env: &SimEnv, lane: &Lane<SimEnv>) {
    for owner in lane.owners().into_iter().take(16) {
        lane.adopt(owner, Retention::FOREVER);
        let Ok(bounds) = lane.bounds(owner) else { continue };
        let mut from = SequenceNumber(0);
        // An error ends the read: others test what is behind it.
        while let Ok(fetched) = lane.fetch(owner, from, 10_000).await {
            let mut number = fetched.from;
            for entry in fetched.entries.iter().flat_map(|run| EntryRun::new(run.clone())) {
                let (header, _) = entry.expect("a fetch returns whole, valid entries");
                assert!(header.owner == owner && header.next_sequence() >= number, "{header:?} at {number}");
                number = header.next_sequence();
            }
            if fetched.next <= from || fetched.next >= bounds.next {
                break;
            }
            from = fetched.next;
        }
        let appended = lane.append(owner, Bytes::from_static(&[7; 100]), 1, Ack::Durable).await;
        if let Ok(appended) = appended {
            assert!(appended.base_sequence >= bounds.next, "numbers go on");
        }
    }
    env.sleep(Duration::from_millis(500)).await;
    lane.close().await;
}

/// A lane with segments of all kinds: sealed, compacted, open, and what is made beside them.
fn make() -> Files {
    let sim = Sim::new(7);
    let env = sim.env();
    let done = sim.run(async {
        let (lane, _) = Lane::open(env.clone(), config()).await.expect("an empty directory");
        lane.adopt(OwnerId(1), Retention::FOREVER);
        lane.adopt(OwnerId(2), Retention::FOREVER);
        lane.adopt(OwnerId(3), Retention { age: Duration::MAX, bytes: Some(4000) });
        for number in 0..150_u64 {
            let owner = OwnerId([1, 3, 3, 2, 3][(number % 5) as usize]);
            let payload = Bytes::from(vec![number as u8; 100 + (number * 37 % 900) as usize]);
            lane.append(owner, payload, 1 + (number % 3) as u32, Ack::Durable).await.expect("appended");
        }
        env.sleep(Duration::from_secs(2)).await;
        assert!(lane.stats().compactions > 0, "{:?}", lane.stats());
        lane.append(OwnerId(1), Bytes::from_static(&[9; 300]), 1, Ack::Durable).await.expect("appended");
    });
    assert!(done.is_some());
    sim.crash(Crash::Process);
    sim.files()
}

/// One change: what, in which file, where, and with which bytes.
fn mutate(files: &mut Files, change: &[u8]) {
    if files.is_empty() {
        return;
    }
    let count = files.len();
    let index = usize::from(change[1]) % count;
    let other = usize::from(change[5]) % count;
    let bytes = files[index].1.len();
    let at = usize::from(u16::from_le_bytes([change[2], change[3]]));
    // Half of the places lie where structures are: the first page, the last one, and what is right before it.
    let at = if change[4] < 128 { at % bytes.max(1) } else { structure(at, bytes) };
    match change[0] % 8 {
        0 | 1 => flip(&mut files[index].1, at, change[6]),
        2 => files[index].1.iter_mut().skip(at / 512 * 512).take(512).for_each(|byte| *byte = change[6]),
        3 => {
            let piece: Vec<u8> =
                files[other].1.iter().skip(at / 8 * 8).take(usize::from(change[7]) * 16).copied().collect();
            let room = files[index].1.iter_mut().skip(at / 8 * 8);
            room.zip(piece).for_each(|(byte, new)| *byte = new);
        }
        4 => files[index].1.resize(at / 4096 * 4096 + usize::from(change[6] % 2) * 100, 0),
        5 => drop(files.remove(index)),
        6 => {
            let copy = files[index].1.clone();
            files.push((segment_path(Path::new(DIRECTORY), u64::from(change[6] % 32)), copy));
            files.sort();
            files.dedup_by(|later, earlier| later.0 == earlier.0);
        }
        _ => {
            flip(&mut files[index].1, 12 + usize::from(change[2]) % 52, change[6]);
            reseal(&mut files[index].1);
        }
    }
}

/// A place in the first page, or in the last ones.
fn structure(at: usize, bytes: usize) -> usize {
    if at.is_multiple_of(2) { at % HEADER_BYTES } else { bytes.saturating_sub(1 + at % 8192) }
}

fn flip(bytes: &mut [u8], at: usize, bit: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Gives a header the checksum of what it says, so that not every change ends there.
fn reseal(bytes: &mut [u8]) {
    if let Some(fields) = bytes.get(12..HEADER_BYTES) {
        let crc = crc32fast::hash(fields).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
    }
}
