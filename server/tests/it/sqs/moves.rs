//! Dead-letter queues: what is received too often goes there, and tasks bring it back.

use serde_json::{Value, json};

use super::{Client, INVALID, PATIENCE, arn, bodies, start, text};
use crate::fixture::now;

const NOT_FOUND: (&str, &str) = ("ResourceNotFoundException", "ResourceNotFoundException");

fn redrive(target: &str, receives: u32) -> String {
    json!({ "deadLetterTargetArn": arn(target), "maxReceiveCount": receives }).to_string()
}

/// A queue whose messages go to `dead` when they were received once.
fn queues(client: &Client, suffix: &str) -> (String, String) {
    let kind = if suffix.is_empty() { json!({}) } else { json!({ "FifoQueue": "true" }) };
    let dead = client.create(&format!("dead{suffix}"), &kind);
    let mut attributes = kind;
    attributes["RedrivePolicy"] = json!(redrive(&format!("dead{suffix}"), 1));
    (client.create(&format!("orders{suffix}"), &attributes), dead)
}

/// Receives messages, lets them come back at once, and looks again until they are gone.
fn kill(client: &Client, url: &str, dead: &str, count: usize) {
    let began = now();
    while client.attribute(dead, "ApproximateNumberOfMessages") != count.to_string() {
        assert!(began.elapsed() < PATIENCE, "the messages stay where they are");
        client.receive_with(url, &json!({ "VisibilityTimeout": 0 }));
    }
}

fn tasks(client: &Client) -> Vec<Value> {
    let input = json!({ "SourceArn": arn("dead"), "MaxResults": 10 });
    client.ask("ListMessageMoveTasks", &input)["Results"].as_array().cloned().unwrap_or_default()
}

/// Waits until the newest task is in a state.
fn until(client: &Client, status: &str) -> Value {
    let began = now();
    loop {
        let newest = tasks(client).into_iter().next().unwrap_or_default();
        if newest["Status"] == status {
            return newest;
        }
        assert!(began.elapsed() < PATIENCE, "{newest} does not become {status}");
    }
}

#[test]
fn messages_that_are_received_too_often_go_to_the_dead_letter_queue_and_back() {
    let server = start();
    let client = Client::of(&server);
    let (url, dead) = queues(&client, "");
    for body in ["one", "two"] {
        client.send_message(&url, body);
    }
    kill(&client, &url, &dead, 2);
    let seen = client.receive_with(&dead, &json!({ "VisibilityTimeout": 0 }));
    assert_eq!(seen[0]["Attributes"]["DeadLetterQueueSourceArn"], arn("orders"));
    let sources = client.ask("ListDeadLetterSourceQueues", &json!({ "QueueUrl": dead }));
    assert_eq!(sources, json!({ "queueUrls": [url] }));
    let started = client.ask("StartMessageMoveTask", &json!({ "SourceArn": arn("dead") }));
    assert!(!text(&started["TaskHandle"]).is_empty());
    let done = until(&client, "COMPLETED");
    assert_eq!(done["ApproximateNumberOfMessagesMoved"], 2, "{done}");
    assert_eq!(done["ApproximateNumberOfMessagesToMove"], 2, "{done}");
    assert_eq!((&done["SourceArn"], &done["DestinationArn"]), (&json!(arn("dead")), &Value::Null));
    assert_eq!((&done["TaskHandle"], done["StartedTimestamp"].is_u64()), (&Value::Null, true));
    assert_eq!(client.attribute(&dead, "ApproximateNumberOfMessages"), "0");
    let mut back = bodies(&client.receive_all(&url, 2)).into_iter().map(str::to_owned).collect::<Vec<_>>();
    back.sort();
    assert_eq!(back, ["one", "two"]);
}

