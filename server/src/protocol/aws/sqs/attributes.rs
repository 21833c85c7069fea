//! Attributes of messages: typed values beside the body, and the one that the service itself knows.

use bytes::Bytes;

use super::super::Fault;
use super::super::value::Value;
use super::error::{invalid, unsupported};
use super::limits::{ATTRIBUTE_CHARS_MAX, ATTRIBUTES_MAX};
use crate::service::queue::{Attribute, AttributeValue, is_plain};

/// The only attribute of the service that comes with a message.
pub(super) const TRACE_HEADER: &str = "AWSTraceHeader";
/// Beginnings of names that are AWS's own, in any case.
const RESERVED: [&str; 2] = ["aws.", "amazon."];
/// Digits of a number's value, leading zeroes aside.
const NUMBER_DIGITS_MAX: usize = 38;
/// Greatest exponent of a number, and least one.
const NUMBER_EXPONENT_MAX: i64 = 128;

/// The attributes in an entry, if they are what attributes may be.
pub(super) fn read(entry: &mut Value) -> Result<Vec<Attribute>, Fault> {
    let Some(Value::Map(pairs)) = entry.take("MessageAttributes") else { return Ok(Vec::new()) };
    if pairs.len() > ATTRIBUTES_MAX {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
            pairs.len()
        )));
    }
    let mut attributes: Vec<Attribute> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        check_name(&name)?;
        if attributes.iter().any(|known| known.name == name) {
            return Err(invalid(format!("Message (user) attribute name '{name}' already exists.")));
        }
        attributes.push(attribute(name, value)?);
    }
    Ok(attributes)
}

/// The trace header in an entry.
pub(super) fn read_trace_header(entry: &mut Value) -> Result<Option<String>, Fault> {
    let Some(Value::Map(pairs)) = entry.take("MessageSystemAttributes") else { return Ok(None) };
    let mut header = None;
    for (name, value) in pairs {
        if name != TRACE_HEADER {
            return Err(invalid(format!("Message system attribute name '{name}' is invalid.")));
        }
        let attribute = attribute(name, value)?;
        let AttributeValue::Text(text) = attribute.value else {
            return Err(invalid(format!(
                "Message system attribute {TRACE_HEADER} must be of type 'String'."
            )));
        };
        header = Some(text);
    }
    Ok(header)
}

/// The trace header as an attribute: for its digest.
pub(super) fn trace_attribute(header: &str) -> Attribute {
    Attribute {
        name: TRACE_HEADER.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(header.to_owned()),
    }
}

/// Attributes as consumers get them.
pub(super) fn show<'a>(attributes: impl Iterator<Item = &'a Attribute>) -> Value {
    let pairs = attributes.map(|attribute| {
        let (text, binary) = match &attribute.value {
            AttributeValue::Text(text) => (Value::text(text.as_str()), None),
            AttributeValue::Binary(bytes) => (None, Some(Value::Blob(bytes.clone()))),
        };
        let value = Value::structure([
            ("StringValue", text),
            ("BinaryValue", binary),
            ("DataType", Value::text(attribute.data_type.as_str())),
        ]);
        (attribute.name.clone(), value)
    });
    Value::Map(pairs.collect())
}

/// Bytes that attributes count for.
pub(super) fn bytes(attributes: &[Attribute]) -> usize {
    let of_one = |attribute: &Attribute| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        attribute.name.len() + attribute.data_type.len() + value
    };
    attributes.iter().map(of_one).sum()
}

