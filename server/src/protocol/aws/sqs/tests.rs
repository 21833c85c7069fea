//! The tables agree with themselves, with the handlers and with the documentation.

use super::super::shape::{ErrorCode, Kind, Shape};
use super::super::{Caller, Payload};
use super::*;

/// Every shape that a shape leads to.
fn visit(shape: &'static Shape, look: &mut dyn FnMut(&'static Shape)) {
    look(shape);
    match &shape.kind {
        Kind::Structure(members) => members.iter().for_each(|member| visit(member.shape, look)),
        Kind::List(member, _) => visit(member, look),
        Kind::Map(key, value, _) => {
            visit(key, look);
            visit(value, look);
        }
        _ => {}
    }
}

#[test]
fn tables_are_sorted_and_every_operation_is_served() {
    assert!(model::OPERATIONS.is_sorted_by(|a, b| a.name < b.name));
    assert!(model::ERRORS.is_sorted_by(|a, b| a.name < b.name));
    let served: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
    let known: Vec<&str> = model::OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!((served.len(), served), (23, known));
    let errors = model::OPERATIONS.iter().flat_map(|operation| operation.errors);
    errors.for_each(|name| assert!(ErrorCode::find(model::ERRORS, name).is_some(), "{name}"));
}

#[test]
fn every_member_has_a_name_in_the_query_protocol() {
    for operation in model::OPERATIONS {
        for shape in [Some(operation.input), operation.output].into_iter().flatten() {
            visit(shape, &mut |shape| {
                assert!(shape.members().is_sorted_by(|a, b| a.name < b.name), "{}", shape.name);
                assert!(shape.members().iter().all(|member| member.naming.is_some()), "{}", shape.name);
            });
        }
    }
}

#[test]
fn errors_have_their_old_names_in_a_header() {
    let check = |fault: Fault, name: &str, header: &str| {
        let answer = refuse(Encoding::Json, &fault);
        let Payload::Whole(body) = answer.payload else { panic!("a refusal is whole") };
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((&body["__type"], answer.content_type), (&name.into(), JSON_1_0));
        assert_eq!(answer.headers, [(ERROR_HEADER, header.to_owned())]);
        assert_eq!(answer.status, fault.status);
    };
    let old = "AWS.SimpleQueueService.NonExistentQueue;Sender";
    check(error::no_queue(), "com.amazonaws.sqs#QueueDoesNotExist", old);
    let name = "com.amazonaws.sqs#InvalidParameterValueException";
    check(error::invalid("x"), name, "InvalidParameterValue;Sender");
    let name = "com.amazonaws.sqs#MissingRequiredParameterException";
    check(error::missing("x"), name, "MissingParameter;Sender");
    let name = "com.amazonaws.sqs#InternalFailureException";
    check(Fault::internal(), name, "InternalFailure;Receiver");
}

#[test]
fn what_the_model_asks_for_is_missed_by_its_name() {
    let check = |operation: &str, input: &str, expected: Option<&str>| {
        let operation = find(operation).expect("an operation");
        let input = json::decode(operation.input, input.as_bytes()).expect("an input");
        let missed = input::check_required(operation.input, &input).err();
        let expected = expected.map(|name| format!("The request must contain the parameter {name}."));
        assert_eq!(missed.map(|fault| fault.message.into_owned()), expected);
    };
    check("SendMessage", r#"{"QueueUrl":"q","MessageBody":"b"}"#, None);
    check("SendMessage", r#"{"MessageBody":"b"}"#, Some("QueueUrl"));
    let entry = r#"{"QueueUrl":"q","Entries":[{"Id":"a","MessageBody":"b"},{"Id":"c"}]}"#;
    check("SendMessageBatch", entry, Some("SendMessageBatchRequestEntry.2.MessageBody"));
    let typeless = r#"{"QueueUrl":"q","MessageBody":"b","MessageAttributes":{"n":{"StringValue":"x"}}}"#;
    check("SendMessage", typeless, Some("MessageAttribute.n.DataType"));
}

#[test]
fn a_queue_is_named_by_the_path_where_nothing_else_names_it() {
    let named = |operation: &str, path: &str, form: &str| {
        let operation = find(operation).expect("an operation");
        let parameters = super::super::Parameters::parse(form.as_bytes(), b"").expect("parameters");
        let mut input = query_input::decode(operation.input, &parameters).expect("an input");
        name_by_path(operation, path, &mut input);
        input.get_text("QueueUrl").map(str::to_owned)
    };
    assert_eq!(named("DeleteQueue", "/1/orders", "").as_deref(), Some("/1/orders"));
    assert_eq!(named("DeleteQueue", "/1/orders", "QueueUrl=%2F1%2Fothers").as_deref(), Some("/1/others"));
    assert_eq!(named("DeleteQueue", "/", ""), None);
    assert_eq!(named("ListQueues", "/1/orders", ""), None);
}

#[test]
fn the_page_lists_the_operations_as_they_are() {
    let page = include_str!("../../../../../docs/protocol/sqs.md");
    let (_, rest) = page.split_once("<!-- operations: begin -->\n").expect("the page has the table");
    let (table, _) = rest.split_once("<!-- operations: end -->").expect("the table ends");
    let rows = table.lines().skip(2).map(|row| row.split('|').nth(1).unwrap_or_default().trim());
    let served: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(rows.collect::<Vec<_>>(), served);
}

#[test]
fn callers_are_named_in_what_they_send() {
    // By the name of their key; where nobody was asked, by the account.
    let caller = |access_key: &str| Caller {
        account: "123456789012".to_owned(),
        access_key: access_key.to_owned(),
        name: "orders".to_owned(),
    };
    assert_eq!(send::sender(&caller("AKID")), "orders");
    assert_eq!(send::sender(&caller("")), "123456789012");
}
