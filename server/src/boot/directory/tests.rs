//! Tests of `boot::directory`.

use super::*;

#[test]
fn a_new_directory_keeps_its_node_and_its_lanes() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("data");
    let first = DataDirectory::open(&path, None, 3).expect("a new directory");
    let (node, lanes) = (first.node, first.lanes);
    drop(first);
    let second = DataDirectory::open(&path, None, 7).expect("the same directory");
    assert_eq!((second.node, second.lanes, lanes), (node, 3, 3));
}

#[test]
fn a_held_directory_is_refused_with_the_process_that_holds_it() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let _held = DataDirectory::open(parent.path(), None, 1).expect("a new directory");
    let error = DataDirectory::open(parent.path(), None, 1).expect_err("it is held");
    let expected =
        format!("data directory {} is in use by process {}", parent.path().display(), std::process::id());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn another_number_of_lanes_is_refused() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    drop(DataDirectory::open(parent.path(), Some(2), 1).expect("a new directory"));
    let error = DataDirectory::open(parent.path(), Some(4), 1).expect_err("it has two lanes");
    assert!(matches!(error, DirectoryError::Lanes { found: 2, wanted: 4, .. }), "{error}");
}

#[test]
fn damaged_or_foreign_meta_is_refused() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let meta = parent.path().join("META");
    for text in ["", "format = x\n", "format = 1\nnode = 5\n", "format = 1\nnode = 5\nlanes = 0\n"] {
        fs::write(&meta, text).expect("a writable directory");
        let error = DataDirectory::open(parent.path(), None, 1).expect_err("damaged");
        assert!(matches!(error, DirectoryError::Damaged { .. }), "{text:?}: {error}");
    }
    fs::write(&meta, "format = 9\nnode = 5\nlanes = 1\n").expect("a writable directory");
    let error = DataDirectory::open(parent.path(), None, 1).expect_err("of the future");
    assert!(matches!(error, DirectoryError::Format { found: 9, .. }), "{error}");
}
