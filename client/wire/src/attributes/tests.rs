//! Tests of `attributes`: golden bytes, round trips, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::samples::hex;

fn text(name: &str, data_type: &str, value: &str) -> MessageAttribute {
    let value = MessageAttributeValue::Text(value.to_owned());
    MessageAttribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
}

#[test]
fn attributes_lie_as_they_are_drawn() {
    let binary = MessageAttributeValue::Binary(Bytes::from_static(&[0, 255]));
    let attributes = [
        text("a", "Number.int", "7"),
        MessageAttribute { name: "b.c".to_owned(), data_type: "Binary".to_owned(), value: binary },
    ];
    let bytes = encode_attributes(&attributes).expect("they are allowed");
    let drawn =
        "00 0100 0a00 01000000 61 4e756d6265722e696e74 37  01 0300 0600 02000000 622e63 42696e617279 00ff";
    assert_eq!(bytes, hex(drawn));
    assert_eq!(decode_attributes(bytes), Ok(attributes.to_vec()));
    assert_eq!(decode_attributes(Bytes::new()), Ok(Vec::new()));
}

#[test]
fn what_no_message_can_have_is_refused_both_ways() {
    let check = |attribute: MessageAttribute, part: &str| {
        let error = encode_attributes(&[attribute]).expect_err("it is refused").to_string();
        assert!(error.contains(part), "{error}");
    };
    check(text("", "String", "x"), "name");
    check(text(".a", "String", "x"), "name");
    check(text("a..b", "String", "x"), "name");
    check(text("ä", "String", "x"), "name");
    check(text(&"n".repeat(257), "String", "x"), "name");
    check(text("a", "", "x"), "type");
    check(text("a", "String.", "x"), "type");
    check(text("a", "Binary", "x"), "not that of its value");
    check(text("a", "Text", "x"), "not that of its value");
    check(text("a", "String", ""), "empty");
    let many: Vec<_> = (0..11).map(|number| text(&format!("n{number}"), "String", "x")).collect();
    assert_eq!(encode_attributes(&many), Err(AttributesError::TooMany { limit: 10 }));
    let all: Vec<u8> =
        many.iter().flat_map(|one| encode_attributes(std::slice::from_ref(one)).expect("one")).collect();
    assert_eq!(decode_attributes(all.into()), Err(AttributesError::TooMany { limit: 10 }));
    let one = encode_attributes(&[text("a", "String", "x")]).expect("allowed");
    let twice = Bytes::from([one.clone(), one.clone()].concat());
    let error = decode_attributes(twice).expect_err("the name is twice there").to_string();
    assert!(error.contains("another one"), "{error}");
    for length in 1..one.len() {
        let error = decode_attributes(one.slice(..length)).expect_err("it is cut");
        assert!(matches!(error, AttributesError::Short { index: 0, left, .. } if left == length), "{error}");
    }
}

proptest! {
    #[test]
    fn attributes_come_back(named in prop::collection::btree_map("[a-zA-Z0-9_-]{1,40}", ("\\PC{1,40}", prop::collection::vec(any::<u8>(), 1..40), any::<bool>()), 0..10)) {
        let attributes: Vec<_> = named.into_iter().map(|(name, (words, bytes, is_text))| if is_text {
            text(&name, "String", &words)
        } else {
            MessageAttribute { name, data_type: "Binary.x".to_owned(), value: MessageAttributeValue::Binary(bytes.into()) }
        }).collect();
        let bytes = encode_attributes(&attributes).expect("they are allowed");
        prop_assert_eq!(decode_attributes(bytes), Ok(attributes));
    }

    #[test]
    fn arbitrary_bytes_are_attributes_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(attributes) = decode_attributes(Bytes::from(bytes.clone())) {
            prop_assert_eq!(encode_attributes(&attributes).expect("what was read can be written"), bytes);
        }
    }
}