/// Whether a name is one of those that a consumer asks for: itself, all, or those that begin with something.
pub(super) fn is_chosen<'a>(name: &str, mut wanted: impl Iterator<Item = &'a str>) -> bool {
    wanted.any(|wanted| match wanted.strip_suffix('*') {
        Some(begin) => name.starts_with(begin.strip_suffix('.').unwrap_or(begin)),
        None => wanted == "All" || wanted == name,
    })
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > ATTRIBUTE_CHARS_MAX {
        return Err(invalid(format!(
            "Length of message attribute name must be from 1 to {ATTRIBUTE_CHARS_MAX} bytes."
        )));
    }
    let has_dots_amiss = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if !name.bytes().all(fits) || has_dots_amiss {
        return Err(invalid(
            "Message attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters. It can't start or end \
             with a period, and has no two of them in succession.",
        ));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.iter().any(|reserved| lower.starts_with(reserved)) {
        return Err(invalid("Message attribute names cannot begin with AWS. or Amazon."));
    }
    Ok(())
}

fn attribute(name: String, mut value: Value) -> Result<Attribute, Fault> {
    for list in ["StringListValues", "BinaryListValues"] {
        if matches!(value.get(list), Some(Value::List(items)) if !items.is_empty()) {
            return Err(unsupported(
                "Message attribute list values in SendMessage operation are not supported.",
            ));
        }
    }
    let data_type = value.take_text("DataType").unwrap_or_default();
    if data_type.is_empty() {
        return Err(invalid(format!("The message attribute '{name}' must contain a non-empty type.")));
    }
    let (base, label) = data_type.split_once('.').unwrap_or((&data_type, "x"));
    if label.is_empty() || data_type.len() > ATTRIBUTE_CHARS_MAX {
        return Err(invalid(format!("The type of message attribute '{name}' is invalid.")));
    }
    let empty = |kind: &str| {
        invalid(format!("Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."))
    };
    let value = match base {
        "String" | "Number" => {
            let text = value.take_text("StringValue").filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| empty("String"))?;
            if base == "Number" && !is_number(&text) {
                return Err(invalid(format!(
                    "Can't cast the value of message (user) attribute '{name}' to a number."
                )));
            }
            if !text.chars().all(is_plain) {
                return Err(invalid(format!("Invalid characters in message (user) attribute '{name}'.")));
            }
            AttributeValue::Text(text)
        }
        "Binary" => match value.take("BinaryValue") {
            Some(Value::Blob(bytes)) if !bytes.is_empty() => AttributeValue::Binary(bytes),
            _ => return Err(empty("Binary")),
        },
        _ => {
            return Err(invalid(format!(
                "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, \
                 Number, and String."
            )));
        }
    };
    Ok(Attribute { name, data_type, value })
}

/// Whether a text may be the body of a message.
pub(super) fn is_body(text: &str) -> bool {
    !text.is_empty() && (is_ascii_allowed(text) || text.chars().all(is_plain))
}

/// Whether a text has nothing but characters of ASCII that are allowed. All of its bytes are looked at, which goes many at a time.
fn is_ascii_allowed(text: &str) -> bool {
    let is_other = |byte: u8| !((b' '..0x80).contains(&byte) || matches!(byte, b'\t' | b'\n' | b'\r'));
    !text.bytes().fold(false, |found, byte| found | is_other(byte))
}

/// A decimal number with an exponent or without, of so many digits and so great an exponent as AWS takes.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let exponent: Option<i64> = exponent.parse().ok();
    is_decimal
        && digits.trim_start_matches('0').trim_end_matches('0').len() <= NUMBER_DIGITS_MAX
        && exponent.is_some_and(|exponent| exponent.abs() <= NUMBER_EXPONENT_MAX)
}

