//! Blocks come back from wherever they are dropped, and no more are out than may be.

use super::*;

fn filled(blocks: &Blocks, bytes: usize) -> Option<Bytes> {
    Rc::new(blocks.take(bytes)?).filled()
}

#[test]
fn a_block_is_aligned_and_used_again_after_it_was_dropped_on_another_thread() {
    let blocks = Blocks::new();
    let bytes = filled(&blocks, 5000).expect("nothing is out");
    let address = bytes.as_ptr() as usize;
    assert!(address.is_multiple_of(ALIGNMENT) && bytes.len() == 5000);
    std::thread::spawn(move || drop(bytes)).join().expect("dropped");
    assert_eq!(filled(&blocks, 100).expect("nothing is out").as_ptr() as usize, address);
}

#[test]
fn no_more_is_out_than_the_bound_but_for_a_single_one() {
    let blocks = Blocks::new();
    let mut out = Vec::new();
    while let Some(bytes) = filled(&blocks, COLD_BLOCK_BYTES) {
        out.push(bytes);
    }
    assert!(out.len() < COLD_BYTES_MAX / COLD_BLOCK_BYTES + 1);
    assert!(filled(&blocks, 1).is_none());
    out.clear();
    assert_eq!(blocks.home.out.load(Ordering::Relaxed), 0);
    assert_eq!(blocks.home.idle.load(Ordering::Relaxed), IDLE_BLOCKS_MAX);
    assert!(filled(&blocks, 2 * COLD_BYTES_MAX).is_some(), "the largest entry can always be read");
}

#[test]
fn a_block_that_is_still_being_filled_is_not_handed_out() {
    let blocks = Blocks::new();
    let block = Rc::new(blocks.take(10).expect("nothing is out"));
    let in_the_kernel = Rc::clone(&block);
    assert!(block.filled().is_none());
    assert_eq!(in_the_kernel.rest(4).1, 6);
}
