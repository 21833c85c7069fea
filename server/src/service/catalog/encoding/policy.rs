//! The bytes of a policy: a version and its text.

use super::{DecodeError, Reader};

/// Version of the values of policies.
const VERSION: u8 = 1;

pub(in super::super) fn encode_policy(policy: &str) -> Vec<u8> {
    [&[VERSION], policy.as_bytes()].concat()
}

pub(in super::super) fn decode_policy(bytes: &[u8]) -> Result<String, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let text = std::str::from_utf8(reader.rest);
    let shown = || format!("{:?}", String::from_utf8_lossy(reader.rest));
    text.map(str::to_owned).map_err(|_| DecodeError::Impossible { field: "policy", value: shown() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_policy_is_refused() {
        let check = |bytes: &[u8], message| {
            assert_eq!(decode_policy(bytes).expect_err(message).to_string(), message);
        };
        check(&[], "value ends inside version");
        check(&[2, b'{', b'}'], "value has version 2, which this server does not know");
        check(&[1, 0xff], "policy has the impossible value \"\u{fffd}\"");
        assert_eq!(encode_policy("{}"), [1, b'{', b'}']);
    }

    proptest! {
        #[test]
        fn policies_decode_to_what_they_were(policy in "\\PC{0,200}") {
            prop_assert_eq!(decode_policy(&encode_policy(&policy)), Ok(policy));
        }

        #[test]
        fn what_decodes_has_one_value(bytes: Vec<u8>) {
            if let Ok(policy) = decode_policy(&bytes) {
                prop_assert_eq!(encode_policy(&policy), bytes);
            }
        }
    }
}
