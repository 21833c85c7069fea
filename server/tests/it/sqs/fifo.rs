//! FIFO queues: groups in order, and what is sent twice is there once.

use serde_json::{Value, json};
use tidemill_server::service::queue::partition_of;

use super::{Client, INVALID, MISSING, bodies, start, start_with, text};
use crate::fixture::cores;

fn send(client: &Client, url: &str, group: &str, id: &str, body: &str) -> Value {
    let input = json!({ "QueueUrl": url, "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": id });
    client.ask("SendMessage", &input)
}

#[test]
fn a_group_keeps_its_order_and_waits_for_what_is_in_flight() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders.fifo", &json!({ "FifoQueue": "true" }));
    let numbers: Vec<String> = [("a", "1"), ("b", "2"), ("a", "3")]
        .into_iter()
        .map(|(group, body)| text(&send(&client, &url, group, body, body)["SequenceNumber"]))
        .collect();
    assert!(numbers.is_sorted() && numbers[0].len() == 20, "{numbers:?}");
    let first = client.receive_with(&url, &json!({ "MaxNumberOfMessages": 1 }));
    assert_eq!(bodies(&first), ["1"]);
    let attributes = &first[0]["Attributes"];
    assert_eq!(
        (&attributes["MessageGroupId"], &attributes["MessageDeduplicationId"]),
        (&json!("a"), &json!("1"))
    );
    assert_eq!(attributes["SequenceNumber"], numbers[0]);
    // Group a waits for its first message, group b does not.
    assert_eq!(bodies(&client.receive(&url)), ["2"]);
    client.ask("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": first[0]["ReceiptHandle"] }));
    assert_eq!(bodies(&client.receive(&url)), ["3"]);
}

#[test]
fn what_is_sent_twice_is_there_once() {
    let server = start();
    let client = Client::of(&server);
    let url =
        client.create("orders.fifo", &json!({ "FifoQueue": "true", "ContentBasedDeduplication": "true" }));
    let first = send(&client, &url, "g", "id", "one");
    let again = send(&client, &url, "g", "id", "another body");
    assert_eq!(
        (&again["MessageId"], &again["SequenceNumber"]),
        (&first["MessageId"], &first["SequenceNumber"])
    );
    let of_content = json!({ "QueueUrl": url, "MessageBody": "two", "MessageGroupId": "g" });
    let first = client.ask("SendMessage", &of_content);
    assert_eq!(client.ask("SendMessage", &of_content)["MessageId"], first["MessageId"]);
    let messages = client.receive(&url);
    assert_eq!(bodies(&messages), ["one", "two"]);
    let sha256_of_two = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";
    assert_eq!(messages[1]["Attributes"]["MessageDeduplicationId"], sha256_of_two);
}

#[test]
fn the_same_attempt_gets_the_same_messages() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders.fifo", &json!({ "FifoQueue": "true" }));
    send(&client, &url, "g", "1", "one");
    let attempt = json!({ "ReceiveRequestAttemptId": "attempt" });
    let first = client.receive_with(&url, &attempt);
    assert_eq!(bodies(&first), ["one"]);
    assert_eq!(bodies(&client.receive_with(&url, &attempt)), ["one"]);
    assert_eq!(bodies(&client.receive(&url)), [""; 0]);
}

#[test]
fn a_fifo_queue_wants_groups_and_ids() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders.fifo", &json!({ "FifoQueue": "true" }));
    let check = |more: Value, error, part: &str| {
        let mut input = json!({ "QueueUrl": url, "MessageBody": "x" });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.refused("SendMessage", &input, error, part);
    };
    check(
        json!({ "MessageDeduplicationId": "1" }),
        MISSING,
        "The request must contain the parameter MessageGroupId.",
    );
    let no_id = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly";
    check(json!({ "MessageGroupId": "g" }), INVALID, no_id);
    let whole = |more: &str| json!({ "MessageGroupId": "g", "MessageDeduplicationId": more });
    for id in ["", "a b", "ü", &"x".repeat(129)] {
        check(whole(id), INVALID, "alphanumeric and punctuation characters. 1 to 128 in length");
    }
    let mut delayed = whole("1");
    delayed["DelaySeconds"] = json!(2);
    check(
        delayed,
        INVALID,
        "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.",
    );
    let entries = json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "MessageBody": "x", "MessageDeduplicationId": "1" }] });
    client.refused(
        "SendMessageBatch",
        &entries,
        INVALID,
        "The request must contain the parameter MessageGroupId.",
    );
    let none =
        json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "MessageBody": "x", "MessageGroupId": "g" }] });
    assert_eq!(client.ask("SendMessageBatch", &none)["Failed"][0]["Code"], "InvalidParameterValue");
}

#[test]
fn who_comes_late_with_a_message_of_a_fifo_queue_is_told() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders.fifo", &json!({ "FifoQueue": "true" }));
    send(&client, &url, "g", "1", "one");
    let handle = client.receive(&url)[0]["ReceiptHandle"].clone();
    let change = json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 0 });
    client.ask("ChangeMessageVisibility", &change);
    let part = "The receipt handle has expired.";
    client.refused("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": handle }), INVALID, part);
    assert_eq!(bodies(&client.receive(&url)), ["one"]);
}

#[test]
fn what_cannot_be_told_from_what_is_sent_again_is_refused_and_what_is_known_is_not() {
    const IDS: usize = 1_000;
    let server = start_with(|config| config.limits.deduplication_ids = u32::try_from(IDS).expect("small"));
    let client = Client::of(&server);
    let url = client.create("orders.fifo", &json!({ "FifoQueue": "true" }));
    for batch in 0..IDS / 10 {
        let entry = |at: usize| {
            let id = (batch * 10 + at).to_string();
            json!({ "Id": id, "MessageBody": id, "MessageGroupId": "g", "MessageDeduplicationId": id })
        };
        let entries: Vec<Value> = (0..10).map(entry).collect();
        let answer = client.ask("SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }));
        assert_eq!(answer["Successful"].as_array().map(Vec::len), Some(10), "{answer}");
    }
    let one_more =
        json!({ "QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "x" });
    let throttled = ("RequestThrottled", "RequestThrottled");
    client.refused("SendMessage", &one_more, throttled, "1000 deduplication ids");
    assert!(send(&client, &url, "g", "7", "again")["MessageId"].is_string(), "it was sent before");
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessages"), IDS.to_string());
}

#[test]
fn an_attempt_that_is_made_again_gets_the_same_whatever_other_lanes_have_by_then() {
    let server = start();
    let client = Client::of(&server);
    let attributes = json!({
        "FifoQueue": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    });
    let url = client.create("orders.fifo", &attributes);
    let lanes = usize::try_from(cores()).expect("few");
    let of =
        |lane: u16| (0..).map(|number| format!("g{number}")).find(|group| partition_of(group, lanes) == lane);
    let (near, far) = (of(0).expect("one of them"), of(1).expect("one of them"));
    for number in 0..8 {
        let body = number.to_string();
        let attempt = json!({ "ReceiveRequestAttemptId": format!("attempt-{number}") });
        send(&client, &url, &near, &body, &body);
        let first = client.receive_with(&url, &attempt);
        assert_eq!(bodies(&first), [body.as_str()]);
        send(&client, &url, &far, &body, "other");
        let again = client.receive_with(&url, &attempt);
        assert_eq!(bodies(&again), [body.as_str()], "attempt {number}");
        let other = client.receive(&url);
        assert_eq!(bodies(&other), ["other"]);
        for message in again.iter().chain(&other) {
            client
                .ask("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] }));
        }
    }
}
