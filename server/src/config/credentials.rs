//! The access keys of clients: secrets, so they are no knobs, are never printed, and come from a file of their own or from two variables of the
//! environment.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The variables that give one key.
const VARIABLES: [&str; 2] = ["TIDEMILL_ACCESS_KEY_ID", "TIDEMILL_SECRET_ACCESS_KEY"];
/// What the key of the environment is called.
const ENVIRONMENT_NAME: &str = "environment";
/// Most access keys.
const KEYS_MAX: usize = 10_000;
const ID_CHARS_MAX: usize = 128;
const SECRET_CHARS_MAX: usize = 512;
const TOKEN_CHARS_MAX: usize = 4_096;
const NAME_CHARS_MAX: usize = 128;
const ACCOUNT_DIGITS: usize = 12;

/// One access key and whom it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its public part.
    pub access_key_id: String,
    /// Its secret part.
    pub secret_access_key: String,
    /// The token that has to come with it, if it is a temporary one.
    pub session_token: Option<String>,
    /// The account that it belongs to: twelve digits.
    pub account: String,
    /// Whose it is, in logs.
    pub name: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credential({} of {} in {})", self.access_key_id, self.name, self.account)
    }
}

/// Why the access keys cannot be used. Never tells a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read the credentials file {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error(
        "the credentials file {path} may be read by everybody on this machine (mode {mode:03o}): `chmod 600 {path}`",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is not what it should be.
    #[error("credentials file {path}{line}: {message}", path = path.display(), line = at_line(*line))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, if it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A key is not one.
    #[error("access key {id:?}: {reason}")]
    Invalid {
        /// The key's id.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One variable is set without the other.
    #[error("{set} is set and {missing} is not: both or neither")]
    Half {
        /// The one that is there.
        set: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
}

/// The file: `[[key]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    account: Option<String>,
    name: Option<String>,
}

/// Reads the keys of a file, if there is one, and of the environment, as `variable` gives it.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn load_credentials(
    file: Option<&Path>,
    account: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Credential>, CredentialsError> {
    let mut keys = match file {
        Some(path) => read(path, account)?,
        None => Vec::new(),
    };
    let [id, secret] = VARIABLES.map(|name| variable(name).filter(|value| !value.is_empty()));
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => keys.push(Credential {
            access_key_id,
            secret_access_key,
            session_token: None,
            account: account.to_owned(),
            name: ENVIRONMENT_NAME.to_owned(),
        }),
        (None, None) => {}
        (Some(_), None) => return Err(CredentialsError::Half { set: VARIABLES[0], missing: VARIABLES[1] }),
        (None, Some(_)) => return Err(CredentialsError::Half { set: VARIABLES[1], missing: VARIABLES[0] }),
    }
    check(&keys)?;
    Ok(keys)
}

fn read(path: &Path, account: &str) -> Result<Vec<Credential>, CredentialsError> {
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |source| CredentialsError::Unreadable { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        return Err(CredentialsError::Exposed { path: path.to_owned(), mode });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let file: File = toml::from_str(&text).map_err(|error| CredentialsError::Syntax {
        path: path.to_owned(),
        line: error
            .span()
            .map(|span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1),
        // Its Display quotes the line, which may hold a secret.
        message: error.message().to_owned(),
    })?;
    let keys = file.key.into_iter().map(|entry| Credential {
        name: entry.name.unwrap_or_else(|| entry.access_key_id.clone()),
        access_key_id: entry.access_key_id,
        secret_access_key: entry.secret_access_key,
        session_token: entry.session_token,
        account: entry.account.unwrap_or_else(|| account.to_owned()),
    });
    Ok(keys.collect())
}

fn check(keys: &[Credential]) -> Result<(), CredentialsError> {
    let mut seen = BTreeSet::new();
    for (index, key) in keys.iter().enumerate() {
        let reason = if !is_word(&key.access_key_id, ID_CHARS_MAX) {
            format!("an id has 1 to {ID_CHARS_MAX} letters, digits, '-' and '_'")
        } else if !is_printable(&key.secret_access_key, SECRET_CHARS_MAX) {
            format!("a secret has 1 to {SECRET_CHARS_MAX} printable characters of ASCII")
        } else if !key.session_token.as_ref().is_none_or(|token| is_printable(token, TOKEN_CHARS_MAX)) {
            format!("a session token has 1 to {TOKEN_CHARS_MAX} printable characters of ASCII")
        } else if !is_account(&key.account) {
            format!("account {:?} is not {ACCOUNT_DIGITS} digits", key.account)
        } else if key.name.is_empty() || key.name.chars().count() > NAME_CHARS_MAX {
            format!("a name has 1 to {NAME_CHARS_MAX} characters")
        } else if !seen.insert(&key.access_key_id) {
            "it is there twice".to_owned()
        } else if index >= KEYS_MAX {
            format!("there are {} keys, {KEYS_MAX} are the most", keys.len())
        } else {
            continue;
        };
        return Err(CredentialsError::Invalid { id: key.access_key_id.clone(), reason });
    }
    Ok(())
}

/// Whether a text is the number of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(text: &str, chars_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= chars_max && text.bytes().all(allowed)
}

fn is_printable(text: &str, chars_max: usize) -> bool {
    !text.is_empty() && text.len() <= chars_max && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

#[cfg(test)]
mod tests;
