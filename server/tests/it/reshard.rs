//! Shards that are split, merged and scaled on a real server, against a model: nothing is lost, each key's records keep their order, readers go on, and a restart
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill_server::config::Authentication;
use tidemill_server::service::catalog::{
    AccountLimits, Aside, Catalog, Ends, Limits, NewStream, RedbCatalog, ShardChange, StreamDefaults,
};
use tidemill_storage::Retention;
use tidemill_wire::message::{
    Ack, ErrorCode, MergeShards, Position, Quota, RequestBody, ResponseBody, ScaleStream, Settings,
    ShardState, SplitShard, Subscribe,
};
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{SequenceNumber, ShardIndex, StreamId, Timestamp};

use crate::client::{Client, append, batch, from_sequence, name};
use crate::fixture::{Fixture, cores, now};
use crate::http::{Peer, call};

const KEYS: u32 = 12;
/// Rounds of puts that have to get through while shards change all the time.
const ROUNDS: u64 = 12;
/// Longer than it takes on a busy machine to come to a moment that lasts some milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn id(index: u64) -> String {
    format!("shardId-{index:012}")
}

fn index(id: &Value) -> u64 {
    id.as_str().and_then(|id| id.strip_prefix("shardId-")?.parse().ok()).expect("a shard's id")
}

fn server() -> Fixture {
    Fixture::start_with(|config| config.aws.authentication = Authentication::Off)
}

pub(crate) fn ask(server: &Fixture, operation: &str, input: &Value) -> (u16, Value) {
    let mut peer = Peer::connect(server);
    peer.send(call(&format!("Kinesis_20131202.{operation}"), &input.to_string()));
    let answer = peer.answered();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

#[track_caller]
pub(crate) fn done(server: &Fixture, operation: &str, input: &Value) -> Value {
    let (status, answer) = ask(server, operation, input);
    assert_eq!(status, 200, "{operation} {input}: {answer}");
    answer
}

/// What is done next; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// Records of several keys through Kinesis.
    Put(Vec<u32>),
    /// The same through the native protocol, routed by the server.
    Append(Vec<u32>),
    Split(u32, u128),
    Merge(u32),
    Scale(u32),
    Read,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || prop::collection::vec(0..KEYS, 1..8);
    prop_oneof![
        6 => keys().prop_map(Step::Put),
        4 => keys().prop_map(Step::Append),
        3 => any::<(u32, u128)>().prop_map(|(shard, at)| Step::Split(shard, at)),
        3 => any::<u32>().prop_map(Step::Merge),
        2 => any::<u32>().prop_map(Step::Scale),
        4 => Just(Step::Read),
        1 => Just(Step::Restart),
    ]
}

/// A reader of all shards as Amazon's client library is one: a shard is begun when its parents are read to their ends.
#[derive(Default)]
struct Reader {
    /// Records of one call, a few if there is nothing here.
    limit: Option<u64>,
    /// Where it goes on, by shard.
    iterators: BTreeMap<u64, String>,
    ended: BTreeSet<u64>,
    /// What it has read, by key, in order.
    read: BTreeMap<String, Vec<String>>,
    /// The last sequence number of each key.
    numbers: BTreeMap<String, String>,
}

impl Reader {
    fn begin(&mut self, server: &Fixture, shard: u64) {
        let input = json!({ "StreamName": "s", "ShardId": id(shard), "ShardIteratorType": "TRIM_HORIZON" });
        let answer = done(server, "GetShardIterator", &input);
        let iterator = answer["ShardIterator"].as_str().expect("an iterator").to_owned();
        assert!(self.iterators.insert(shard, iterator).is_none(), "shard {shard} is begun twice");
    }

