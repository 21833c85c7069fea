//! The rates of a stream as the command line gives them.

use std::str::FromStr;

use tidemill_client::Quota;

use crate::quantity::{parse_bytes, show_bytes, show_count};

/// Which rates to set; `Some(0)` turns one off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QuotaRule {
    write: Option<u64>,
    records: Option<u64>,
    read: Option<u64>,
    calls: Option<u64>,
}

impl FromStr for QuotaRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self { write: Some(0), records: Some(0), read: Some(0), calls: Some(0) });
        }
        let mut rule = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                format!("{part:?} is no rate: expected `off`, or write=SIZE, records=N, read=SIZE and calls=N with commas between")
            })?;
            let rate = match (name.trim(), value.trim()) {
                (_, "off") => 0,
                (name @ ("records" | "calls"), value) => {
                    value.parse().map_err(|_| format!("{value:?} is not a number of {name}"))?
                }
                (_, value) => parse_bytes(value)?,
            };
            match name.trim() {
                "write" => rule.write = Some(rate),
                "records" => rule.records = Some(rate),
                "read" => rule.read = Some(rate),
                "calls" => rule.calls = Some(rate),
                other => return Err(format!("{other:?} is no rate: expected write, records, read or calls")),
            }
        }
        Ok(rule)
    }
}

impl QuotaRule {
    /// Calls of GetRecords per second and shard, if it tells.
    pub(super) fn calls(self) -> Option<u64> {
        self.calls
    }

    /// The rates after the change.
    pub(super) fn over(self, present: Quota) -> Quota {
        Quota {
            write_bytes_per_second: self.write.unwrap_or(present.write_bytes_per_second),
            write_records_per_second: self.records.unwrap_or(present.write_records_per_second),
            read_bytes_per_second: self.read.unwrap_or(present.read_bytes_per_second),
        }
    }
}

/// Rates in words.
pub(super) fn show_quota(quota: &Quota) -> String {
    if *quota == Quota::OFF {
        return "off".to_owned();
    }
    let bytes = |rate: u64| if rate == 0 { "off".to_owned() } else { format!("{}/s", show_bytes(rate)) };
    let records = |rate: u64| format!("{} records/s", show_count(rate));
    let write = match (quota.write_bytes_per_second, quota.write_records_per_second) {
        (rate, 0) => bytes(rate),
        (0, rate) => records(rate),
        (rate, record_rate) => format!("{} and {}", bytes(rate), records(record_rate)),
    };
    format!("in {write}, out {}, each shard", bytes(quota.read_bytes_per_second))
}
