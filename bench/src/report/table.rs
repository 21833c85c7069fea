//! The report as a small table for a terminal.

use std::fmt::{self, Display, Formatter};

use super::{Command, CpuUse, Report};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let load = format!(
            "{} × {} in flight",
            counted(settings.connections.into(), "connection"),
            grouped(settings.in_flight.into())
        );
        match self.command {
            Command::Produce => writeln!(
                f,
                "produce     {load}, {} × {} B per append, {}",
                grouped(settings.batch_records.into()),
                grouped(settings.record_bytes.into()),
                settings.ack
            )?,
            Command::Consume => {
                writeln!(f, "consume     {load}, fetches of {} B", grouped(settings.fetch_bytes.into()))?;
            }
        }
        let shards = counted(settings.shards.into(), "shard");
        writeln!(
            f,
            "server      {} at {}, stream {} of {shards}",
            self.server, settings.server, settings.stream
        )?;
        writeln!(
            f,
            "measured    {:.2} s after {:.2} s of warm-up: {} bytes, {} records, {} requests",
            self.seconds,
            settings.warm_up_seconds,
            grouped(self.bytes),
            grouped(self.records),
            grouped(self.requests)
        )?;
        writeln!(
            f,
            "throughput  {} MB/s, {} records/s, {} requests/s",
            rounded(self.megabytes_per_second),
            rounded(self.records_per_second),
            rounded(self.requests_per_second)
        )?;
        let latency = &self.latency_us;
        let percentiles =
            [("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99), ("p99.9", latency.p99_9)];
        write!(f, "latency     ")?;
        for (name, value) in percentiles {
            write!(f, "{name} {}, ", time(value))?;
        }
        writeln!(f, "max {}", time(latency.max))?;
        match (&self.cpu.server, &self.cpu.server_unknown) {
            (Some(server), _) => writeln!(f, "cpu         server {}", cpu(server))?,
            (None, reason) => {
                writeln!(f, "cpu         server not known: {}", reason.as_deref().unwrap_or("not asked"))?;
            }
        }
        writeln!(f, "            generator {}", cpu(&self.cpu.generator))?;
        let throttled = &self.throttled;
        let answers = counted(throttled.answers, "answer");
        write!(f, "throttled   {answers}, {} ms of waiting in all", grouped(throttled.wait_ms))
    }
}

fn cpu(cpu: &CpuUse) -> String {
    let per_gigabyte =
        cpu.seconds_per_gigabyte.map_or("no data".to_owned(), |seconds| format!("{seconds:.3} s/GB"));
    format!("{per_gigabyte}, {:.2} cores ({:.2} s)", cpu.cores, cpu.seconds)
}

/// Three digits in the unit that suits.
fn time(microseconds: u64) -> String {
    let value = microseconds as f64;
    let (value, unit) = match microseconds {
        0..1_000 => return format!("{microseconds} µs"),
        1_000..1_000_000 => (value / 1e3, "ms"),
        _ => (value / 1e6, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// Whole numbers once they are large, one place after the point while they are small.
fn rounded(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { grouped(value.round() as u64) }
}

fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
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
