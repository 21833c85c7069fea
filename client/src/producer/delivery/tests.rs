//! Every record of a batch learns its own fate, also after it has moved to another batch.

use futures_util::FutureExt;
use futures_util::future::join_all;
use tidemill_wire::Timestamp;

use super::*;

fn stored(shard: u32, base: u64) -> Outcome {
    let (shard, base_sequence, append_time) = (ShardIndex(shard), SequenceNumber(base), Timestamp(9));
    Outcome::Stored(Appended { shard, base_sequence, append_time })
}

fn receipt(shard: u32, sequence: u64) -> Receipt {
    Receipt { shard: ShardIndex(shard), sequence: SequenceNumber(sequence), append_time: Timestamp(9) }
}

fn result_of(fate: &Arc<Fate>, index: u32) -> RecordOutcome {
    Delivery::new(Arc::clone(fate), index).now_or_never().expect("decided")
}

#[tokio::test]
async fn all_who_wait_are_woken_with_their_own_number() {
    let fate = Arc::new(Fate::default());
    let deliveries: Vec<_> = (0..3).map(|index| Delivery::new(Arc::clone(&fate), index)).collect();
    let waiting = tokio::spawn(join_all(deliveries));
    let ended = tokio::spawn({
        let fate = Arc::clone(&fate);
        async move { fate.ended().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && !ended.is_finished());
    fate.resolve(stored(4, 100));
    let receipts: Vec<_> = waiting.await.expect("no panic").into_iter().map(|r| r.expect("stored")).collect();
    assert_eq!(receipts, [receipt(4, 100), receipt(4, 101), receipt(4, 102)]);
    ended.await.expect("no panic");
}

#[test]
fn a_delivery_polled_again_and_again_keeps_one_place() {
    let fate = Arc::new(Fate::default());
    let mut delivery = Delivery::new(Arc::clone(&fate), 0);
    for _ in 0..10 {
        assert!((&mut delivery).now_or_never().is_none());
    }
    assert_eq!(fate.lock().wakers.len(), 1);
}

#[test]
fn records_that_move_report_to_where_they_came_from() {
    let (first, middle, last) =
        (Arc::new(Fate::default()), Arc::new(Fate::default()), Arc::new(Fate::default()));
    let forward = |fate: &Arc<Fate>, index| Forward { fate: Arc::clone(fate), index };
    // Three records scatter: one into the middle batch, behind a record of its own, and from there into the last one.
    first.scatter(3);
    middle.forward(1, forward(&first, 0));
    last.forward(0, forward(&first, 2));
    first.resolve_moved(1, Err(SendError::Closed));
    middle.scatter(2);
    last.forward(1, forward(&middle, 0));
    last.forward(2, forward(&middle, 1));
    assert!(Delivery::new(Arc::clone(&first), 1).now_or_never().is_none(), "decided together");
    last.resolve(stored(7, 50));
    assert_eq!(result_of(&middle, 0).expect("stored"), receipt(7, 51));
    assert_eq!(result_of(&first, 0).expect("stored"), receipt(7, 52));
    assert!(matches!(result_of(&first, 1), Err(SendError::Closed)));
    assert_eq!(result_of(&first, 2).expect("stored"), receipt(7, 50));
}

#[test]
fn an_outcome_tells_its_first_error() {
    assert!(stored(0, 0).error().is_none());
    assert!(matches!(Outcome::Failed(SendError::Closed).error(), Some(SendError::Closed)));
    let each = Outcome::Each(vec![Ok(receipt(0, 0)), unknown_shard(ShardIndex(3))]);
    assert!(matches!(each.error(), Some(SendError::UnknownShard { shard: ShardIndex(3) })));
}
