//! Messages of standard queues: sent, received, hidden, deleted; by themselves and in batches.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_wire::QueueName;
use tidemill_wire::message::{NewMessage, RequestBody, ResponseBody, SendMessages};

use super::{BAD_RECEIPT, Client, INVALID, MISSING, NO_QUEUE, UNSUPPORTED, bodies, output, start, text};
use crate::fixture::now;

#[test]
fn a_message_comes_with_all_that_was_sent() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    let sent = client.ask(
        "SendMessage",
        &json!({
            "QueueUrl": url,
            "MessageBody": "msg",
            "MessageGroupId": "fair",
            "MessageAttributes": {
                "Hello": { "DataType": "String", "StringValue": "There" },
                "General": { "DataType": "String", "StringValue": "Kenobi" },
                "Help.Me": { "DataType": "String", "StringValue": "Me" },
            },
            "MessageSystemAttributes": { "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793" } },
        }),
    );
    assert_eq!(sent["MD5OfMessageBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
    assert_eq!(sent["MD5OfMessageAttributes"], "4c360f3fdafd970e05fae2f149d997f5");
    assert_eq!(sent["MD5OfMessageSystemAttributes"].as_str().map(str::len), Some(32));
    assert_eq!(sent["SequenceNumber"], Value::Null);
    let messages = client
        .receive_with(&url, &json!({ "VisibilityTimeout": 0, "MessageAttributeNames": ["Gen.*", "Hello"] }));
    let message = &messages[0];
    assert_eq!((&message["Body"], &message["MessageId"]), (&json!("msg"), &sent["MessageId"]));
    assert_eq!(message["MD5OfBody"], sent["MD5OfMessageBody"]);
    // Of the attributes that are given, not of those that were sent.
    assert_eq!(message["MD5OfMessageAttributes"], "fca026605781cb4126a1e9044df24232");
    let general = json!({ "StringValue": "Kenobi", "DataType": "String" });
    assert_eq!(message["MessageAttributes"]["General"], general);
    assert_eq!(message["MessageAttributes"].as_object().map(serde_json::Map::len), Some(2));
    let system = &message["Attributes"];
    assert_eq!(
        (&system["ApproximateReceiveCount"], &system["MessageGroupId"]),
        (&json!("1"), &json!("fair"))
    );
    assert_eq!((&system["SenderId"], &system["SequenceNumber"]), (&json!(super::ACCOUNT), &Value::Null));
    assert_eq!(system["AWSTraceHeader"], "Root=1-5759e988-bd862e3fe1be46a994272793");
    let first = text(&system["ApproximateFirstReceiveTimestamp"]);
    assert!(text(&system["SentTimestamp"]) <= first, "{system}");
    let bare = json!({ "QueueUrl": url, "AttributeNames": ["ApproximateReceiveCount"] });
    let again = client.ask("ReceiveMessage", &bare)["Messages"][0].take();
    assert_eq!(again["Attributes"], json!({ "ApproximateReceiveCount": "2" }));
    assert_eq!((&again["MessageAttributes"], &again["MD5OfMessageAttributes"]), (&Value::Null, &Value::Null));
    let handle = &again["ReceiptHandle"];
    assert_eq!(client.ask("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": handle })), json!({}));
    assert_eq!(client.ask("ReceiveMessage", &json!({ "QueueUrl": url })), json!({}));
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessages"), "0");
}

