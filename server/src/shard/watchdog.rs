//! Looks from outside whether every core still beats.

use std::time::Duration;

use super::clock::Clock;
use super::heartbeat::Pulse;
use super::limits::WATCHDOG_PERIOD_MS;

/// Watches the pulses of all cores; whoever owns it calls [`look`](Self::look) every [`PERIOD`](Self::PERIOD).
#[derive(Debug)]
pub struct Watchdog {
    clock: Clock,
    stall: Duration,
    cores: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    pulse: Pulse,
    /// The beat after which the core was reported as stalled, so that each stall is reported once.
    reported: Option<Duration>,
}

impl Watchdog {
    /// How often to look.
    pub const PERIOD: Duration = Duration::from_millis(WATCHDOG_PERIOD_MS);

    /// A watchdog that barks when a core has not beaten for `stall` longer than an idle one may.
    #[must_use]
    pub fn new(clock: Clock, stall: Duration, pulses: impl IntoIterator<Item = Pulse>) -> Self {
        let cores = pulses.into_iter().map(|pulse| Watched { pulse, reported: None }).collect();
        Self { clock, stall, cores }
    }

    /// Looks at every core and logs stalls that have begun or ended since the last look.
    pub fn look(&mut self) {
        let now = self.clock.monotonic();
        for (core, watched) in self.cores.iter_mut().enumerate() {
            let last = watched.pulse.last();
            let away = now.saturating_sub(last).saturating_sub(Self::PERIOD);
            if let Some(before) = watched.reported.filter(|before| *before != last) {
                let away_ms = last.saturating_sub(before).as_millis();
                tracing::warn!(core, away_ms, "core is back after a stall");
                watched.reported = None;
            } else if away > self.stall && watched.reported.is_none() {
                tracing::warn!(core, away_ms = away.as_millis(), "core does not beat");
                watched.reported = Some(last);
            }
        }
    }
}
