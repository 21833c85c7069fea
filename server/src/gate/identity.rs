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

/// One access key and whom it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public part.
    pub id: String,
    /// Its secret part.
    pub secret: Secret,
    /// The token that has to come with it.
    pub session_token: Option<Secret>,
    /// The account that it belongs to.
    pub account: String,
    /// Whose it is, in logs.
    pub name: String,
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
            let key = AccessKey {
                id: credential.access_key_id,
                secret: Secret(credential.secret_access_key),
                session_token: credential.session_token.map(Secret),
                account: credential.account,
                name: credential.name,
            };
            (key.id.clone(), key)
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
