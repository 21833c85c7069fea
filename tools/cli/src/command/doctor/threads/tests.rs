//! What /proc says of a thread.

use super::{Thread, parse};

#[test]
fn a_thread_is_read_from_proc() {
    let status = "Name:\tcore 1\nState:\tS\nCpus_allowed_list:\t1\n";
    let stat =
        format!("42 (core) 1) S {}", (4..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" "));
    let expected = Thread {
        thread: 42,
        name: "core 1".into(),
        allowed_cores: "1".into(),
        is_pinned: true,
        last_core: Some(39),
    };
    assert_eq!(parse(42, status, &stat), Some(expected));
}
