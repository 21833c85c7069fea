//! The native protocol: frames of flatbuffers messages with raw batches behind them.
//!
//! Many frames are cut from one read, all of them are begun, and many answers leave in one write, in the order in which they are ready. A batch is passed on
//! as the bytes that were received, and fetched entries leave as the bytes of the log. Every buffer and every wait has a bound in
//! `limits`; a peer that is over one is not read from until it is below. Bytes of a peer never panic.

mod append;
mod assembler;
mod buffers;
mod connection;
mod consume;
mod count_messages;
mod create_queue;
mod create_stream;
mod delete_queue;
mod delete_stream;
mod describe_queue;
mod describe_stream;
mod dispatch;
mod error;
mod fetch;
mod hello;
mod limits;
mod list_queues;
mod list_streams;
mod log;
mod message_error;
mod moves;
mod outbox;
mod ping;
mod queue_error;
mod receive_messages;
mod reshard;
mod send_messages;
mod settle_messages;
mod subscribe;
mod update_queue;
mod update_stream;

use std::cell::RefCell;
use std::rc::Rc;

use tidemill_wire::LaneId;
use tidemill_wire::message::Encoder;

use self::append::Pending;
use self::buffers::BufferPool;
use self::log::PeerLog;
use crate::gate::budget::Budget;
use crate::net::{Listener, Socket};
use crate::shard::{Core, Ledger, sleep};

/// What the protocol is served with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of the largest frame, after its length field.
    pub frame_bytes_max: u32,
    /// Unanswered requests of one connection.
    pub connection_requests_max: u32,
    /// Connections of one core.
    pub connections_max: u32,
    /// The node's id.
    pub node: u64,
    /// The port that leads straight to each lane's core.
    pub lanes: Vec<(LaneId, u16)>,
}

/// The native protocol on one core.
pub struct Native {
    core: Rc<Core>,
    settings: Settings,
    /// Admits bytes of requests before their frames are decoded.
    budget: Budget,
    connections: Budget,
    /// Appends under way.
    appends: Rc<Ledger<Pending>>,
    encoder: RefCell<Encoder>,
    /// What is read goes here first, so that a connection that is silent holds no memory.
    scratch: RefCell<Vec<u8>>,
    buffers: BufferPool,
    log: PeerLog,
}

impl Native {
    /// The protocol on a core; `budget` is what the core has for bytes of requests in flight.
    #[must_use]
    pub fn new(core: Rc<Core>, settings: Settings, budget: Budget) -> Rc<Self> {
        Rc::new(Self {
            core,
            budget,
            connections: Budget::new(u64::from(settings.connections_max), 0),
            settings,
            appends: Rc::default(),
            encoder: RefCell::new(Encoder::new()),
            scratch: RefCell::new(vec![0; limits::READ_BYTES]),
            buffers: BufferPool::new(),
            log: PeerLog::default(),
        })
    }

    /// Serves a listener until the server goes down.
    pub async fn serve(self: Rc<Self>, listener: Listener) {
        let stopping = Rc::clone(self.core.stopping());
        let accept = async {
            loop {
                match listener.accept().await {
                    Ok(socket) => self.admit(socket),
                    Err(error) => {
                        // Out of descriptors, or a peer that has gone before it was accepted: neither ends the server.
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(limits::ACCEPT_RETRY).await;
                    }
                }
            }
        };
        futures_lite::future::or(stopping.wait(), accept).await;
    }

    fn admit(self: &Rc<Self>, socket: Socket) {
        let metrics = self.core.metrics();
        match self.connections.try_take(1) {
            Ok(permit) => {
                metrics.connections_accepted.increment();
                self.core.spawn(connection::serve(Rc::clone(self), socket, permit));
            }
            Err(error) => {
                metrics.connections_refused.increment();
                self.log.warn(self.core.monotonic(), socket.peer(), &error, "too many connections");
                self.core.spawn(connection::refuse(Rc::clone(self), socket));
            }
        }
    }
}
