//! Latencies in full, as the HdrHistogram tools read them.
//!
//! `.hgrm` is the text that HdrHistogram's plotters take, a file for each distribution, in milliseconds. `.hlog` is the interval log of version 2, all
//! distributions in one file under a tag each, in nanoseconds.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::error::BenchError;
use crate::load::{Found, Series};
use crate::scenario::Outcome;

/// Lines of a `.hgrm` for each halving of what is above: what the other implementations write.
const TICKS_PER_HALF: u32 = 5;
const NS_PER_MS: f64 = 1e6;

/// Which file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Distribution,
    IntervalLog,
}

/// Checks before a run what [`Outcome::write_latencies`] would refuse after it.
///
/// # Errors
/// The name ends with neither `.hgrm` nor `.hlog`.
pub fn check_latency_file(path: &Path) -> Result<(), BenchError> {
    kind_of(path).map(|_| ())
}

impl Outcome {
    /// Writes the latencies to a file whose name ends with `.hgrm` or `.hlog`. Of several distributions, each goes to a `.hgrm` of its own, with its name
    /// behind the given one. Returns the files that were written.
    ///
    /// # Errors
    /// The name ends otherwise, or a file cannot be written.
    pub fn write_latencies(&self, path: &Path) -> Result<Vec<PathBuf>, BenchError> {
        let series: Vec<_> = self.found.iter().flat_map(named_series).collect();
        let files: Vec<PathBuf> = match kind_of(path)? {
            Kind::IntervalLog => vec![path.to_owned()],
            Kind::Distribution if series.len() == 1 => vec![path.to_owned()],
            Kind::Distribution => series.iter().map(|(name, _)| beside(path, name)).collect(),
        };
        for (number, file) in files.iter().enumerate() {
            let written = match kind_of(path)? {
                Kind::IntervalLog => File::create(file).and_then(|file| self.write_log(file)),
                Kind::Distribution => std::fs::write(file, distribution(&series[number].1.total)),
            };
            written.map_err(|source| BenchError::File { path: file.clone(), source })?;
        }
        Ok(files)
    }

    fn write_log(&self, file: File) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        let mut serializer = V2DeflateSerializer::new();
        let total: Duration = self.found.iter().map(|found| found.measured.elapsed).sum();
        let ended = SystemTime::UNIX_EPOCH + Duration::from_secs(self.report.unix_seconds);
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment(&format!(
                "[{}; latencies in nanoseconds, maxima in milliseconds]",
                self.report.generator
            ))
            .with_start_time(ended - total)
            .with_base_time(ended - total)
            .with_max_value_divisor(NS_PER_MS)
            .begin_log_with(&mut file, &mut serializer)?;
        let mut began = Duration::ZERO;
        for found in &self.found {
            for (name, series) in named_series(found) {
                let tag = Tag::new(&name).expect("names hold neither commas nor blanks");
                for (number, interval) in (0..).zip(&series.intervals) {
                    let Some(latency) = interval else { continue };
                    let start = began + found.interval * number;
                    log.write_histogram(latency, start, found.interval, Some(tag))
                        .map_err(|error| io::Error::other(format!("{error:?}")))?;
                }
            }
            began += found.measured.elapsed;
        }
        file.flush()
    }
}

/// The latencies of a part that were measured, by names that suit files and tags.
fn named_series(found: &Found) -> impl Iterator<Item = (String, &Series)> {
    let part: String = found.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    [("requests", &found.requests), ("end-to-end", &found.deliveries)]
        .into_iter()
        .filter(|(_, series)| !series.total.is_empty())
        .map(move |(kind, series)| (format!("{part}-{kind}"), series))
}

fn kind_of(path: &Path) -> Result<Kind, BenchError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("hgrm") => Ok(Kind::Distribution),
        Some("hlog") => Ok(Kind::IntervalLog),
        _ => Err(BenchError::LatencyFile { path: path.to_owned() }),
    }
}

/// `out-NAME.hgrm` for `out.hgrm`.
fn beside(path: &Path, name: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{name}.hgrm"))
}

/// The distribution as text, laid out as the other implementations of HdrHistogram do.
fn distribution(latency_ns: &Histogram<u64>) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    let line = |text: &mut String, value: u64, quantile: f64, count: u64| {
        let value = value as f64 / NS_PER_MS;
        // The slowest of all has nothing above it, and so no inverse.
        let inverse =
            if quantile < 1.0 { format!(" {:>14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        _ = writeln!(text, "{value:>12.3} {quantile:>14.12} {count:>10}{inverse}");
    };
    for step in latency_ns.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        line(&mut text, step.value_iterated_to(), step.quantile_iterated_to(), count);
    }
    let ms = |value: f64| value / NS_PER_MS;
    _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n#[Max     = {:>12.3}, Total count    = {:>12}]\n#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        ms(latency_ns.mean()),
        ms(latency_ns.stdev()),
        ms(latency_ns.max() as f64),
        latency_ns.len(),
        latency_ns.buckets(),
        latency_ns.distinct_values() / usize::from(latency_ns.buckets()).max(1),
    );
    text
}

#[cfg(test)]
mod tests;
