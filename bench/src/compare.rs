//! Two reports side by side: which figures moved, and what was asked differently.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use serde::Serialize;

use crate::error::BenchError;
use crate::report::{PartReport, Report, significant};

/// Changes below this share are shown without a word: runs on one machine differ by as much.
const NOISE_PERCENT: f64 = 5.0;

/// Two runs of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Which scenario.
    pub scenario: String,
    /// Settings, versions and machine where they differ: name, first, second.
    pub circumstances: Vec<(String, String, String)>,
    /// The figures.
    pub figures: Vec<Difference>,
}

/// One figure of both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Of which part.
    pub part: String,
    /// What it is, with its unit.
    pub name: String,
    /// In the first report.
    pub a: f64,
    /// In the second.
    pub b: f64,
    /// By how much the second is more, in percent of the first.
    pub change_percent: f64,
    /// Whether that is for the better; absent where the runs are alike.
    pub is_better: Option<bool>,
}

/// Reads what `--json` has printed.
///
/// # Errors
/// The file cannot be read, or holds no report.
pub fn read_report(path: &Path) -> Result<Report, BenchError> {
    let text = std::fs::read(path).map_err(|source| BenchError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| BenchError::Report { path: path.to_owned(), source })
}

impl Comparison {
    /// Compares `b` with `a`, part by part.
    ///
    /// # Errors
    /// They are of different scenarios.
    pub fn new(a: &Report, b: &Report) -> Result<Self, BenchError> {
        if a.scenario != b.scenario {
            return Err(BenchError::Incomparable { a: a.scenario.word(), b: b.scenario.word() });
        }
        let figures = a.parts.iter().zip(&b.parts).flat_map(|(a, b)| differences(a, b)).collect();
        Ok(Self { scenario: a.scenario.word().to_owned(), circumstances: circumstances(a, b), figures })
    }
}

fn circumstances(a: &Report, b: &Report) -> Vec<(String, String, String)> {
    let all = |report: &Report| {
        let machine = &report.machine;
        let mut all = report.settings.clone();
        for (name, value) in [
            ("server version", report.server.clone()),
            ("generator version", report.generator.clone()),
            ("processor", machine.processor.clone()),
            ("cores", machine.cores.to_string()),
            ("generator cores", machine.generator_cores.to_string()),
            ("kernel", machine.kernel.clone()),
            ("parts", report.parts.len().to_string()),
        ] {
            all.insert(name.to_owned(), value);
        }
        all
    };
    let (a, b) = (all(a), all(b));
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let value = |settings: &std::collections::BTreeMap<String, String>, name| {
        settings.get(name).cloned().unwrap_or_else(|| "–".to_owned())
    };
    names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| (name.clone(), value(&a, name), value(&b, name)))
        .collect()
}

fn differences(a: &PartReport, b: &PartReport) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |name: &str, a_value: f64, b_value: f64, is_more_better: bool| {
        let change_percent = if a_value == 0.0 { 0.0 } else { (b_value / a_value - 1.0) * 100.0 };
        let is_notable = change_percent.abs() >= NOISE_PERCENT;
        found.push(Difference {
            part: a.name.clone(),
            name: name.to_owned(),
            a: a_value,
            b: b_value,
            change_percent,
            is_better: is_notable.then_some((change_percent > 0.0) == is_more_better),
        });
    };
    add("MB/s", a.answered.megabytes_per_second, b.answered.megabytes_per_second, true);
    add("records/s", a.answered.records_per_second, b.answered.records_per_second, true);
    add("requests/s", a.answered.requests_per_second, b.answered.requests_per_second, true);
    for (a, b) in a.latency_us.iter().zip(&b.latency_us) {
        for (name, a_value, b_value) in [
            ("p50", a.p50, b.p50),
            ("p90", a.p90, b.p90),
            ("p99", a.p99, b.p99),
            ("p99.9", a.p99_9, b.p99_9),
            ("max", a.max, b.max),
        ] {
            add(&format!("{} {name} µs", a.name), a_value, b_value, false);
        }
    }
    let costs = |part: &PartReport| part.cpu.server.as_ref().and_then(|cpu| cpu.seconds_per_gigabyte);
    if let (Some(a), Some(b)) = (costs(a), costs(b)) {
        add("server s/GB", a, b, false);
    }
    let requests =
        |part: &PartReport| part.cpu.server.as_ref().and_then(|cpu| cpu.seconds_per_million_requests);
    if let (Some(a), Some(b)) = (requests(a), requests(b)) {
        add("server s per million requests", a, b, false);
    }
    found
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, a, b) in &self.circumstances {
            writeln!(f, "differs: {name}: {a} | {b}")?;
        }
        let mut part = "";
        writeln!(f, "{:<32} {:>12} {:>12} {:>9}", self.scenario, "a", "b", "b to a")?;
        for figure in &self.figures {
            if self.figures.iter().any(|other| other.part != figure.part) && figure.part != part {
                part = &figure.part;
                writeln!(f, "{part}")?;
            }
            let word = match figure.is_better {
                Some(true) => "  better",
                Some(false) => "  worse",
                None => "",
            };
            writeln!(
                f,
                "{:<32} {:>12} {:>12} {:>+8.1} %{word}",
                figure.name,
                significant(figure.a),
                significant(figure.b),
                figure.change_percent
            )?;
        }
        write!(
            f,
            "Changes under {NOISE_PERCENT} % are within what runs on one machine differ by; compare medians of several."
        )
    }
}

#[cfg(test)]
mod tests;
