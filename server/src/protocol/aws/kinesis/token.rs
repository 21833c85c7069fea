//! Shard iterators, the tokens of pages, and receipt handles.

use tidemill_wire::message::Position;
use tidemill_wire::{QueueId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};

use super::super::seal::{Opened, Seal};
use crate::service::consumer::ConsumerName;
use crate::service::queue::over_stream::{Named, Side, StreamReceipt};
use crate::service::stream::Shard;

const ITERATOR: u8 = 1;
const STREAM_PAGE: u8 = 2;
const SHARD_PAGE: u8 = 3;
const CONSUMER_PAGE: u8 = 4;
const QUEUE_PAGE: u8 = 5;
const RECEIPT: u8 = 6;

/// Where a reader of a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardIterator {
    /// The stream.
    pub(super) stream: StreamId,
    /// The shard.
    pub(super) shard: ShardIndex,
    /// Where in it.
    pub(super) position: Position,
}

/// Where a list of shards goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShardPage {
    /// The stream.
    pub(super) stream: StreamId,
    /// After this shard.
    pub(super) after: ShardIndex,
    /// Which of them.
    pub(super) choice: ShardChoice,
}

/// Which shards of a stream are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardChoice {
    /// All.
    All,
    /// Those that are open.
    Open,
    /// Those that were open at a time.
    At(Timestamp),
    /// Those that were open at a time or later.
    From(Timestamp),
}

impl ShardChoice {
    /// Whether a shard is one of them.
    pub(super) fn takes(self, shard: &Shard) -> bool {
        let is_open_from = |time| shard.closed.is_none_or(|end| end.at >= time);
        match self {
            Self::All => true,
            Self::Open => shard.is_open(),
            Self::At(time) => shard.opened <= time && is_open_from(time),
            Self::From(time) => is_open_from(time),
        }
    }
}

/// Where a list of consumers goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConsumerPage {
    /// The stream.
    pub(super) stream: StreamId,
    /// After this consumer.
    pub(super) after: ConsumerName,
}

impl ShardIterator {
    /// The iterator as a client gets it.
    pub(super) fn close(self, seal: &Seal, now: Timestamp) -> String {
        let (kind, value) = match self.position {
            Position::Sequence(sequence) => (0, sequence.get()),
            Position::Timestamp(time) => (1, time.get()),
            Position::Oldest => (2, 0),
            Position::Newest => (3, 0),
        };
        let mut bytes = self.stream.get().to_be_bytes().to_vec();
        bytes.extend(self.shard.get().to_be_bytes());
        bytes.push(kind);
        bytes.extend(value.to_be_bytes());
        seal.close(ITERATOR, now, &bytes)
    }

    /// An iterator that was made here, and when.
    pub(super) fn open(seal: &Seal, token: &str) -> Option<(Self, Timestamp)> {
        let Opened { made, contents } = seal.open(ITERATOR, token)?;
        let (stream, rest) = contents.split_first_chunk()?;
        let (shard, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let value = u64::from_be_bytes(rest.try_into().ok()?);
        let position = match kind {
            0 => Position::Sequence(SequenceNumber(value)),
            1 => Position::Timestamp(Timestamp(value)),
            2 => Position::Oldest,
            3 => Position::Newest,
            _ => return None,
        };
        let stream = StreamId(u64::from_be_bytes(*stream));
        let shard = ShardIndex(u32::from_be_bytes(*shard));
        Some((Self { stream, shard, position }, made))
    }
}

impl ShardPage {
    /// The token as a client gets it.
    pub(super) fn close(&self, seal: &Seal, now: Timestamp) -> String {
        let mut bytes = self.stream.get().to_be_bytes().to_vec();
        bytes.extend(self.after.get().to_be_bytes());
        let (kind, time) = match self.choice {
            ShardChoice::All => (0, None),
            ShardChoice::Open => (1, None),
            ShardChoice::At(time) => (2, Some(time)),
            ShardChoice::From(time) => (3, Some(time)),
        };
        bytes.push(kind);
        bytes.extend(time.map(|time| time.get().to_be_bytes()).into_iter().flatten());
        seal.close(SHARD_PAGE, now, &bytes)
    }

