//! The bytes of a bound on the size of records: a version and KiB.

use super::{DecodeError, Reader};

/// Version of the values of record sizes.
const VERSION: u8 = 1;

pub(in super::super) fn encode_record_size(kib: u32) -> Vec<u8> {
    [&[VERSION][..], &kib.to_le_bytes()].concat()
}

pub(in super::super) fn decode_record_size(bytes: &[u8]) -> Result<u32, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let kib = reader.u32("record size")?;
    reader.end(kib)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_size_is_refused() {
        assert_eq!(encode_record_size(0x0102), [1, 2, 1, 0, 0]);
        let check = |bytes: &[u8], message| {
            assert_eq!(decode_record_size(bytes).expect_err(message).to_string(), message);
        };
        check(&[], "value ends inside version");
        check(&[1, 2, 1, 0], "value ends inside record size");
        check(&[1, 2, 1, 0, 0, 0], "value has 1 bytes after its end");
        check(&[2, 2, 1, 0, 0], "value has version 2, which this server does not know");
    }

    proptest! {
        #[test]
        fn what_decodes_has_one_value(kib: u32, bytes: Vec<u8>) {
            prop_assert_eq!(decode_record_size(&encode_record_size(kib)), Ok(kib));
            if let Ok(kib) = decode_record_size(&bytes) {
                prop_assert_eq!(encode_record_size(kib), bytes);
            }
        }
    }
}
