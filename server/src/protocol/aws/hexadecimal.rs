//! Bytes as hexadecimal digits in lower case: digests, and the ids of messages and requests.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Where a UUID has dashes: before these bytes.
const DASHES: [usize; 4] = [4, 6, 8, 10];

/// The digits of bytes.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| push(&mut text, *byte));
    text
}

/// The digits of an id in groups, as UUIDs are written.
pub(super) fn uuid(id: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in id.into_iter().enumerate() {
        if DASHES.contains(&at) {
            text.push('-');
        }
        push(&mut text, byte);
    }
    text
}

fn push(text: &mut String, byte: u8) {
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_digits_each_and_an_id_has_groups() {
        assert_eq!(hexadecimal(&[0, 0x1f, 0xab]), "001fab");
        let id = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128.to_be_bytes();
        assert_eq!(uuid(id), "01234567-89ab-cdef-fedc-ba9876543210");
        assert_eq!(hexadecimal(&id), "0123456789abcdeffedcba9876543210");
    }
}
