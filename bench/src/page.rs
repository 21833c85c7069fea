//! The report as one page that needs nothing else: no script, no font, no other file.
//!
//! One sentence comes first, then the figures, then what could make them wrong, then the plots, then what was asked and where it ran. Everything that is not ours (names, a processor's
//! model) is escaped.

mod axis;
mod plot;
mod style;
mod verdict;

use std::fmt::Write as _;

use self::axis::Axis;
use self::plot::{Line, Plot};
use crate::report::{LatencyReport, PartReport, Report, grouped, rounded, significant, time};
use crate::scenario::Scenario;

/// Where a percentile is drawn: how many requests there are for each one that was slower.
const PERCENTILE_MARKS: [(f64, &str); 7] = [
    (1.0, "0 %"),
    (2.0, "50 %"),
    (10.0, "90 %"),
    (100.0, "99 %"),
    (1e3, "99.9 %"),
    (1e4, "99.99 %"),
    (1e5, "99.999 %"),
];
/// A generator that is busier than this share of its cores may be what was measured.
const GENERATOR_SHARE_MAX: f64 = 0.9;
/// A generator that is late by more than this share of a median spoils it.
const LATENESS_SHARE_MAX: f64 = 0.25;

impl Report {
    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        let title = format!("tidemill bench {}", self.scenario.word());
        _ = write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
             initial-scale=1\">\n<title>{title}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
            style::SHEET
        );
        _ = writeln!(page, "<h1>{}</h1>\n<p class=\"sub\">{}</p>", escape(&title), escape(&self.subtitle()));
        let Some(shown) = self.shown() else {
            page.push_str("<p>Nothing was measured.</p>\n</main>\n</body>\n</html>\n");
            return page;
        };
        _ = writeln!(page, "<p class=\"verdict\">{}</p>", escape(&self.verdict(shown)));
        self.tiles(&mut page, shown);
        self.warnings(&mut page);
        self.plots(&mut page, shown);
        self.parts_table(&mut page);
        self.origin(&mut page);
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }

    /// The part that stands for the whole: the knee of a ramp, else the last.
    fn shown(&self) -> Option<&PartReport> {
        let knee = self.knee.as_ref().and_then(|knee| knee.part.as_ref());
        let at_knee = self.parts.iter().find(|part| Some(&part.name) == knee);
        at_knee.or(if self.knee.is_some() { self.parts.first() } else { self.parts.last() })
    }

    /// What was done, in one line.
    fn subtitle(&self) -> String {
        let setting = |name: &str| self.settings.get(name).map_or("", String::as_str);
        let mut words = Vec::new();
        if self.scenario.appends() {
            let (records, bytes) = (setting("batch-records"), setting("record-bytes"));
            words.push(format!("batches of {records} × {bytes} B, {}", setting("ack")));
        }
        if self.scenario.fetches() && !self.scenario.appends() {
            words.push(format!("reads of {} B", setting("fetch-bytes")));
        }
        let slots = setting("in-flight");
        let slots = if slots.is_empty() { String::new() } else { format!(" × {slots} in flight") };
        let connections = setting("connections");
        let noun = if connections == "1" { "connection" } else { "connections" };
        words.push(format!("{connections} {noun}{slots}"));
        let rate = setting("rate");
        words.push(if rate.is_empty() { "closed loop".to_owned() } else { verdict::rate(rate) });
        words.push(self.server.clone());
        words.join(" · ")
    }

    fn tiles(&self, page: &mut String, shown: &PartReport) {
        let mut tiles: Vec<(String, String, String)> = Vec::new();
        let mut tile = |value: String, unit: &str, what: String| tiles.push((value, unit.to_owned(), what));
        if let Some(memory) = &self.memory {
            let kib = memory.bytes_per_connection / 1_024.0;
            tile(significant(kib), "KiB", format!("for each of {} connections", grouped(memory.connections)));
        }
        for quota in &self.quota {
            let what = format!(
                "{}: {} of {} B/s",
                quota.direction,
                rounded(quota.admitted_per_second),
                rounded(quota.allowed_per_second)
            );
            tile(format!("{:+.2}", quota.error_percent), "%", what);
        }
        if let Some(knee) = &self.knee {
            let value =
                knee.part.as_ref().map_or("none".to_owned(), |_| rounded(shown.answered.records_per_second));
            tile(value, "records/s", "knee: the last step that was kept up with".to_owned());
        }
        if shown.answered.bytes > 0 {
            let records = format!("{} records/s", rounded(shown.answered.records_per_second));
            tile(rounded(shown.answered.megabytes_per_second), "MB/s", records);
        }
        if let Some(latency) = shown.main_latency().filter(|_| self.scenario != Scenario::Quota) {
            for (name, value) in [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p99_9)] {
                let shown = time(value);
                let (value, unit) = shown.split_once(' ').unwrap_or((&shown, ""));
                tile(value.to_owned(), unit, format!("{name} {}", latency.name));
            }
        }
        match (&shown.cpu.server, shown.answered.bytes) {
            (Some(server), 0) => {
                tile(significant(server.cores * 100.0), "%", "of a core busy in the server".to_owned());
            }
            (Some(server), _) => {
                let cost = server.seconds_per_gigabyte.map_or("–".to_owned(), significant);
                tile(cost, "s/GB", format!("server, {} cores busy", significant(server.cores)));
            }
            (None, _) => {}
        }
        for ceiling in &self.ceilings {
            tile(
                format!("{:.0}", ceiling.share_percent),
                "%",
                format!("of what this machine can do: {}", ceiling.name),
            );
        }
        page.push_str("<section class=\"tiles\">\n");
        for (value, unit, what) in tiles {
            _ = writeln!(
                page,
                "<div class=\"tile\"><b>{}<small>{}</small></b><span>{}</span></div>",
                escape(&value),
                escape(&unit),
                escape(&what)
            );
        }
        page.push_str("</section>\n");
    }

    /// What makes the figures say less than they seem to.
    fn warnings(&self, page: &mut String) {
        let mut warnings = Vec::new();
        if self.generator.contains("debug") {
            warnings.push("This is a debug build: the figures say little.".to_owned());
        }
        // Server and generator themselves keep a core each busy, and averages lag behind.
        if self.machine.load_average > self.machine.cores as f64 + 1.0 {
            let load = significant(self.machine.load_average);
            warnings.push(format!("Other work was running on the machine: its load average was {load}."));
        }
        for part in &self.parts {
            let cores = self.machine.generator_cores.max(1) as f64;
            if part.cpu.generator.cores > cores * GENERATOR_SHARE_MAX {
                warnings.push(format!(
                    "{}: the generator was busy on all its cores and may be what was measured.",
                    part.name
                ));
            }
            if part.unfinished > 0 {
                warnings.push(format!(
                    "{}: {} requests had no answer at the end; their latencies are longer than is counted.",
                    part.name,
                    grouped(part.unfinished)
                ));
            }
            if let (Some(lateness), Some(latency)) = (&part.lateness_us, part.main_latency())
                && lateness.p50 > latency.p50 * LATENESS_SHARE_MAX
            {
                let late = time(lateness.p50);
                warnings.push(format!(
                    "{}: the generator was late by {late} in the median, which is part of every latency.",
                    part.name
                ));
            }
            if let Some(reason) = &part.cpu.server_unknown {
                warnings.push(format!("{}: the server's processor time is not known: {reason}.", part.name));
            }
        }
        if warnings.is_empty() {
            return;
        }
        page.push_str("<ul class=\"warnings\">\n");
        for warning in warnings {
            _ = writeln!(page, "<li>{}</li>", escape(&warning));
        }
        page.push_str("</ul>\n");
    }

    fn plots(&self, page: &mut String, shown: &PartReport) {
        page.push_str("<section class=\"plots\">\n");
        if self.knee.is_some() && self.parts.len() > 1 {
            page.push_str(&self.ramp_plot());
        }
        let of = if self.parts.len() > 1 { format!(", {}", shown.name) } else { String::new() };
        if !shown.latency_us.is_empty() {
            page.push_str(&percentile_plot(&shown.latency_us, &of));
        }
        let parts: Vec<&PartReport> =
            if self.knee.is_some() { vec![shown] } else { self.parts.iter().collect() };
        if parts.iter().any(|part| part.answered.bytes > 0) {
            page.push_str(&throughput_plot(&parts, if self.knee.is_some() { &of } else { "" }));
        }
        if shown.timeline.p50_us.iter().flatten().count() > 1 {
            page.push_str(&latency_plot(shown, &of));
        }
        page.push_str("</section>\n");
    }

    /// Latency against what was offered.
    fn ramp_plot(&self) -> String {
        let points = |value: fn(&LatencyReport) -> f64| -> Vec<(f64, f64)> {
            let point = |part: &PartReport| {
                let offered = part.offered_per_second? * part.answered.records as f64
                    / part.answered.requests.max(1) as f64;
                Some((offered, value(part.main_latency()?)))
            };
            self.parts.iter().filter_map(point).collect()
        };
        let p99 = points(|latency| latency.p99);
        let lines = [
            Line::new("p50", 0, points(|latency| latency.p50)).marked(),
            Line::new("p99", 1, p99.clone()).marked(),
            Line::new("p99.9", 2, points(|latency| latency.p99_9)).marked(),
        ];
        let knee = self.knee.as_ref().and_then(|knee| knee.part.as_ref());
        let at = self.parts.iter().position(|part| Some(&part.name) == knee).and_then(|at| p99.get(at));
        let (x, y) = axes(&lines, Axis::rate, Axis::latency);
        let plot = Plot::new("Latency as more is offered", "records offered each second", "latency", x, y);
        plot.marked_at(at.map(|(x, _)| *x), "knee").draw(&lines)
    }

    fn parts_table(&self, page: &mut String) {
        page.push_str(
            "<h2>Figures</h2>\n<div class=\"wide\"><table>\n<tr><th>part</th><th>MB/s</th><th>records/s</th><th>requests/s</th><th>latency of</th><th>p50</th>\
             <th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th>server s/GB</th><th>generator s/GB</th></tr>\n",
        );
        for part in &self.parts {
            let cost = |cpu: Option<f64>| cpu.map_or("–".to_owned(), significant);
            let none = LatencyReport::default();
            let latencies =
                if part.latency_us.is_empty() { vec![&none] } else { part.latency_us.iter().collect() };
            for latency in latencies {
                let at = |value: f64| if latency.samples > 0 { time(value) } else { "–".to_owned() };
                let cells = [
                    escape(&part.name),
                    rounded(part.answered.megabytes_per_second),
                    rounded(part.answered.records_per_second),
                    rounded(part.answered.requests_per_second),
                    escape(&latency.name),
                    at(latency.p50),
                    at(latency.p90),
                    at(latency.p99),
                    at(latency.p99_9),
                    at(latency.max),
                    cost(part.cpu.server.as_ref().and_then(|cpu| cpu.seconds_per_gigabyte)),
                    cost(part.cpu.generator.seconds_per_gigabyte),
                ];
                _ = writeln!(page, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
            }
        }
        page.push_str("</table></div>\n");
        if let Some(knee) = &self.knee {
            _ = writeln!(page, "<p class=\"note\">The knee is {}.</p>", escape(&knee.rule));
        }
    }

    /// What was asked, and where it ran.
    fn origin(&self, page: &mut String) {
        let machine = &self.machine;
        let gibibytes = machine.memory_bytes as f64 / f64::from(1 << 30);
        let mut rows: Vec<(&str, String)> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        page.push_str("<div class=\"columns\">\n");
        table(page, "Settings", &rows);
        rows = vec![
            ("processor", machine.processor.clone()),
            ("cores", format!("{}, {} for the generator", machine.cores, machine.generator_cores)),
            ("memory", format!("{gibibytes:.0} GiB")),
            ("kernel", machine.kernel.clone()),
            ("load average", significant(machine.load_average)),
            ("server", self.server.clone()),
            ("generator", self.generator.clone()),
            ("protocol", self.protocol.clone()),
            ("ended", verdict::moment(self.unix_seconds)),
        ];
        table(page, "Machine and versions", &rows);
        page.push_str("</div>\n<p class=\"note\">Throughput counts keys and data of answered batches. ");
        page.push_str(
            "Latency of an open loop counts from the time at which a request was meant to leave, so that what a stall kept waiting is in it. \
             s/GB are processor seconds for each 10⁹ bytes.</p>\n",
        );
    }
}

