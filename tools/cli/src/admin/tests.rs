//! Answers and metrics as text.

use super::{by_label, parse, sum};

#[test]
fn answers_are_taken_apart() {
    let answer = parse("HTTP/1.1 405 Method Not Allowed\r\nallow: GET\r\n\r\nonly GET\n").expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (405, "only GET\n"));
    for text in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n"] {
        assert!(parse(text).is_none(), "{text:?}");
    }
}

#[test]
fn samples_of_a_family_are_summed_and_no_others() {
    let metrics = "# HELP live_bytes Bytes.\nlive_bytes{lane=\"0\"} 3\nlive_bytes{lane=\"1\"} 4\nlive_bytes_more 9\nstreams 2\n";
    assert_eq!(sum(metrics, "live_bytes"), 7);
    assert_eq!(sum(metrics, "streams"), 2);
    assert_eq!(sum(metrics, "absent"), 0);
}

#[test]
fn samples_are_found_by_their_labels() {
    let metrics = "x_total{lane=\"0\",reason=\"futile\"} 3\nx_total{lane=\"1\",reason=\"damaged\"} 4.5\nx_total_more{lane=\"2\"} 1\nx_total 7\n";
    let found = |label| by_label(metrics, "x_total", label).collect::<Vec<_>>();
    assert_eq!(found("lane"), [("0", 3.0), ("1", 4.5)]);
    assert_eq!(found("reason"), [("futile", 3.0), ("damaged", 4.5)]);
    assert_eq!(found("absent"), []);
}
