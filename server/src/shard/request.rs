//! What one core asks of another.

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_channel::Sender;
use futures_channel::oneshot;
use tidemill_wire::{ShardIndex, StreamId};

use super::core::Core;
use super::ledger::Outcome;
use super::snapshot::CoreReport;
use super::stream_queues::StreamQueueNews;
use crate::service::meter::Reading;
use crate::service::queue::{Definition as Queue, QueueId};
use crate::service::stream::{
    Append, Definition, Delivery, Feed, FeedError, Fetch, FetchError, HeldEnd, HoldError, Place, SeatError,
    ShardBounds, Turn,
};

/// Something that is done on another core.
type Task = dyn FnOnce(&Rc<Core>) + Send;

/// An errand to another core. It tells its own way back.
pub struct Errand(pub(super) Box<Task>);

impl fmt::Debug for Errand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Errand")
    }
}

/// What is asked of the owner of lanes.
#[derive(Debug)]
pub enum Request {
    /// Appends of one sender.
    Appends {
        /// In order.
        appends: Vec<Append>,
        /// Told in the same order when all of them are settled.
        reply: oneshot::Sender<Vec<Outcome>>,
    },
    /// A shard is read.
    Fetch {
        /// What of it.
        fetch: Fetch,
        /// Where to.
        reply: oneshot::Sender<Result<Delivery, FetchError>>,
    },
    /// A consumer wants its seat at a shard.
    Sit {
        /// Which seat.
        place: Place,
        /// How long it is kept from others.
        hold: Duration,
        /// Where to.
        reply: oneshot::Sender<Result<Turn, SeatError>>,
    },
    /// A shard is read from a seat.
    Feed {
        /// What of it.
        feed: Feed,
        /// Where to.
        reply: oneshot::Sender<Result<Delivery, FeedError>>,
    },
    /// What the meters of a stream's shards show.
    Meters {
        /// Which stream.
        stream: StreamId,
        /// Where to.
        reply: oneshot::Sender<Vec<(ShardIndex, Reading)>>,
    },
    /// What the shards of a stream hold.
    Bounds {
        /// Which stream.
        stream: StreamId,
        /// Where to.
        reply: oneshot::Sender<Vec<ShardBounds>>,
    },
    /// What is asked of a queue's partition.
    Errand(Errand),
}

/// What a mailbox carries.
#[derive(Debug)]
pub enum Letter {
    /// The owner of a lane is asked.
    Request(Request),
    /// A stream is new or has changed.
    TakeIn {
        /// The stream as it is from now on.
        definition: Arc<Definition>,
        /// Told when the core knows.
        done: Sender<()>,
    },
    /// Every core has taken in the stream: it may be found by its name.
    Name {
        /// Which.
        stream: StreamId,
        /// Told when the core knows.
        done: Sender<()>,
    },
    /// A stream's shards are about to be changed: those that may end are to take no appends.
    Hold {
        /// Of which stream.
        stream: StreamId,
        /// Those that may end.
        shards: Arc<[ShardIndex]>,
        /// Told where those of the core end.
        reply: Sender<Result<Vec<HeldEnd>, HoldError>>,
    },
    /// The change of a stream's shards is over.
    Release {
        /// Which.
        stream: StreamId,
        /// Told when the core knows.
        done: Sender<()>,
    },
    /// A stream was deleted.
    Forget {
        /// Which.
        stream: StreamId,
        /// Told when the core has forgotten it.
        done: Sender<()>,
    },
    /// A queue is new or has changed.
    TakeInQueue {
        /// The queue as it is from now on.
        definition: Arc<Queue>,
        /// Told when the core knows.
        done: Sender<()>,
    },
    /// Every core has taken in the queue: it may be found by its name.
    NameQueue {
        /// Which.
        queue: QueueId,
        /// Told when the core knows.
        done: Sender<()>,
    },
    /// A queue was deleted.
    ForgetQueue {
        /// Which.
        queue: QueueId,
        /// Told when the core has forgotten it.
        done: Sender<()>,
    },
    /// Something is new about a queue over a stream.
    StreamQueue {
        /// What.
        news: StreamQueueNews,
        /// Told when the core knows.
        done: Sender<()>,
    },
    /// The core's numbers are wanted.
    Report {
        /// Where to.
        reply: oneshot::Sender<CoreReport>,
    },
    /// Compaction of the core's lanes is to be held, or to go on.
    PauseCompaction {
        /// Whether to hold it.
        paused: bool,
        /// Told when it is.
        reply: oneshot::Sender<()>,
    },
    /// Take nothing new and finish what is there.
    Drain {
        /// Told when nothing is left.
        done: mpsc::Sender<u32>,
    },
    /// Close the lanes and end.
    Close {
        /// Told when the lanes are closed.
        done: mpsc::Sender<u32>,
    },
}
