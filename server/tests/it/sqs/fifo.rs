//! FIFO queues: groups in order, and what is sent twice is there once.

use serde_json::{Value, json};

use super::{Client, INVALID, MISSING, bodies, start, text};

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
