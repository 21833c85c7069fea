//! The signals that ask a program to end.
//!
//! A terminal that closes is one of them, so that what has to be finished or removed is; under `nohup` it is not.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{CommandError, Exit, Outcome};

/// SIGINT, SIGTERM and SIGHUP, caught and counted from the moment this is made.
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
        let mut hangup = if is_hangup_ignored() { None } else { Some(caught(SignalKind::hangup())?) };
        let (counter, count) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (signal, is_asked) = tokio::select! {
                    _ = interrupt.recv() => ("SIGINT", true),
                    _ = terminate.recv() => ("SIGTERM", true),
                    Some(_) = async { hangup.as_mut()?.recv().await } => ("SIGHUP", false),
                };
                tracing::info!(signal, "told to end");
                // The shell and the kernel may both tell that the terminal is gone; that is no second request.
                counter.send_modify(|count| *count += u32::from(is_asked || *count == 0));
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

/// Whether the program was started to outlive its terminal, as `nohup` does.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