fn table(page: &mut String, title: &str, rows: &[(&str, String)]) {
    _ = writeln!(page, "<div><h2>{title}</h2><table class=\"pairs\">");
    for (name, value) in rows {
        _ = writeln!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    }
    page.push_str("</table></div>\n");
}

fn percentile_plot(latencies: &[LatencyReport], of: &str) -> String {
    let curve = |latency: &LatencyReport| -> Vec<(f64, f64)> {
        let samples = latency.samples.max(1) as f64;
        // The slowest of all is drawn where it was seen: one in as many as there were.
        latency.curve.iter().map(|(quantile, us)| ((1.0 / (1.0 - quantile)).min(samples), *us)).collect()
    };
    let line = |(color, latency): (usize, &LatencyReport)| Line::new(&latency.name, color, curve(latency));
    let lines: Vec<Line> = (0..).zip(latencies).map(line).collect();
    let (_, y) = axes(&lines, Axis::rate, Axis::latency);
    let most = lines.iter().flat_map(|line| &line.points).fold(10.0_f64, |most, (x, _)| most.max(*x));
    let x = Axis::marked(most, &PERCENTILE_MARKS);
    let title = format!("Latency by percentile{}", escape(of));
    Plot::new(&title, "share of requests that were faster", "latency", x, y).draw(&lines)
}

