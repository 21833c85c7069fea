//! Texts are found, and nothing is found where there are none.

use super::{decoded_bytes, texts};

#[test]
fn texts_are_those_behind_the_pattern() {
    let check = |body: &str, expected: &[&str]| {
        let found: Vec<&[u8]> = texts(body.as_bytes(), "\"Data\":\"").collect();
        assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), "{body}");
    };
    check(r#"{"Records":[{"Data":"YQ==","PartitionKey":"Data"},{"Data":""}]}"#, &["YQ==", ""]);
    check(r#"{"Data":1}"#, &[]);
    check(r#"{"Data":"no end"#, &[]);
}

#[test]
fn base64_tells_how_much_it_stands_for() {
    for (text, bytes) in [("", 0), ("YQ==", 1), ("YWI=", 2), ("YWJj", 3), ("YWJjYQ==", 4), ("=", 0)] {
        assert_eq!(decoded_bytes(text.as_bytes()), bytes, "{text}");
    }
}
