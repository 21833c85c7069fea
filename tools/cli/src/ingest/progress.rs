//! The progress of an ingest on a terminal; the home of the progress bar's looks.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Counts;
use crate::latency::Latencies;
use crate::quantity::{show_bytes, show_count, show_rate};

const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Draws until it is dropped; draws nothing where nobody watches.
pub(crate) async fn show_progress(counts: Arc<Counts>, latencies: Option<Arc<Latencies>>) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = |template: &str| ProgressStyle::with_template(template).expect("the template is well formed");
    bar.set_style(match counts.progress() {
        Some(_) => style("{bar:10} {percent:>3}%  {eta} left  {wide_msg}"),
        None => style("{spinner} {wide_msg}"),
    });
    let mut before = (0, 0, Duration::ZERO);
    let _clear = Clear(bar.clone());
    loop {
        if let Some((read, whole)) = counts.progress() {
            // Of nothing, everything is done, so the bar waits for the first file.
            bar.set_length(whole.max(1));
            bar.set_position(read);
        }
        let (lines, bytes) = counts.done();
        let now = counts.elapsed();
        let span = now.saturating_sub(before.2);
        let rate = show_rate(bytes.saturating_sub(before.1), span);
        let line_rate = crate::quantity::per_second(lines.saturating_sub(before.0), span);
        let latency = latencies.as_ref().and_then(|latencies| latencies.percentiles());
        bar.set_message(format!(
            "{} records, {}  {rate}, {} records/s{}",
            show_count(lines),
            show_bytes(bytes),
            show_count(line_rate),
            latency.map_or_else(String::new, |percentiles| format!("  append {}", percentiles.text()))
        ));
        bar.tick();
        before = (lines, bytes, now);
        tokio::time::sleep(REDRAW_INTERVAL).await;
    }
}

/// Leaves the terminal as it was, whichever way the drawing ends.
struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
