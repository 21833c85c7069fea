//! The composition root: a configuration in, a running server out.
//!
//! The only part that names every protocol and service. Promises that a server either starts whole or says in plain words why not,
//! and that an orderly end loses nothing that was acknowledged.

mod core;
mod directory;
mod doors;
mod error;
mod plan;
mod reconcile;
mod sink;
mod supervisor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

pub use directory::{DataDirectory, DirectoryError};
pub use error::{ServerError, StartError};
pub use sink::{SinkError, start_sink};

use self::core::{CorePlan, Progress};
use self::doors::Doors;
use self::plan::Plan;
use self::reconcile::reconcile;
use self::supervisor::{Supervisor, Threads};
use crate::config::Config;
use crate::service::catalog::{Catalog, RedbCatalog};
use crate::service::queue::Chores;
use crate::service::stream::Definition;
use crate::shard::{CatalogThread, Clock, Executor, Known, Post, Pulse, Strangers, define, raise_open_files};

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The native port that all cores share.
    pub native: SocketAddr,
    /// The native port of each core, which leads straight to the lanes that it owns.
    pub cores: Vec<SocketAddr>,
    /// The AWS APIs over HTTP, whichever core takes the connection.
    pub http: SocketAddr,
    /// Metrics and health.
    pub admin: SocketAddr,
}

/// A running server. May be used from any thread. Dropped, it goes down as with [`shutdown`](Self::shutdown), and nobody waits for it.
#[derive(Debug)]
pub struct ServerHandle {
    addresses: Addresses,
    stop: mpsc::Sender<()>,
    supervisor: JoinHandle<Result<(), ServerError>>,
}

impl Server {
    /// Starts a server and returns when it listens. Blocks the thread while the log is recovered.
    pub fn start(config: Config) -> Result<ServerHandle, StartError> {
        let plan = Plan::new(config)?;
        raise_open_files();
        let directory =
            DataDirectory::open(&plan.config.data.directory, plan.config.data.lanes, plan.cores())?;
        let catalog = plan.open_catalog(&directory)?;
        let known = Known {
            streams: definitions(&catalog)?,
            queues: catalog.state().queues().cloned().collect(),
            stream_queues: catalog.state().stream_queues().cloned().collect(),
            next_owner: catalog.state().next_owner(),
        };
        let (streams, queues) = (known.streams.len(), known.queues.len());
        let stream_queues = known.stream_queues.len();
        let doors = Doors::open(&plan)?;
        let addresses = doors.addresses();
        let clock = Clock::start();
        let pulses: Vec<Pulse> = plan.cpus.iter().map(|_| Pulse::default()).collect();
        let threads = start_threads(&plan, &directory, catalog, &known, doors, clock, &pulses)?;
        tracing::info!(
            native = %addresses.native,
            http = %addresses.http,
            admin = %addresses.admin,
            cores = plan.cores(),
            lanes = directory.lanes,
            streams,
            queues,
            stream_queues,
            data = %plan.config.data.directory.display(),
            "server listens"
        );
        let (stop, stopped) = mpsc::channel();
        let supervisor = Supervisor::new(&plan, directory, threads, clock, pulses, stopped);
        let supervisor = supervisor.start().map_err(StartError::Thread)?;
        Ok(ServerHandle { addresses, stop, supervisor })
    }
}

impl ServerHandle {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Begins an orderly end and returns at once: no new connections and requests, what is in flight is finished.
    pub fn shutdown(&self) {
        // A server that has ended already needs no telling.
        let _ = self.stop.send(());
    }

    /// Waits for the end, which somebody has to begin. Blocks the thread.
    pub fn join(self) -> Result<(), ServerError> {
        let Self { stop, supervisor, .. } = self;
        let ended = supervisor.join().unwrap_or(Err(ServerError::Panicked));
        drop(stop);
        ended
    }
}

fn definitions(catalog: &RedbCatalog) -> Result<Vec<Arc<Definition>>, StartError> {
    let define = |stream| define(catalog.state(), stream);
    catalog.streams().map(|stream| define(stream).map(Arc::new).map_err(StartError::Streams)).collect()
}

