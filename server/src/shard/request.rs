//! What one core asks of another.

use std::sync::{Arc, mpsc};

use async_channel::Sender;
use futures_channel::oneshot;
use tidemill_storage::Appended;
use tidemill_wire::StreamId;

use super::snapshot::CoreReport;
use crate::service::stream::{Append, AppendError, Definition, Delivery, Fetch, FetchError, ShardBounds};

/// A request to the owner of a lane, with the way back.
#[derive(Debug)]
pub(super) enum Request {
    Append { append: Append, reply: oneshot::Sender<Result<Appended, AppendError>> },
    Fetch { fetch: Fetch, reply: oneshot::Sender<Result<Delivery, FetchError>> },
    Bounds { stream: StreamId, reply: oneshot::Sender<Vec<ShardBounds>> },
}

/// What a mailbox carries.
#[derive(Debug)]
pub enum Letter {
    /// Requests of one sender, in order.
    Requests(Requests),
    /// A stream is new or has changed.
    Publish {
        /// The stream as it is from now on.
        definition: Arc<Definition>,
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
    /// The core's numbers are wanted.
    Report {
        /// Where to.
        reply: oneshot::Sender<CoreReport>,
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

/// Requests that cross together.
#[derive(Debug, Default)]
pub struct Requests(pub(super) Vec<Request>);
