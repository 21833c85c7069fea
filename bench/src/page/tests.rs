//! The page stands by itself, is well formed, and holds the figures.

use super::verdict::{moment, rate};
use crate::report::tests::report;
use crate::report::{Knee, QuotaReport};

/// Checks that every element that is opened is closed, in order.
fn check_form(page: &str) {
    const EMPTY: [&str; 4] = ["meta", "line", "polyline", "circle"];
    let mut open = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let (before, rest) = body.split_once("<style>").expect("a style sheet");
    let (_, after) = rest.split_once("</style>").expect("its end");
    for tag in [before, after].iter().flat_map(|text| text.split('<').skip(1)) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("{tag:?} does not end"));
        assert!(!text.contains('>'), "{text:?} is not escaped");
        let name = tag.split([' ', '\n']).next().unwrap_or_default().trim_end_matches('/');
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{tag}"),
            None if tag.ends_with('/') || EMPTY.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf,"), "every point has a place");
}

#[test]
fn the_page_is_well_formed_and_holds_the_figures() {
    let page = report(|_| {}).page();
    check_form(&page);
    for figure in [
        "<p class=\"verdict\">Carried 2,000 MB/s (2,000,000 records/s) at the most; 0.450 processor seconds of the server a GB.</p>",
        "<b>2,000<small>MB/s</small></b>",
        "<b>5.00<small>ms</small></b><span>p50 append</span>",
        "<b>9.90<small>ms</small></b><span>p99 append</span>",
        "<b>0.450<small>s/GB</small></b>",
        "Latency by percentile",
        "Throughput over time",
        "Latency over time",
        "A &amp; B &lt;CPU&gt;",
        "<th>ack</th><td>written</td>",
    ] {
        assert!(page.contains(figure), "{figure} is not in {page}");
    }
    assert!(!page.contains("class=\"warnings\""), "nothing to warn of");
}

#[test]
fn what_makes_figures_doubtful_is_said() {
    let page = report(|report| {
        report.parts[0].unfinished = 1_234;
        report.parts[0].cpu.server = None;
        report.parts[0].cpu.server_unknown = Some("far away".to_owned());
        report.generator = "tidemill-bench 0 (debug build)".to_owned();
    })
    .page();
    check_form(&page);
    for warning in ["1,234 requests had no answer", "not known: far away", "debug build: the figures"] {
        assert!(page.contains(warning), "{warning}");
    }
}

#[test]
fn ramps_quotas_and_empty_runs_have_pages_too() {
    let ramp = report(|report| {
        let first = report.parts[0].clone();
        for (number, rate) in [(1, 1_000.0), (2, 4_000.0), (3, 16_000.0)] {
            let mut part = first.clone();
            (part.name, part.offered_per_second) = (format!("step {number}"), Some(rate));
            report.parts.push(part);
        }
        report.parts.remove(0);
        report.knee = Some(Knee { part: Some("step 2".to_owned()), rule: "a rule".to_owned() });
    })
    .page();
    check_form(&ramp);
    assert!(ramp.contains("Latency as more is offered") && ramp.contains(">knee<"), "{ramp}");
    let quota = report(|report| {
        let (direction, admitted_per_second) = ("in".to_owned(), 1_001_000.0);
        report.quota =
            vec![QuotaReport { direction, admitted_per_second, allowed_per_second: 1e6, error_percent: 0.1 }];
    })
    .page();
    check_form(&quota);
    assert!(quota.contains("<b>+0.10<small>%</small></b>"), "{quota}");
    check_form(&report(|report| report.parts.clear()).page());
    check_form(
        &report(|report| {
            let part = &mut report.parts[0];
            part.latency_us.clear();
            part.timeline = Default::default();
            part.answered = Default::default();
        })
        .page(),
    );
}

#[test]
fn rates_and_moments_are_for_people() {
    assert_eq!(rate("50000"), "open loop at 50,000/s");
    assert_eq!(rate("2000..500000:6"), "open loop, 2,000/s to 500,000/s in 6 steps");
    assert_eq!(moment(0), "1970-01-01 00:00 UTC");
    // 29 February of a year that a hundred divides and that is a leap year all the same.
    assert_eq!(moment(951_868_799), "2000-02-29 23:59 UTC");
    assert_eq!(moment(1_795_647_107), "2026-11-25 22:51 UTC");
}