    /// Reads until nothing comes, two records at a time unless something else is asked for, so that batches are read in parts.
    fn read(&mut self, server: &Fixture) {
        loop {
            let mut is_quiet = true;
            for (shard, iterator) in self.iterators.clone() {
                let answer = done(
                    server,
                    "GetRecords",
                    &json!({ "ShardIterator": iterator, "Limit": self.limit.unwrap_or(2) }),
                );
                for record in answer["Records"].as_array().expect("a list") {
                    is_quiet = false;
                    self.take(record);
                }
                match answer["NextShardIterator"].as_str() {
                    Some(next) => drop(self.iterators.insert(shard, next.to_owned())),
                    None => {
                        is_quiet = false;
                        self.end(server, shard, &answer["ChildShards"]);
                    }
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn take(&mut self, record: &Value) {
        let text = |name: &str| record[name].as_str().expect("text").to_owned();
        let (key, number) = (text("PartitionKey"), text("SequenceNumber"));
        let last = self.numbers.insert(key.clone(), number.clone());
        assert!(last.is_none_or(|last| last < number), "numbers of {key} do not grow");
        self.read.entry(key).or_default().push(text("Data"));
    }

    fn end(&mut self, server: &Fixture, shard: u64, children: &Value) {
        self.iterators.remove(&shard);
        self.ended.insert(shard);
        let children = children.as_array().expect("a closed shard has children");
        assert!(!children.is_empty());
        for child in children {
            let parents = child["ParentShards"].as_array().expect("a list");
            if parents.iter().all(|parent| self.ended.contains(&index(parent))) {
                self.begin(server, index(&child["ShardId"]));
            }
        }
    }
}

/// The server and what it should hold.
struct World {
    server: Fixture,
    stream: StreamId,
    /// What was acknowledged, by key, in order.
    sent: BTreeMap<String, Vec<String>>,
    reader: Reader,
    next: u32,
}

impl World {
    fn new(shards: u32) -> Self {
        let server = server();
        let settings = Settings { quota: Some(Quota::OFF), ..Settings::default() };
        let created = server.client().create("s", shards, settings);
        let mut reader = Reader::default();
        (0..u64::from(shards)).for_each(|shard| reader.begin(&server, shard));
        Self { server, stream: created.id, sent: BTreeMap::new(), reader, next: 0 }
    }

    /// Keys with data that no other record has.
    fn records(&mut self, keys: &[u32]) -> Vec<(String, String)> {
        let record = |key: &u32| {
            self.next += 1;
            // Base64 as it is, so that data read and data sent compare as texts.
            (format!("key-{key}"), format!("{:08}", self.next))
        };
        keys.iter().map(record).collect()
    }

    fn note(&mut self, records: Vec<(String, String)>) {
        for (key, data) in records {
            self.sent.entry(key).or_default().push(data);
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Put(keys) => {
                let records = self.records(keys);
                let entries: Vec<Value> =
                    records.iter().map(|(key, data)| json!({ "PartitionKey": key, "Data": data })).collect();
                let answer =
                    done(&self.server, "PutRecords", &json!({ "StreamName": "s", "Records": entries }));
                assert_eq!(answer["FailedRecordCount"], 0, "{answer}");
                self.note(records);
            }
            Step::Append(keys) => {
                let records = self.records(keys);
                let decoded = records.iter().map(|(key, data)| (key, unbase64(data)));
                let mut client = self.server.client();
                let (answer, _) = client.ask_with(append(self.stream, None, Ack::Durable), &batch(decoded));
                let ResponseBody::RoutedAppend(routed) = answer else { panic!("{answer:?}") };
                assert!(routed.placements.iter().all(|placement| placement.outcome.is_ok()), "{routed:?}");
                self.note(records);
            }
            Step::Split(pick, at) => {
                let open = self.open();
                let (shard, start, end) = open[*pick as usize % open.len()];
                // Somewhere inside, if there is an inside.
                let Some(width) = (end - start).checked_sub(3) else { return };
                let at = start + 2 + at % (width + 1);
                let input = json!({ "StreamName": "s", "ShardToSplit": id(shard), "NewStartingHashKey": at.to_string() });
                self.change("SplitShard", &input, open.len() + 1);
            }
            Step::Merge(pick) => {
                let open = self.open();
                if open.len() > 1 {
                    let at = *pick as usize % (open.len() - 1);
                    let (one, other) = if pick % 2 == 0 { (at, at + 1) } else { (at + 1, at) };
                    let input = json!({
                        "StreamName": "s", "ShardToMerge": id(open[one].0), "AdjacentShardToMerge": id(open[other].0)
                    });
                    self.change("MergeShards", &input, open.len() - 1);
                }
            }
            Step::Scale(pick) => {
                let open = self.open().len();
                let target = (open.div_ceil(2) + *pick as usize % (2 * open - open.div_ceil(2) + 1)).min(10);
                if target >= open.div_ceil(2) {
                    let input = json!({ "StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" });
                    self.change("UpdateShardCount", &input, target);
                }
            }
            Step::Read => {
                self.reader.read(&self.server);
                self.check();
            }
            Step::Restart => self
                .server
                .restart_with(|config| config.aws.authentication = Authentication::Off)
                .expect("the server starts again"),
        }
    }

    fn change(&self, operation: &str, input: &Value, open: usize) {
        done(&self.server, operation, input);
        assert_eq!(self.open().len(), open, "{operation} {input}");
        for core in 0..cores() as usize {
            let described = self.server.client_of_core(core).describe("s");
            let found = described.shards.iter().filter(|shard| shard.state == ShardState::Open).count();
            assert_eq!(found, open, "core {core} after {operation} {input}");
        }
    }

    /// The open shards in the order of their keys.
    fn open(&self) -> Vec<(u64, u128, u128)> {
        let filter = json!({ "StreamName": "s", "ShardFilter": { "Type": "AT_LATEST" } });
        let listed = done(&self.server, "ListShards", &filter);
        let number = |text: &Value| text.as_str().and_then(|text| text.parse().ok()).expect("a number");
        let mut open: Vec<(u64, u128, u128)> = listed["Shards"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|shard| {
                let range = &shard["HashKeyRange"];
                (index(&shard["ShardId"]), number(&range["StartingHashKey"]), number(&range["EndingHashKey"]))
            })
            .collect();
        open.sort_unstable_by_key(|(_, start, _)| *start);
        open
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(self.reader.read, self.sent, "what was read and what was acknowledged");
    }
}

/// Bytes of a text that is base64: what a native client has to send for a Kinesis client to read the text.
fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        other => panic!("{other} is no digit"),
    };
    let group = |group: &[u8]| {
        group.iter().fold(0, |bits, byte| bits << 6 | digit(*byte)).to_be_bytes()[1..].to_vec()
    };
    text.as_bytes().chunks(4).flat_map(group).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_every_key_keeps_its_order(
        shards in 1_u32..5,
        steps in prop::collection::vec(step(), 10..45),
    ) {
        let mut world = World::new(shards);
        steps.iter().for_each(|step| world.take(step));
        world.take(&Step::Read);
        world.take(&Step::Restart);
        // And once more from the beginning.
        let mut again = Reader::default();
        (0..u64::from(shards)).for_each(|shard| again.begin(&world.server, shard));
        again.read(&world.server);
        prop_assert_eq!(&again.read, &world.sent);
    }
}

fn split(server: &Fixture) {
    let input = json!({ "StreamName": "s", "ShardToSplit": id(0), "NewStartingHashKey": (1_u128 << 127).to_string() });
    done(server, "SplitShard", &input);
}

#[test]
fn native_clients_are_told_of_a_closed_shard_and_find_its_children() {
    let mut server = server();
    let mut client = server.client();
    let created = client.create("s", 1, Settings::default());
    client.append(created.id, 0, &batch([("k", "1"), ("k", "2")])).expect("stored");
    let asked = Subscribe {
        stream: created.id,
        shard: from_sequence(created.id, 0, 0).shard,
        position: Position::Newest,
        credit_bytes: 1 << 20,
    };
    client.send(RequestBody::Subscribe(asked));
    let mut waiting = server.client();
    let fetch = from_sequence(created.id, 0, 2);
    waiting.send(RequestBody::Fetch(tidemill_wire::message::Fetch { wait_ms: 30_000, ..fetch }));
    split(&server);
    let (answer, _) = waiting.receive();
    let ResponseBody::Fetched(fetched) = answer.body else { panic!("{answer:?}") };
    assert!(fetched.closed, "a reader at the end is woken and told: {fetched:?}");
    let (ended, _) = client.receive();
    let ResponseBody::SubscriptionEnded(ended) = ended.body else { panic!("{ended:?}") };
    assert_eq!((ended.code, ended.next_sequence.0), (ErrorCode::ShardClosed, 2));
    let check = |client: &mut Client| {
        let described = client.describe("s");
        assert_eq!(described.map_version, created.map_version + 1);
        assert_eq!((described.shards[0].state, described.shards[0].next_sequence.0), (ShardState::Closed, 2));
        for child in &described.shards[1..] {
            assert_eq!((child.state, child.parent.map(|parent| parent.0)), (ShardState::Open, Some(0)));
        }
        let refused = client.append(created.id, 0, &batch([("k", "3")])).expect_err("it is closed");
        assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::ShardClosed, 0));
        assert_eq!(client.read_all(created.id, 0).len(), 2);
    };
    for core in 0..cores() as usize {
        check(&mut server.client_of_core(core));
    }
    drop((client, waiting));
    server.restart();
    check(&mut server.client());
    let mut client = server.client();
    let stored = client.append(created.id, 1, &batch([("k", "3")])).expect("a child takes records");
    assert_eq!(stored, 0, "a child counts from 0");
}

