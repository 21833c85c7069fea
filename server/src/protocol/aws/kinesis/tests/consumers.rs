//! Consumers as such: registered, described, listed, tagged, deregistered.

use serde_json::{Value, json};

use super::served::{ACCOUNT, Served, text};

fn stream_arn(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}")
}

fn register(served: &Served, stream: &str, name: &str) -> String {
    let input = json!({ "StreamARN": stream_arn(stream), "ConsumerName": name });
    text(&served.ask("RegisterStreamConsumer", &input)["Consumer"]["ConsumerARN"])
}

#[test]
fn a_registered_consumer_is_active_and_known_by_its_arn_and_its_name() {
    let served = Served::start();
    served.create("logs", 1);
    let input = json!({ "StreamARN": stream_arn("logs"), "ConsumerName": "reader" });
    let registered = served.ask("RegisterStreamConsumer", &input);
    let consumer = &registered["Consumer"];
    assert_eq!(
        (&consumer["ConsumerName"], &consumer["ConsumerStatus"]),
        (&json!("reader"), &json!("CREATING"))
    );
    let created = consumer["ConsumerCreationTimestamp"].as_f64().expect("seconds");
    let arn = text(&consumer["ConsumerARN"]);
    assert_eq!(arn, format!("{}/consumer/reader:{}", stream_arn("logs"), created.floor()));
    for named in [json!({ "ConsumerARN": arn }), input.clone()] {
        let described = served.ask("DescribeStreamConsumer", &named);
        let described = &described["ConsumerDescription"];
        assert_eq!(
            (&described["ConsumerStatus"], &described["ConsumerARN"]),
            (&json!("ACTIVE"), &json!(arn))
        );
        assert_eq!(described["StreamARN"], stream_arn("logs"));
    }
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 1);
    served.expect("RegisterStreamConsumer", &input, "ResourceInUseException", "reader");
    served.ask("DeregisterStreamConsumer", &json!({ "ConsumerARN": arn }));
    let check = |operation: &str, input: &Value| {
        served.expect(operation, input, "ResourceNotFoundException", "under account 123456789012 not found.");
    };
    check("DescribeStreamConsumer", &json!({ "ConsumerARN": arn }));
    check("DeregisterStreamConsumer", &input);
    check("DescribeStreamConsumer", &json!({ "ConsumerARN": arn.replace("logs", "none") }));
    check("RegisterStreamConsumer", &json!({ "StreamARN": stream_arn("none"), "ConsumerName": "a" }));
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 0);
}

#[test]
fn names_of_a_consumer_have_to_agree() {
    let served = Served::start();
    served.create("logs", 1);
    served.create("other", 1);
    let arn = register(&served, "logs", "a");
    let check = |input: Value, part| {
        served.expect("DescribeStreamConsumer", &input, "InvalidArgumentException", part);
    };
    check(json!({ "ConsumerName": "a" }), "both StreamARN and ConsumerName");
    check(json!({ "StreamARN": stream_arn("logs") }), "both StreamARN and ConsumerName");
    check(json!({ "ConsumerARN": arn, "ConsumerName": "b" }), "different consumers");
    check(json!({ "ConsumerARN": arn, "StreamARN": stream_arn("other") }), "different consumers");
    served.expect(
        "DescribeStreamConsumer",
        &json!({ "ConsumerARN": format!("{arn}7") }),
        "ResourceNotFoundException",
        "not found",
    );
}

#[test]
fn a_stream_has_twenty_consumers_at_most_and_lists_them_in_pages() {
    let served = Served::start();
    served.create("logs", 1);
    for number in 0..20 {
        register(&served, "logs", &format!("reader-{number:02}"));
    }
    let one_more = json!({ "StreamARN": stream_arn("logs"), "ConsumerName": "more" });
    served.expect("RegisterStreamConsumer", &one_more, "LimitExceededException", "20");
    let (mut names, mut token) = (Vec::new(), Value::Null);
    let created = &served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    let created = created["StreamDescriptionSummary"]["StreamCreationTimestamp"].clone();
    loop {
        let mut input =
            json!({ "StreamARN": stream_arn("logs"), "MaxResults": 8, "StreamCreationTimestamp": created });
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let page = served.ask("ListStreamConsumers", &input);
        let consumers = page["Consumers"].as_array().expect("a list");
        assert!(consumers.len() <= 8 && consumers.iter().all(|one| one["ConsumerStatus"] == "ACTIVE"));
        names.extend(consumers.iter().map(|consumer| text(&consumer["ConsumerName"])));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, (0..20).map(|number| format!("reader-{number:02}")).collect::<Vec<_>>());
    let check = |input: Value, part| {
        served.expect("ListStreamConsumers", &input, "InvalidArgumentException", part);
    };
    check(json!({ "StreamARN": stream_arn("logs"), "NextToken": "made up" }), "Invalid NextToken");
    check(
        json!({ "StreamARN": stream_arn("logs"), "StreamCreationTimestamp": 1 }),
        "StreamCreationTimestamp",
    );
    let first =
        served.ask("ListStreamConsumers", &json!({ "StreamARN": stream_arn("logs"), "MaxResults": 1 }));
    served.create("other", 1);
    let elsewhere = json!({ "StreamARN": stream_arn("other"), "NextToken": first["NextToken"] });
    check(elsewhere, "not of the stream");
}

