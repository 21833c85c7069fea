//! The order of a segment's entries: what `docs/format/lane-log.md` promises beyond each entry's checksum.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tidemill_wire::{OwnerId, SequenceNumber, Timestamp, entry::EntryKind};

use super::{Finding, disorder};
use crate::segment::{
    header::SegmentHeader,
    scan::{Found, walk},
};

/// Findings about order in one segment. What follows a wrong entry is mostly wrong as well.
const FINDINGS_MAX: usize = 16;

/// Walks the entries in `bytes`, which end where the entries do.
pub(super) fn check(bytes: &[u8], header: &SegmentHeader) -> Vec<Finding> {
    let mut order = Order {
        is_compacted: header.covers.is_some(),
        next: HashMap::default(),
        last_time: Timestamp(0),
        last_owner: None,
        entries: 0,
        findings: Vec::new(),
    };
    walk(bytes, header.id, |found, _| order.see(&found));
    order.findings.truncate(FINDINGS_MAX);
    order.findings
}

struct Order {
    is_compacted: bool,
    next: HashMap<OwnerId, SequenceNumber, FixedState>,
    last_time: Timestamp,
    last_owner: Option<OwnerId>,
    entries: u64,
    findings: Vec<Finding>,
}

impl Order {
    fn see(&mut self, found: &Found) {
        let Found { position, header } = found;
        let mut wrong = |expected: String, found: String| {
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(disorder(*position, expected, found));
            }
        };
        let is_first = self.entries == 0;
        self.entries += 1;
        // The position up to which this segment was stable lies before the entry, and is none of a copy.
        let stable = header.durable_before;
        if stable > *position || (self.is_compacted && stable > 0) {
            wrong(format!("a stable position up to {position}"), stable.to_string());
        }
        let is_mark = header.kind == EntryKind::Watermarks;
        if self.is_compacted && is_first && !is_mark {
            wrong("the mark that a compacted segment begins with".to_owned(), "another entry".to_owned());
        }
        if is_mark {
            self.last_time = self.last_time.max(header.append_time);
            return;
        }
        let is_new = self.last_owner != Some(header.owner);
        if self.is_compacted && is_new && self.last_owner.is_some_and(|last| last >= header.owner) {
            wrong("owners in rising order, each in one piece".to_owned(), format!("owner {}", header.owner));
        }
        if self.is_compacted && is_new {
            self.last_time = Timestamp(0);
        }
        self.last_owner = Some(header.owner);
        if header.append_time < self.last_time {
            wrong(format!("an append time from {} on", self.last_time), header.append_time.to_string());
        }
        self.last_time = self.last_time.max(header.append_time);
        let next = self.next.insert(header.owner, header.next_sequence());
        if let Some(next) = next.filter(|next| *next != header.base_sequence) {
            let expected = format!("sequence number {next} of owner {}", header.owner);
            wrong(expected, header.base_sequence.to_string());
        }
    }
}