    /// A token that was made here, and when.
    pub(super) fn open(seal: &Seal, token: &str) -> Option<(Self, Timestamp)> {
        let Opened { made, contents } = seal.open(SHARD_PAGE, token)?;
        let (stream, rest) = contents.split_first_chunk()?;
        let (after, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let time = rest.try_into().ok().map(|time| Timestamp(u64::from_be_bytes(time)));
        let choice = match (kind, time) {
            (0, None) if rest.is_empty() => ShardChoice::All,
            (1, None) if rest.is_empty() => ShardChoice::Open,
            (2, Some(time)) => ShardChoice::At(time),
            (3, Some(time)) => ShardChoice::From(time),
            _ => return None,
        };
        let stream = StreamId(u64::from_be_bytes(*stream));
        Some((Self { stream, after: ShardIndex(u32::from_be_bytes(*after)), choice }, made))
    }
}

impl ConsumerPage {
    /// The token as a client gets it.
    pub(super) fn close(&self, seal: &Seal, now: Timestamp) -> String {
        let mut bytes = self.stream.get().to_be_bytes().to_vec();
        bytes.extend(self.after.as_str().as_bytes());
        seal.close(CONSUMER_PAGE, now, &bytes)
    }

    /// A token that was made here, and when.
    pub(super) fn open(seal: &Seal, token: &str) -> Option<(Self, Timestamp)> {
        let Opened { made, contents } = seal.open(CONSUMER_PAGE, token)?;
        let (stream, after) = contents.split_first_chunk()?;
        let after = ConsumerName::new(std::str::from_utf8(after).ok()?).ok()?;
        Some((Self { stream: StreamId(u64::from_be_bytes(*stream)), after }, made))
    }
}

/// The token of a page of streams that goes on after this one.
pub(super) fn close_stream_page(seal: &Seal, now: Timestamp, after: &StreamName) -> String {
    seal.close(STREAM_PAGE, now, after.as_str().as_bytes())
}

/// After which stream a page goes on, and when its token was made.
pub(super) fn open_stream_page(seal: &Seal, token: &str) -> Option<(StreamName, Timestamp)> {
    let Opened { made, contents } = seal.open(STREAM_PAGE, token)?;
    let name = StreamName::new(std::str::from_utf8(&contents).ok()?).ok()?;
    Some((name, made))
}

/// The token of a page of queues that goes on after this one.
pub(super) fn close_queue_page(seal: &Seal, now: Timestamp, after: QueueId) -> String {
    seal.close(QUEUE_PAGE, now, &after.0.to_be_bytes())
}

/// After which queue a page goes on, and when its token was made.
pub(super) fn open_queue_page(seal: &Seal, token: &str) -> Option<(QueueId, Timestamp)> {
    let Opened { made, contents } = seal.open(QUEUE_PAGE, token)?;
    Some((QueueId(u64::from_be_bytes(contents.as_slice().try_into().ok()?)), made))
}

/// A receipt of a queue over a stream as a consumer gets it.
pub(super) fn close_receipt(seal: &Seal, now: Timestamp, receipt: StreamReceipt) -> String {
    let StreamReceipt { queue, partition, side, named } = receipt;
    let Named { shard, sequence, receives, received } = named;
    let mut bytes = queue.0.to_be_bytes().to_vec();
    bytes.extend(partition.to_be_bytes());
    bytes.push(match side {
        Side::Live => 0,
        Side::Dead => 1,
    });
    bytes.extend(shard.get().to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(receives.to_be_bytes());
    bytes.extend(received.get().to_be_bytes());
    seal.close(RECEIPT, now, &bytes)
}

/// A receipt that was made here.
pub(super) fn open_receipt(seal: &Seal, token: &str) -> Option<StreamReceipt> {
    let Opened { contents, .. } = seal.open(RECEIPT, token)?;
    let (queue, rest) = contents.split_first_chunk()?;
    let (partition, rest) = rest.split_first_chunk()?;
    let (side, rest) = rest.split_first()?;
    let (shard, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (receives, rest) = rest.split_first_chunk()?;
    let side = match side {
        0 => Side::Live,
        1 => Side::Dead,
        _ => return None,
    };
    let named = Named {
        shard: ShardIndex(u32::from_be_bytes(*shard)),
        sequence: u64::from_be_bytes(*sequence),
        receives: u32::from_be_bytes(*receives),
        received: Timestamp(u64::from_be_bytes(rest.try_into().ok()?)),
    };
    let partition = u16::from_be_bytes(*partition);
    Some(StreamReceipt { queue: QueueId(u64::from_be_bytes(*queue)), partition, side, named })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterators_say_where_a_reader_is_and_fit_the_models_bound() {
        let seal = Seal::new(&[7; 32]);
        let positions = [
            Position::Sequence(SequenceNumber(u64::MAX)),
            Position::Timestamp(Timestamp(1)),
            Position::Oldest,
            Position::Newest,
        ];
        for position in positions {
            let iterator = ShardIterator { stream: StreamId(u64::MAX), shard: ShardIndex(7), position };
            let token = iterator.close(&seal, Timestamp(99));
            assert!(token.len() <= 512, "{token}");
            assert_eq!(ShardIterator::open(&seal, &token), Some((iterator, Timestamp(99))));
            assert_eq!(ShardPage::open(&seal, &token), None);
        }
    }

    #[test]
    fn pages_say_where_they_go_on() {
        let seal = Seal::new(&[7; 32]);
        let time = Timestamp(77);
        for choice in [ShardChoice::All, ShardChoice::Open, ShardChoice::At(time), ShardChoice::From(time)] {
            let page = ShardPage { stream: StreamId(3), after: ShardIndex(9), choice };
            assert_eq!(ShardPage::open(&seal, &page.close(&seal, Timestamp(5))), Some((page, Timestamp(5))));
        }
        let after = ConsumerName::new("reader").expect("a name");
        let consumers = ConsumerPage { stream: StreamId(3), after };
        let token = consumers.close(&seal, Timestamp(5));
        assert_eq!(ConsumerPage::open(&seal, &token), Some((consumers, Timestamp(5))));
        assert_eq!(ShardPage::open(&seal, &token), None);
        let token = close_queue_page(&seal, Timestamp(5), QueueId(8));
        assert_eq!(open_queue_page(&seal, &token), Some((QueueId(8), Timestamp(5))));
        assert_eq!(ConsumerPage::open(&seal, &token), None);
        let name = StreamName::new("logs").expect("a name");
        let token = close_stream_page(&seal, Timestamp(5), &name);
        assert_eq!(open_stream_page(&seal, &token), Some((name, Timestamp(5))));
        assert_eq!(ShardIterator::open(&seal, &token), None);
    }

    #[test]
    fn receipts_say_what_they_stand_for_and_fit_the_models_bound() {
        let seal = Seal::new(&[7; 32]);
        for side in [Side::Live, Side::Dead] {
            let (shard, sequence) = (ShardIndex(u32::MAX), u64::MAX);
            let named = Named { shard, sequence, receives: 3, received: Timestamp(u64::MAX) };
            let receipt = StreamReceipt { queue: QueueId(u64::MAX), partition: 2, side, named };
            let token = close_receipt(&seal, Timestamp(9), receipt);
            assert!(token.len() <= 1_024, "{token}");
            assert_eq!(open_receipt(&seal, &token), Some(receipt));
            assert_eq!(open_receipt(&Seal::new(&[8; 32]), &token), None);
        }
    }
}
