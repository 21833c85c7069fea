//! Cuts what was fetched to what the shard's read quota allows now, and charges it.
//!
//! Invariant: what is charged is what is delivered, once, and between the look at the bucket and the charge nothing else
//! runs (`tests::a_fetch_is_cut_to_the_quota_and_charged_once`).

use bytes::Bytes;
use tidemill_storage::Fetched;
use tidemill_wire::SequenceNumber;
use tidemill_wire::entry::EntryHeader;
use tidemill_wire::numbered::stored_bytes_of;

use super::fetch::ReadKind;
use crate::service::quota::{ShardQuota, Wait};

/// Charges keys and data of the entries that are affordable, at least one, and drops the others.
pub(super) fn admit(
    quota: &mut ShardQuota,
    now_ns: u64,
    kind: ReadKind,
    fetched: &mut Fetched,
) -> Result<(), Wait> {
    let readable = kind.readable(quota, now_ns)?.get();
    if readable == u64::MAX || fetched.entries.is_empty() {
        return Ok(());
    }
    let cut = Cut::of(&fetched.entries, readable, fetched.next);
    quota.admit_read(now_ns, cut.cost)?;
    fetched.entries.truncate(cut.runs);
    if let Some(last) = fetched.entries.last_mut() {
        last.truncate(cut.bytes_of_last);
    }
    fetched.bytes = fetched.entries.iter().map(Bytes::len).sum();
    fetched.next = cut.next;
    Ok(())
}

/// Where runs of entries are cut off.
struct Cut {
    runs: usize,
    bytes_of_last: usize,
    cost: u64,
    next: SequenceNumber,
}

impl Cut {
    /// The longest beginning of the runs that costs at most `readable`, or the first entry alone if that costs more.
    fn of(runs: &[Bytes], readable: u64, end: SequenceNumber) -> Self {
        let mut cut = Self { runs: 0, bytes_of_last: 0, cost: 0, next: end };
        for (run_number, run) in (1..).zip(runs) {
            let mut rest = &run[..];
            // What does not decode was damaged after the lane has checked it; the reader finds out, so it stays.
            while let Ok(header) = EntryHeader::decode(rest) {
                let cost = cut.cost + cost_of(&header, rest);
                if cut.runs > 0 && cost > readable {
                    return cut;
                }
                rest = rest.get(header.stride()..).unwrap_or_default();
                let bytes_of_last = run.len() - rest.len();
                cut = Self { runs: run_number, bytes_of_last, cost, next: header.next_sequence() };
            }
        }
        cut
    }
}

/// Keys and data, as for appends; all bytes of what holds no records.
fn cost_of(header: &EntryHeader, entry: &[u8]) -> u64 {
    stored_bytes_of(header, entry).unwrap_or(u64::from(header.length))
}
