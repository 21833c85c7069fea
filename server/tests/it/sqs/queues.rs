//! Queues themselves: created, described, changed, listed, tagged, deleted.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    ACCOUNT, BAD_ATTRIBUTE, Client, INVALID, MISSING, NO_QUEUE, UNKNOWN_ATTRIBUTE, UNSUPPORTED, arn, start,
    start_with, text,
};

fn attributes(client: &Client, url: &str) -> Map<String, Value> {
    let answer = client.ask("GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": ["All"] }));
    answer["Attributes"].as_object().cloned().expect("attributes")
}

fn url(name: &str) -> String {
    format!("http://queues.example/{ACCOUNT}/{name}")
}

#[test]
fn a_queue_is_created_once() {
    let server = start();
    let client = Client::of(&server);
    let attributes = json!({ "VisibilityTimeout": "10", "DelaySeconds": "5" });
    assert_eq!(client.create("orders", &attributes), url("orders"));
    assert_eq!(client.create("orders", &attributes), url("orders"));
    assert_eq!(client.create("orders", &json!({ "DelaySeconds": "5" })), url("orders"));
    let other = json!({ "QueueName": "orders", "Attributes": { "DelaySeconds": "6" } });
    let part = "A queue already exists with the same name and a different value for attribute DelaySeconds";
    client.refused("CreateQueue", &other, ("QueueNameExists", "QueueAlreadyExists"), part);
    assert_eq!(client.ask("GetQueueUrl", &json!({ "QueueName": "orders" }))["QueueUrl"], url("orders"));
    let owned = json!({ "QueueName": "orders", "QueueOwnerAWSAccountId": ACCOUNT });
    assert_eq!(client.ask("GetQueueUrl", &owned)["QueueUrl"], url("orders"));
    client.refused("GetQueueUrl", &json!({ "QueueName": "none" }), NO_QUEUE, "does not exist");
    let foreign = json!({ "QueueName": "orders", "QueueOwnerAWSAccountId": "210987654321" });
    client.refused("GetQueueUrl", &foreign, NO_QUEUE, "does not exist");
}

#[test]
fn names_say_what_type_a_queue_is_of() {
    let server = start();
    let client = Client::of(&server);
    let check = |name: &str, attributes: Value, error, part: &str| {
        let input = json!({ "QueueName": name, "Attributes": attributes });
        client.refused("CreateQueue", &input, error, part);
    };
    let standard = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
    for name in ["a b", "", &"x".repeat(81), "a.b", "orders.fifo"] {
        check(name, json!({}), INVALID, standard);
    }
    check("orders", json!({ "FifoQueue": "true" }), INVALID, "must end with .fifo suffix");
    check(
        "orders",
        json!({ "FifoQueue": "yes" }),
        BAD_ATTRIBUTE,
        "Invalid value for the parameter FifoQueue.",
    );
    check("orders", json!({ "FifoQueue": "false" }), UNKNOWN_ATTRIBUTE, "Unknown Attribute FifoQueue.");
    check(
        "orders",
        json!({ "ContentBasedDeduplication": "true" }),
        UNKNOWN_ATTRIBUTE,
        "ContentBasedDeduplication",
    );
    client.refused("CreateQueue", &json!({}), MISSING, "QueueName");
    let fifo = client.create("orders.fifo", &json!({ "FifoQueue": "true" }));
    let set = |attributes: Value| json!({ "QueueUrl": fifo, "Attributes": attributes });
    let part = "Modifying queue type is not supported.";
    client.refused("SetQueueAttributes", &set(json!({ "FifoQueue": "false" })), BAD_ATTRIBUTE, part);
    client.ask("SetQueueAttributes", &set(json!({ "FifoQueue": "true" })));
}

