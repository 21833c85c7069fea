//! Rates on the command line.

use tidemill_client::Quota;

use super::quota::{QuotaRule, show_quota};

const KINESIS: Quota = Quota {
    write_bytes_per_second: 1_000_000,
    write_records_per_second: 1_000,
    read_bytes_per_second: 2_000_000,
};

#[test]
fn parts_that_are_left_out_stay() {
    let check = |text: &str, write, records, read| {
        let rule: QuotaRule = text.parse().expect("the rule is well formed");
        let expected = Quota {
            write_bytes_per_second: write,
            write_records_per_second: records,
            read_bytes_per_second: read,
        };
        assert_eq!(rule.over(KINESIS), expected, "{text}");
    };
    check("off", 0, 0, 0);
    check("write=5MB", 5_000_000, 1_000, 2_000_000);
    check("write=1MiB, records=off, read=0", 1 << 20, 0, 0);
}

#[test]
fn malformed_rates_are_refused() {
    for text in ["", "on", "write", "write=fast", "records=1MB", "in=1MB"] {
        assert!(text.parse::<QuotaRule>().is_err(), "{text}");
    }
}

#[test]
fn rates_are_shown_in_words() {
    assert_eq!(show_quota(&Quota::OFF), "off");
    assert_eq!(show_quota(&KINESIS), "in 1.00 MB/s and 1,000 records/s, out 2.00 MB/s, each shard");
    let check = |rule: &str, expected| {
        let rule: QuotaRule = rule.parse().expect("the rule is well formed");
        assert_eq!(show_quota(&rule.over(Quota::OFF)), expected);
    };
    check("write=5MB", "in 5.00 MB/s, out off, each shard");
    check("records=10", "in 10 records/s, out off, each shard");
    check("read=1MB", "in off, out 1.00 MB/s, each shard");
}
