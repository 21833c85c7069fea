//! What is read without a tree of values, and that it is what the tree says.

use proptest::prelude::*;

use super::super::super::json;
use super::super::super::structure::bodies::{list, of, structure};
use super::super::find;
use super::*;

/// Bodies that are read here, of calls that the model's tables read as well.
#[track_caller]
fn check(operation: &str, input: &str, expected: Option<&[&str]>) {
    let parsed = parse(operation, input.as_bytes());
    let bodies = parsed.and_then(|(_, messages, _)| {
        let bodies: Option<Vec<String>> =
            messages.iter().map(|message| Some(message.plain_body()?.0.into_owned())).collect();
        bodies
    });
    let expected = expected.map(|bodies| bodies.iter().map(|body| (*body).to_owned()).collect());
    assert_eq!(bodies, expected, "{input}");
}

#[test]
fn messages_that_have_nothing_but_a_body_are_read_as_they_are() {
    check("SendMessage", r#"{"QueueUrl":"q","MessageBody":"b"}"#, Some(&["b"]));
    // What is null is not there, and what nobody knows is skipped.
    let more = r#"{"New":[1,{}],"MessageBody":"\u00fc \"x\"\n","QueueUrl":"q","DelaySeconds":null}"#;
    check("SendMessage", more, Some(&["ü \"x\"\n"]));
    let two = r#"{"QueueUrl":"q","Entries":[{"Id":"1","MessageBody":"a"},{"Id":"2","MessageBody":"b"}]}"#;
    check("SendMessageBatch", two, Some(&["a", "b"]));
}

#[test]
fn everything_else_goes_the_way_that_knows_what_to_say() {
    let with = |more: &str| format!(r#"{{"QueueUrl":"q","MessageBody":"b"{more}}}"#);
    for more in [
        r#","DelaySeconds":0"#,
        r#","MessageAttributes":{}"#,
        r#","MessageSystemAttributes":{}"#,
        r#","MessageDeduplicationId":"d""#,
        r#","MessageGroupId":"g""#,
        r#","MessageBody":"twice""#,
    ] {
        check("SendMessage", &with(more), None);
    }
    for input in [
        "",
        "[]",
        r#"{"QueueUrl":"q"}"#,
        r#"{"MessageBody":"b"}"#,
        r#"{"QueueUrl":"q","MessageBody":""}"#,
        r#"{"QueueUrl":"q","MessageBody":1}"#,
        r#"{"QueueUrl":"q","MessageBody":"\u0001"}"#,
        r#"{"QueueUrl":"q","MessageBody":"b"} x"#,
    ] {
        check("SendMessage", input, None);
    }
    // A list is no structure, whatever is in it.
    let listed = r#"["http://h/000000000000/q",null,"hello"]"#;
    check("SendMessage", listed, None);
    check("SendMessageBatch", listed, None);
    check("SendMessageBatch", r#"["q",[{"Id":"1","MessageBody":"a"}]]"#, None);
    check("SendMessageBatch", r#"{"QueueUrl":"q","Entries":[[null,"1","hello"]]}"#, None);
    let entry = r#"{"Id":"1","MessageBody":"a"}"#;
    let batch = |count: usize| format!(r#"{{"QueueUrl":"q","Entries":[{}]}}"#, vec![entry; count].join(","));
    check("SendMessageBatch", &batch(BATCH_ENTRIES_MAX), Some(&["a"; BATCH_ENTRIES_MAX]));
    check("SendMessageBatch", &batch(BATCH_ENTRIES_MAX + 1), None);
    check("SendMessageBatch", r#"{"QueueUrl":"q","Entries":{}}"#, None);
    check("ReceiveMessage", r#"{"QueueUrl":"q","MessageBody":"b"}"#, None);
}

/// Members of a message that is sent alone, with those that are written before a body by clients in the order of this reader.
fn message(is_alone: bool) -> BoxedStrategy<String> {
    let texts = of(&[r#""b""#, r#""\u00fc \"x\"\n""#, r#""\u0001""#, r#""""#, r#""\ud83d\ude00""#]);
    let rare =
        |value: &'static str| prop_oneof![9 => Just("null".to_owned()), 1 => Just(value.to_owned())].boxed();
    let url = if is_alone { of(&[r#""q""#]) } else { of(&["null"]) };
    structure(vec![
        ("QueueUrl", url),
        ("Id", of(&[r#""1""#, r#""two""#, r#""\u0033""#])),
        ("MessageBody", texts),
        ("DelaySeconds", rare("0")),
        ("MessageAttributes", rare("{}")),
        ("MessageGroupId", rare(r#""g""#)),
    ])
}

/// What the tree of values says of a call: URL, and id and body of each message; nothing if there is anything else.
fn from_tree(operation: &str, body: &[u8]) -> Option<(String, Vec<(Option<String>, String)>)> {
    let input = json::decode(find(operation).ok()?.input, body).ok()?;
    let read = |value: &Value| {
        let Value::Structure(members) = value else { return None };
        let is_known =
            |(name, _): &(&str, Value)| ["QueueUrl", "Entries", "Id", "MessageBody"].contains(name);
        let text = |name| value.get_text(name).map(str::to_owned);
        members.iter().all(is_known).then(|| Some((text("Id"), text("MessageBody")?)))?
    };
    let url = input.get_text("QueueUrl")?.to_owned();
    let messages = match input.get("Entries") {
        Some(Value::List(entries)) => entries.iter().map(read).collect::<Option<_>>()?,
        _ => vec![read(&input)?],
    };
    Some((url, messages))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_read_here_is_what_the_tree_of_values_says(
        (operation, body) in prop_oneof![
            message(true).prop_map(|body| ("SendMessage", body)),
            structure(vec![("QueueUrl", of(&[r#""q""#])), ("Entries", list(message(false), 3))])
                .prop_map(|body| ("SendMessageBatch", body)),
        ],
    ) {
        let text = |text: &Text<'_>| text.0.clone().into_owned();
        let read = parse(operation, body.as_bytes()).and_then(|(url, messages, is_batch)| {
            let read = |message: &Message<'_>| {
                let id = message.id.as_ref().filter(|_| is_batch).map(text);
                Some((id, text(&message.plain_body()?)))
            };
            Some((text(&url), messages.iter().map(read).collect::<Option<Vec<_>>>()?))
        });
        if let Some(read) = read {
            prop_assert_eq!(Some(read), from_tree(operation, body.as_bytes()), "{}", body);
        }
    }
}