fn throughput_plot(parts: &[&PartReport], of: &str) -> String {
    let line = |(color, part): (usize, &&PartReport)| {
        let step = part.timeline.step_seconds;
        let points = (0..).zip(&part.timeline.megabytes_per_second);
        let points = points.map(|(index, value)| ((f64::from(index) + 0.5) * step, *value)).collect();
        Line::new(&part.name, color, points)
    };
    let lines: Vec<Line> = (0..).zip(parts).map(line).collect();
    let (x, y) = axes(&lines, Axis::linear, Axis::linear);
    let title = format!("Throughput over time{}", escape(of));
    Plot::new(&title, "seconds", "MB/s", x, y).draw(&lines)
}

fn latency_plot(part: &PartReport, of: &str) -> String {
    let timeline = &part.timeline;
    let points = |values: &[Option<f64>]| -> Vec<(f64, f64)> {
        let at = |index: usize| (index as f64 + 0.5) * timeline.step_seconds;
        values.iter().enumerate().filter_map(|(index, value)| Some((at(index), (*value)?))).collect()
    };
    let lines = [
        Line::new("p50", 0, points(&timeline.p50_us)),
        Line::new("p99", 1, points(&timeline.p99_us)),
        Line::new("max", 2, points(&timeline.max_us)),
    ];
    let (x, y) = axes(&lines, Axis::linear, Axis::latency);
    let title = format!("Latency over time{}", escape(of));
    Plot::new(&title, "seconds", "latency", x, y).draw(&lines)
}

/// Axes that hold all points.
fn axes(lines: &[Line], x: fn(f64, f64) -> Axis, y: fn(f64, f64) -> Axis) -> (Axis, Axis) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(value), most.max(value))
        })
    };
    let (left, right) = range(&mut points().map(|(x, _)| *x));
    let (low, high) = range(&mut points().map(|(_, y)| *y));
    (x(left, right), y(low, high))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
