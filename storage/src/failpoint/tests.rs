//! What is a failpoint and what is none. What they do is a test of the real binary.

use super::*;

#[test]
fn failpoints_are_read_whole_or_refused() {
    let read: Failpoint = "amid:write_trailer:compacting:3".parse().expect("a failpoint");
    assert_eq!(
        read,
        Failpoint { when: When::Amid, step: Step::WriteTrailer, kind: Kind::Compacting, count: 3 }
    );
    for text in [
        "",
        "after",
        "after:rename:segment",
        "after:rename:segment:0",
        "after:rename:segment:x",
        "after:rename:segment:1:",
        "amid:rename:segment:1",
        "later:rename:segment:1",
        "after:fall:segment:1",
        "after:rename:file:1",
    ] {
        assert!(text.parse::<Failpoint>().is_err(), "{text}");
        assert!(arm(text).is_err(), "{text}");
    }
}

#[test]
fn files_are_told_by_their_names() {
    for (name, kind) in [
        ("0000000000000001.segment", Kind::Segment),
        ("0000000000000001.preparing", Kind::Preparing),
        ("0000000000000001.compacting", Kind::Compacting),
        ("0000000000000001.reserve", Kind::Reserve),
        ("lane-000", Kind::Other),
    ] {
        assert_eq!(kind_of(Path::new(name)), kind, "{name}");
    }
}

#[test]
fn without_one_every_step_is_passed() {
    let passage = enter(Step::Rename, Path::new("0000000000000001.segment"));
    assert!(!passage.ends_amid());
    passage.leave();
}
