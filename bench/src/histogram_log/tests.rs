//! Names, and the text that plotters take.

use std::path::Path;

use hdrhistogram::Histogram;

use super::{beside, check_latency_file, distribution};

#[test]
fn a_distribution_rises_to_all_of_its_values() {
    let mut latency = Histogram::new(3).unwrap();
    for value in 1..=1_000_u64 {
        latency.record(value * 1_000_000).unwrap();
    }
    let text = distribution(&latency);
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(2)
        .take_while(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
        .collect();
    assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]), "{text}");
    let last = rows.last().unwrap();
    assert_eq!((last[1], last[2], last.len()), (1.0, 1_000.0, 3), "{text}");
    let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
    assert!((499.0..502.0).contains(&median[0]) && (median[3] - 2.0).abs() < 0.01, "{text}");
    assert!(text.contains("Total count    =         1000]"), "{text}");
}

#[test]
fn files_are_told_apart_by_their_ends() {
    for good in ["a.hgrm", "/x/b.hlog"] {
        check_latency_file(Path::new(good)).unwrap();
    }
    for wrong in ["a", "a.txt", "a.hgrm.gz", ".hgrm"] {
        let error = check_latency_file(Path::new(wrong)).unwrap_err().to_string();
        assert!(error.contains(".hgrm") && error.contains(".hlog"), "{error}");
    }
    assert_eq!(
        beside(Path::new("/x/out.hgrm"), "produce-requests"),
        Path::new("/x/out-produce-requests.hgrm")
    );
}
