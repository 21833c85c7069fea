//! Ceilings are found, for both directions and the disk.

use std::time::Duration;

use super::{Ceiling, measure_ceiling};

#[test]
fn every_ceiling_is_above_zero_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Ceiling::Disk(folder.path().to_owned());
    for ceiling in [Ceiling::SocketWrite, Ceiling::SocketRead, disk] {
        let found = measure_ceiling(&ceiling, Duration::from_millis(100), None).unwrap();
        assert!(found.megabytes_per_second > 0.0 && found.bytes > 0, "{found}");
        assert_eq!(found.flush_us.is_some(), matches!(ceiling, Ceiling::Disk(_)), "{found}");
        // No write comes through the ring and back in a microsecond.
        assert!(found.flush_us.as_ref().is_none_or(|flush| flush.p50 > 1.0), "{found}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let nowhere = Ceiling::Disk(folder.path().join("missing"));
    assert_eq!(
        measure_ceiling(&nowhere, Duration::from_millis(1), None).unwrap_err().to_string(),
        "the ceiling of disk cannot be measured"
    );
}
