//! Progress of a run on standard error: a line that renews itself where people watch, and nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use tidemill_bench::{Sighting, Watch};

use crate::output::is_watched;

/// The line.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = if is_watched() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("{spinner} {msg}").expect("the template is a constant that suits");
        bar.set_style(style);
        Self { bar }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn see(&mut self, sighting: &Sighting<'_>) {
        let of = sighting.of.map_or(String::new(), |of| format!(" of {} s", of.as_secs_f64()));
        let time = if sighting.is_warm_up {
            "warming up".to_owned()
        } else {
            format!("{:.0}{of}", sighting.elapsed.as_secs_f64())
        };
        let p99 =
            if sighting.p99_us > 0.0 { format!(", p99 {:.0} µs", sighting.p99_us) } else { String::new() };
        self.bar.set_message(format!(
            "{}: {time}: {:.0} MB/s, {:.0} requests/s{p99}",
            sighting.part, sighting.megabytes_per_second, sighting.requests_per_second
        ));
        self.bar.tick();
    }

    fn note(&mut self, text: &str) {
        self.bar.set_message(text.to_owned());
        self.bar.tick();
    }
}
