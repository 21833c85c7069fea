//! The report as a table for a terminal.

use std::fmt::{self, Display, Formatter};

use super::{CpuUse, FlowReport, LatencyReport, PartReport, Report};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let asked: Vec<String> = self
            .settings
            .iter()
            .filter(|(name, _)| *name != "server")
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        writeln!(f, "{:<11} {}", self.scenario.word(), asked.join(", "))?;
        let at = self.settings.get("server").map_or("", String::as_str);
        writeln!(f, "server      {} at {at}", self.server)?;
        for part in &self.parts {
            if self.parts.len() > 1 {
                writeln!(f, "\n{}", part.name)?;
            }
            write_part(f, part)?;
        }
        self.write_findings(f)
    }
}

impl Report {
    fn write_findings(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(knee) = &self.knee {
            let part = knee.part.as_deref().unwrap_or("below the first step");
            writeln!(f, "\nknee        {part}: {}", knee.rule)?;
        }
        for quota in &self.quota {
            writeln!(
                f,
                "quota       {:<3} {} B/s admitted, {} B/s allowed: {:+.2} %",
                quota.direction,
                grouped(quota.admitted_per_second.round() as u64),
                grouped(quota.allowed_per_second.round() as u64),
                quota.error_percent
            )?;
        }
        if let Some(memory) = &self.memory {
            writeln!(
                f,
                "memory      {} B for each of {} (server {} B before, {} B after)",
                grouped(memory.bytes_per_connection.max(0.0).round() as u64),
                counted(memory.connections, "connection"),
                grouped(memory.before_bytes),
                grouped(memory.after_bytes)
            )?;
        }
        for ceiling in &self.ceilings {
            writeln!(
                f,
                "ceiling     {:.0} % of {}: {} MB/s before, {} MB/s after",
                ceiling.share_percent,
                ceiling.name,
                rounded(ceiling.before),
                rounded(ceiling.after)
            )?;
        }
        Ok(())
    }
}

fn write_part(f: &mut Formatter<'_>, part: &PartReport) -> fmt::Result {
    let offered =
        part.offered_per_second.map_or(String::new(), |rate| format!(", {} offered", per_second(rate)));
    writeln!(f, "measured    {:.2} s: {}{offered}", part.seconds, amounts(&part.answered))?;
    writeln!(f, "throughput  {}", rates(&part.answered))?;
    if let Some(delivered) = &part.delivered {
        writeln!(f, "read        {}", rates(delivered))?;
    }
    for latency in &part.latency_us {
        writeln!(f, "latency     {}, from {}: {}", latency.name, latency.counted_from, percentiles(latency))?;
    }
    if part.unfinished > 0 {
        writeln!(f, "unfinished  {} had no answer at the end", counted(part.unfinished, "request"))?;
    }
    match (&part.cpu.server, &part.cpu.server_unknown) {
        (Some(server), _) => writeln!(f, "cpu         server {}", cpu(server))?,
        (None, reason) => {
            writeln!(f, "cpu         server not known: {}", reason.as_deref().unwrap_or("not asked"))?;
        }
    }
    writeln!(f, "            generator {}", cpu(&part.cpu.generator))?;
    if let Some(lateness) = &part.lateness_us {
        writeln!(f, "            generator late by p50 {}, p99 {}", time(lateness.p50), time(lateness.p99))?;
    }
    let throttled = &part.throttled;
    if throttled.answers > 0 {
        let answers = counted(throttled.answers, "answer");
        writeln!(f, "throttled   {answers}, {} ms of waiting in all", grouped(throttled.wait_ms))?;
    }
    Ok(())
}

fn amounts(flow: &FlowReport) -> String {
    format!(
        "{} bytes, {}, {}",
        grouped(flow.bytes),
        counted(flow.records, "record"),
        counted(flow.requests, "request")
    )
}

fn rates(flow: &FlowReport) -> String {
    format!(
        "{} MB/s, {} records/s, {}",
        rounded(flow.megabytes_per_second),
        rounded(flow.records_per_second),
        per_second(flow.requests_per_second)
    )
}

fn per_second(requests: f64) -> String {
    format!("{} requests/s", rounded(requests))
}

fn percentiles(latency: &LatencyReport) -> String {
    let named = [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p99.9", latency.p99_9),
        ("max", latency.max),
    ];
    named.map(|(name, value)| format!("{name} {}", time(value))).join(", ")
}

fn cpu(cpu: &CpuUse) -> String {
    let part = |value: Option<f64>, unit: &str| value.map(|value| format!("{} {unit}", significant(value)));
    let costs = [
        part(cpu.seconds_per_gigabyte, "s/GB"),
        part(cpu.seconds_per_million_requests, "s per million requests"),
        part(cpu.seconds_per_million_messages, "s per million messages"),
    ];
    let costs: Vec<String> = costs.into_iter().flatten().collect();
    let costs = if costs.is_empty() { "no data".to_owned() } else { costs.join(", ") };
    format!("{costs}, {:.2} cores ({:.2} s)", cpu.cores, cpu.seconds)
}

/// Three digits that matter.
pub(crate) fn significant(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

/// Microseconds as three digits in the unit that suits.
pub(crate) fn time(microseconds: f64) -> String {
    let (value, unit) = match microseconds {
        value if value < 1e3 => (value, "µs"),
        value if value < 1e6 => (value / 1e3, "ms"),
        value => (value / 1e6, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// Whole numbers once they are large, one place after the point while they are small.
pub(crate) fn rounded(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { grouped(value.round() as u64) }
}

fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
