//! Fuzz targets are found in the lists of the packages, counts in the lines of the tests.

use super::{Counts, FUZZ_LISTS, targets};

#[test]
fn target_names_are_read_from_a_list() {
    let list = "pub const TARGETS: &[Target] = &[\n    (\"frame\", cut),\n    (\"batch\", |_| {}),\n];\nfn a() { b(\"c\") }";
    assert_eq!(targets(list), ["frame", "batch"]);
    assert!(targets("").is_empty());
}

#[test]
fn every_list_of_targets_has_some() {
    for (_, list) in FUZZ_LISTS {
        let text = std::fs::read_to_string(crate::process::root().join(list)).expect(list);
        assert!(!targets(&text).is_empty(), "{list} has no entries in TARGETS");
    }
}

#[test]
fn counts_of_several_tests_are_added_up() {
    let mut counts = Counts::default();
    for line in ["sim-count 3 flush failed", "sim-count 4 flush failed", "sim-count 1 power cut"] {
        assert!(counts.take(line));
    }
    assert!(!counts.take("sim-count many things") && !counts.take("test simulate ... ok"));
    assert_eq!(counts.to_string(), "           7 flush failed\n           1 power cut\n");
}
