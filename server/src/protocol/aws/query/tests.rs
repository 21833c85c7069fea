//! The query protocol reads what clients write by the tables, refuses what is amiss, and its XML says what was meant.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::query_input::decode;
use super::super::shape::{Bounds, Kind, Member, Naming, Parts, Shape};
use super::super::sqs::OPERATIONS;
use super::super::tests::{Chance, value_of};
use super::super::value::Value;
use super::super::xml::write_response;
use super::*;

const ANY: Bounds = Bounds { min: None, max: None };
static TEXT: Shape = Shape { name: "Text", kind: Kind::Text(ANY, None) };
static BLOB: Shape = Shape { name: "Blob", kind: Kind::Blob(ANY) };
static LONG: Shape = Shape { name: "Long", kind: Kind::Long(ANY) };
static FLAG: Shape = Shape { name: "Flag", kind: Kind::Boolean };
static TEXTS: Shape = Shape { name: "Texts", kind: Kind::List(&TEXT, ANY) };
static PAIRS: Shape = Shape { name: "Pairs", kind: Kind::Map(&TEXT, &INNER, ANY) };
static INNER: Shape = Shape {
    name: "Inner",
    kind: Kind::Structure(&[
        member("Bytes", &BLOB, "Bytes", Parts::Whole),
        member("Names", &TEXTS, "Name", Parts::Items),
    ]),
};
/// Every form that a member can have.
static OUTER: Shape = Shape {
    name: "Outer",
    kind: Kind::Structure(&[
        member("Count", &LONG, "Count", Parts::Whole),
        member("Flag", &FLAG, "Flag", Parts::Whole),
        member("Flat", &PAIRS, "Attribute", Parts::Pairs { key: "Name", value: "Value" }),
        member("Inner", &INNER, "Inner", Parts::Whole),
        member("List", &TEXTS, "List", Parts::Listed("member")),
        member("Map", &PAIRS, "Map", Parts::Entries { key: "key", value: "value" }),
    ]),
};

const fn member(name: &'static str, shape: &'static Shape, wire: &'static str, parts: Parts) -> Member {
    Member { name, shape, required: false, naming: Some(Naming { name: wire, parts }) }
}

fn inner(bytes: &'static [u8], names: &[&str]) -> Value {
    Value::structure([
        ("Bytes", Some(Value::Blob(Bytes::from_static(bytes)))),
        ("Names", Some(Value::List(names.iter().map(|name| Value::Text((*name).to_owned())).collect()))),
    ])
}

fn whole() -> Value {
    Value::structure([
        ("Count", Some(Value::Integer(-9))),
        ("Flag", Some(Value::Boolean(true))),
        ("Flat", Some(Value::Map(vec![("a&b".to_owned(), inner(b"\0\xff", &["x", "y"]))]))),
        ("Inner", Some(inner(b"ab", &["<\u{1F30A}>"]))),
        ("List", Some(Value::List(vec![Value::Text("one".to_owned()), Value::Text(" two+".to_owned())]))),
        ("Map", Some(Value::Map(vec![("k".to_owned(), inner(b"c", &["z"]))]))),
    ])
}

fn read(form: &str) -> Result<Value, Fault> {
    decode(&OUTER, &Parameters::parse(form.as_bytes(), b"")?)
}

/// Writes an input as a client does, by the same names, but in another way than the reader reads them.
fn write(shape: &'static Shape, value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    use base64::Engine;
    let at = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match value {
        Value::Boolean(value) => out.push((path.to_owned(), value.to_string())),
        Value::Integer(number) => out.push((path.to_owned(), number.to_string())),
        Value::Text(text) => out.push((path.to_owned(), text.clone())),
        Value::Blob(bytes) => {
            out.push((path.to_owned(), base64::engine::general_purpose::STANDARD.encode(bytes)));
        }
        Value::Structure(members) => {
            for (name, value) in members {
                let member = shape.member(name).expect("it is of the shape");
                let naming = member.naming.expect("the service speaks this protocol");
                write_parts(member.shape, naming.parts, value, &at(naming.name), out);
            }
        }
        Value::Timestamp(_) | Value::List(_) | Value::Map(_) => panic!("{path} has no form of its own"),
    }
}

