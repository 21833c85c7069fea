//! The thread that watches the cores while they run and takes them down in order.
//!
//! First every core stops taking anything new and finishes what is in flight, while all lanes still serve all cores; then the lanes
//! are closed, then the threads end, and the data directory is let go last.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::directory::DataDirectory;
use super::error::ServerError;
use super::plan::Plan;
use crate::net::Tls;
use crate::shard::{CatalogHandle, Clock, Letter, Post, Pulse, TrySendError, Watchdog};

/// How often a full box is tried again.
const TELL_PERIOD: Duration = Duration::from_millis(5);

/// How often the files of the certificate are looked at.
const REFRESH_PERIOD: Duration = Duration::from_secs(2);

/// The threads of a server.
pub(super) struct Threads {
    pub(super) post: Post,
    pub(super) cores: Vec<JoinHandle<io::Result<()>>>,
    pub(super) catalog: CatalogHandle,
    pub(super) catalog_thread: Option<JoinHandle<()>>,
}

impl Threads {
    /// Ends what was started of a server that cannot start whole, so that its data directory is free afterwards.
    pub(super) fn abandon(self) {
        let (done, _) = mpsc::channel();
        for core in 0..self.post.cores() {
            // A core that has gone has nothing left to close.
            let _ = self.post.send_blocking(core, Letter::Close { done: done.clone() });
        }
        self.catalog.close();
        for core in self.cores {
            // The error that is reported is the one that came first.
            let _ = core.join();
        }
        if let Some(catalog) = self.catalog_thread {
            let _ = catalog.join();
        }
    }
}

/// Watches and ends a server.
pub(super) struct Supervisor {
    threads: Threads,
    directory: DataDirectory,
    watchdog: Watchdog,
    clock: Clock,
    time_max: Duration,
    tls: Option<Arc<Tls>>,
    stopped: Receiver<()>,
}

impl Supervisor {
    pub(super) fn new(
        plan: &Plan,
        directory: DataDirectory,
        threads: Threads,
        clock: Clock,
        pulses: Vec<Pulse>,
        stopped: Receiver<()>,
    ) -> Self {
        let watchdog = Watchdog::new(clock, plan.stall(), pulses);
        let time_max = plan.config.shutdown.timeout;
        let tls = plan.front.tls.clone();
        Self { threads, directory, watchdog, clock, time_max, tls, stopped }
    }

    pub(super) fn start(self) -> io::Result<JoinHandle<Result<(), ServerError>>> {
        std::thread::Builder::new().name("tidemill-watch".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) -> Result<(), ServerError> {
        let mut refreshed = self.clock.monotonic();
        while self.stopped.recv_timeout(Watchdog::PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.watchdog.look();
            let now = self.clock.monotonic();
            if now.saturating_sub(refreshed) >= REFRESH_PERIOD {
                refreshed = now;
                self.refresh();
            }
        }
        tracing::info!("server goes down");
        let deadline = self.clock.monotonic() + self.time_max;
        // What is not finished in time is cut off, and the lanes are closed all the same: they still flush what they took.
        let drained = self.stage(deadline, "requests in flight", |done| Letter::Drain { done });
        if let Err(error) = &drained {
            tracing::warn!(%error, "requests are cut off");
        }
        let grace = self.time_max / 4;
        self.stage(deadline.max(self.clock.monotonic() + grace), "lanes to close", |done| Letter::Close {
            done,
        })?;
        let Threads { cores, catalog, catalog_thread, .. } = self.threads;
        catalog.close();
        for core in cores {
            let ended = core.join().map_err(|_| ServerError::Panicked)?;
            if let Err(error) = ended {
                tracing::error!(%error, "executor ended with an error");
            }
        }
        if let Some(catalog) = catalog_thread {
            catalog.join().map_err(|_| ServerError::Panicked)?;
        }
        drop(self.directory);
        tracing::info!("server ended");
        drained
    }

    /// Takes up a new certificate, if there is one.
    fn refresh(&self) {
        match self.tls.as_ref().map(|tls| tls.refresh()) {
            Some(Ok(true)) => tracing::info!("new connections get the new certificate"),
            Some(Err(error)) => {
                tracing::error!(%error, "the new certificate is not taken up, the old one stays");
            }
            Some(Ok(false)) | None => {}
        }
    }

    /// Puts a letter into a core's box, unless that stays full until the deadline.
    fn tell(&self, core: u32, mut letter: Letter, deadline: Duration) {
        loop {
            letter = match self.threads.post.try_send(core, letter) {
                Err(TrySendError::Full(letter)) if self.clock.monotonic() < deadline => letter,
                // A core that has gone has nothing left to do; one that does not open its letters is missed by the wait.
                Ok(()) | Err(_) => return,
            };
            std::thread::sleep(TELL_PERIOD);
        }
    }

    /// Tells every core and waits until all have done it.
    fn stage(
        &self,
        deadline: Duration,
        waiting_for: &str,
        letter: impl Fn(Sender<u32>) -> Letter,
    ) -> Result<(), ServerError> {
        let (done, finished) = mpsc::channel();
        let cores = self.threads.post.cores();
        for core in 0..cores {
            self.tell(core, letter(done.clone()), deadline);
        }
        drop(done);
        for left in (1..=cores).rev() {
            let time = deadline.saturating_sub(self.clock.monotonic());
            match finished.recv_timeout(time) {
                Ok(_) => {}
                // All that are left have gone.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let waiting_for = format!("{left} of {cores} cores have {waiting_for}");
                    return Err(ServerError::Timeout { seconds: self.time_max.as_secs(), waiting_for });
                }
            }
        }
        Ok(())
    }
}
