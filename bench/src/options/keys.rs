//! Which partition keys records have.

use std::fmt;
use std::str::FromStr;

/// Keys that a run may draw from; their weights are kept in a table.
const KEYS_MAX: u32 = 1_000_000;
/// How uneven a Zipf distribution is if nothing else is said: as in the Yahoo! Cloud Serving Benchmark.
const SKEW: f64 = 0.99;
/// More is one key and nothing else.
const SKEW_MAX: f64 = 10.0;

/// Partition keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keys {
    /// One key for each shard, so every batch has one key.
    PerShard,
    /// So many keys, equally often.
    Uniform(u32),
    /// So many keys, the `n`th as often as `1 / n^skew` says.
    Zipf {
        /// How many.
        keys: u32,
        /// How uneven.
        skew: f64,
    },
}

/// Why a text names no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no keys: expected shard, uniform:N or zipf:N[:SKEW], with N from 1 to {KEYS_MAX} and a skew above 0 and up to {SKEW_MAX}"
)]
pub struct ParseKeysError {
    text: String,
}

impl FromStr for Keys {
    type Err = ParseKeysError;

    fn from_str(text: &str) -> Result<Self, ParseKeysError> {
        let refusal = || ParseKeysError { text: text.to_owned() };
        let count =
            |text: &str| text.parse().ok().filter(|keys| (1..=KEYS_MAX).contains(keys)).ok_or_else(refusal);
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["shard"] => Ok(Self::PerShard),
            ["uniform", keys] => Ok(Self::Uniform(count(keys)?)),
            ["zipf", keys] => Ok(Self::Zipf { keys: count(keys)?, skew: SKEW }),
            ["zipf", keys, skew] => {
                let skew: f64 = skew.parse().map_err(|_| refusal())?;
                let is_sound = skew > 0.0 && skew <= SKEW_MAX;
                if is_sound { Ok(Self::Zipf { keys: count(keys)?, skew }) } else { Err(refusal()) }
            }
            _ => Err(refusal()),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerShard => write!(f, "shard"),
            Self::Uniform(keys) => write!(f, "uniform:{keys}"),
            Self::Zipf { keys, skew } => write!(f, "zipf:{keys}:{skew}"),
        }
    }
}
