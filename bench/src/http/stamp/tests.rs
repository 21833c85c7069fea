//! Times come out as they went in.

use super::{encode, read_stamp, stamp};

#[test]
fn a_time_is_read_as_it_was_written() {
    for time in [0, 1, 1_234_567_890_123_456_789, u64::MAX] {
        let text = [&stamp(time)[..], b"what follows"].concat();
        assert_eq!(read_stamp(&text), Some(time));
    }
}

#[test]
fn a_text_that_is_none_has_no_time() {
    assert_eq!(read_stamp(b"AAAA"), None);
    assert_eq!(read_stamp(b"not base 64!!"), None);
    assert_eq!(encode(b"a"), "YQ==");
}
