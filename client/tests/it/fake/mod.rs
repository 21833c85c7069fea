//! A server in memory that speaks the native protocol and misbehaves on request.
//!
//! It keeps streams as real log entries, serves long polls and subscriptions, and takes scripted steps: refuse, delay, lose
//! the answer, cut the connection, damage bytes. It knows nothing of disks, quotas or time.

mod model;
mod session;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tidemill_client::{Client, ClientOptions, Failure, RetryPolicy, StreamName};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub(crate) use self::model::Model;

/// What happens to one request instead of being served.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Serve it.
    Serve,
    /// Refuse it.
    Refuse(Failure),
    /// Serve it, and answer only after this time.
    Delay(Duration),
    /// Cut the connection without serving it.
    Cut,
    /// Serve it, then cut the connection without answering.
    LoseAnswer,
    /// Serve it, and flip a bit in the body of the answer.
    Damage,
    /// Answer with bytes that are no message.
    Garbage,
    /// Never answer.
    Silence,
}

/// Requests that can be scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Describe,
    Append,
    Fetch,
    Subscribe,
    Ping,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) model: Mutex<Model>,
    /// Told when a record is appended.
    pub(crate) appended: Notify,
    script: Mutex<Vec<(Kind, VecDeque<Step>)>>,
    /// Grows when all connections are to be cut.
    cut: watch::Sender<u64>,
    /// After so many pushes a subscription's connection is cut, once for each entry.
    pub(crate) cut_after_pushes: Mutex<VecDeque<usize>>,
}

/// A running server.
pub(crate) struct Fake {
    pub(crate) shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    listeners: Vec<JoinHandle<()>>,
}

impl Fake {
    /// A server with one stream `s` of `shards` shards, all in one lane that the first address serves.
    pub(crate) async fn start(shards: u32) -> Self {
        Self::with_lanes(shards, 0).await
    }

    /// The same with `lanes` lanes, each with a port of its own; shards are dealt out to them in turn.
    pub(crate) async fn with_lanes(shards: u32, lanes: u32) -> Self {
        let mut model = Model::new(lanes);
        model.create(&name("s"), shards);
        let shared = Arc::new(Shared {
            model: Mutex::new(model),
            appended: Notify::new(),
            script: Mutex::default(),
            cut: watch::Sender::new(0),
            cut_after_pushes: Mutex::default(),
        });
        let mut fake = Self { shared, addresses: Vec::new(), listeners: Vec::new() };
        for _ in 0..=lanes {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            fake.addresses.push(address);
            fake.listen(listener, address.port());
        }
        let ports = fake.addresses[1..].iter().map(SocketAddr::port).collect();
        fake.model().lane_ports = ports;
        fake
    }

    fn listen(&mut self, listener: TcpListener, port: u16) {
        let shared = Arc::clone(&self.shared);
        self.listeners.push(tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let cut = shared.cut.subscribe();
                tokio::spawn(session::serve(Arc::clone(&shared), socket, port, cut));
            }
        }));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.shared.model.lock().expect("no test panics under the lock")
    }

    /// Does these things to the next requests of a kind.
    pub(crate) fn script(&self, kind: Kind, steps: impl IntoIterator<Item = Step>) {
        let mut script = self.shared.script.lock().expect("no test panics under the lock");
        match script.iter_mut().find(|(candidate, _)| *candidate == kind) {
            Some((_, queue)) => queue.extend(steps),
            None => script.push((kind, steps.into_iter().collect())),
        }
    }

    /// Cuts every connection; new ones are taken.
    pub(crate) fn cut_connections(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Takes no connections any more, on the port with this place: 0 is the first address.
    pub(crate) fn stop_listening(&self, place: usize) {
        self.listeners[place].abort();
    }

    /// Takes connections at the first address again.
    pub(crate) async fn listen_again(&mut self) {
        let address = self.address();
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        self.listen(listener, address.port());
    }

    /// A client with short pauses.
    pub(crate) async fn client(&self) -> Client {
        self.client_with(|_| {}).await
    }

    pub(crate) async fn client_with(&self, change: impl FnOnce(&mut ClientOptions)) -> Client {
        let mut options = ClientOptions { retry: quick(), ..ClientOptions::default() };
        change(&mut options);
        Client::connect(self.address(), options).await.expect("the server listens")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
        self.cut_connections();
    }
}

impl Shared {
    pub(crate) fn next_step(&self, kind: Kind) -> Step {
        let mut script = self.script.lock().expect("no test panics under the lock");
        let queue = script.iter_mut().find(|(candidate, _)| *candidate == kind);
        queue.and_then(|(_, steps)| steps.pop_front()).unwrap_or(Step::Serve)
    }
}

/// Pauses of a few milliseconds, for three seconds.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        deadline: Duration::from_secs(3),
        backoff_min: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        ..RetryPolicy::default()
    }
}

pub(crate) fn name(text: &str) -> StreamName {
    text.parse().expect("a valid name")
}
