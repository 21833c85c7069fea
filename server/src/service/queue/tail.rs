//! Messages that no receive has looked at, read ahead of the cursor.

use tidemill_wire::Timestamp;

use super::log::Written;
use super::state::Head;

/// The messages behind the cursor that are at hand.
#[derive(Debug, Default)]
pub(super) struct Tail {
    heads: Vec<Head>,
    records: Vec<Written>,
    /// Those before are below the cursor.
    start: usize,
    /// The next message to be read.
    next: u64,
    /// Bytes of those that are at hand.
    bytes: usize,
}

impl Tail {
    /// Nothing at hand, from a cursor on.
    pub(super) fn new(cursor: u64) -> Self {
        Self { next: cursor, ..Self::default() }
    }

    /// The messages at hand.
    pub(super) fn heads(&self) -> &[Head] {
        &self.heads[self.start..]
    }

    /// The next message to be read.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Takes in messages that were read from [`next`](Self::next) on.
    pub(super) fn extend(&mut self, messages: impl IntoIterator<Item = (Head, Written)>, next: u64) {
        if self.start > 0 {
            self.heads.drain(..self.start);
            self.records.drain(..self.start);
            self.start = 0;
        }
        for (head, record) in messages {
            self.bytes += bytes_of(&record);
            self.heads.push(head);
            self.records.push(record);
        }
        self.next = next;
    }

    /// A message at hand.
    pub(super) fn record(&self, sequence: u64) -> Option<&Written> {
        let at = self.heads.binary_search_by_key(&sequence, |head| head.sequence).ok()?;
        self.records.get(at)
    }

    /// Takes a message at hand that is below the cursor from now on: its bytes change hands and are not counted twice.
    pub(super) fn take(&mut self, sequence: u64) -> Option<Written> {
        let at = self.start + self.heads().binary_search_by_key(&sequence, |head| head.sequence).ok()?;
        let record = self.records.get_mut(at)?;
        self.bytes -= bytes_of(record);
        let Written { key, data, at, .. } = record;
        let (key, data) = (std::mem::take(key), std::mem::take(data));
        Some(Written { sequence, key, data, at: *at })
    }

    /// Bytes of all messages at hand.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Passes over what is below the cursor.
    pub(super) fn pass(&mut self, cursor: u64) {
        let passed = self.heads().iter().take_while(|head| head.sequence < cursor).count();
        let records = self.records[self.start..].iter().take(passed);
        self.bytes -= records.map(bytes_of).sum::<usize>();
        self.start += passed;
        self.next = self.next.max(cursor);
        if self.start == self.heads.len() {
            self.heads.clear();
            self.records.clear();
            self.start = 0;
        }
    }

    /// When the first message at hand can be received.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.heads()
            .first()
            .map(|head| if head.is_out_of_order { Timestamp(0) } else { head.due.min(head.over) })
    }
}

fn bytes_of(record: &Written) -> usize {
    record.key.len() + record.data.len()
}
