//! One flipped bit in each region of a segment of a real data directory: what verification, a start and a reader say, and what a repair brings back.

use std::path::Path;

use crate::kept::{FLAGS, Kept, check, flip, footer, lost, read, repair, segments};
use crate::process::{Server, run};

/// A region, where in it a bit is flipped, and from where on the damage may be told: at the structure that has the checksum.
struct Region {
    name: &'static str,
    place: fn(&Path) -> u64,
    told_from: fn(&Path) -> u64,
    /// Records of that entry are lost; nothing is lost anywhere else.
    is_payload: bool,
    /// Verification notes it, and a start makes it anew from the entries and says so.
    is_mended: bool,
}

fn owners(path: &Path) -> u64 {
    footer(path).expect("a full segment").0
}

fn trailer(path: &Path) -> u64 {
    footer(path).expect("a full segment").1
}

const REGIONS: [Region; 5] = [
    Region { name: "header", place: |_| 24, told_from: |_| 0, is_payload: false, is_mended: false },
    // An entry with its batch is 1 MB at most.
    Region {
        name: "payload",
        place: |_| 2 << 20,
        told_from: |_| (2 << 20) - 1_100_000,
        is_payload: true,
        is_mended: false,
    },
    Region {
        name: "owner table",
        place: |path| owners(path) + 9,
        told_from: owners,
        is_payload: false,
        is_mended: true,
    },
    Region {
        name: "points",
        place: |path| trailer(path) - 6,
        told_from: owners,
        is_payload: false,
        is_mended: false,
    },
    Region {
        name: "trailer",
        place: |path| trailer(path) + 33,
        told_from: trailer,
        is_payload: false,
        is_mended: true,
    },
];

/// Asserts that a message names the file and an offset of the region.
#[track_caller]
fn names(message: &str, region: &Region, path: &Path, told: (u64, u64)) {
    let file = path.file_name().expect("a name").to_string_lossy();
    assert!(message.contains(&*file), "{}: {message}", region.name);
    let after = message.split("at byte ").nth(1).or_else(|| message.split("at offset ").nth(1));
    let after = after.unwrap_or_else(|| panic!("{}: {message}", region.name));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let offset: u64 = digits.parse().unwrap_or_else(|_| panic!("{}: {message}", region.name));
    assert!((told.0..=told.1).contains(&offset), "{}: byte {offset} of {told:?}: {message}", region.name);
}

#[test]
fn a_flipped_bit_is_told_with_file_and_offset_and_costs_no_other_record() {
    let kept = Kept::fill();
    for region in REGIONS {
        let (_folder, data) = kept.copy();
        let path = segments(&data).get(1).cloned().expect("some full segments");
        let place = (region.place)(&path);
        let told = ((region.told_from)(&path), place);
        flip(&path, place);

        let found = run(&["log", "verify", &data.display().to_string()]);
        let (code, message) =
            if region.is_mended { (Some(0), &found.stdout) } else { (Some(5), &found.stderr) };
        assert_eq!(found.code, code, "{}: {}", region.name, found.stdout);
        let line = message.lines().find(|line| line.contains(" at byte "));
        names(line.unwrap_or_default(), &region, &path, told);

        // A server refuses the lane, or tells whoever comes to the place; or it needs nothing of what was hit, and all is there.
        let (_other, served) = kept.copy();
        let hit = served.join("lane-000").join(path.file_name().expect("a name"));
        flip(&hit, place);
        match Server::start_fallibly(&served, FLAGS) {
            Err(log) => names(&log, &region, &hit, told),
            Ok(server) => {
                if region.is_mended {
                    let log = server.log();
                    let line = log.lines().find(|line| line.contains("a footer was damaged"));
                    names(line.unwrap_or_default(), &region, &hit, told);
                }
                match read(&server) {
                    Ok(records) => {
                        assert!(!region.is_payload && records == kept.records, "{}", region.name);
                    }
                    Err(finished) => {
                        assert_eq!(finished.code, Some(5), "{}: {}", region.name, finished.stderr);
                        names(&finished.stderr, &region, &hit, told);
                    }
                }
                server.stop();
            }
        }

        let report = repair(&data);
        let lost = lost(&report);
        assert_eq!(lost > 0, region.is_payload, "{}: {report}", region.name);
        check(&data, &kept.records, lost);
    }
}