#[test]
fn consumers_have_tags_of_their_own() {
    let served = Served::start();
    served.create("logs", 1);
    let tags = json!({ "team": "tide", "stage": "test" });
    let input = json!({ "StreamARN": stream_arn("logs"), "ConsumerName": "reader", "Tags": tags });
    let arn = text(&served.ask("RegisterStreamConsumer", &input)["Consumer"]["ConsumerARN"]);
    let listed = |arn: &str| {
        let answer = served.ask("ListTagsForResource", &json!({ "ResourceARN": arn }));
        let tags = answer["Tags"].as_array().expect("a list").iter();
        tags.map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect::<Vec<_>>()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(listed(&arn), [pair("stage", "test"), pair("team", "tide")]);
    served.ask("TagResource", &json!({ "ResourceARN": arn, "Tags": { "stage": "live" } }));
    served.ask("UntagResource", &json!({ "ResourceARN": arn, "TagKeys": ["team", "none"] }));
    assert_eq!(listed(&arn), [pair("stage", "live")]);
    assert_eq!(listed(&stream_arn("logs")), []);
    let many: serde_json::Map<_, _> = (0..50).map(|key| (key.to_string(), json!(""))).collect();
    served.expect(
        "TagResource",
        &json!({ "ResourceARN": arn, "Tags": many }),
        "LimitExceededException",
        "51 tags",
    );
    let gone = json!({ "ResourceARN": arn.replace("reader", "none"), "Tags": { "a": "b" } });
    served.expect("TagResource", &gone, "ResourceNotFoundException", "none");
}

#[test]
fn a_stream_with_consumers_is_deleted_only_when_their_end_is_enforced() {
    let served = Served::start();
    served.create("logs", 1);
    let arn = register(&served, "logs", "reader");
    let input = json!({ "StreamName": "logs" });
    served.expect("DeleteStream", &input, "ResourceInUseException", "1 registered consumers");
    served.ask("DescribeStreamConsumer", &json!({ "ConsumerARN": arn }));
    served.ask("DeleteStream", &json!({ "StreamName": "logs", "EnforceConsumerDeletion": true }));
    served.create("logs", 1);
    let input = json!({ "StreamARN": stream_arn("logs") });
    assert_eq!(served.ask("ListStreamConsumers", &input)["Consumers"], json!([]));
}

#[test]
fn policies_of_streams_and_consumers_are_kept_and_given_back() {
    let served = Served::start();
    served.create("logs", 1);
    let arns = [stream_arn("logs"), register(&served, "logs", "reader")];
    let get = |arn: &str| text(&served.ask("GetResourcePolicy", &json!({ "ResourceARN": arn }))["Policy"]);
    for arn in &arns {
        let named = json!({ "ResourceARN": arn });
        assert_eq!(get(arn), "{}");
        served.expect(
            "DeleteResourcePolicy",
            &named,
            "ResourceNotFoundException",
            "No resource policy found",
        );
        let policy = format!("{{ \"Statement\": [{{ \"Resource\": \"{arn}\" }}] }}");
        served.ask("PutResourcePolicy", &json!({ "ResourceARN": arn, "Policy": policy }));
        assert_eq!(get(arn), policy);
        for wrong in ["", "[]", "{", "{\"a\":}", "\"text\""] {
            let input = json!({ "ResourceARN": arn, "Policy": wrong });
            served.expect("PutResourcePolicy", &input, "InvalidArgumentException", "no JSON object");
        }
        let long = format!("{{\"Sid\":\"{}\"}}", "x".repeat(20 << 10));
        let input = json!({ "ResourceARN": arn, "Policy": long });
        served.expect("PutResourcePolicy", &input, "LimitExceededException", "20480");
        assert_eq!(get(arn), policy, "what is refused leaves what was there");
    }
    served.ask("DeleteResourcePolicy", &json!({ "ResourceARN": arns[0] }));
    assert_eq!((get(&arns[0]).as_str(), get(&arns[1]).len() > 2), ("{}", true));
    let unknown = json!({ "ResourceARN": stream_arn("none"), "Policy": "{}" });
    served.expect("PutResourcePolicy", &unknown, "ResourceNotFoundException", "none");
}
