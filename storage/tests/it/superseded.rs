//! Damage to segments that compaction has replaced already, and that a crash kept from being retired.

use std::{fs, os::unix::fs::FileExt, path::Path, time::Duration};

use tidemill_storage::{Env, Lane, LaneConfig, Retention};
use tidemill_wire::{OwnerId, message::Ack};

use crate::{
    flip::{KEPT, copy, read},
    lane::{config, run},
    record::payload,
};

const PASSING: OwnerId = OwnerId(9);

fn flip(path: &Path, place: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("read");
    file.write_all_at(&[byte[0] ^ 1], place).expect("written");
}

/// Where the owner table of a sealed segment begins.
fn owners(path: &Path) -> u64 {
    let file = fs::File::open(path).expect("opened");
    let mut position = [0; 8];
    file.read_exact_at(&mut position, file.metadata().expect("a file").len() - 4096 + 32).expect("read");
    u64::from_le_bytes(position)
}

#[test]
fn a_damaged_segment_that_was_replaced_keeps_no_lane_closed_while_its_footer_tells_its_numbers() {
    run(|env, directory| async move {
        let [original, before, scratch] =
            ["original", "before", "scratch"].map(|name| directory.path().join(name));
        fs::create_dir(&original).expect("made");
        let quick = LaneConfig { upkeep_interval: Duration::from_millis(5), ..config(&original) };
        let (lane, _) = Lane::open(env.clone(), quick).await.expect("opened");
        lane.pause_compaction(true);
        KEPT.iter().for_each(|owner| lane.adopt(*owner, Retention::FOREVER));
        lane.adopt(PASSING, Retention { bytes: Some(4 << 10), ..Retention::FOREVER });
        for n in 0..90_u64 {
            let owner = if n % 3 == 0 { KEPT[(n % 2) as usize] } else { PASSING };
            lane.append(owner, payload(n, 500 + n as usize * 20), 2, Ack::Durable).await.expect("appended");
        }
        env.sleep(Duration::from_millis(100)).await;
        copy(&original.join("lane"), &before);
        // What is over goes by itself, copy or no copy.
        let gone = lane.stats().retired_segments;
        lane.pause_compaction(false);
        for _ in 0..500 {
            let stats = lane.stats();
            if stats.compactions > 0 && stats.retired_segments > gone {
                break;
            }
            env.sleep(Duration::from_millis(10)).await;
        }
        assert!(lane.stats().compactions > 0 && lane.stats().retired_segments > gone);
        lane.close().await;
        drop(lane);
        // As if the process had ended before it retired them.
        let mut victims = Vec::new();
        for entry in fs::read_dir(&before).expect("the directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            let to = original.join("lane").join(&name);
            if path.extension().is_some_and(|suffix| suffix == "segment") && !to.exists() {
                fs::copy(&path, &to).expect("copied");
                victims.push(name);
            }
        }
        let victim = victims.first().expect("some were retired");
        let round = |damage: fn(&Path)| {
            let (env, original, scratch) = (env.clone(), original.join("lane"), scratch.clone());
            async move {
                copy(&original, &scratch.join("lane"));
                damage(&scratch.join("lane").join(victim));
                read(&env, &scratch).await
            }
        };
        let whole = round(|_| {}).await.expect("it is a crash like any other");
        assert_eq!(whole.iter().map(Vec::len).sum::<usize>(), 30);
        assert_eq!(round(|path| flip(path, 24)).await.as_ref(), Ok(&whole));
        let error = round(|path| {
            flip(path, 24);
            flip(path, owners(path) + 9);
        });
        let error = error.await.expect_err("nothing tells its numbers");
        assert!(error.contains(&*victim.to_string_lossy()) && error.contains("at offset 0"), "{error}");
    });
}
