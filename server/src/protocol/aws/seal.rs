//! Tokens that clients keep for the server: what is in them cannot be changed, or made up, by anybody else.
//!
//! ```text
//! 1      purpose, so that a token of one kind is never taken for another
//! 8      milliseconds since the epoch when it was made, big-endian
//! n      contents
//! 16     the first bytes of HMAC-SHA256 over all before it
//! ```
//!
//! in base64. Contents are not secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tidemill_wire::Timestamp;

const MAC_BYTES: usize = 16;
const HEAD_BYTES: usize = 9;

/// Makes tokens and reads them. Has the same key on every core and after every restart.
#[derive(Clone)]
pub(super) struct Seal {
    keyed: Hmac<Sha256>,
}

/// A token that was made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// When.
    pub(super) made: Timestamp,
    /// What is in it.
    pub(super) contents: Vec<u8>,
}

impl Seal {
    /// A seal of this key.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { keyed: Hmac::new_from_slice(secret).expect("the key of an HMAC may have any length") }
    }

    /// A token.
    pub(super) fn close(&self, purpose: u8, made: Timestamp, contents: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + contents.len() + MAC_BYTES);
        bytes.push(purpose);
        bytes.extend_from_slice(&made.get().to_be_bytes());
        bytes.extend_from_slice(contents);
        let mac = self.keyed.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(mac.get(..MAC_BYTES).expect("SHA-256 has 32 bytes"));
        STANDARD.encode(bytes)
    }

    /// What is in a token of this purpose; `None` if it was not made here for it.
    pub(super) fn open(&self, purpose: u8, token: &str) -> Option<Opened> {
        let bytes = STANDARD.decode(token).ok()?;
        let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        self.keyed.clone().chain_update(signed).verify_truncated_left(mac).ok()?;
        let (found, rest) = signed.split_first()?;
        let (made, contents) = rest.split_first_chunk()?;
        let made = Timestamp(u64::from_be_bytes(*made));
        (*found == purpose).then(|| Opened { made, contents: contents.to_vec() })
    }

    /// A check of some bits for a number that is no secret, so that a name made from it is known to be from here.
    pub(super) fn mark(&self, number: u64) -> u64 {
        let mac = self.keyed.clone().chain_update(b"mark").chain_update(number.to_be_bytes());
        let mac = mac.finalize().into_bytes();
        u64::from_be_bytes(*mac.first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_says_what_was_put_into_it_and_no_change_goes_unseen(
            contents in proptest::collection::vec(any::<u8>(), 0..64),
            made in any::<u64>(),
            at in any::<proptest::sample::Index>(),
            other in any::<u8>(),
        ) {
            let seal = Seal::new(&[7; 32]);
            let token = seal.close(1, Timestamp(made), &contents);
            prop_assert_eq!(seal.open(1, &token), Some(Opened { made: Timestamp(made), contents }));
            prop_assert_eq!(seal.open(2, &token), None);
            prop_assert_eq!(Seal::new(&[8; 32]).open(1, &token), None);
            let mut changed = STANDARD.decode(&token).expect("base64");
            let at = at.index(changed.len());
            prop_assume!(changed[at] != other);
            changed[at] = other;
            prop_assert_eq!(seal.open(1, &STANDARD.encode(changed)), None);
        }

        #[test]
        fn what_is_no_token_is_not_opened(text in ".{0,80}") {
            prop_assert_eq!(Seal::new(&[7; 32]).open(1, &text), None);
        }
    }
}
