//! Shards that end while they are written to and read.

use super::*;

/// The stream of [`streams`] after its shard was split at an end, in a definition that only this core has.
fn after_split(streams: &Streams<SimEnv>, end: SequenceNumber) -> Arc<Definition> {
    let known = streams.get(STREAM).expect("it was taken in");
    let before = known.definition();
    let parent = *before.shard(SHARD).expect("it is there");
    let closed = Some(ShardEnd { at: Timestamp(5), next: end });
    let child = |(range, index): (HashKeyRange, u32)| Shard {
        index: ShardIndex(index),
        owner: OwnerId(10 + u64::from(index)),
        range,
        opened: Timestamp(5),
        parent: Some(SHARD),
        ..parent
    };
    let children = HashKeyRange::split_evenly(2).into_iter().zip(1..).map(child);
    let shards = std::iter::once(Shard { closed, ..parent }).chain(children);
    let attributes = Attributes {
        id: STREAM,
        name: before.name.clone(),
        created: before.created,
        retention: before.retention,
        quota: before.quota,
        key_compaction: None,
        map_version: 1,
        tags: std::collections::BTreeMap::new(),
        consumers: std::collections::BTreeMap::new(),
        record_kib: before.record_kib,
        capacity: before.capacity,
    };
    Arc::new(Definition::new(attributes, shards.collect()).expect("two halves have all keys"))
}

/// A definition without one of its shards.
fn without(before: &Definition, gone: ShardIndex) -> Arc<Definition> {
    let attributes = Attributes {
        id: before.id,
        name: before.name.clone(),
        created: before.created,
        retention: before.retention,
        quota: before.quota,
        key_compaction: None,
        map_version: before.map_version + 1,
        tags: std::collections::BTreeMap::new(),
        consumers: std::collections::BTreeMap::new(),
        record_kib: before.record_kib,
        capacity: before.capacity,
    };
    let left = before.shards().iter().filter(|shard| shard.index != gone).copied();
    Arc::new(Definition::new(attributes, left.collect()).expect("the open ones stay"))
}

#[test]
fn a_held_shard_ends_behind_all_that_it_took() {
    let sim = Sim::new(4);
    let env = sim.env();
    let done = sim.run(async {
        let streams = streams(&env, Retention::FOREVER, Quota::OFF).await;
        let (told, batch) = (Rc::<Told>::default(), Bytes::from(vec![7; 100]));
        let before =
            Append { stream: STREAM, shard: SHARD, ack: Ack::Written, batch, records: 3, payload_bytes: 100 };
        let charge = streams.append(before, Rc::<Told>::clone(&told), 5).expect("queued");
        let held = streams.hold(STREAM, &[SHARD, ShardIndex(9)]);
        let refused = append(&streams, 100, 1).await.expect_err("its end is being decided");
        assert_eq!(refused, AppendError::ShardMoving { stream: STREAM, shard: SHARD });
        let settle = async {
            let outcome = told.arrived.recv().await.expect("the sink lives");
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(charge.settle(&outcome).expect("stored").base_sequence, SequenceNumber(0));
            drop(charge);
        };
        let begun = env.monotonic();
        let (ends, ()) = futures_lite::future::zip(held.ends(), settle).await;
        let ends = ends.expect("the disk is sound");
        assert_eq!(
            ends.iter().map(|end| (end.shard, end.next)).collect::<Vec<_>>(),
            [(SHARD, SequenceNumber(3))]
        );
        assert!(env.monotonic().saturating_sub(begun) >= Duration::from_secs(1), "it was not waited for");
        assert!(streams.is_moving(STREAM));
        streams.release(STREAM);
        assert!(!streams.is_moving(STREAM));
        assert_eq!(append(&streams, 100, 1).await, Ok(SequenceNumber(3)), "nothing has come of it");
    });
    assert!(done.is_some());
}

#[test]
fn a_split_is_shown_and_told_to_readers_when_every_core_knows() {
    let sim = Sim::new(5);
    let env = sim.env();
    let done = sim.run(async {
        let streams = streams(&env, Retention::FOREVER, Quota::OFF).await;
        streams.name(STREAM);
        append(&streams, 100, 2).await.expect("stored");
        let reader = fetch(&env, &streams, 2, Duration::from_secs(60));
        let change = async {
            let ends = streams.hold(STREAM, &[SHARD]).ends().await.expect("the disk is sound");
            streams.take_in(&after_split(&streams, ends[0].next));
            let shown = || streams.get(STREAM).expect("it is there").definition().shards().len();
            assert_eq!(
                (shown(), streams.get(STREAM).and_then(|stream| stream.lane_of(ShardIndex(2)))),
                (1, Some(LaneId(0)))
            );
            env.sleep(Duration::from_secs(3)).await;
            let refused = append(&streams, 100, 1).await.expect_err("nobody is sent on yet");
            assert!(matches!(refused, AppendError::ShardMoving { .. }), "{refused}");
            let (delivery, _) = fetch(&env, &streams, 2, Duration::ZERO).await;
            assert!(!delivery.closed);
            streams.name(STREAM);
            assert_eq!(shown(), 3);
            streams.rest(STREAM).or(async { streams.release(STREAM) }).await;
        };
        let ((delivery, took), ()) = futures_lite::future::zip(reader, change).await;
        assert!(delivery.closed && delivery.bytes == 0, "{delivery:?}");
        assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(10), "told after {took:?}");
        let refused = append(&streams, 100, 1).await.expect_err("it is closed");
        assert_eq!(refused, AppendError::ShardClosed { stream: STREAM, shard: SHARD });
    });
    assert!(done.is_some());
}

#[test]
fn a_reader_whose_shard_is_over_is_told_of_the_shard_and_one_whose_stream_is_gone_of_the_stream() {
    for is_deleted in [false, true] {
        let sim = Sim::new(6);
        let env = sim.env();
        let done = sim.run(async {
            let quota = Quota { read_bytes_per_second: 100, ..Quota::OFF };
            let streams = streams(&env, Retention::FOREVER, quota).await;
            append(&streams, 1_000, 1).await.expect("stored");
            append(&streams, 1_000, 1).await.expect("stored");
            let before = after_split(&streams, SequenceNumber(2));
            streams.take_in(&before);
            let wait = Duration::from_secs(60);
            let position = Position::Oldest;
            let whole = Fetch {
                stream: STREAM,
                shard: SHARD,
                position,
                bytes_max: 1 << 20,
                wait,
                kind: ReadKind::Flow,
            };
            streams.fetch(whole, std::future::pending()).await.expect("a full bucket");
            // The second one waits for its quota, and its shard goes meanwhile.
            let read = streams.fetch(whole, std::future::pending());
            let change = async {
                env.sleep(Duration::from_secs(1)).await;
                if is_deleted {
                    streams.forget(STREAM);
                } else {
                    streams.take_in(&without(&before, SHARD));
                }
            };
            let (refused, ()) = futures_lite::future::zip(read, change).await;
            let refused = refused.expect_err("the shard is gone");
            let expected = if is_deleted {
                FetchError::UnknownStream { stream: STREAM }
            } else {
                FetchError::UnknownShard { stream: STREAM, shard: SHARD }
            };
            assert_eq!(refused, expected);
        });
        assert!(done.is_some());
    }
}