/// Starts the cores and the catalog's thread, and returns when every core listens. Ends those that were started when one cannot.
fn start_threads(
    plan: &Plan,
    directory: &DataDirectory,
    mut catalog: RedbCatalog,
    known: &Known,
    doors: Doors,
    clock: Clock,
    pulses: &[Pulse],
) -> Result<Threads, StartError> {
    let (post, mailboxes) = Post::new(plan.cores());
    let (catalog_thread, catalog_handle) = CatalogThread::new();
    let (progress, reached) = mpsc::channel();
    let native = plan.native_settings(directory, &doors);
    let placement = plan.placement(directory.lanes);
    let chores = Chores::default();
    let (mut starts, mut cores) = (Vec::new(), Vec::new());
    for ((index, mailbox), doors) in (0_u32..).zip(mailboxes).zip(doors.by_core()) {
        let (start, started) = async_channel::bounded(1);
        starts.push(start);
        let parts = CorePlan {
            index,
            placement,
            lanes: plan.lane_configs(directory, placement.lanes_of(index)),
            cold_bytes_per_second_min: plan.config.storage.cold_read_bytes_per_second_min,
            known: known.clone(),
            post: post.clone(),
            mailbox,
            catalog: catalog_handle.clone(),
            doors,
            native: native.clone(),
            aws: plan.aws_settings(directory),
            front: plan.front.clone(),
            inflight_bytes_max: plan.config.limits.inflight_bytes,
            waiting_fetches_max: u64::from(plan.config.limits.waiting_fetches),
            deduplication_ids_max: u64::from(plan.config.limits.deduplication_ids),
            shards_per_stream: plan.config.limits.shards_per_stream,
            chores: chores.clone(),
            heartbeat: plan.heartbeat(),
            stall: plan.stall(),
            clock,
            pulses: pulses.to_vec(),
            progress: progress.clone(),
            start: started,
        };
        let cpu = plan.cpus[index as usize];
        let thread = Executor::start(index, cpu, plan.runtime(), move |executor| parts.run(executor));
        cores.push(thread.map_err(StartError::Thread)?);
    }
    drop(progress);
    let mut threads = Threads { post: post.clone(), cores, catalog: catalog_handle, catalog_thread: None };
    let started = (|| {
        // Lanes first, then ports: a server that cannot recover one of its lanes is never seen to listen.
        let strangers = await_recovery(&reached, threads.cores.len())?;
        reconcile(&plan.config, &mut catalog, &strangers)?;
        let catalog = catalog_thread.start(catalog, clock, post, plan.config.queues.name_hold);
        threads.catalog_thread = Some(catalog.map_err(StartError::Thread)?);
        for start in starts.drain(..) {
            // A core that has gone meanwhile is missed by the wait that follows.
            let _ = start.send_blocking(());
        }
        await_doors(&reached, threads.cores.len())
    })();
    if let Err(error) = started {
        // Cores that wait for the start see that it will not come.
        drop(starts);
        threads.abandon();
        return Err(error);
    }
    Ok(threads)
}

fn await_recovery(
    reached: &mpsc::Receiver<Result<Progress, StartError>>,
    cores: usize,
) -> Result<Vec<Strangers>, StartError> {
    let mut strangers = Vec::new();
    for _ in 0..cores {
        let progress = reached.recv().map_err(|_| StartError::CoreEnded)??;
        let Progress::Recovered(found) = progress else {
            unreachable!("cores go from stage to stage together")
        };
        strangers.extend(found);
    }
    Ok(strangers)
}

fn await_doors(
    reached: &mpsc::Receiver<Result<Progress, StartError>>,
    cores: usize,
) -> Result<(), StartError> {
    for _ in 0..cores {
        let progress = reached.recv().map_err(|_| StartError::CoreEnded)??;
        assert!(matches!(progress, Progress::Listening), "cores go from stage to stage together");
    }
    Ok(())
}