#[test]
fn a_message_is_hidden_as_long_as_it_is_said() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({ "VisibilityTimeout": "600" }));
    client.send_message(&url, "one");
    let handle = client.receive(&url)[0]["ReceiptHandle"].clone();
    assert_eq!(client.receive(&url), [Value::Null; 0]);
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessagesNotVisible"), "1");
    let change =
        |seconds: i64| json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": seconds });
    client.refused("ChangeMessageVisibility", &change(43_201), INVALID, "Must be between 0 and 43200");
    client.refused(
        "ChangeMessageVisibility",
        &change(-1),
        INVALID,
        "Value -1 for parameter VisibilityTimeout",
    );
    assert_eq!(client.ask("ChangeMessageVisibility", &change(900)), json!({}));
    assert_eq!(client.receive(&url), [Value::Null; 0]);
    client.ask("ChangeMessageVisibility", &change(0));
    let again = client.receive(&url);
    assert_eq!(again[0]["Attributes"]["ApproximateReceiveCount"], "2");
    let late = ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight");
    client.refused("ChangeMessageVisibility", &change(1), late, "not in flight");
    // Who has done the work has done it, though late; and may say so twice.
    for _ in 0..2 {
        client.ask("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": handle }));
        assert_eq!(client.attribute(&url, "ApproximateNumberOfMessagesNotVisible"), "0");
    }
    let other = client.create("others", &json!({}));
    for handle in [json!("x"), json!(""), again[0]["ReceiptHandle"].clone()] {
        let part = "is not a valid receipt handle";
        let input = json!({ "QueueUrl": other, "ReceiptHandle": handle, "VisibilityTimeout": 1 });
        client.refused("DeleteMessage", &input, BAD_RECEIPT, part);
        client.refused("ChangeMessageVisibility", &input, BAD_RECEIPT, part);
    }
}

#[test]
fn a_receive_waits_for_a_message() {
    let server = start();
    let (consumer, producer) = (Client::of(&server), Client::of(&server));
    let url = producer.create("orders", &json!({ "ReceiveMessageWaitTimeSeconds": "20" }));
    let began = now();
    assert_eq!(consumer.ask("ReceiveMessage", &json!({ "QueueUrl": url, "WaitTimeSeconds": 1 })), json!({}));
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    for body in ["one", "two"] {
        // As long as the queue says.
        consumer.send("ReceiveMessage", &json!({ "QueueUrl": url }));
        std::thread::sleep(Duration::from_millis(100));
        let began = now();
        producer.send_message(&url, body);
        let answer = output("ReceiveMessage", &consumer.answered());
        assert_eq!(answer["Messages"][0]["Body"], body);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
}

#[test]
fn entries_of_a_batch_have_fates_of_their_own() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({ "MaximumMessageSize": "1024" }));
    let entry = |id: &str, body: &str| json!({ "Id": id, "MessageBody": body });
    let mut late = entry("late", "x");
    late["DelaySeconds"] = json!(901);
    let input = json!({
        "QueueUrl": url,
        "Entries": [entry("a", "one"), entry("bad", "\u{1}"), late, entry("large", &"x".repeat(1_025)), entry("b", "two")],
    });
    let answer = client.ask("SendMessageBatch", &input);
    let successful = answer["Successful"].as_array().expect("a list");
    assert_eq!(successful.iter().map(|entry| text(&entry["Id"])).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(successful[0]["MD5OfMessageBody"], "f97c5d29941bfb1b2fdab0874906ab82");
    let failed: Vec<(String, String)> = answer["Failed"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (text(&entry["Id"]), text(&entry["Code"])))
        .collect();
    let expected = [
        ("bad", "InvalidMessageContents"),
        ("late", "InvalidParameterValue"),
        ("large", "InvalidParameterValue"),
    ];
    assert_eq!(failed, expected.map(|(id, code)| (id.to_owned(), code.to_owned())));
    assert_eq!(answer["Failed"][0]["SenderFault"], true);
    let messages = client.receive_all(&url, 2);
    let handles: Vec<&Value> = messages.iter().map(|message| &message["ReceiptHandle"]).collect();
    let of = |handle: &Value| json!({ "Id": "good", "ReceiptHandle": handle, "VisibilityTimeout": 60 });
    let change = json!({ "QueueUrl": url, "Entries": [of(handles[0]), { "Id": "none", "ReceiptHandle": "x", "VisibilityTimeout": 1 }] });
    let changed = client.ask("ChangeMessageVisibilityBatch", &change);
    assert_eq!(
        (&changed["Successful"], &changed["Failed"][0]["Id"]),
        (&json!([{ "Id": "good" }]), &json!("none"))
    );
    let delete = json!({
        "QueueUrl": url,
        "Entries": [{ "Id": "0", "ReceiptHandle": handles[0] }, { "Id": "x", "ReceiptHandle": "x" }, { "Id": "1", "ReceiptHandle": handles[1] }],
    });
    let deleted = client.ask("DeleteMessageBatch", &delete);
    assert_eq!(deleted["Successful"], json!([{ "Id": "0" }, { "Id": "1" }]));
    assert_eq!(
        (&deleted["Failed"][0]["Code"], deleted["Failed"].as_array().map(Vec::len)),
        (&json!("ReceiptHandleIsInvalid"), Some(1))
    );
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessagesNotVisible"), "0");
    let all_bad = json!({ "QueueUrl": url, "Entries": [entry("a", "\u{1}")] });
    assert_eq!(client.ask("SendMessageBatch", &all_bad)["Successful"], json!([]));
}

