//! How much an open loop offers.

use std::fmt;
use std::str::FromStr;

use crate::error::BenchError;

/// Beyond this, arrivals are less than a tenth of a nanosecond apart.
const RATE_MAX: u64 = 10_000_000_000;
/// Steps of a ramp.
const STEPS_MAX: u32 = 100;
const STEPS: u32 = 10;

/// Arrivals each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// All the time.
    Fixed(u64),
    /// A run for each of so many rates, each the same factor above the one before.
    Ramp {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// How many.
        steps: u32,
    },
}

/// Why a text names no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a rate, like 5000, 10k or 1.5M, nor a ramp of rates, like 10k..500k or 10k..500k:20 for 20 steps"
)]
pub struct ParseRateError {
    text: String,
}

impl Rate {
    /// The rates in their order.
    pub(crate) fn steps(self) -> Vec<u64> {
        match self {
            Self::Fixed(rate) => vec![rate],
            Self::Ramp { from, to, steps } => {
                let last = f64::from(steps.max(2) - 1);
                let ratio = to as f64 / from.max(1) as f64;
                let step = |step: u32| (from as f64 * ratio.powf(f64::from(step) / last)).round() as u64;
                (0..steps.max(2)).map(step).collect()
            }
        }
    }

    pub(super) fn check(self) -> Result<(), BenchError> {
        let in_range = |option: &'static str, value: u64, min: u64, max: u64| {
            let refusal = BenchError::Option { option, value, min, max };
            if (min..=max).contains(&value) { Ok(()) } else { Err(refusal) }
        };
        match self {
            Self::Fixed(rate) => in_range("rate", rate, 1, RATE_MAX),
            Self::Ramp { from, to, steps } => {
                in_range("rate", from, 1, RATE_MAX)?;
                in_range("rate at the end of the ramp", to, from.saturating_add(1), RATE_MAX)?;
                in_range("steps of the ramp", steps.into(), 2, STEPS_MAX.into())
            }
        }
    }
}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let refusal = || ParseRateError { text: text.to_owned() };
        let Some((from, rest)) = text.split_once("..") else {
            return number(text).map(Self::Fixed).ok_or_else(refusal);
        };
        let (to, steps) = match rest.split_once(':') {
            None => (rest, STEPS),
            Some((to, steps)) => (to, steps.parse().map_err(|_| refusal())?),
        };
        let (from, to) = (number(from).ok_or_else(refusal)?, number(to).ok_or_else(refusal)?);
        Ok(Self::Ramp { from, to, steps })
    }
}

/// A number with a `k` or an `M` behind it, or without.
fn number(text: &str) -> Option<u64> {
    let (digits, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        _ => (text, 1.0),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = digits.parse::<f64>().ok().filter(|_| is_plain)? * factor;
    (value.fract() == 0.0 && value <= RATE_MAX as f64 * 10.0).then_some(value as u64)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(rate) => write!(f, "{rate}"),
            Self::Ramp { from, to, steps } => write!(f, "{from}..{to}:{steps}"),
        }
    }
}
