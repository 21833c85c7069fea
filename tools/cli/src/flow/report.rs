//! What a run has shown.

use std::time::Duration;

use serde::Serialize;

use super::look::Look;
use crate::quantity::{per_second, show_bytes, show_count, show_span};

/// How many bytes of files a lane may have for each live one, and how many segments besides.
const LIVE_FACTOR: f64 = 1.6;
const SEGMENTS: u64 = 4;

/// What disk use may come to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Bound {
    segment_bytes: u64,
    lanes: u64,
}

impl Bound {
    pub(super) fn new(segment_bytes: u64, lanes: u64) -> Self {
        Self { segment_bytes, lanes }
    }

    pub(super) fn allowed(&self, live_bytes: u64) -> u64 {
        (live_bytes as f64 * LIVE_FACTOR) as u64 + self.fixed_bytes()
    }

    fn fixed_bytes(&self) -> u64 {
        SEGMENTS * self.lanes * self.segment_bytes
    }

    /// (disk − 4 segments) / live.
    pub(super) fn factor(&self, look: &Look) -> f64 {
        look.disk_bytes.saturating_sub(self.fixed_bytes()) as f64 / look.live_bytes.max(1) as f64
    }
}

/// Everything that was looked at, added up.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Seen {
    pub(super) looks: u64,
    /// Looks at which there was more than allowed.
    pub(super) looks_over: u64,
    /// The look with the most of (disk − 4 segments) / live.
    pub(super) worst: Look,
    /// That.
    pub(super) worst_factor: f64,
    live_min: u64,
    live_max: u64,
    disk_max: u64,
    /// Of all processes before the present one.
    ended: Look,
    /// Of the present one.
    present: Look,
}

impl Seen {
    pub(super) fn add(&mut self, look: Look, bound: &Bound, is_steady: bool) {
        self.looks += 1;
        self.present = look;
        self.disk_max = self.disk_max.max(look.disk_bytes);
        self.looks_over += u64::from(look.disk_bytes > bound.allowed(look.live_bytes));
        let factor = bound.factor(&look);
        if factor > self.worst_factor {
            (self.worst, self.worst_factor) = (look, factor);
        }
        if is_steady {
            self.live_min =
                if self.live_min == 0 { look.live_bytes } else { self.live_min.min(look.live_bytes) };
            self.live_max = self.live_max.max(look.live_bytes);
        }
    }

    /// The process that was looked at is gone, and its counters begin again.
    pub(super) fn end_process(&mut self) {
        let Look { appended_bytes, rewritten_bytes, compactions, retired_segments, setbacks, .. } =
            self.present;
        self.ended.appended_bytes += appended_bytes;
        self.ended.rewritten_bytes += rewritten_bytes;
        self.ended.compactions += compactions;
        self.ended.retired_segments += retired_segments;
        self.ended.setbacks += setbacks;
        self.present = Look::default();
    }

    /// (appended + rewritten) / appended.
    pub(super) fn write_amplification(&self) -> f64 {
        let appended = self.ended.appended_bytes + self.present.appended_bytes;
        let rewritten = self.ended.rewritten_bytes + self.present.rewritten_bytes;
        (appended + rewritten) as f64 / appended.max(1) as f64
    }
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) elapsed_ms: u64,
    pub(super) flowed_bytes: u64,
    pub(super) flowed_records: u64,
    pub(super) unknown_records: u64,
    pub(super) kills: u32,
    pub(super) restart_ms_max: u64,
    pub(super) seen: Seen,
    pub(super) bound: Bound,
    pub(super) write_amplification: f64,
    pub(super) checked_records: u64,
    pub(super) checked_bytes: u64,
    pub(super) passes: u64,
    pub(super) retained_bytes: u64,
}

impl Report {
    pub(super) fn text(&self) -> String {
        let elapsed = Duration::from_millis(self.elapsed_ms);
        let seen = &self.seen;
        let mut text = format!(
            "flowed        {} in {} records, {} ({}/s); {} retained at the end\n",
            show_bytes(self.flowed_bytes),
            show_count(self.flowed_records),
            show_span(elapsed),
            show_bytes(per_second(self.flowed_bytes, elapsed)),
            show_bytes(self.retained_bytes),
        );
        text += &format!(
            "kill -9       {} times, {} ms at most until it listened again; {} records without an answer\n",
            self.kills,
            self.restart_ms_max,
            show_count(self.unknown_records),
        );
        text += &format!(
            "reads         {} records, {}, each checked; {} passes over everything retained\n",
            show_count(self.checked_records),
            show_bytes(self.checked_bytes),
            self.passes,
        );
        if seen.live_max > 0 {
            let (least, most) = (show_bytes(seen.live_min), show_bytes(seen.live_max));
            text += &format!("live          {least} to {most} after the first minute\n");
        }
        text += &format!(
            "disk          {} at most; (disk - 4 segments) / live {:.2} at most, with {} and {} live; {} of {} looks over 1.6\n",
            show_bytes(seen.disk_max),
            seen.worst_factor,
            show_bytes(seen.worst.disk_bytes),
            show_bytes(seen.worst.live_bytes),
            seen.looks_over,
            show_count(seen.looks),
        );
        text += &format!(
            "compaction    {} rewritten in {} rounds, {} setbacks; write amplification {:.2}\n",
            show_bytes(seen.ended.rewritten_bytes + seen.present.rewritten_bytes),
            show_count(seen.ended.compactions + seen.present.compactions),
            show_count(seen.ended.setbacks + seen.present.setbacks),
            self.write_amplification,
        );
        text
    }
}
