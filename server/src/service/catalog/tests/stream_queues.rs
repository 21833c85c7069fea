//! Queues over streams in both catalogs.

use super::*;
use crate::service::capacity::{Capacity, Mode};
use crate::service::consumer::{CONSUMERS_MAX, ConsumerName};
use crate::service::stream_queue::{Start, StreamQueueSettings};

fn queue_name(text: &str) -> ConsumerName {
    ConsumerName::new(text).expect("tests use valid names")
}

pub(in super::super) fn new_stream_queue(stream: StreamId, text: &str) -> NewStreamQueue {
    NewStreamQueue {
        name: queue_name(text),
        stream,
        start: Start::At(Timestamp(5)),
        settings: StreamQueueSettings::default(),
        tags: tags([("team", "tide")]),
    }
}

/// A stream on demand of this name.
pub(in super::super) fn on_demand(catalog: &mut dyn Catalog, text: &str) -> Stream {
    let capacity = Capacity { mode: Mode::OnDemand, ..Capacity::default() };
    let new = NewStream { aside: Aside { capacity, ..Aside::default() }, ..new(text, 1) };
    catalog.create_stream(new, Timestamp(1)).expect("the name is free")
}

fn refused(catalog: &mut dyn Catalog, new: NewStreamQueue) -> String {
    catalog.create_stream_queue(new, Timestamp(9)).expect_err("it is refused").to_string()
}

#[test]
fn queues_over_a_stream_have_a_journal_in_every_lane_and_go_with_it() {
    on_each(|catalog| {
        let stream = on_demand(catalog, "logs");
        let made = catalog.create_stream_queue(new_stream_queue(stream.id, "work"), Timestamp(7));
        let made = made.expect("the name is free");
        assert_eq!((made.id.0, made.created, made.stream), (2, Timestamp(7), stream.id));
        assert_eq!(Some(made.next_shard.get()), stream.shards.last().map(|last| last.index.get() + 1));
        let places: Vec<_> =
            made.partitions.iter().map(|part| (part.lane.get(), part.journal.get())).collect();
        assert_eq!(places, [(0, 2), (1, 3), (2, 4)]);
        let other = on_demand(catalog, "other");
        assert_eq!((other.id, other.shards[0].owner), (StreamId(3), OwnerId(5)), "ids are given once");
        let change = StreamQueueChange { receives_max: Some(None), ..StreamQueueChange::default() };
        let changed = catalog.update_stream_queue(made.id, change).expect("it is there");
        assert_eq!((changed.settings.visibility_s, changed.settings.receives_max), (30, None));
        let tagged = catalog.tag_stream_queue(made.id, TagChange::Remove(vec!["team".to_owned()]));
        assert!(tagged.expect("it is there").tags.is_empty());
        assert_eq!(catalog.state().stream_queues_of(stream.id).count(), 1);
        for on_consumers in [OnConsumers::Refuse, OnConsumers::Deregister] {
            let kept = catalog.delete_stream(&stream.name, on_consumers).expect_err("it has a queue");
            assert_eq!(kept.to_string(), "stream logs has 1 queues");
        }
        catalog.delete_stream(&stream.name, OnConsumers::Dismiss).expect("all of it goes");
        assert_eq!(catalog.state().stream_queues().len(), 0);
        let gone = catalog.delete_stream_queue(made.id).expect_err("it went with the stream");
        assert_eq!(gone.to_string(), "queue 2 does not exist");
        let again = catalog.create_stream_queue(new_stream_queue(other.id, "work"), Timestamp(8));
        let again = again.expect("the name is free again");
        assert_eq!(again.id.0, 4);
        catalog.delete_stream_queue(again.id).expect("it is there");
        assert_eq!(catalog.state().stream_queue(again.id), None);
    });
}

#[test]
fn a_queue_that_a_stream_cannot_have_is_refused_with_its_reason() {
    on_each(|catalog| {
        let stream = on_demand(catalog, "logs").id;
        let plain = catalog.create_stream(new("plain", 1), Timestamp(1)).expect("the name is free").id;
        assert_eq!(refused(catalog, new_stream_queue(StreamId(9), "a")), "stream 9 does not exist");
        assert_eq!(
            refused(catalog, new_stream_queue(plain, "a")),
            "stream 2 is provisioned, queues are for streams on demand"
        );
        let with = |visibility_s, receives_max| NewStreamQueue {
            settings: StreamQueueSettings { visibility_s, receives_max },
            ..new_stream_queue(stream, "a")
        };
        let error = refused(catalog, with(43_201, None));
        assert!(error.contains("43201") && error.contains("43200"), "{error}");
        let error = refused(catalog, with(0, Some(1_001)));
        assert!(error.contains("1001") && error.contains("1000"), "{error}");
        let many = (0..=TAGS_MAX).map(|number| (number.to_string(), String::new())).collect();
        let error = refused(catalog, NewStreamQueue { tags: many, ..new_stream_queue(stream, "a") });
        assert!(error.contains("51"), "{error}");
        catalog.create_stream_queue(new_stream_queue(stream, "a"), Timestamp(1)).expect("the name is free");
        assert_eq!(refused(catalog, new_stream_queue(stream, "a")), "queue a exists already");
        for number in 1..CONSUMERS_MAX {
            let new = NewConsumer { stream, name: queue_name(&number.to_string()), tags: BTreeMap::new() };
            catalog.register_consumer(new, Timestamp(1)).expect("one of as many as there may be");
        }
        let limit = "the stream has 20 consumers and queues, which is the limit";
        assert_eq!(refused(catalog, new_stream_queue(stream, "b")), limit);
        let new = NewConsumer { stream, name: queue_name("b"), tags: BTreeMap::new() };
        assert_eq!(
            catalog.register_consumer(new, Timestamp(1)).expect_err("they share the bound").to_string(),
            limit
        );
        let other = on_demand(catalog, "other").id;
        for text in ["b", "c", "d", "e"] {
            catalog.create_stream_queue(new_stream_queue(other, text), Timestamp(1)).expect("there is room");
        }
        let error = refused(catalog, new_stream_queue(other, "f"));
        assert_eq!(error, "there are 5 queues over streams, which is the limit");
        let back = CapacityChange::Mode(Mode::Provisioned, None);
        let kept = catalog.change_capacity(&name("other"), back, Timestamp(2)).expect_err("it has queues");
        assert_eq!(kept.to_string(), "stream other has 4 queues, and stays on demand while it has");
    });
}
