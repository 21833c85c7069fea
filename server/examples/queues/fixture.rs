//! One partition of a queue on a lane of the real disk, and what goes in and comes out.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_server::service::queue::{
    Definition, KnownRoom, LocalPartition, Message, MessageId, NewMessage, Partition, QueueId, QueueName,
    QueueSettings, Want,
};
use tidemill_storage::local::LocalEnv;
use tidemill_storage::{Lane, LaneConfig, Retention};
use tidemill_wire::{LaneId, OwnerId, Timestamp};

const MESSAGES: OwnerId = OwnerId(1);
const JOURNAL: OwnerId = OwnerId(2);

pub(crate) type Failure = Box<dyn Error>;

/// An open lane and the queue's only partition on it.
pub(crate) struct Open {
    pub(crate) lane: Lane<LocalEnv>,
    pub(crate) partition: Rc<LocalPartition<LocalEnv>>,
}

pub(crate) async fn open(env: &LocalEnv, directory: &Path) -> Result<Open, Failure> {
    let config = LaneConfig::production(directory.to_owned(), LaneId(0));
    let (lane, _) = Lane::open(env.clone(), config).await?;
    lane.adopt(MESSAGES, Retention::FOREVER);
    lane.adopt(JOURNAL, Retention::FOREVER);
    let definition = Arc::new(Definition {
        id: QueueId(1),
        name: QueueName::new("backlog")?,
        created: Timestamp(0),
        modified: Timestamp(0),
        settings: QueueSettings::default(),
        tags: BTreeMap::new(),
        partitions: vec![Partition { lane: LaneId(0), messages: MESSAGES, journal: JOURNAL }],
    });
    let partition = LocalPartition::new(env.clone(), lane.clone(), definition, 0, KnownRoom::new(u64::MAX));
    Ok(Open { lane, partition })
}

/// So many messages, hidden for longer than a run takes.
pub(crate) fn want(messages_max: usize) -> Want {
    Want { messages_max, visibility: Duration::from_secs(600), attempt: None, receives_max: None }
}

/// Messages of 200 bytes.
pub(crate) fn messages(count: usize) -> Vec<Message> {
    let content = NewMessage {
        body: Bytes::from_static(&[b'm'; 200]),
        attributes: Vec::new(),
        trace_header: None,
        sender: "bench".to_owned(),
        delay_s: None,
        group: None,
        deduplication: None,
    };
    let message = Message { id: MessageId([7; 16]), sent: Timestamp(0), dead_letter_source: None, content };
    vec![message; count]
}

/// Memory of the process beside its mapped files.
pub(crate) fn memory_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib =
        line.and_then(|line| line.split_whitespace().next()).ok_or("no RssAnon in /proc/self/status")?;
    Ok(kib.parse::<u64>()? * 1024)
}
