//! Both implementations are of one opinion about every text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::{decode, decoded_bytes, encode_into};

fn check(text: &[u8]) {
    let decoded = decode(text);
    if let Ok(bytes) = &decoded {
        assert_eq!(decoded_bytes(text), bytes.len(), "{:?}", String::from_utf8_lossy(text));
    }
    assert_eq!(decoded, STANDARD.decode(text), "{:?}", String::from_utf8_lossy(text));
}

#[test]
fn texts_that_are_nearly_right_are_refused_as_before() {
    for text in [
        "", "YQ==", "YQ=", "YQ", "YR==", "YWI=", "YWJ=", "YWJj", "YWJjYQ", "YW Jj", "YWJj\n", "====", "A===",
        "-_-_",
    ] {
        check(text.as_bytes());
        // Within a run that goes through wide registers, too.
        check(format!("{}{text}", "QUJD".repeat(40)).as_bytes());
        check(format!("{text}{}", "QUJD".repeat(40)).as_bytes());
    }
}

proptest! {
    #[test]
    fn bytes_are_written_and_read_as_by_the_plain_one(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut text = b"before".to_vec();
        encode_into(&bytes, &mut text);
        let plain = STANDARD.encode(&bytes);
        prop_assert_eq!(&text[6..], plain.as_bytes());
        prop_assert_eq!(decoded_bytes(&text[6..]), bytes.len());
        prop_assert_eq!(decode(&text[6..]), Ok(bytes));
    }

    #[test]
    fn a_text_with_a_fault_has_the_same_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        fault in any::<u8>(),
    ) {
        let mut text = STANDARD.encode(&bytes).into_bytes();
        if !text.is_empty() {
            let at = at.index(text.len());
            text[at] = fault;
        }
        check(&text);
    }

    #[test]
    fn any_bytes_have_the_same_outcome(text in prop::collection::vec(any::<u8>(), 0..100)) {
        check(&text);
    }
}
