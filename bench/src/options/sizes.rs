//! How long records are.

use std::fmt;
use std::str::FromStr;

/// Bytes of a record's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All the same.
    Fixed(u32),
    /// Any from the first to the second, both included, equally often.
    Uniform(u32, u32),
}

/// Why a text names no sizes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size in bytes, like 1000, nor a range of them, like 100..1000")]
pub struct ParseSizesError {
    text: String,
}

impl Sizes {
    /// The least and the most.
    pub(crate) fn range(self) -> (u32, u32) {
        match self {
            Self::Fixed(bytes) => (bytes, bytes),
            Self::Uniform(least, most) => (least, most),
        }
    }

    /// Whether all are the same.
    pub(crate) fn is_fixed(self) -> bool {
        let (least, most) = self.range();
        least == most
    }

    /// The size for a random number.
    pub(crate) fn draw(self, random: u64) -> usize {
        let (least, most) = self.range();
        (u64::from(least) + random % (u64::from(most) - u64::from(least) + 1)) as usize
    }
}

impl FromStr for Sizes {
    type Err = ParseSizesError;

    fn from_str(text: &str) -> Result<Self, ParseSizesError> {
        let refusal = || ParseSizesError { text: text.to_owned() };
        let number = |text: &str| text.parse().map_err(|_| refusal());
        match text.split_once("..") {
            None => Ok(Self::Fixed(number(text)?)),
            Some((least, most)) => {
                let (least, most) = (number(least)?, number(most)?);
                if least > most { Err(refusal()) } else { Ok(Self::Uniform(least, most)) }
            }
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => write!(f, "{bytes}"),
            Self::Uniform(least, most) => write!(f, "{least}..{most}"),
        }
    }
}