/// The body in an entry, if it is what a body may be.
pub(super) fn read_body(entry: &mut Value) -> Result<Bytes, Fault> {
    let body = entry.take_text("MessageBody").unwrap_or_default();
    if body.is_empty() {
        return Err(super::error::missing("MessageBody"));
    }
    if !is_body(&body) {
        return Err(Fault::of_caller(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        ));
    }
    Ok(Bytes::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, data_type: &str, value: Value) -> Value {
        let member = if matches!(value, Value::Blob(_)) { "BinaryValue" } else { "StringValue" };
        let attribute =
            Value::Structure(vec![("DataType", Value::Text(data_type.to_owned())), (member, value)]);
        Value::Structure(vec![("MessageAttributes", Value::Map(vec![(name.to_owned(), attribute)]))])
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn attributes_are_named_and_typed() {
        let check = |name: &str, data_type: &str, value: Value, expected: Result<(), &str>| {
            let read = read(&mut entry(name, data_type, value));
            match (&read, expected) {
                (Ok(attributes), Ok(())) => assert_eq!(attributes[0].name, name),
                (Err(fault), Err(part)) => assert!(fault.message.contains(part), "{name}: {fault}"),
                _ => panic!("{name} {data_type}: {read:?}"),
            }
        };
        check("a.b-c_9", "String.color", text("x"), Ok(()));
        check("n", "Number", text("-1.50e+10"), Ok(()));
        check("b", "Binary.gif", Value::Blob(Bytes::from_static(b"\0")), Ok(()));
        check("n", "Number", text("ten"), Err("number"));
        check("n", "Number", text("1e129"), Err("number"));
        check("n", "Number", text(&"9".repeat(39)), Err("number"));
        check("n", "Number", text("."), Err("number"));
        check("a", "String", text(""), Err("'a' must contain a non-empty value of type 'String'"));
        check("a", "Binary", Value::Blob(Bytes::new()), Err("type 'Binary'"));
        check("a", "Binary", text("x"), Err("type 'Binary'"));
        check("a", "Text", text("x"), Err("supported type prefixes"));
        check("a", "String.", text("x"), Err("type of message attribute"));
        check("a", "", text("x"), Err("non-empty type"));
        check("a", "String", text("\u{1}"), Err("Invalid characters"));
        for name in [".a", "a.", "a..b", "a b", "ü"] {
            check(name, "String", text("x"), Err("can contain A-Z"));
        }
        check("", "String", text("x"), Err("1 to 256"));
        check(&"x".repeat(257), "String", text("x"), Err("1 to 256"));
        for name in ["AWS.x", "aws.x", "Amazon.x"] {
            check(name, "String", text("x"), Err("cannot begin"));
        }
    }

    #[test]
    fn a_message_has_ten_attributes_at_most() {
        let pairs = |count: usize| {
            let value =
                Value::structure([("DataType", Value::text("String")), ("StringValue", Value::text("x"))]);
            let pairs = (0..count).map(|index| (format!("a{index}"), value.clone())).collect();
            read(&mut Value::Structure(vec![("MessageAttributes", Value::Map(pairs))]))
        };
        assert_eq!(pairs(10).map(|attributes| attributes.len()), Ok(10));
        assert!(pairs(11).expect_err("too many").message.contains("[11] exceeds the allowed maximum [10]"));
    }

    #[test]
    fn consumers_choose_by_name_and_by_beginning() {
        let check = |wanted: &[&str], expected: &[&str]| {
            let names = ["Hello", "Help.Me", "General"];
            let chosen: Vec<&str> =
                names.into_iter().filter(|name| is_chosen(name, wanted.iter().copied())).collect();
            assert_eq!(chosen, expected, "{wanted:?}");
        };
        let all = ["Hello", "Help.Me", "General"];
        check(&[], &[]);
        check(&["All"], &all);
        check(&[".*"], &all);
        check(&["*"], &all);
        check(&["Hel.*"], &["Hello", "Help.Me"]);
        check(&["Help.*"], &["Help.Me"]);
        check(&["Hello", "None"], &["Hello"]);
        check(&["hello"], &[]);
    }

    #[test]
    fn bodies_have_the_characters_that_xml_knows() {
        let check = |body: &str, expected: Result<(), &str>| {
            let read = read_body(&mut Value::structure([("MessageBody", Value::text(body))]));
            assert_eq!(read.map(drop).map_err(|fault| fault.name), expected, "{body:?}");
        };
        check("a\t\n\r \u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}", Ok(()));
        for body in ["\0", "a\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
            check(body, Err("InvalidMessageContents"));
        }
        check("", Err("MissingRequiredParameterException"));
    }
}
