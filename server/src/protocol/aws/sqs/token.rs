//! Receipt handles, tokens of pages and handles of tasks: what clients bring back.

use tidemill_wire::Timestamp;

use super::super::seal::{Opened, Seal};
use crate::service::queue::{QueueId, QueueName, Receipt};

/// Kinesis has the first ones.
const RECEIPT: u8 = 32;
const QUEUE_PAGE: u8 = 33;
const SOURCE_PAGE: u8 = 34;
const MOVE_TASK: u8 = 35;

/// Which list a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// All queues.
    Queues,
    /// Those that send their dead letters to one.
    Sources,
}

/// A task that moves messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskHandle {
    /// The queue that messages are moved from.
    pub(super) source: QueueId,
    /// Tells the tasks of this server apart.
    pub(super) number: u64,
}

/// A receipt as a consumer gets it.
pub(super) fn close_receipt(seal: &Seal, now: Timestamp, receipt: Receipt) -> String {
    let mut bytes = receipt.queue.0.to_be_bytes().to_vec();
    bytes.extend(receipt.partition.to_be_bytes());
    bytes.extend(receipt.sequence.to_be_bytes());
    bytes.extend(receipt.receives.to_be_bytes());
    seal.close(RECEIPT, now, &bytes)
}

/// A receipt that was made here.
pub(super) fn open_receipt(seal: &Seal, token: &str) -> Option<Receipt> {
    let Opened { contents, .. } = seal.open(RECEIPT, token)?;
    let (queue, rest) = contents.split_first_chunk()?;
    let (partition, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    Some(Receipt {
        queue: QueueId(u64::from_be_bytes(*queue)),
        partition: u16::from_be_bytes(*partition),
        sequence: u64::from_be_bytes(*sequence),
        receives: u32::from_be_bytes(rest.try_into().ok()?),
    })
}

/// The token of a page that goes on after this queue.
pub(super) fn close_page(seal: &Seal, now: Timestamp, list: List, after: &QueueName) -> String {
    seal.close(list.purpose(), now, after.as_str().as_bytes())
}

/// After which queue a page goes on, and when its token was made.
pub(super) fn open_page(seal: &Seal, list: List, token: &str) -> Option<(QueueName, Timestamp)> {
    let Opened { made, contents } = seal.open(list.purpose(), token)?;
    let name = QueueName::new(std::str::from_utf8(&contents).ok()?).ok()?;
    Some((name, made))
}

/// A task's handle as a client gets it.
pub(super) fn close_task(seal: &Seal, now: Timestamp, task: TaskHandle) -> String {
    let bytes = [task.source.0.to_be_bytes(), task.number.to_be_bytes()].concat();
    seal.close(MOVE_TASK, now, &bytes)
}

/// A handle that was made here.
pub(super) fn open_task(seal: &Seal, token: &str) -> Option<TaskHandle> {
    let Opened { contents, .. } = seal.open(MOVE_TASK, token)?;
    let (source, rest) = contents.split_first_chunk()?;
    let number = u64::from_be_bytes(rest.try_into().ok()?);
    Some(TaskHandle { source: QueueId(u64::from_be_bytes(*source)), number })
}

impl List {
    fn purpose(self) -> u8 {
        match self {
            Self::Queues => QUEUE_PAGE,
            Self::Sources => SOURCE_PAGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_what_was_put_into_them_and_none_is_taken_for_another() {
        let (seal, now) = (Seal::new(&[7; 32]), Timestamp(5));
        let receipt =
            Receipt { queue: QueueId(u64::MAX), partition: u16::MAX, sequence: u64::MAX, receives: 7 };
        let handle = close_receipt(&seal, now, receipt);
        assert!(handle.len() <= 100, "{handle}");
        assert_eq!(open_receipt(&seal, &handle), Some(receipt));
        assert_eq!(open_receipt(&Seal::new(&[8; 32]), &handle), None);
        let task = TaskHandle { source: QueueId(9), number: 3 };
        let of_task = close_task(&seal, now, task);
        assert_eq!(open_task(&seal, &of_task), Some(task));
        assert_eq!((open_task(&seal, &handle), open_receipt(&seal, &of_task)), (None, None));
        let name = QueueName::new("orders.fifo").expect("a name");
        let page = close_page(&seal, now, List::Queues, &name);
        assert_eq!(open_page(&seal, List::Queues, &page), Some((name, now)));
        assert_eq!(open_page(&seal, List::Sources, &page), None);
        assert_eq!(open_receipt(&seal, ""), None);
    }
}
