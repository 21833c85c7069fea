//! The signals that ask a program to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{CommandError, Exit, Outcome};

/// SIGINT and SIGTERM, caught and counted from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    count: watch::Receiver<u32>,
}

impl Signals {
    /// Catches the signals from now on. Needs a runtime.
    pub(crate) fn catch() -> Outcome<Self> {
        let caught = |kind| {
            signal(kind).map_err(|error| CommandError::because(Exit::Failure, "cannot catch signals", &error))
        };
        let (mut interrupt, mut terminate) =
            (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
        let (counter, count) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                counter.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count })
    }

    /// Resolves when so many of them have come in all.
    pub(crate) async fn received(&self, count: u32) {
        let mut counter = self.count.clone();
        if counter.wait_for(|received| *received >= count).await.is_err() {
            // The counting task ends with the runtime only, and this future with it.
            std::future::pending::<()>().await;
        }
    }
}
