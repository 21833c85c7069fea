//! `tidemill queue` against a real server, which is killed in between.

use serde_json::Value;

use crate::process::Server;

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