/// Puts as a client would that is told of no shards, until it is enough; everything has to be taken.
fn keep_putting(server: &Fixture, rounds: &AtomicU64, enough: &AtomicBool) -> BTreeMap<String, Vec<String>> {
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in 0.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let data = format!("{number:08}");
        let records: Vec<Value> =
            (0..KEYS).map(|key| json!({ "PartitionKey": format!("key-{key}"), "Data": data })).collect();
        if number % 4 == 0 {
            for record in &records {
                let mut input = record.clone();
                input["StreamName"] = json!("s");
                done(server, "PutRecord", &input);
            }
        } else {
            let answer = done(server, "PutRecords", &json!({ "StreamName": "s", "Records": records }));
            assert_eq!(answer["FailedRecordCount"], 0, "{answer}");
        }
        (0..KEYS).for_each(|key| sent.entry(format!("key-{key}")).or_default().push(data.clone()));
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    sent
}

#[test]
fn puts_are_taken_and_changes_are_seen_while_shards_change() {
    let server = server();
    let settings = Settings { quota: Some(Quota::OFF), ..Settings::default() };
    server.client().create("s", 2, settings);
    let (enough, seen) = (AtomicBool::new(false), AtomicBool::new(false));
    let (refused, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let scale = |target: usize| {
        let input =
            json!({ "StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING" });
        ask(&server, "UpdateShardCount", &input)
    };
    let sent = std::thread::scope(|scope| {
        let putting = scope.spawn(|| keep_putting(&server, &rounds, &enough));
        scope.spawn(|| {
            let mut statuses = BTreeSet::new();
            while !enough.load(Ordering::Relaxed) {
                let summary = done(&server, "DescribeStreamSummary", &json!({ "StreamName": "s" }));
                let status = summary["StreamDescriptionSummary"]["StreamStatus"].to_string();
                if status.contains("UPDATING") {
                    seen.store(true, Ordering::Relaxed);
                    let (status, answer) = scale(3);
                    // The change may be over before the call has come.
                    if status != 200 && answer["__type"] == "ResourceInUseException" {
                        refused.store(true, Ordering::Relaxed);
                    }
                }
                statuses.insert(status);
            }
            assert!(statuses.iter().all(|status| status.contains("ACTIVE") || status.contains("UPDATING")));
        });
        let began = now();
        let mut changes = 0;
        for target in [3, 4, 2].into_iter().cycle() {
            let (status, answer) = scale(target);
            let name = answer["__type"].as_str().unwrap_or_default();
            let is_known =
                status == 200 || name == "ResourceInUseException" || name == "LimitExceededException";
            assert!(is_known, "{answer}");
            changes += usize::from(status == 200);
            let is_seen = seen.load(Ordering::Relaxed) && refused.load(Ordering::Relaxed);
            if (changes >= 20 && rounds.load(Ordering::Relaxed) >= ROUNDS && is_seen)
                || began.elapsed() > PATIENCE
            {
                break;
            }
        }
        enough.store(true, Ordering::Relaxed);
        putting.join().expect("every record is taken")
    });
    assert!(seen.load(Ordering::Relaxed), "the stream was never seen as UPDATING");
    assert!(refused.load(Ordering::Relaxed), "no second change was refused");
    assert!(rounds.load(Ordering::Relaxed) >= ROUNDS, "puts do not get through: {rounds:?}");
    let mut reader = Reader { limit: Some(1_000), ..Reader::default() };
    (0..2).for_each(|shard| reader.begin(&server, shard));
    reader.read(&server);
    assert_eq!(reader.read, sent);
}

#[test]
fn native_clients_split_merge_and_scale() {
    let server = server();
    let mut client = server.client();
    client.create("s", 2, Settings::default());
    let (text, name) = ("s", name("s"));
    let shard = ShardIndex;
    let mut change = |body: RequestBody| match client.ask(body) {
        ResponseBody::StreamDescription(stream) => stream,
        other => panic!("{other:?}"),
    };
    let split =
        |shard, at| RequestBody::SplitShard(SplitShard { name: name.clone(), shard, at: HashKey(at) });
    let merge =
        |shard, adjacent| RequestBody::MergeShards(MergeShards { name: name.clone(), shard, adjacent });
    let scale = |shards| RequestBody::ScaleStream(ScaleStream { name: name.clone(), shards });
    let stream = change(split(shard(0), 1));
    assert_eq!(
        (stream.shards.len(), stream.shards[2].range.end, stream.shards[3].range.start),
        (4, HashKey(0), HashKey(1))
    );
    let stream = change(merge(shard(1), shard(3)));
    assert_eq!((stream.shards[4].parent, stream.shards[4].adjacent_parent), (Some(shard(1)), Some(shard(3))));
    let stream = change(scale(2));
    let open: Vec<_> = stream.shards.iter().filter(|shard| shard.state == ShardState::Open).collect();
    assert_eq!(open.iter().map(|shard| shard.range).collect::<Vec<_>>(), HashKeyRange::split_evenly(2));
    assert_eq!(server.client().describe(text), stream);
    let refused = |body: RequestBody, code, limit| {
        let failure = server.client().ask_refused(body);
        assert_eq!((failure.code, failure.limit), (code, limit), "{failure}");
    };
    refused(split(shard(0), 1), ErrorCode::ShardClosed, 0);
    refused(merge(shard(0), open[0].index), ErrorCode::ShardClosed, 0);
    refused(split(shard(99), 1), ErrorCode::UnknownShard, 0);
    refused(split(open[0].index, 0), ErrorCode::InvalidRequest, 0);
    refused(merge(open[0].index, open[0].index), ErrorCode::InvalidRequest, 0);
    refused(scale(5), ErrorCode::InvalidRequest, 4);
    refused(scale(0), ErrorCode::InvalidRequest, 1);
    let none = ScaleStream { name: crate::client::name("none"), shards: 1 };
    refused(RequestBody::ScaleStream(none), ErrorCode::UnknownStream, 0);
}

/// The catalog of a server that is down.
pub(crate) fn catalog(server: &Fixture) -> RedbCatalog {
    let path = server.directory.path().join("data/catalog.redb");
    let limits = Limits {
        shards_per_stream: 8,
        streams: 8,
        queues: 8,
        partitions_per_queue: 0,
        is_compacting: true,
        account: AccountLimits::OFF,
    };
    let day = Retention { age: Duration::from_secs(86_400), bytes: None };
    let defaults = StreamDefaults { retention: day, quota: Quota::OFF, read_calls_per_second: 0 };
    let opened = RedbCatalog::open(&path, limits, defaults).expect("a sound catalog");
    opened.expect("the server has left one")
}

/// Creates the stream in the catalog of a server that is down, as if it had been at a time.
fn create_at(server: &Fixture, at: Timestamp, settings: Settings) {
    let (tags, aside) = (BTreeMap::new(), Aside::default());
    let new = NewStream { name: name("s"), shards: 1, settings, tags, aside };
    catalog(server).create_stream(new, at).expect("the name is free");
}

/// Splits shard 0 of the stream in the catalog of a server that is down, as if it had been at a time.
fn split_at(server: &Fixture, at: Timestamp, end: u64) {
    let mut catalog = catalog(server);
    let split = ShardChange::Split { shard: ShardIndex(0), at: HashKey(1 << 127) };
    let planned = catalog.plan_reshard(&name("s"), split).expect("it is open");
    let ends = [(ShardIndex(0), SequenceNumber(end))].into();
    catalog.reshard(planned, &Ends { at, ends }).expect("the disk is sound");
}

#[test]
fn a_closed_shard_goes_when_its_records_are_over() {
    let mut server = Fixture::start();
    server.stop();
    let now_ms = u64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis()).expect("small");
    let settings = Settings { retention_ms: Some(3_600_000), ..Settings::default() };
    create_at(&server, Timestamp(now_ms - 7_200_000), settings);
    server.restart();
    let mut client = server.client();
    let stream = client.describe("s").id;
    client.append(stream, 0, &batch([("k", "1"), ("k", "2")])).expect("stored");
    drop(client);
    server.stop();
    split_at(&server, Timestamp(now_ms - 3_600_000 - 1), 2);
    server.restart();
    let mut client = server.client();
    let before = client.describe("s");
    assert_eq!(before.shards.len(), 3, "nobody has looked yet");
    assert_eq!(client.read_all(stream, 0).len(), 2);
    // Whoever changes shards looks at once, others after some seconds.
    let scale = RequestBody::ScaleStream(ScaleStream { name: name("s"), shards: 2 });
    let ResponseBody::StreamDescription(after) = client.ask(scale) else { panic!("two shards are open") };
    assert_eq!(after.map_version, before.map_version + 1);
    let left: Vec<_> = after.shards.iter().map(|shard| (shard.index.0, shard.parent)).collect();
    assert_eq!(left, [(1, Some(ShardIndex(0))), (2, Some(ShardIndex(0)))]);
    let check = |client: &mut Client| {
        assert_eq!(client.describe("s").shards.len(), 2);
        let refused = client.append(stream, 0, &batch([("k", "3")])).expect_err("it is gone");
        assert_eq!(refused.code, ErrorCode::UnknownShard);
        let refused = client.fetch(from_sequence(stream, 0, 0)).expect_err("it is gone");
        assert_eq!(refused.code, ErrorCode::UnknownShard);
        client.append(stream, 1, &batch([("k", "3")])).expect("its children go on");
    };
    check(&mut client);
    drop(client);
    server.restart();
    check(&mut server.client());
}

#[test]
fn children_have_quotas_of_their_own() {
    let server = server();
    let mut client = server.client();
    let quota = Quota { write_records_per_second: 5, ..Quota::OFF };
    let created = client.create("s", 1, Settings { quota: Some(quota), ..Settings::default() });
    let five = batch((0..5).map(|_| ("k", "v")));
    client.append(created.id, 0, &five).expect("a full bucket");
    split(&server);
    for child in [1, 2] {
        client.append(created.id, child, &five).expect("a full bucket of its own");
        let refused = client.append(created.id, child, &five).expect_err("it is empty");
        assert_eq!(refused.code, ErrorCode::WriteThrottled);
    }
}