#[test]
fn attributes_are_given_as_they_were_set() {
    let server = start();
    let client = Client::of(&server);
    let dead = client.create("dead", &json!({}));
    let orders = client.create("orders", &json!({ "VisibilityTimeout": "20" }));
    let present = attributes(&client, &orders);
    let expect = |present: &Map<String, Value>, expected: &[(&str, &str)]| {
        for (name, value) in expected {
            assert_eq!(present.get(*name), Some(&json!(value)), "{name} in {present:?}");
        }
    };
    expect(
        &present,
        &[
            ("QueueArn", &arn("orders")),
            ("ApproximateNumberOfMessages", "0"),
            ("ApproximateNumberOfMessagesNotVisible", "0"),
            ("ApproximateNumberOfMessagesDelayed", "0"),
            ("VisibilityTimeout", "20"),
            ("MaximumMessageSize", "1048576"),
            ("MessageRetentionPeriod", "345600"),
            ("DelaySeconds", "0"),
            ("ReceiveMessageWaitTimeSeconds", "0"),
            ("SqsManagedSseEnabled", "false"),
        ],
    );
    assert_eq!(present.len(), 12, "{present:?}");
    assert_eq!(present["CreatedTimestamp"], present["LastModifiedTimestamp"]);
    assert_eq!(text(&present["CreatedTimestamp"]).len(), 10, "seconds");
    let redrive = format!("{{\"deadLetterTargetArn\":\"{}\",\"maxReceiveCount\":3}}", arn("dead"));
    let policy = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    let changed = [
        ("DelaySeconds", "420"),
        ("MaximumMessageSize", "2048"),
        ("MessageRetentionPeriod", "60"),
        ("ReceiveMessageWaitTimeSeconds", "10"),
        ("VisibilityTimeout", "43200"),
        ("RedrivePolicy", &redrive),
        ("Policy", &policy),
        ("SqsManagedSseEnabled", "false"),
        ("KmsMasterKeyId", ""),
    ];
    let set = |url: &str, pairs: &[(&str, &str)]| {
        let pairs: Map<String, Value> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "QueueUrl": url, "Attributes": pairs })
    };
    assert_eq!(client.ask("SetQueueAttributes", &set(&orders, &changed)), json!({}));
    expect(&attributes(&client, &orders), &changed[..7]);
    let allow = format!("{{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"{}\"]}}", arn("orders"));
    client.ask("SetQueueAttributes", &set(&dead, &[("RedriveAllowPolicy", &allow)]));
    expect(&attributes(&client, &dead), &[("RedriveAllowPolicy", &allow)]);
    client.ask("SetQueueAttributes", &set(&orders, &[("RedrivePolicy", ""), ("Policy", "")]));
    let present = attributes(&client, &orders);
    assert_eq!((present.get("RedrivePolicy"), present.get("Policy")), (None, None));
    let fifo = client.create("orders.fifo", &json!({ "FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId" }));
    let of_fifo = [
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "false"),
        ("DeduplicationScope", "messageGroup"),
        ("FifoThroughputLimit", "perMessageGroupId"),
    ];
    expect(&attributes(&client, &fifo), &of_fifo);
    assert_eq!(client.ask("GetQueueAttributes", &json!({ "QueueUrl": orders })), json!({}));
}

