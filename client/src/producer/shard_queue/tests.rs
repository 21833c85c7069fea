//! Batches leave in order: when they are full, when they are due, and not while the shard is paused.

use std::time::Duration;

use super::super::record::Record;
use super::*;
use crate::RetryPolicy;

const BOUNDS: Bounds = Bounds { bytes_max: 1_000, records_max: 3 };

fn queue() -> ShardQueue {
    ShardQueue::new(Retry::new(RetryPolicy::NEVER))
}

fn put(queue: &mut ShardQueue, data: &[u8], due: Instant) {
    let entering = Entering { record: Record::new(data), charge: 1, is_pinned: false, forward: None };
    queue.push(entering, &BOUNDS, || due, 1).expect("a small record");
}

fn sizes(queue: &mut ShardQueue, now: Instant) -> Vec<u32> {
    let mut sizes = Vec::new();
    while let Next::Send(batch) = queue.next(now) {
        queue.landed(&batch.fate);
        sizes.push(batch.records);
    }
    sizes
}

#[test]
fn a_full_batch_leaves_at_once_and_an_open_one_when_it_is_due() {
    let (mut queue, now) = (queue(), Instant::now());
    let due = now + Duration::from_secs(1);
    for _ in 0..4 {
        put(&mut queue, b"x", due);
    }
    assert_eq!(sizes(&mut queue, now), [3]);
    assert!(matches!(queue.next(now), Next::WaitUntil(instant) if instant == due));
    assert_eq!(sizes(&mut queue, due), [1]);
    assert!(matches!(queue.next(due), Next::Wait));
    assert!(queue.is_empty());
}

#[test]
fn a_record_that_does_not_fit_begins_the_next_batch() {
    let (mut queue, now) = (queue(), Instant::now());
    put(&mut queue, &[0; 900], now);
    put(&mut queue, &[0; 100], now);
    put(&mut queue, &[0; 5_000], now);
    put(&mut queue, &[0; 10], now);
    assert_eq!(sizes(&mut queue, now), [1, 1, 1, 1]);
}

#[test]
fn hurrying_makes_the_open_batch_due() {
    let (mut queue, now) = (queue(), Instant::now());
    put(&mut queue, b"x", now + Duration::from_secs(1));
    queue.hurry(now);
    assert_eq!(sizes(&mut queue, now), [1]);
}

#[test]
fn a_batch_that_is_put_back_leaves_first_and_only_when_the_pause_is_over() {
    let (mut queue, now) = (queue(), Instant::now());
    for data in [b"1", b"2", b"3", b"4"] {
        put(&mut queue, data, now);
    }
    let Next::Send(mut first) = queue.next(now) else { panic!("a full batch") };
    assert!(queue.is_under_way());
    let data: Vec<_> = first.records().map(|record| record.data).collect();
    assert_eq!(data, ["1", "2", "3"]);
    queue.put_back(first);
    assert!(!queue.is_under_way());
    queue.is_paused = true;
    assert!(matches!(queue.next(now), Next::Wait));
    queue.is_paused = false;
    assert_eq!(sizes(&mut queue, now), [3, 1]);
}