fn write_parts(
    shape: &'static Shape,
    parts: Parts,
    value: &Value,
    path: &str,
    out: &mut Vec<(String, String)>,
) {
    match (&shape.kind, parts, value) {
        (Kind::List(item, _), Parts::Items | Parts::Listed(_), Value::List(items)) => {
            let path =
                if let Parts::Listed(name) = parts { format!("{path}.{name}") } else { path.to_owned() };
            (1..).zip(items).for_each(|(number, value)| write(item, value, &format!("{path}.{number}"), out));
        }
        (
            Kind::Map(_, item, _),
            Parts::Pairs { key, value: name } | Parts::Entries { key, value: name },
            Value::Map(pairs),
        ) => {
            let is_flat = matches!(parts, Parts::Pairs { .. });
            let path = if is_flat { path.to_owned() } else { format!("{path}.entry") };
            for (number, (text, value)) in (1..).zip(pairs) {
                out.push((format!("{path}.{number}.{key}"), text.clone()));
                write(item, value, &format!("{path}.{number}.{name}"), out);
            }
        }
        _ => write(shape, value, path, out),
    }
}

fn form(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b' ' => out.push('+'),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' => out.push(byte.into()),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    };
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// Without what this protocol cannot tell from nothing: structures, lists and maps that are empty.
fn tellable(value: Value) -> Option<Value> {
    match value {
        Value::Structure(members) => {
            let kept = members.into_iter().filter_map(|(name, value)| Some((name, tellable(value)?)));
            let kept: Vec<_> = kept.collect();
            (!kept.is_empty()).then_some(Value::Structure(kept))
        }
        Value::List(items) => {
            let kept: Vec<Value> = items.into_iter().filter_map(tellable).collect();
            (!kept.is_empty()).then_some(Value::List(kept))
        }
        Value::Map(pairs) => {
            let kept: Vec<_> =
                pairs.into_iter().filter_map(|(key, value)| Some((key, tellable(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Map(kept))
        }
        other => Some(other),
    }
}

#[test]
fn every_form_of_a_member_is_read() {
    let form = "Count=-9&Flag=True&Attribute.1.Name=a%26b&Attribute.1.Value.Bytes=AP8%3D&Attribute.1.Value.Name.1=x\
                &Attribute.1.Value.Name.2=y&Inner.Bytes=YWI%3d&Inner.Name.1=%3C%F0%9F%8C%8A%3E&List.member.1=one&List.member.2=+two%2B\
                &Map.entry.1.key=k&Map.entry.1.value.Bytes=Yw==&Map.entry.1.value.Name.1=z&Action=Other&Unknown.1=x";
    assert_eq!(read(form), Ok(whole()));
}

#[test]
fn items_come_in_the_order_of_their_numbers_and_gaps_do_no_harm() {
    let list = |form: &str| match read(form) {
        Ok(value) => value.texts("List").map(str::to_owned).collect::<Vec<_>>(),
        Err(fault) => panic!("{form}: {fault}"),
    };
    let twelve: Vec<String> = (1..=12).rev().map(|number| format!("List.member.{number}={number}")).collect();
    assert_eq!(list(&twelve.join("&")), (1..=12).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(list("List.member.7=b&List.member.2=a"), ["a", "b"]);
    assert_eq!(list("List.member=&Listed.member.1=x"), [""; 0]);
    assert_eq!(
        read("List.member=").map(|value| value.get("List").cloned()),
        Ok(Some(Value::List(Vec::new())))
    );
    assert_eq!(read(""), Ok(Value::Structure(Vec::new())));
    assert_eq!(read("Inner=").map(|value| value.get("Inner").is_some()), Ok(true));
}

#[test]
fn what_is_amiss_is_refused() {
    let check = |form: &str, part: &str| {
        let fault = read(form).expect_err("it is refused");
        assert_eq!(fault.name, "SerializationException");
        assert!(fault.message.contains(part), "{form}: {fault}");
    };
    check("Count=x", "Count must be a number of 64 bits");
    check("Flag=1", "Flag must be true or false");
    check("Inner.Bytes=%21", "Inner.Bytes must be in base64");
    check("List.member.x=1", "List.member.x has no number");
    check("List.member.01=1", "no number");
    check("List.member.4294967296=1", "no number");
    check("List.member.-1=1", "no number");
    check("Attribute.1.Name=a", "lacks its Name or its Value");
    check("Attribute.1.Value.Bytes=", "lacks its Name or its Value");
    check("Count=%", "percent sign");
    check("Count=%4", "percent sign");
    check("Count=%zz", "percent sign");
    check("Count=%ff", "no UTF-8");
    check(&"a&".repeat(70_000), "parameters");
}

#[test]
fn answers_are_elements_in_a_namespace() {
    let xml = write_response("http://example/", "Look", Some((&OUTER, &whole())), "an-id");
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><LookResponse xmlns=\"http://example/\"><LookResult><Count>-9</Count>\
        <Flag>true</Flag><Attribute><Name>a&amp;b</Name><Value><Bytes>AP8=</Bytes><Name>x</Name><Name>y</Name></Value></Attribute>\
        <Inner><Bytes>YWI=</Bytes><Name>&lt;\u{1F30A}&gt;</Name></Inner><List><member>one</member><member> two+</member></List>\
        <Map><entry><key>k</key><value><Bytes>Yw==</Bytes><Name>z</Name></value></entry></Map></LookResult>\
        <ResponseMetadata><RequestId>an-id</RequestId></ResponseMetadata></LookResponse>";
    assert_eq!(String::from_utf8_lossy(&xml), expected);
    let xml = write_response("n", "Look", None, "i");
    assert!(String::from_utf8_lossy(&xml).ends_with("<LookResponse xmlns=\"n\"><ResponseMetadata><RequestId>i</RequestId></ResponseMetadata></LookResponse>"));
}

#[test]
fn no_character_of_a_text_is_taken_for_another() {
    let text = "\"<a>&\r\n\t\u{0}\u{b}\u{1f}\u{fffe}\u{10ffff}]]>";
    let Answer { status, content_type, payload, .. } = refusal(&Fault::of_caller("Name", text), "id");
    let Payload::Whole(body) = payload else { panic!("a refusal is whole") };
    assert_eq!((status, content_type), (400, "text/xml"));
    let expected = "<Error><Type>Sender</Type><Code>Name</Code><Message>&quot;&lt;a&gt;&amp;&#xD;\n\t\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{10ffff}]]&gt;\
                    </Message><Detail></Detail></Error><RequestId>id</RequestId>";
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains(expected), "{body}");
}

#[test]
fn errors_of_the_front_have_the_names_of_this_protocol() {
    let check = |name: &'static str, status: u16, expected: (&str, u16)| {
        assert_eq!(code_of(&Fault { name, status, message: "".into() }), expected);
    };
    check("InvalidSignatureException", 400, ("SignatureDoesNotMatch", 403));
    check("MissingAuthenticationTokenException", 400, ("MissingAuthenticationToken", 403));
    check("UnrecognizedClientException", 400, ("InvalidClientTokenId", 403));
    check("IncompleteSignatureException", 400, ("IncompleteSignature", 400));
    check("UnknownOperationException", 400, ("InvalidAction", 400));
    check("ServiceUnavailableException", 503, ("ServiceUnavailable", 503));
    check("InvalidParameterValueException", 400, ("InvalidParameterValue", 400));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn inputs_are_read_as_they_were_written(seed in any::<u64>()) {
        let mut chance = Chance(seed);
        for operation in OPERATIONS {
            let value = tellable(value_of(operation.input, &mut chance)).unwrap_or(Value::Structure(Vec::new()));
            let mut pairs = Vec::new();
            write(operation.input, &value, "", &mut pairs);
            // The order of parameters says nothing.
            let turn = usize::try_from(chance.below(pairs.len().max(1) as u64)).expect("below a length");
            pairs.rotate_left(turn);
            let parameters = Parameters::parse(form(&pairs).as_bytes(), b"");
            prop_assert_eq!(parameters.and_then(|parameters| decode(operation.input, &parameters)), Ok(value));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(parameters) = Parameters::parse(&bytes, b"Action=x") {
            for operation in OPERATIONS {
                let _ = decode(operation.input, &parameters);
            }
        }
    }
}
