//! The MD5 digests that clients check: of a message's body, and of its attributes in the order of their names.
//!
//! ```text
//! 4      bytes of the name, big-endian    n      the name
//! 4      bytes of the type                n      the type
//! 1      1 for a text, 2 for bytes
//! 4      bytes of the value               n      the value
//! ```
//! for each attribute.

use md5::{Digest, Md5};
use tidemill_wire::digest::md5_of_each;

use super::super::hexadecimal::hexadecimal;
use crate::service::queue::{Attribute, AttributeValue};

const TEXT: u8 = 1;
const BYTES: u8 = 2;

/// The digest of a body.
pub(super) fn of_body(body: &[u8]) -> String {
    hex(Md5::new_with_prefix(body))
}

/// The digests of bodies, in their order.
pub(super) fn of_bodies(bodies: &[&[u8]]) -> Vec<String> {
    md5_of_each(bodies).iter().map(|digest| hexadecimal(digest)).collect()
}

/// The digest of attributes, if there are any.
pub(super) fn of_attributes<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> Option<String> {
    let mut sorted: Vec<&Attribute> = attributes.into_iter().collect();
    sorted.sort_by(|left, right| left.name.cmp(&right.name));
    let mut digest = Md5::new();
    for attribute in &sorted {
        put(&mut digest, attribute.name.as_bytes());
        put(&mut digest, attribute.data_type.as_bytes());
        let (kind, value) = match &attribute.value {
            AttributeValue::Text(text) => (TEXT, text.as_bytes()),
            AttributeValue::Binary(bytes) => (BYTES, bytes.as_ref()),
        };
        digest.update([kind]);
        put(&mut digest, value);
    }
    (!sorted.is_empty()).then(|| hex(digest))
}

fn put(digest: &mut Md5, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("no part of a message is larger than a request");
    digest.update(length.to_be_bytes());
    digest.update(bytes);
}

fn hex(digest: Md5) -> String {
    hexadecimal(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Attribute {
        Attribute {
            name: name.to_owned(),
            data_type: "String".to_owned(),
            value: AttributeValue::Text(value.to_owned()),
        }
    }

    #[test]
    fn digests_are_those_of_aws() {
        assert_eq!(of_body(b"msg"), "6e2baaf3b97dbeef01c0043275f9a0e7");
        assert_eq!(of_attributes([]), None);
        // As AWS has answered.
        let all = [text("Help.Me", "Me"), text("General", "Kenobi"), text("Hello", "There")];
        assert_eq!(of_attributes(&all).as_deref(), Some("4c360f3fdafd970e05fae2f149d997f5"));
        assert_eq!(of_attributes(&all[1..]).as_deref(), Some("fca026605781cb4126a1e9044df24232"));
        let binary = Attribute {
            name: "attr1".to_owned(),
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(bytes::Bytes::from_static(
                b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01",
            )),
        };
        assert_eq!(of_attributes([&binary]).as_deref(), Some("8cbe4db156db8a94db8b801b7addb984"));
    }
}
