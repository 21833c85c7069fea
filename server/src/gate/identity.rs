//! Who may come in: the access keys of clients, by their ids.
//!
//! Plain values that all cores share. Leaves out how a client proves that it has a key: its protocol does that.

use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::config::Credential;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Who calls, as an access key proves, or as the configuration says where none is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account: twelve digits.
    pub account: String,
    /// The access key's id.
    pub access_key: String,
    /// The name that the configuration gives to the key.
    pub name: String,
}

/// One access key and whom it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Who calls with it; its public part is in there.
    pub caller: Caller,
    /// Its secret part.
    pub secret: Secret,
    /// The token that has to come with it.
    pub session_token: Option<Secret>,
}

/// The access keys that there are. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct AccessKeys {
    by_id: Arc<HashMap<String, AccessKey, FixedState>>,
}

impl Secret {
    /// The text, for whoever computes with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

impl AccessKeys {
    /// These keys; the configuration has seen to it that no id is there twice.
    #[must_use]
    pub fn new(credentials: Vec<Credential>) -> Self {
        let keys = credentials.into_iter().map(|credential| {
            let caller = Caller {
                account: credential.account,
                access_key: credential.access_key_id,
                name: credential.name,
            };
            let secret = Secret(credential.secret_access_key);
            let session_token = credential.session_token.map(Secret);
            (caller.access_key.clone(), AccessKey { caller, secret, session_token })
        });
        Self { by_id: Arc::new(keys.collect()) }
    }

    /// The key with an id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&AccessKey> {
        self.by_id.get(id)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.len()
    }
}