#[test]
fn attributes_that_cannot_be_are_refused() {
    let server = start();
    let client = Client::of(&server);
    let orders = client.create("orders", &json!({}));
    client.create("dead.fifo", &json!({ "FifoQueue": "true" }));
    client.create("closed", &json!({ "RedriveAllowPolicy": "{\"redrivePermission\":\"denyAll\"}" }));
    let check = |name: &str, value: &str, error, part: &str| {
        for (operation, whose) in [("SetQueueAttributes", "QueueUrl"), ("CreateQueue", "QueueName")] {
            let whose_value = if whose == "QueueUrl" { &orders } else { "another" };
            let input = json!({ whose: whose_value, "Attributes": { name: value } });
            client.refused(operation, &input, error, part);
        }
    };
    for (name, values) in [
        ("DelaySeconds", ["-1", "901"]),
        ("MaximumMessageSize", ["1023", "1048577"]),
        ("MessageRetentionPeriod", ["59", "1209601"]),
        ("ReceiveMessageWaitTimeSeconds", ["21", "x"]),
        ("VisibilityTimeout", ["43201", "99999999999999999999"]),
        ("Policy", ["[]", "{"]),
        ("RedriveAllowPolicy", ["[]", "{}"]),
    ] {
        for value in values {
            check(name, value, BAD_ATTRIBUTE, &format!("Invalid value for the parameter {name}."));
        }
    }
    for name in
        ["Odd", "QueueArn", "All", "CreatedTimestamp", "ApproximateNumberOfMessages", "DeduplicationScope"]
    {
        check(name, "1", UNKNOWN_ATTRIBUTE, &format!("Unknown Attribute {name}."));
    }
    for (name, value) in
        [("SqsManagedSseEnabled", "true"), ("KmsMasterKeyId", "key"), ("KmsDataKeyReusePeriodSeconds", "300")]
    {
        check(name, value, UNSUPPORTED, "messages are not encrypted where they are kept");
    }
    let redrive = |target: &str, count: &str| {
        format!("{{\"deadLetterTargetArn\":\"{target}\",\"maxReceiveCount\":{count}}}")
    };
    check("RedrivePolicy", "{", INVALID, "not a valid JSON map");
    check(
        "RedrivePolicy",
        &redrive("dummy", "42"),
        INVALID,
        "Reason: Invalid value for deadLetterTargetArn.",
    );
    check("RedrivePolicy", &redrive(&arn("orders"), "0"), INVALID, "between 1 and 1000");
    check("RedrivePolicy", &redrive(&arn("none"), "1"), INVALID, "Dead letter target does not exist.");
    check("RedrivePolicy", &redrive(&arn("dead.fifo"), "1"), INVALID, "must be same type of queue");
    check("RedrivePolicy", &redrive(&arn("closed"), "1"), INVALID, "does not allow this queue");
    let own = json!({ "QueueUrl": orders, "Attributes": { "RedrivePolicy": redrive(&arn("orders"), "1") } });
    client.refused("SetQueueAttributes", &own, INVALID, "its own dead-letter queue");
    let odd = json!({ "QueueUrl": orders, "AttributeNames": ["QueueArn", "Odd"] });
    client.refused("GetQueueAttributes", &odd, UNKNOWN_ATTRIBUTE, "Unknown Attribute Odd.");
    let limit = json!({ "QueueName": "l.fifo", "Attributes": { "FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId" } });
    client.refused("CreateQueue", &limit, BAD_ATTRIBUTE, "needs the DeduplicationScope messageGroup");
}

#[test]
fn queues_are_listed_by_the_beginning_of_their_names_and_in_pages() {
    let server = start();
    let client = Client::of(&server);
    assert_eq!(client.ask("ListQueues", &json!({})), json!({}));
    for name in ["b1", "a2", "a1", "a3"] {
        client.create(name, &json!({}));
    }
    let list = |input: Value| client.ask("ListQueues", &input);
    assert_eq!(list(json!({})), json!({ "QueueUrls": (["a1", "a2", "a3", "b1"].map(url)) }));
    assert_eq!(list(json!({ "QueueNamePrefix": "b" })), json!({ "QueueUrls": [url("b1")] }));
    let first = list(json!({ "QueueNamePrefix": "a", "MaxResults": 2 }));
    assert_eq!(first["QueueUrls"], json!(["a1", "a2"].map(url)));
    let next = json!({ "QueueNamePrefix": "a", "MaxResults": 2, "NextToken": first["NextToken"] });
    assert_eq!(list(next), json!({ "QueueUrls": [url("a3")] }));
    assert_eq!(list(json!({ "QueueNamePrefix": "c" })), json!({}));
    client.refused("ListQueues", &json!({ "MaxResults": 1_001 }), INVALID, "Must be between 1 and 1000");
    client.refused("ListQueues", &json!({ "MaxResults": 1, "NextToken": "x" }), INVALID, "NextToken");
    let target = json!({ "deadLetterTargetArn": arn("b1"), "maxReceiveCount": 5 }).to_string();
    for name in ["a1", "a2", "a3"] {
        client.ask(
            "SetQueueAttributes",
            &json!({ "QueueUrl": url(name), "Attributes": { "RedrivePolicy": target } }),
        );
    }
    let sources = |more: Value| {
        let mut input = json!({ "QueueUrl": url("b1") });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.ask("ListDeadLetterSourceQueues", &input)
    };
    let first = sources(json!({ "MaxResults": 2 }));
    assert_eq!(first["queueUrls"], json!(["a1", "a2"].map(url)));
    let second = sources(json!({ "MaxResults": 2, "NextToken": first["NextToken"] }));
    assert_eq!(second, json!({ "queueUrls": [url("a3")] }));
    let of_other = client.ask("ListDeadLetterSourceQueues", &json!({ "QueueUrl": url("a1") }));
    assert_eq!(of_other, json!({ "queueUrls": [] }));
}

