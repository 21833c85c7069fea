//! A repair that is killed at each of its steps leaves the lane as it was or repaired, and another one finishes it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::kept::{Kept, check, flip, lost, repair, segments};
use crate::process::{Running, run, tidemill};

/// Every step between two states of the files. Two segments are damaged, so that there is a first and a second time.
const FAILPOINTS: &[&str] = &[
    "before:create:compacting:1",
    "after:create:compacting:1",
    "before:write:compacting:1",
    "amid:write:compacting:1",
    "after:write:compacting:1",
    "before:flush:compacting:1",
    "after:flush:compacting:1",
    "before:write_trailer:compacting:1",
    "amid:write_trailer:compacting:1",
    "after:write_trailer:compacting:1",
    "before:write_header:compacting:1",
    "amid:write_header:compacting:1",
    "after:write_header:compacting:1",
    "before:rename:compacting:1",
    "after:rename:compacting:1",
    "before:sync_directory:other:1",
    "after:sync_directory:other:1",
    "before:rename:segment:1",
    "after:rename:segment:1",
    "before:sync_directory:other:2",
    "after:sync_directory:other:3",
    "after:rename:compacting:2",
    "before:rename:segment:2",
    "after:rename:segment:2",
];

#[test]
fn a_repair_that_is_killed_at_any_step_is_finished_by_the_next_one() {
    if !tidemill_storage::failpoint::COMPILED {
        eprintln!("not run: a release build has no failpoints");
        return;
    }
    let kept = Kept::fill();
    let damage = |data: &std::path::Path| {
        let segments = segments(data);
        let (first, second) = (&segments[1], &segments[2]);
        flip(first, 24);
        flip(second, 2 << 20);
        [first, second]
            .map(|path| (path.file_name().expect("a name").to_owned(), fs::read(path).expect("read")))
    };
    let (_folder, whole) = kept.copy();
    damage(&whole);
    let lost = lost(&repair(&whole));
    assert!(lost > 0);
    for point in FAILPOINTS {
        let (_folder, data) = kept.copy();
        let originals = damage(&data);
        let directory = data.display().to_string();
        let mut command = tidemill(&["log", "repair", &directory, "--apply"]);
        command.env("TIDEMILL_FAILPOINT", point).stdout(Stdio::null()).stderr(Stdio::null());
        let status = Running::start(&mut command).wait();
        assert_eq!(status.signal(), Some(9), "{point} is not reached: {status}");
        run(&["log", "repair", &directory, "--apply"]).ok();
        check(&data, &kept.records, lost);
        for (name, bytes) in &originals {
            let aside = data.join("lane-000.damaged").join(name);
            assert!(fs::read(&aside).is_ok_and(|found| found == *bytes), "{point}: {}", aside.display());
        }
    }
}