#[test]
fn fifo_messages_come_back_in_spite_of_their_deduplication_ids() {
    let server = start();
    let client = Client::of(&server);
    let (url, dead) = queues(&client, ".fifo");
    let message =
        json!({ "QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "1" });
    client.ask("SendMessage", &message);
    for _ in 0..2 {
        kill(&client, &url, &dead, 1);
        client.ask("StartMessageMoveTask", &json!({ "SourceArn": arn("dead.fifo") }));
        client.until(&url, "ApproximateNumberOfMessages", "1");
        client.until(&dead, "ApproximateNumberOfMessages", "0");
        let began = now();
        let list = json!({ "SourceArn": arn("dead.fifo") });
        while client.ask("ListMessageMoveTasks", &list)["Results"][0]["Status"] != "COMPLETED" {
            assert!(began.elapsed() < PATIENCE, "the task does not end");
        }
    }
}

#[test]
fn a_task_has_a_rate_and_can_be_cancelled() {
    let server = start();
    let client = Client::of(&server);
    let (_, dead) = queues(&client, "");
    client.create("elsewhere", &json!({}));
    for number in 0..5 {
        client.send_message(&dead, &number.to_string());
    }
    let start = json!({ "SourceArn": arn("dead"), "DestinationArn": arn("elsewhere"), "MaxNumberOfMessagesPerSecond": 1 });
    let handle = client.ask("StartMessageMoveTask", &start)["TaskHandle"].clone();
    client.refused("StartMessageMoveTask", &start, INVALID, "There is already a task running.");
    let running = until(&client, "RUNNING");
    assert_eq!(
        (&running["DestinationArn"], &running["MaxNumberOfMessagesPerSecond"]),
        (&json!(arn("elsewhere")), &json!(1))
    );
    assert!(running["TaskHandle"].is_string(), "{running}");
    let cancelled = client.ask("CancelMessageMoveTask", &json!({ "TaskHandle": handle }));
    assert!(cancelled["ApproximateNumberOfMessagesMoved"].as_u64() <= Some(2), "{cancelled}");
    let ended = until(&client, "CANCELLED");
    assert!(ended["ApproximateNumberOfMessagesMoved"].as_u64() < Some(5), "{ended}");
    client.refused("CancelMessageMoveTask", &json!({ "TaskHandle": handle }), INVALID, "Only active tasks");
    // The next one takes the rest.
    client.ask(
        "StartMessageMoveTask",
        &json!({ "SourceArn": arn("dead"), "DestinationArn": arn("elsewhere") }),
    );
    until(&client, "COMPLETED");
    assert_eq!(tasks(&client).len(), 2);
    let url = format!("http://queues.example/{}/elsewhere", super::ACCOUNT);
    assert_eq!(client.receive_all(&url, 5).len(), 5);
}

#[test]
fn a_task_that_cannot_go_on_says_why() {
    let server = start();
    let client = Client::of(&server);
    let (_, dead) = queues(&client, "");
    client.send_message(&dead, "from nowhere");
    client.ask("StartMessageMoveTask", &json!({ "SourceArn": arn("dead") }));
    let failed = until(&client, "FAILED");
    assert_eq!(failed["FailureReason"], "CouldNotDetermineMessageSource");
    assert_eq!(bodies(&client.receive_all(&dead, 1)), ["from nowhere"], "it is there for others at once");
    let start = |source: &str, target: Value| json!({ "SourceArn": source, "DestinationArn": target });
    let check = |input: Value, error, part| client.refused("StartMessageMoveTask", &input, error, part);
    check(start(&arn("none"), Value::Null), NOT_FOUND, "SourceArn parameter doesn't exist");
    check(start("none", Value::Null), NOT_FOUND, "SourceArn");
    check(start(&arn("dead"), json!(arn("none"))), NOT_FOUND, "DestinationArn parameter doesn't exist");
    check(
        start(&arn("orders"), Value::Null),
        INVALID,
        "Source queue must be configured as a Dead Letter Queue.",
    );
    check(start(&arn("dead"), json!(arn("dead"))), INVALID, "another queue");
    let rate = json!({ "SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": 501 });
    check(rate, INVALID, "Must be between 1 and 500");
    client.refused("ListMessageMoveTasks", &json!({ "SourceArn": arn("none") }), NOT_FOUND, "SourceArn");
    let part = "Value for parameter TaskHandle is invalid.";
    client.refused("CancelMessageMoveTask", &json!({ "TaskHandle": "x" }), INVALID, part);
}
