//! What moved, in which direction that is good, and what makes a comparison doubtful.

use super::{Comparison, read_report};
use crate::error::BenchError;
use crate::report::tests::report;
use crate::scenario::Scenario;

#[test]
fn more_throughput_and_less_latency_are_better() {
    let a = report(|_| {});
    let b = report(|report| {
        report.parts[0].answered.megabytes_per_second = 2_400.0;
        report.parts[0].latency_us[0].p99 *= 2.0;
        report.settings.insert("ack".to_owned(), "durable".to_owned());
    });
    let found = Comparison::new(&a, &b).unwrap();
    let figure = |name: &str| found.figures.iter().find(|figure| figure.name == name).unwrap();
    assert_eq!((figure("MB/s").change_percent.round(), figure("MB/s").is_better), (20.0, Some(true)));
    assert_eq!(
        (figure("append p99 µs").change_percent.round(), figure("append p99 µs").is_better),
        (100.0, Some(false))
    );
    assert_eq!(figure("server s/GB").is_better, None);
    assert_eq!(found.circumstances, [("ack".to_owned(), "written".to_owned(), "durable".to_owned())]);
    let text = found.to_string();
    assert!(
        text.contains("differs: ack: written | durable\n") && text.contains("+20.0 %  better\n"),
        "{text}"
    );
}

#[test]
fn different_scenarios_and_other_files_are_refused() {
    let other = report(|report| report.scenario = Scenario::Consume);
    let error = Comparison::new(&report(|_| {}), &other).unwrap_err();
    assert_eq!(error.to_string(), "a run of produce cannot be compared with one of consume");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, serde_json::to_vec(&report(|_| {})).unwrap()).unwrap();
    assert_eq!(read_report(&path).unwrap(), report(|_| {}));
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(read_report(&path), Err(BenchError::Report { .. })));
    assert!(matches!(read_report(&folder.path().join("none")), Err(BenchError::File { .. })));
}