#[test]
fn tags_are_set_listed_and_taken_away() {
    let server = start();
    let client = Client::of(&server);
    let input = json!({ "QueueName": "orders", "tags": { "a": "1" } });
    let url = text(&client.ask("CreateQueue", &input)["QueueUrl"]);
    client.ask("TagQueue", &json!({ "QueueUrl": url, "Tags": { "b": "2", "c": "" } }));
    let list = || client.ask("ListQueueTags", &json!({ "QueueUrl": url }));
    assert_eq!(list(), json!({ "Tags": { "a": "1", "b": "2", "c": "" } }));
    client.ask("UntagQueue", &json!({ "QueueUrl": url, "TagKeys": ["a", "c", "none"] }));
    assert_eq!(list(), json!({ "Tags": { "b": "2" } }));
    client.ask("UntagQueue", &json!({ "QueueUrl": url, "TagKeys": ["b"] }));
    assert_eq!(list(), json!({}));
    let many: Map<String, Value> = (0..51).map(|key| (format!("k{key}"), json!(""))).collect();
    client.refused("TagQueue", &json!({ "QueueUrl": url, "Tags": many }), INVALID, "at most 50");
    client.refused("TagQueue", &json!({ "QueueUrl": url }), MISSING, "Tag");
}

#[test]
fn permissions_are_statements_of_the_policy() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    let add = |label: &str, accounts: Value, actions: Value| json!({ "QueueUrl": url, "Label": label, "AWSAccountIds": accounts, "Actions": actions });
    let two = json!(["668614515564", "111111111111"]);
    client.ask("AddPermission", &add("both", two, json!(["ReceiveMessage"])));
    let one = json!(["111111111111"]);
    client.ask("AddPermission", &add("one", one.clone(), json!(["SendMessage", "*"])));
    let policy: Value = serde_json::from_str(&client.attribute(&url, "Policy")).expect("JSON");
    let expected = json!({
        "Version": "2008-10-17",
        "Id": format!("{}/SQSDefaultPolicy", arn("orders")),
        "Statement": [
            {
                "Sid": "both",
                "Effect": "Allow",
                "Principal": { "AWS": ["arn:aws:iam::668614515564:root", "arn:aws:iam::111111111111:root"] },
                "Action": "SQS:ReceiveMessage",
                "Resource": arn("orders"),
            },
            {
                "Sid": "one",
                "Effect": "Allow",
                "Principal": { "AWS": "arn:aws:iam::111111111111:root" },
                "Action": ["SQS:SendMessage", "SQS:*"],
                "Resource": arn("orders"),
            },
        ],
    });
    assert_eq!(policy, expected);
    let check = |input: Value, error, part| client.refused("AddPermission", &input, error, part);
    let send = json!(["SendMessage"]);
    check(
        add("one", one.clone(), send.clone()),
        INVALID,
        "Value one for parameter Label is invalid. Reason: Already exists.",
    );
    check(add("a b", one.clone(), send.clone()), INVALID, "parameter Label");
    check(
        add("new", json!(["x"]), send.clone()),
        INVALID,
        "Value x for parameter PrincipalId is invalid. Reason: Unable to verify.",
    );
    let part = "Value SQS:AddPermission for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action.";
    check(add("new", one.clone(), json!(["AddPermission"])), INVALID, part);
    check(add("new", one.clone(), json!([])), MISSING, "Actions");
    let eight = json!(vec!["SendMessage"; 8]);
    check(
        add("new", one.clone(), eight),
        ("OverLimit", "OverLimit"),
        "8 Actions were found, maximum allowed is 7.",
    );
    for label in 2..20 {
        client.ask("AddPermission", &add(&label.to_string(), one.clone(), send.clone()));
    }
    check(add("last", one, send), ("OverLimit", "OverLimit"), "21 statements");
    let remove = |label: &str| json!({ "QueueUrl": url, "Label": label });
    client.refused(
        "RemovePermission",
        &remove("none"),
        INVALID,
        "Value none for parameter Label is invalid. Reason: can't find label.",
    );
    let labels = ["both", "one"].map(str::to_owned).into_iter().chain((2..20).map(|label| label.to_string()));
    labels.for_each(|label| assert_eq!(client.ask("RemovePermission", &remove(&label)), json!({})));
    assert!(!attributes(&client, &url).contains_key("Policy"));
}

