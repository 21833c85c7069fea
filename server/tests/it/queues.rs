//! Queues as such: create, describe, list, change, delete, and what is left of them after a restart.

use std::time::Duration;

use tidemill_wire::message::{
    Allow, CreateQueue, ErrorCode, Failure, ListQueues, QueueChange, QueueDescription, QueueSettings,
    Redrive, RequestBody, ResponseBody, Scope, Settings, ThroughputLimit, UpdateQueue,
};
use tidemill_wire::{LaneId, QueueName};

use crate::client::Client;
use crate::fixture::{Fixture, cores, counted};

fn queue(text: &str) -> QueueName {
    QueueName::new(text).expect("tests use valid names")
}

fn creation(text: &str, settings: QueueChange) -> RequestBody {
    RequestBody::CreateQueue(CreateQueue { name: queue(text), settings })
}

fn described(client: &mut Client, asked: RequestBody) -> QueueDescription {
    match client.ask(asked) {
        ResponseBody::QueueDescription(queue) => queue,
        other => panic!("no description: {other:?}"),
    }
}

fn create(client: &mut Client, text: &str, settings: QueueChange) -> QueueDescription {
    described(client, creation(text, settings))
}

fn describe(client: &mut Client, text: &str) -> QueueDescription {
    described(client, RequestBody::DescribeQueue(queue(text)))
}

fn delete(client: &mut Client, text: &str) {
    assert_eq!(client.ask(RequestBody::DeleteQueue(queue(text))), ResponseBody::Done);
}

fn refused(client: &mut Client, asked: RequestBody) -> (ErrorCode, u64, u64) {
    let Failure { code, value, limit, .. } = client.ask_refused(asked);
    (code, value, limit)
}

fn list(client: &mut Client, prefix: &str, after: Option<&str>, limit: u32) -> (Vec<String>, bool) {
    let asked = ListQueues { prefix: prefix.to_owned(), after: after.map(queue), limit };
    match client.ask(RequestBody::ListQueues(asked)) {
        ResponseBody::QueueList { queues, more } => {
            (queues.into_iter().map(|queue| queue.name.to_string()).collect(), more)
        }
        other => panic!("not listed: {other:?}"),
    }
}

fn lanes(queue: &QueueDescription) -> Vec<u32> {
    let mut lanes: Vec<_> = queue.lanes.iter().map(|lane| lane.get()).collect();
    lanes.sort_unstable();
    lanes
}

#[test]
fn a_queue_is_known_to_every_core_and_after_a_restart() {
    let mut server = Fixture::start();
    let mut client = server.client();
    let stream = client.create("work", 1, Settings::default());
    let plain = create(&mut client, "work", QueueChange::default());
    assert_eq!((&plain.settings, lanes(&plain)), (&QueueSettings::default(), vec![0, 1]));
    assert!(plain.id.get() > stream.id.get(), "streams and queues have their ids from one counter");
    let settings = QueueChange {
        scope: Some(Scope::Group),
        limit: Some(ThroughputLimit::Group),
        redrive_allow: Some(Allow::By(vec![queue("a.fifo")])),
        policy: Some(Some("{}".to_owned())),
        ..QueueChange::default()
    };
    let fifo = create(&mut client, "work.fifo", settings);
    assert_eq!(lanes(&fifo), [0, 1]);
    let single = create(&mut client, "single.fifo", QueueChange::default());
    assert_eq!(single.lanes.len(), 1);
    let target = Some(Some(Redrive { target: queue("work.fifo"), receives_max: 3 }));
    let change = QueueChange { redrive: target.clone(), ..QueueChange::default() };
    let asked = RequestBody::UpdateQueue(UpdateQueue { name: queue("single.fifo"), settings: change });
    assert_eq!(refused(&mut client, asked).0, ErrorCode::InvalidRequest, "it is not among those allowed");
    let change = QueueChange { redrive_allow: Some(Allow::All), ..QueueChange::default() };
    let asked = RequestBody::UpdateQueue(UpdateQueue { name: queue("work.fifo"), settings: change });
    let fifo = described(&mut client, asked);
    let change = QueueChange { redrive: target.clone(), wait_s: Some(20), ..QueueChange::default() };
    let asked = RequestBody::UpdateQueue(UpdateQueue { name: queue("single.fifo"), settings: change });
    let single = described(&mut client, asked);
    assert_eq!((single.settings.redrive.as_ref(), single.settings.wait_s), (target.flatten().as_ref(), 20));
    assert!(single.modified >= single.created);
    let all = [plain, fifo, single];
    let check = |server: &Fixture| {
        for core in 0..cores() as usize {
            let mut client = server.client_of_core(core);
            for known in &all {
                assert_eq!(&describe(&mut client, known.name.as_str()), known);
            }
        }
        assert_eq!(counted(server, "tidemill_queues"), 3.0);
    };
    check(&server);
    drop(client);
    server.restart();
    check(&server);
}