#[test]
fn batches_have_a_form() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    let check = |entries: Value, name: &str, part: &str| {
        let code = format!("AWS.SimpleQueueService.{name}");
        for operation in ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"] {
            let input = json!({ "QueueUrl": url, "Entries": entries });
            client.refused(operation, &input, (name, &code), part);
        }
    };
    let entry =
        |id: &str| json!({ "Id": id, "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 1 });
    check(json!([]), "EmptyBatchRequest", "There should be at least one");
    let eleven: Vec<Value> = (0..11).map(|id| entry(&id.to_string())).collect();
    check(json!(eleven), "TooManyEntriesInBatchRequest", "You have sent 11.");
    check(json!([entry("a"), entry("b"), entry("a")]), "BatchEntryIdsNotDistinct", "Id a repeated.");
    for id in ["", "a b", "a.b", &"x".repeat(81)] {
        check(json!([entry(id)]), "InvalidBatchEntryId", "hyphens and underscores");
    }
    let large = |id: &str| json!({ "Id": id, "MessageBody": "x".repeat(600_000) });
    let input = json!({ "QueueUrl": url, "Entries": [large("a"), large("b")] });
    let code = ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong");
    client.refused("SendMessageBatch", &input, code, "You have sent 1200000 bytes.");
    let bare = json!({ "QueueUrl": url, "Entries": [{ "Id": "a" }] });
    client.refused("SendMessageBatch", &bare, MISSING, "SendMessageBatchRequestEntry.1.MessageBody");
}

#[test]
fn what_cannot_be_sent_or_received_is_refused() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({ "MaximumMessageSize": "2048" }));
    let send = |more: Value, error, part: &str| {
        let mut input = json!({ "QueueUrl": url, "MessageBody": "x" });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.refused("SendMessage", &input, error, part);
    };
    send(json!({ "MessageBody": "" }), MISSING, "MessageBody");
    let contents = ("InvalidMessageContents", "InvalidMessageContents");
    send(json!({ "MessageBody": "\u{0}" }), contents, "Valid unicode characters");
    send(json!({ "MessageBody": "x".repeat(2_049) }), INVALID, "Message must be shorter than 2048 bytes.");
    send(json!({ "DelaySeconds": 901 }), INVALID, "DelaySeconds must be >= 0 and <= 900.");
    send(json!({ "MessageDeduplicationId": "x" }), INVALID, "not valid for this queue type");
    send(json!({ "MessageGroupId": "ü" }), INVALID, "alphanumeric and punctuation");
    let attribute = |name: &str, value: Value| json!({ "MessageAttributes": { name: value } });
    // The name, the type and the value count.
    let large = json!({ "DataType": "String", "StringValue": "x".repeat(2_041) });
    send(attribute("n", large), INVALID, "shorter than 2048");
    send(
        attribute("n", json!({ "DataType": "String", "StringValue": "" })),
        INVALID,
        "must contain a non-empty value of type 'String'",
    );
    send(attribute("AWS.n", json!({ "DataType": "String", "StringValue": "x" })), INVALID, "cannot begin");
    send(
        attribute("n", json!({ "DataType": "Odd", "StringValue": "x" })),
        INVALID,
        "supported type prefixes",
    );
    let list = json!({ "DataType": "String", "StringListValues": ["x"] });
    send(attribute("n", list), UNSUPPORTED, "list values");
    let system =
        json!({ "MessageSystemAttributes": { "Other": { "DataType": "String", "StringValue": "x" } } });
    send(system, INVALID, "'Other' is invalid");
    let receive = |more: Value, error, part: &str| {
        let mut input = json!({ "QueueUrl": url });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.refused("ReceiveMessage", &input, error, part);
    };
    receive(
        json!({ "MaxNumberOfMessages": 11 }),
        INVALID,
        "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
    );
    receive(json!({ "MaxNumberOfMessages": 0 }), INVALID, "Must be between 1 and 10");
    receive(json!({ "WaitTimeSeconds": 21 }), INVALID, "Must be >= 0 and <= 20, if provided.");
    receive(json!({ "VisibilityTimeout": 43_201 }), INVALID, "Must be between 0 and 43200");
    receive(json!({ "ReceiveRequestAttemptId": "x" }), INVALID, "not valid for this queue type");
    receive(
        json!({ "MessageSystemAttributeNames": ["None"] }),
        super::UNKNOWN_ATTRIBUTE,
        "Unknown Attribute None.",
    );
    let operations =
        ["SendMessage", "ReceiveMessage", "DeleteMessage", "PurgeQueue", "GetQueueAttributes", "DeleteQueue"];
    for operation in operations {
        let none = format!("http://x/{}/none", super::ACCOUNT);
        let input = json!({ "QueueUrl": none, "MessageBody": "x", "ReceiptHandle": "x" });
        client.refused(operation, &input, NO_QUEUE, "The specified queue does not exist.");
    }
    let others = json!({ "QueueUrl": "http://x/210987654321/orders", "MessageBody": "x" });
    client.refused("SendMessage", &others, NO_QUEUE, "does not exist");
    let nowhere = json!({ "QueueUrl": "orders", "MessageBody": "x" });
    client.refused(
        "SendMessage",
        &nowhere,
        ("InvalidAddress", "InvalidAddress"),
        "The address orders is not valid",
    );
}

