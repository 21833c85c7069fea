//! How much of a queue a plan looks at.

use super::*;

const LARGE: usize = PAYLOAD_COPY_BYTES_MAX + 1;

#[test]
fn no_more_requests_are_looked_up_than_one_write_takes() {
    let check = |lengths: &[usize], bytes_max, buffers_max, expected| {
        assert_eq!(fitting(lengths.iter().copied(), bytes_max, buffers_max), expected);
    };
    check(&[], 1 << 20, 8, 0);
    check(&[100; 5], u64::MAX, 0, 5);
    check(&[100; 5], entry_bytes(100) * 3, 8, 3);
    check(&[100; 5], entry_bytes(100) * 3 - 1, 8, 2);
    check(&[LARGE; 5], u64::MAX, 8, 4);
    check(&[100, LARGE, 100, LARGE, 100], u64::MAX, 3, 3);
    // However long the queue is.
    assert_eq!(fitting(std::iter::repeat(16 << 10), 8 << 20, WRITE_BUFFERS_MAX), 510);
}