#[test]
fn queues_are_listed_by_prefix_in_pages() {
    let server = Fixture::start();
    let mut client = server.client();
    for text in ["app-b", "app-a", "other", "app-c.fifo"] {
        create(&mut client, text, QueueChange::default());
    }
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(list(&mut client, "", None, 0), (names(&["app-a", "app-b", "app-c.fifo", "other"]), false));
    assert_eq!(list(&mut client, "app-", None, 2), (names(&["app-a", "app-b"]), true));
    assert_eq!(list(&mut client, "app-", Some("app-b"), 2), (names(&["app-c.fifo"]), false));
    assert_eq!(list(&mut client, "none", None, 2), (vec![], false));
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let server = Fixture::start_with(|config| config.limits.queues = 2);
    let mut client = server.client();
    create(&mut client, "work", QueueChange { wait_s: Some(5), ..QueueChange::default() });
    let again = create(&mut client, "work", QueueChange::default());
    assert_eq!(again.settings.wait_s, 5, "what is not said is not compared");
    let other = QueueChange { wait_s: Some(6), ..QueueChange::default() };
    assert_eq!(refused(&mut client, creation("work", other)).0, ErrorCode::QueueExists);
    let long = QueueChange { delay_s: Some(901), ..QueueChange::default() };
    assert_eq!(refused(&mut client, creation("b", long)), (ErrorCode::InvalidRequest, 901, 900));
    let target = Redrive { target: queue("none"), receives_max: 1 };
    let lost = QueueChange { redrive: Some(Some(target)), ..QueueChange::default() };
    assert_eq!(refused(&mut client, creation("b", lost)).0, ErrorCode::UnknownQueue);
    create(&mut client, "b", QueueChange::default());
    let full = refused(&mut client, creation("c", QueueChange::default()));
    assert_eq!(full, (ErrorCode::LimitExceeded, 3, 2));
    for asked in [
        RequestBody::DescribeQueue(queue("none")),
        RequestBody::DeleteQueue(queue("none")),
        RequestBody::UpdateQueue(UpdateQueue { name: queue("none"), settings: QueueChange::default() }),
    ] {
        assert_eq!(refused(&mut client, asked).0, ErrorCode::UnknownQueue);
    }
}

#[test]
fn the_name_of_a_deleted_queue_is_held_and_a_restart_frees_it() {
    let mut server = Fixture::start_with(|config| config.queues.name_hold = Duration::from_secs(3_600));
    let mut client = server.client();
    let first = create(&mut client, "work", QueueChange::default());
    delete(&mut client, "work");
    for core in 0..cores() as usize {
        let asked = RequestBody::DescribeQueue(queue("work"));
        assert_eq!(refused(&mut server.client_of_core(core), asked).0, ErrorCode::UnknownQueue);
    }
    assert_eq!(list(&mut client, "", None, 0), (vec![], false));
    let held = client.ask_refused(creation("work", QueueChange::default()));
    assert_eq!(held.code, ErrorCode::QueueDeletedRecently);
    assert!((3_000_000..=3_600_000).contains(&held.retry_after_ms), "{held:?}");
    create(&mut client, "other", QueueChange::default());
    drop(client);
    server.restart_with(|config| config.queues.name_hold = Duration::ZERO).expect("it starts");
    let mut client = server.client();
    let second = create(&mut client, "work", QueueChange::default());
    assert!(second.id > first.id);
    delete(&mut client, "work");
    let third = create(&mut client, "work", QueueChange::default());
    assert!(third.id > second.id, "no time holds no name");
    assert_eq!(list(&mut client, "", None, 0).0, ["other", "work"]);
}

#[test]
fn queues_are_spread_over_as_many_lanes_as_is_said() {
    let mut server = Fixture::start_with(|config| config.queues.partitions = 1);
    let mut client = server.client();
    let mut made = ["a", "b", "c"].map(|text| create(&mut client, text, QueueChange::default()).lanes);
    made.sort_unstable();
    assert_eq!(made, [[LaneId(0)], [LaneId(0)], [LaneId(1)]], "they are dealt to the lanes in turn");
    drop(client);
    server.restart();
    let mut client = server.client();
    assert_eq!(describe(&mut client, "a").lanes.len(), 1, "a queue keeps what it was made with");
    assert_eq!(create(&mut client, "d", QueueChange::default()).lanes.len(), 2);
}
