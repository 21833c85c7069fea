//! Tests of `protocol::native::buffers`.

use super::*;

#[test]
fn a_buffer_has_room_for_what_was_asked_and_at_most_twice_that() {
    let pool = BufferPool::new();
    let largest = tidemill_wire::limits::FRAME_BYTES_MAX as usize + 4;
    for bytes in [1, BUFFER_BYTES_MIN, BUFFER_BYTES_MIN + 1, 1 << 20, (1 << 20) + 1, 5_000_000, largest] {
        let room = pool.take(bytes).as_ref().len();
        assert!(room >= bytes && room <= (2 * bytes).max(BUFFER_BYTES_MIN), "{room} for {bytes}");
    }
}

#[test]
fn a_buffer_comes_back_when_its_last_view_is_dropped_anywhere() {
    let pool = BufferPool::new();
    let mut buffer = pool.take(100);
    buffer.as_mut()[..5].copy_from_slice(b"frame");
    let address = buffer.as_ref().as_ptr();
    let frame = buffer.freeze(5);
    let (first, second) = (frame.slice(..2), frame.slice(2..));
    drop(frame);
    assert_eq!((&first[..], &second[..]), (&b"fr"[..], &b"ame"[..]));
    drop(first);
    assert_ne!(pool.take(100).as_ref().as_ptr(), address, "a view is held");
    // The buffer of the line above is at home too, so both are taken.
    std::thread::spawn(move || drop(second)).join().expect("a thread");
    let taken = [pool.take(100), pool.take(100)];
    assert!(taken.iter().any(|buffer| buffer.as_ref().as_ptr() == address));
}

#[test]
fn no_more_buffers_are_kept_than_may_idle() {
    let pool = BufferPool::new();
    let held: Vec<Buffer> = (0..3 * IDLE_BUFFERS_MAX).map(|_| pool.take(1)).collect();
    drop(held);
    assert_eq!(pool.sizes[0].idle.len(), IDLE_BUFFERS_MAX);
}

#[test]
fn a_burst_of_the_largest_frames_gives_its_memory_back() {
    let (pool, bytes) = (BufferPool::new(), 16 << 20);
    let burst: Vec<Buffer> = (0..5).map(|_| pool.take(bytes)).collect();
    drop(burst);
    let kept = pool.sizes.iter().flat_map(|shelf| std::iter::from_fn(|| shelf.idle.try_recv().ok()));
    assert_eq!(kept.map(|buffer| buffer.len()).sum::<usize>(), IDLE_BYTES_MAX);
}
