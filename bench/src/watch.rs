//! Progress while a run goes on.

use std::time::Duration;

/// What can be seen of a run, about once a second.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// What the part of the run is called.
    pub part: &'a str,
    /// Nothing counts yet.
    pub is_warm_up: bool,
    /// Since the measured part began.
    pub elapsed: Duration,
    /// Its length, if that is known.
    pub of: Option<Duration>,
    /// Keys and data answered since the last look, in millions of bytes a second.
    pub megabytes_per_second: f64,
    /// Requests answered since the last look, each second.
    pub requests_per_second: f64,
    /// 99 of 100 requests of a recent interval were faster, in microseconds; 0 while that is not known.
    pub p99_us: f64,
}

/// Whoever wants to see it.
pub trait Watch {
    /// Something to see.
    fn see(&mut self, sighting: &Sighting<'_>);

    /// Something to know, such as what is done before anything is measured.
    fn note(&mut self, text: &str);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn see(&mut self, _sighting: &Sighting<'_>) {}

    fn note(&mut self, _text: &str) {}
}