#[test]
fn a_deleted_queue_is_gone_and_its_name_is_held() {
    let server = start();
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    client.send_message(&url, "lost");
    assert_eq!(client.ask("DeleteQueue", &json!({ "QueueUrl": url })), json!({}));
    client.refused("DeleteQueue", &json!({ "QueueUrl": url }), NO_QUEUE, "does not exist");
    let error = ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently");
    client.refused("CreateQueue", &json!({ "QueueName": "orders" }), error, "You must wait");
    let server = start_with(|config| config.queues.name_hold = Duration::ZERO);
    let client = Client::of(&server);
    let url = client.create("orders", &json!({}));
    client.send_message(&url, "lost");
    client.ask("DeleteQueue", &json!({ "QueueUrl": url }));
    client.create("orders", &json!({}));
    assert_eq!(client.attribute(&url, "ApproximateNumberOfMessages"), "0");
}

#[test]
fn urls_have_the_name_by_which_the_server_is_reached() {
    let public = "https://queues.example.org";
    let server = start_with(|config| config.aws.public_url = Some(public.to_owned()));
    let client = Client::of(&server);
    let answer = client.ask("CreateQueue", &json!({ "QueueName": "orders" }));
    assert_eq!(answer["QueueUrl"], format!("{public}/{ACCOUNT}/orders"));
    // What is brought back is known whatever the host.
    client.send_message(&url("orders"), "x");
    assert_eq!(client.attribute(&format!("{public}/{ACCOUNT}/orders"), "ApproximateNumberOfMessages"), "1");
}

#[test]
fn statements_that_are_added_and_removed_from_several_sides_are_all_heeded() {
    const ROUNDS: usize = 5;
    let server = start();
    let clients: Vec<Client> = (0..4).map(|_| Client::of(&server)).collect();
    let url = clients[0].create("orders", &json!({}));
    let at_once = |operation: &str, label: &dyn Fn(usize, usize) -> String| {
        for round in 0..ROUNDS {
            for (side, client) in clients.iter().enumerate() {
                let mut input = json!({ "QueueUrl": url, "Label": label(side, round) });
                if operation == "AddPermission" {
                    input["AWSAccountIds"] = json!(["111111111111"]);
                    input["Actions"] = json!(["SendMessage"]);
                }
                client.send(operation, &input);
            }
            for client in &clients {
                let answer = client.answered();
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            }
        }
    };
    let label = |side: usize, round: usize| format!("of-{side}-{round}");
    at_once("AddPermission", &label);
    let policy: Value = serde_json::from_str(&clients[0].attribute(&url, "Policy")).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let mut found: Vec<String> = statements.iter().map(|statement| text(&statement["Sid"])).collect();
    found.sort_unstable();
    let mut expected: Vec<String> =
        (0..clients.len()).flat_map(|side| (0..ROUNDS).map(move |round| label(side, round))).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    at_once("RemovePermission", &label);
    assert!(!attributes(&clients[0], &url).contains_key("Policy"));
}
