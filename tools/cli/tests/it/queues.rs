//! `tidemill queue` against a real server, which is killed in between.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidemill_client::{Client, ClientOptions, ConsumeOptions};

use crate::process::{PATIENCE, Server, finish, run};

fn json(server: &Server, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&server.run(&arguments).ok()).expect("the answer is JSON")
}

#[test]
fn queues_are_made_changed_listed_and_deleted_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let flags =
        &["--set", "data.lanes=2", "--set", "storage.segment_size=8MiB", "--set", "storage.group_bytes=1MiB"];
    let server = Server::start(&data, flags);
    let created = json(&server, &["queue", "create", "failed", "--retention", "14d"]);
    assert_eq!((&created["retention_s"], &created["allow"]), (&1_209_600.into(), &"all".into()));
    let work = ["queue", "create", "work", "--dead-letters", "failed:5", "--visibility", "2m"];
    let created = json(&server, &work);
    assert_eq!(json(&server, &work), created, "it is there and as it is wanted");
    assert_eq!(created["dead_letters"], serde_json::json!({ "queue": "failed", "receives_max": 5 }));
    assert_eq!(created["lanes"].as_array().map(Vec::len), Some(2));
    let other = server.run(&["queue", "create", "work", "--visibility", "3m"]);
    assert_eq!(other.code, Some(4), "{}", other.stderr);
    assert!(other.stderr.contains("with another visibility_s"), "{}", other.stderr);
    server.run(&["queue", "create", "orders.fifo", "--content-deduplication", "true"]).ok();
    let changed = json(&server, &["queue", "set", "work", "--wait", "20s", "--dead-letters", "none"]);
    assert_eq!((&changed["wait_s"], &changed["dead_letters"]), (&20.into(), &Value::Null));
    assert_eq!(changed["visibility_s"], 120);
    let refused = server.run(&["queue", "set", "work", "--scope", "group"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert_eq!(server.run(&["queue", "set", "work"]).code, Some(2), "nothing is to be changed");
    server.kill();

    let server = Server::start(&data, flags);
    assert_eq!(json(&server, &["queue", "describe", "work"]), changed);
    let text = server.run(&["queue", "describe", "orders.fifo"]).ok();
    assert!(text.contains("FIFO queue orders.fifo") && text.contains("by content too"), "{text}");
    let names = |listed: Value| -> Vec<String> {
        let listed = listed.as_array().expect("a list").iter();
        listed.filter_map(|queue| Some(queue["name"].as_str()?.to_owned())).collect()
    };
    assert_eq!(names(json(&server, &["queue", "list"])), ["failed", "orders.fifo", "work"]);
    assert_eq!(names(json(&server, &["queue", "list", "wo"])), ["work"]);
    assert_eq!(server.run(&["queue", "delete", "work", "failed"]).ok().trim(), "deleted work failed");
    assert_eq!(server.run(&["queue", "delete", "work"]).code, Some(3));
    server.run(&["queue", "delete", "work", "--if-present"]).ok();
    let held = server.run(&["queue", "create", "work"]);
    assert_eq!(held.code, Some(4), "{}", held.stderr);
    assert!(held.stderr.contains("was deleted a moment ago"), "{}", held.stderr);
    assert_eq!(names(json(&server, &["queue", "list"])), ["orders.fifo"]);
    server.stop();
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn messages_are_sent_received_counted_and_moved_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    // One partition has one order.
    let server = Server::start(&folder.path().join("data"), &["--set", "queues.partitions=1"]);
    server.run(&["queue", "create", "failed"]).ok();
    server.run(&["queue", "create", "work", "--dead-letters", "failed:1"]).ok();
    assert_eq!(server.run(&["queue", "send", "work", "a", "b"]).ok().trim(), "sent 2 messages");
    let input = std::fs::File::create_new(folder.path().join("lines"));
    std::io::Write::write_all(&mut input.expect("a file"), b"c\r\n\nlast").expect("it is written");
    let input = std::fs::File::open(folder.path().join("lines")).expect("a file");
    let mut command = server.command(&["queue", "send", "work", "--attribute", "kind=x", "--json"]);
    let sent = finish(command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped())).ok();
    assert_eq!(sent.trim(), "{\"sent\":3}");
    let stats = json(&server, &["queue", "stats", "work", "failed"]);
    assert_eq!((&stats[0]["visible"], &stats[1]["visible"]), (&5.into(), &0.into()));
    assert!(stats[0]["oldest_age_s"].is_u64() && stats[1]["oldest_age_s"].is_null(), "{stats}");

    let first = server.run(&["queue", "receive", "work", "--max", "2", "--delete"]).ok();
    assert_eq!(lines(&first), ["a", "b"]);
    let rest = server.run(&["queue", "receive", "work", "--max", "9", "--ack", "--json"]).ok();
    let rest: Vec<Value> =
        lines(&rest).into_iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let bodies: Vec<&str> = rest.iter().filter_map(|message| message["body"].as_str()).collect();
    assert_eq!(bodies, ["c", "", "last"]);
    assert_eq!(rest[0]["attributes"]["kind"], serde_json::json!({ "type": "String", "value": "x" }));
    assert_eq!((rest[0]["receives"].as_u64(), rest[0]["id"].as_str().map(str::len)), (Some(1), Some(32)));
    assert_eq!(server.run(&["queue", "receive", "work", "--wait", "20ms"]).ok(), "", "nothing is no failure");

    // Two that are not deleted and come back at once are dead letters by the next receive.
    server.run(&["queue", "send", "work", "x", "y"]).ok();
    server.run(&["queue", "receive", "work", "--max", "2", "--visibility", "0s"]).ok();
    assert_eq!(server.run(&["queue", "receive", "work"]).ok(), "");
    // They are moved once the receive is answered.
    let deadline = Instant::now() + PATIENCE;
    while json(&server, &["queue", "stats", "failed"])[0]["visible"] != 2 {
        assert!(Instant::now() < deadline, "the dead letters do not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(lines(&server.run(&["queue", "redrive", "failed", "--sources"]).ok()), ["work"]);
    let moved = json(&server, &["queue", "redrive", "failed"]);
    assert_eq!((&moved["status"], &moved["moved"]), (&"completed".into(), &2.into()));
    let list = json(&server, &["queue", "redrive", "failed", "--list"]);
    assert_eq!(list[0], moved);
    assert_eq!(server.run(&["queue", "redrive", "failed", "--cancel", "99"]).code, Some(3));
    assert_eq!(server.run(&["queue", "redrive", "work"]).code, Some(2), "it is no dead-letter queue");
    assert_eq!(json(&server, &["queue", "stats", "work"])[0]["visible"], 2);
    assert_eq!(server.run(&["queue", "purge", "work"]).ok().trim(), "purged work");
    assert_eq!(json(&server, &["queue", "stats", "work"])[0]["visible"], 0);
    for missing in ["send", "receive", "purge", "redrive", "stats"] {
        let arguments = ["queue", missing, "none", "x"];
        let arguments = if missing == "send" { &arguments[..] } else { &arguments[..3] };
        assert_eq!(server.run(arguments).code, Some(3), "{missing}");
    }
    let twice = server.run(&["queue", "send", "work", "a", "b", "--deduplication", "1"]);
    assert_eq!(twice.code, Some(2), "{}", twice.stderr);
    server.run(&["queue", "create", "order.fifo", "--content-deduplication", "true"]).ok();
    server.run(&["queue", "send", "order.fifo", "one", "two", "--group", "g"]).ok();
    for _ in 0..2 {
        let again = ["queue", "receive", "order.fifo", "--max", "1", "--attempt", "7f3a"];
        assert_eq!(lines(&server.run(&again).ok()), ["one"], "the same attempt gets the same");
    }
    let more = server.run(&["queue", "receive", "order.fifo", "--max", "11", "--attempt", "7f3a"]);
    assert_eq!(more.code, Some(2), "{}", more.stderr);
    server.run(&["queue", "create", "small", "--message-size", "1KiB"]).ok();
    let long = "x".repeat(2_000);
    let refused = server.run(&["queue", "send", "small", "fits", &long, "too"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("after 2 messages sent: message 2: message_too_large"),
        "{}",
        refused.stderr
    );
    server.stop();
}

#[test]
fn queues_are_measured_with_a_backlog_and_without() {
    for backlog in ["0", "500"] {
        let arguments = [
            "bench",
            "queue",
            "--embedded",
            "--embedded-set",
            "storage.segment_size=16MiB",
            "--backlog",
            backlog,
            "--connections",
            "2",
            "--in-flight",
            "2",
            "--warm-up",
            "0s",
            "--bytes",
            "100kB",
            "--json",
        ];
        let report: Value = serde_json::from_str(&run(&arguments).ok()).expect("the answer is JSON");
        let part = &report["parts"][0];
        assert!(part["records"].as_u64() >= Some(1_000), "{report}");
        let kinds: Vec<&str> = part["latency_us"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|kind| kind["name"].as_str())
            .collect();
        assert_eq!(kinds, ["send", "receive", "delete"]);
        assert_eq!(report["settings"]["backlog"], backlog);
    }
    for other in [["--shards", "2"], ["--protocol", "sqs"], ["--protocol", "kinesis"]] {
        let refused = run(&[&["bench", "queue", "--embedded", "--bytes", "1kB"], &other[..]].concat());
        assert_eq!(refused.code, Some(2), "{other:?}: {}", refused.stderr);
    }
}

#[test]
fn a_consumer_is_pushed_as_much_as_it_has_credit_for() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    server.run(&["queue", "create", "work"]).ok();
    server.run(&["queue", "send", "work", "a", "b", "c"]).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let connected = async {
        let client = Client::connect(&server.address, ClientOptions::default()).await?;
        client.queue(&"work".parse().expect("a name")).await
    };
    let queue = runtime.block_on(connected).expect("the queue is there");
    let mut consumer = queue.consume(ConsumeOptions { credit: 2, ..ConsumeOptions::default() });
    let first = runtime.block_on(async {
        let first = consumer.next().await.expect("a message");
        let second = consumer.next().await.expect("a message");
        assert_eq!((first.body.as_ref(), second.body.as_ref()), (&b"a"[..], &b"b"[..]));
        let third = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await;
        assert!(third.is_err(), "all credit is in hand: {third:?}");
        assert_eq!(consumer.delete(&[second.receipt]).await.expect("deleted"), []);
        let third = consumer.next().await.expect("there is credit again");
        assert_eq!(third.body.as_ref(), b"c");
        assert_eq!(consumer.delete(&[third.receipt]).await.expect("deleted"), []);
        first
    });
    runtime.block_on(async {
        assert_eq!(consumer.delete(&[first.receipt]).await.expect("deleted"), []);
        let counts = queue.counts().await.expect("counted");
        assert_eq!((counts.visible, counts.in_flight, counts.delayed), (0, 0, 0));
    });
    drop(consumer);
    server.stop();
}
