//! What is written is read back, and what is somebody else's is refused.

use std::fs::{self, File};

use tidemill_wire::{StreamId, StreamName};

use super::{Checkpoint, Head, Identity, Mark};

fn stream(name: &str) -> StreamName {
    StreamName::new(name).expect("the name is allowed")
}

#[test]
fn a_checkpoint_is_read_back() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("state");
    let mut checkpoint =
        Checkpoint::load(&path, &stream("logs"), StreamId(7)).expect("a missing file is a fresh start");
    assert!(checkpoint.marks().is_empty());
    let mark = |inode, offset| Mark {
        path: "/var/log/syslog".into(),
        identity: Identity { device: 1, inode },
        head: Head::of(b"first line"),
        offset,
    };
    checkpoint.set(mark(1, 10));
    checkpoint.set(mark(2, 20));
    checkpoint.set(mark(1, 30));
    checkpoint.save(&path).expect("the directory is writable");
    assert_eq!(
        Checkpoint::load(&path, &stream("logs"), StreamId(7)).expect("it was just written"),
        checkpoint
    );
    checkpoint.forget(Identity { device: 1, inode: 2 });
    assert_eq!(checkpoint.marks(), [mark(1, 30)]);
    assert_eq!(fs::read_dir(folder.path()).expect("it exists").count(), 1, "no temporary file is left");
}

#[test]
fn what_belongs_elsewhere_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("state");
    Checkpoint::new(&stream("logs"), StreamId(7)).save(&path).expect("the directory is writable");
    let refused =
        |name, id| Checkpoint::load(&path, &stream(name), StreamId(id)).expect_err("not its own").to_string();
    assert!(refused("other", 7).contains("stream logs"));
    assert!(refused("logs", 8).contains("earlier stream"));
    fs::write(&path, "{}").expect("the directory is writable");
    assert!(refused("logs", 7).contains("is not a checkpoint"));
}

#[test]
fn a_fingerprint_tells_a_file_from_its_successor() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log");
    let head = Head::of(b"Jan 1 start\n");
    let matches = |content: &[u8]| {
        fs::write(&path, content).expect("the directory is writable");
        head.is_of(&File::open(&path).expect("it was just written")).expect("it is readable")
    };
    assert!(matches(b"Jan 1 start\n"));
    assert!(matches(b"Jan 1 start\nand more"));
    assert!(!matches(b"Jan 2 start\nand more"));
    assert!(!matches(b"Jan 1"));
    assert!(Head::default().is_of(&File::open(&path).expect("it exists")).is_ok_and(|is_of| !is_of));
}
