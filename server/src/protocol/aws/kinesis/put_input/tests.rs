//! What is read without a tree of values is what the tree says.

use proptest::prelude::*;

use super::super::super::Caller;
use super::super::super::structure::bodies::{Member, list, of, structure};
use super::super::super::value::Value;
use super::*;

/// Key, point and data of each record.
type Records = Vec<(String, Option<HashKey>, Vec<u8>)>;

fn with_request<T>(body: &str, read: impl FnOnce(&Request<'_>) -> T) -> T {
    let caller = Caller { account: String::new(), access_key: String::new(), name: String::new() };
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    read(&Request { target: "", encoding: Encoding::Json, body, caller: &caller, origin: "" })
}

fn from_here(request: &Request<'_>, operation: &str) -> Result<(Option<String>, Records), Fault> {
    let owned = |names: StreamNames<'_>| names.name.map(str::to_owned);
    let (name, entries) = match operation {
        "PutRecord" => {
            let mut input = PutRecord::read(request)?;
            (owned(input.names()), vec![input.take_entry()?])
        }
        _ => {
            let mut input = PutRecords::read(request)?;
            (owned(input.names()), input.take_entries()?)
        }
    };
    let read = |entry: PutEntry<'_>| {
        let bytes = entry.data_bytes(1)?;
        let mut data = Vec::new();
        entry.append_data(&mut data)?;
        assert_eq!(data.len(), bytes);
        Ok((entry.key.into_owned(), entry.hash, data))
    };
    Ok((name, entries.into_iter().map(read).collect::<Result<_, Fault>>()?))
}

/// Nothing if a member is missing that is asked for here and not by the model.
fn from_tree(request: &Request<'_>, operation: &str) -> Option<(Option<String>, Records)> {
    let input = read_named(request, operation).ok()?;
    let read = |value: &Value| {
        let Some(Value::Blob(data)) = value.get("Data") else { return None };
        let hash = value.get_text("ExplicitHashKey").map(|text| text.parse().map(HashKey));
        Some((value.get_text("PartitionKey")?.to_owned(), hash.transpose().ok()?, data.to_vec()))
    };
    let records = match input.get("Records") {
        Some(Value::List(records)) => records.iter().map(read).collect::<Option<_>>()?,
        _ => vec![read(&input)?],
    };
    Some((input.get_text("StreamName").map(str::to_owned), records))
}

#[track_caller]
fn check(operation: &str, body: &str) {
    with_request(body, |request| {
        assert_eq!(from_here(request, operation).ok(), from_tree(request, operation), "{body}");
    });
}

fn record(more: Vec<Member>) -> BoxedStrategy<String> {
    let mut members = vec![
        ("Data", of(&[r#""YWI=""#, r#""""#, r#""YW\u0049=""#, r#""YWI""#])),
        ("PartitionKey", of(&[r#""k""#, r#""\u00fc\n""#, r#""""#])),
        ("ExplicitHashKey", of(&["null", r#""12""#, r#""012""#, r#""x""#])),
    ];
    members.extend(more);
    structure(members)
}

#[test]
fn a_list_is_no_structure() {
    let record = r#"["YWI=","k",null]"#;
    let listed = format!(r#"{{"Records":[{record}],"StreamName":"s"}}"#);
    for (operation, body) in [
        ("PutRecord", record),
        ("PutRecords", &listed),
        ("PutRecords", r#"[[{"Data":"YWI=","PartitionKey":"k"}],"s"]"#),
    ] {
        let refused = with_request(body, |request| from_here(request, operation)).err();
        assert_eq!(refused.map(|fault| fault.name), Some("SerializationException"), "{body}");
        check(operation, body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_read_here_is_what_the_tree_of_values_says(
        (operation, body) in prop_oneof![
            record(vec![("StreamName", of(&[r#""s""#])), ("DryRun", of(&["false", "null"]))])
                .prop_map(|body| ("PutRecord", body)),
            structure(vec![("Records", list(record(Vec::new()), 3)), ("StreamName", of(&[r#""s""#]))])
                .prop_map(|body| ("PutRecords", body)),
        ],
    ) {
        check(operation, &body);
    }
}
