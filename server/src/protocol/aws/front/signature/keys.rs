//! Signing keys: an access key's secret, taken to a day, a region and a service.
//!
//! Making one costs eight hashes, so those in use are remembered, ready to sign.

use std::cell::RefCell;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::TERMINATOR;
use super::claim::Scope;
use crate::gate::identity::AccessKey;

/// Keys that are remembered. A day, the region and the service have been checked when one is made, so this is room for as many access keys.
const REMEMBERED_MAX: usize = 4_096;

/// A MAC with its key.
pub(super) type Signer = Hmac<Sha256>;

/// The signing keys that were used last.
#[derive(Default)]
pub(super) struct SigningKeys {
    known: RefCell<HashMap<String, Remembered, FixedState>>,
}

/// Of one access key, the last signing key.
struct Remembered {
    scope: [String; 3],
    signer: Signer,
}

impl SigningKeys {
    /// The signer of an access key for a scope.
    pub(super) fn of(&self, key: &AccessKey, scope: &Scope<'_>) -> Signer {
        let parts = [scope.date, scope.region, scope.service];
        let id = &key.caller.access_key;
        if let Some(known) = self.known.borrow().get(id)
            && known.scope == parts
        {
            return known.signer.clone();
        }
        let signer = derive(key.secret.reveal(), parts);
        let mut known = self.known.borrow_mut();
        if known.len() >= REMEMBERED_MAX && !known.contains_key(id) {
            known.clear();
        }
        let remembered = Remembered { scope: parts.map(str::to_owned), signer: signer.clone() };
        known.insert(id.clone(), remembered);
        signer
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known.borrow().len()
    }
}

/// Takes a secret to a scope.
fn derive(secret: &str, parts: [&str; 3]) -> Signer {
    let mut signer = keyed(format!("AWS4{secret}").as_bytes());
    for part in parts.into_iter().chain([TERMINATOR]) {
        signer.update(part.as_bytes());
        signer = keyed(&signer.finalize().into_bytes());
    }
    signer
}

fn keyed(key: &[u8]) -> Signer {
    Signer::new_from_slice(key).expect("a key may have any length")
}
