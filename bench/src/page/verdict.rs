//! What a run has found, in one sentence: what a reader takes away who reads nothing else.

use crate::report::{PartReport, Report, grouped, rounded, significant, time};

impl Report {
    /// The sentence, about the part that stands for the whole.
    pub(super) fn verdict(&self, shown: &PartReport) -> String {
        if let Some(memory) = &self.memory {
            let kib = significant(memory.bytes_per_connection / 1_024.0);
            let connections = grouped(memory.connections);
            let share = shown.cpu.server.as_ref().map(|server| significant(server.cores * 100.0));
            let busy = share.map_or(String::new(), |share| format!(", and {share} % of a core"));
            return format!("{connections} connections take {kib} KiB of the server's memory each{busy}.");
        }
        if !self.quota.is_empty() {
            let off = |quota: &crate::report::QuotaReport| {
                format!("{:+.2} % from its quota {}", quota.error_percent, quota.direction)
            };
            let all: Vec<String> = self.quota.iter().map(off).collect();
            return format!("What was admitted is {}.", all.join(" and "));
        }
        if self.knee.as_ref().is_some_and(|knee| knee.part.is_none()) {
            return "Not even the first step of the ramp was kept up with.".to_owned();
        }
        let throughput = format!(
            "{} MB/s ({} records/s)",
            rounded(shown.answered.megabytes_per_second),
            rounded(shown.answered.records_per_second)
        );
        let what = match (&self.knee, shown.offered_per_second) {
            (Some(_), _) => format!("Kept up with {throughput}"),
            (None, Some(_)) => format!("At {throughput}"),
            (None, None) => format!("Carried {throughput} at the most"),
        };
        format!("{what}{}{}.", latencies(shown), self.cost(shown))
    }

    /// What it cost the server, and how near it is to what the machine can do.
    fn cost(&self, shown: &PartReport) -> String {
        let server = shown.cpu.server.as_ref();
        let cost = server.and_then(|server| server.seconds_per_gigabyte);
        let mut text = cost.map_or(String::new(), |cost| {
            format!("; {} processor seconds of the server a GB", significant(cost))
        });
        if let Some(ceiling) = self.ceilings.iter().max_by(|a, b| a.share_percent.total_cmp(&b.share_percent))
        {
            text +=
                &format!("; {:.0} % of what this machine can do ({})", ceiling.share_percent, ceiling.name);
        }
        text
    }
}

/// How long the requests took, which in a closed loop says little: there it grows with what is in flight.
fn latencies(shown: &PartReport) -> String {
    let Some(latency) = shown.main_latency().filter(|_| shown.offered_per_second.is_some()) else {
        return String::new();
    };
    format!(
        ": half of the requests ({}) took less than {}, 99 of 100 less than {}",
        latency.name,
        time(latency.p50),
        time(latency.p99)
    )
}

/// A rate or a ramp as it was asked for, for people.
pub(super) fn rate(asked: &str) -> String {
    let number = |text: &str| text.parse().map_or(text.to_owned(), grouped);
    let Some((from, rest)) = asked.split_once("..") else {
        return format!("open loop at {}/s", number(asked));
    };
    let (to, steps) = rest.split_once(':').unwrap_or((rest, ""));
    let steps = if steps.is_empty() { String::new() } else { format!(" in {steps} steps") };
    format!("open loop, {}/s to {}/s{steps}", number(from), number(to))
}

/// A moment in universal time, from seconds since 1970.
pub(super) fn moment(unix_seconds: u64) -> String {
    let (mut days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year}-{:02}-{:02} {hour:02}:{minute:02} UTC", month + 1, days + 1)
}