#[test]
fn messages_and_receipts_outlive_a_restart() {
    let mut server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    for body in ["one", "two"] {
        client.send_message(&url, body);
    }
    let received = client.receive_with(&url, &json!({ "MaxNumberOfMessages": 1 }));
    let handle = received[0]["ReceiptHandle"].clone();
    drop(client);
    server
        .restart_with(|config| config.aws.authentication = tidemill_server::config::Authentication::Off)
        .expect("the server starts again");
    let client = Client::of(&server);
    client.ask("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": handle }));
    let left = client.receive_all(&url, 1);
    assert_ne!(bodies(&left), bodies(&received));
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessagesNotVisible"), "1");
}

#[test]
fn a_queue_is_purged_once_a_minute() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    for body in ["one", "two", "three"] {
        client.send_message(&url, body);
    }
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessages"), "3");
    assert_eq!(client.ask("PurgeQueue", &json!({ "QueueUrl": url })), json!({}));
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessages"), "0");
    let error = ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress");
    let part = "Only one PurgeQueue operation on orders is allowed every 60 seconds.";
    client.refused("PurgeQueue", &json!({ "QueueUrl": url }), error, part);
    client.send_message(&url, "four");
    assert_eq!(bodies(&client.receive_all(&url, 1)), ["four"]);
}

#[test]
fn what_is_no_text_is_shown_as_one_with_the_digest_of_what_is_shown() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("bytes", &json!({}));
    let mut native = server.client();
    let name = QueueName::new("bytes").expect("a name");
    let ResponseBody::QueueDescription(queue) = native.ask(RequestBody::DescribeQueue(name)) else {
        panic!("the queue is there");
    };
    let messages = vec![NewMessage { body_bytes: 3, ..NewMessage::default() }];
    let send = RequestBody::SendMessages(SendMessages { queue: queue.id, messages });
    let (answer, _) = native.ask_with(send, b"a\xff\x01");
    assert!(matches!(&answer, ResponseBody::SentMessages(sent) if sent.refused.is_empty()), "{answer:?}");
    let messages = client.receive_with(&url, &json!({ "AttributeNames": ["SenderId"] }));
    assert_eq!(messages[0]["Body"], "a\u{fffd}\u{fffd}");
    assert_eq!(messages[0]["MD5OfBody"], "8f5972ea4a5ed70af59490ac95df7848");
    assert_eq!(messages[0]["Attributes"]["SenderId"], "native");
}
