//! The connections of a client: one to the address it was given, one to the port of each lane that is used.
//!
//! Connections are opened when first needed and again when they have ended, with a pause that grows while that fails. A
//! lane's port that cannot be reached is avoided for a while: the first address serves every lane, a hop later. A
//! server that turns out to be another node is refused, since stream ids mean other streams there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemill_wire::LaneId;
use tidemill_wire::message::Welcome;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::retry::{Chance, backoff};
use crate::{ClientError, ClientOptions, ProtocolError};

/// How long a lane's port that could not be reached is avoided.
const LANE_PORT_AVOIDED: Duration = Duration::from_secs(30);

/// All connections of one client.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Arc<str>,
    options: ClientOptions,
    chance: Chance,
    known: Mutex<Known>,
    first: Slot,
    ports: Mutex<BTreeMap<u16, Arc<Slot>>>,
}

/// What the last greeting at the first address told.
#[derive(Debug, Default)]
struct Known {
    connection: Option<Greeting>,
}

#[derive(Clone, Debug)]
struct Greeting {
    welcome: Welcome,
    peer: std::net::SocketAddr,
}

/// A place for one connection.
#[derive(Debug, Default)]
struct Slot {
    state: tokio::sync::Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    connection: Option<Connection>,
    failures: u32,
    /// No attempt before this.
    pause_until: Option<Instant>,
    /// A lane's port only: use the first address until then.
    avoid_until: Option<Instant>,
}

impl Pool {
    /// Connects to the first address.
    pub(crate) async fn open(address: Arc<str>, options: ClientOptions) -> Result<Self, ClientError> {
        let pool = Self {
            address,
            options,
            chance: Chance::new(),
            known: Mutex::default(),
            first: Slot::default(),
            ports: Mutex::default(),
        };
        pool.first().await?;
        Ok(pool)
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(crate) fn chance(&self) -> &Chance {
        &self.chance
    }

    /// The server's last greeting at the first address.
    pub(crate) fn welcome(&self) -> Welcome {
        self.greeting().welcome
    }

    /// Bytes of the largest frame that the server takes.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        self.lock_known().connection.as_ref().map_or(0, |greeting| greeting.welcome.frame_bytes_max as usize)
    }

    /// The error for a server that does not keep to the protocol.
    pub(crate) fn protocol(&self, error: ProtocolError) -> ClientError {
        ClientError::Protocol { address: Arc::clone(&self.address), source: Arc::new(error) }
    }

    /// The connection to the first address, opened again if it has ended.
    pub(crate) async fn first(&self) -> Result<Connection, ClientError> {
        let mut state = self.first.state.lock().await;
        if let Some(connection) = state.open() {
            return Ok(connection);
        }
        let connection = self.dial(&mut state, Arc::clone(&self.address)).await?;
        let welcome = connection.welcome().clone();
        self.lock_known().connection = Some(Greeting { welcome, peer: connection.peer() });
        Ok(connection)
    }

    /// The connection to a lane's port, or to the first address where that is not wanted or not possible.
    pub(crate) async fn lane(&self, lane: LaneId) -> Result<Connection, ClientError> {
        let Some(address) = self.lane_address(lane) else { return self.first().await };
        let slot = Arc::clone(self.lock_ports().entry(address.port()).or_default());
        let mut state = slot.state.lock().await;
        if let Some(connection) = state.open() {
            return Ok(connection);
        }
        if state.avoid_until.is_some_and(|until| Instant::now() < until) {
            drop(state);
            return self.first().await;
        }
        match self.dial(&mut state, Arc::from(address.to_string())).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                state.avoid_until = Some(Instant::now() + LANE_PORT_AVOIDED);
                state.pause_until = None;
                drop(state);
                let first = self.first().await;
                match first {
                    Ok(_) => {
                        tracing::warn!(%address, %error, "lane's port cannot be reached; the first address is used instead");
                    }
                    // It is not the port: the server is down, and may come back with all of them.
                    Err(_) => slot.state.lock().await.avoid_until = None,
                }
                first
            }
        }
    }

    /// Where a lane's port is, unless the first address leads there.
    fn lane_address(&self, lane: LaneId) -> Option<std::net::SocketAddr> {
        if !self.options.use_lane_ports {
            return None;
        }
        let Greeting { welcome, mut peer } = self.greeting();
        let (_, port) = *welcome.lanes.iter().find(|(candidate, _)| *candidate == lane)?;
        if port == 0 || port == peer.port() {
            return None;
        }
        peer.set_port(port);
        Some(peer)
    }

    async fn dial(&self, state: &mut SlotState, address: Arc<str>) -> Result<Connection, ClientError> {
        if let Some(until) = state.pause_until {
            tokio::time::sleep_until(until).await;
        }
        let opened = Connection::open(Arc::clone(&address), &self.options).await;
        match opened.and_then(|connection| self.same_node(connection, &address)) {
            Ok(connection) => {
                *state = SlotState { connection: Some(connection.clone()), ..SlotState::default() };
                Ok(connection)
            }
            Err(error) => {
                state.connection = None;
                state.failures = state.failures.saturating_add(1);
                let pause = backoff(&self.options.retry, state.failures, &self.chance);
                state.pause_until = Some(Instant::now() + pause);
                Err(error)
            }
        }
    }

    fn same_node(&self, connection: Connection, address: &Arc<str>) -> Result<Connection, ClientError> {
        let found = connection.welcome().node;
        let expected = self.lock_known().connection.as_ref().map_or(found, |greeting| greeting.welcome.node);
        if found == expected {
            return Ok(connection);
        }
        Err(ClientError::OtherNode { address: Arc::clone(address), expected, found })
    }

    fn greeting(&self) -> Greeting {
        self.lock_known().connection.clone().expect("a pool is made with a first connection")
    }

    fn lock_known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_ports(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<Slot>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotState {
    fn open(&mut self) -> Option<Connection> {
        let connection = self.connection.take_if(|connection| connection.is_closed());
        drop(connection);
        self.connection.clone()
    }
}
