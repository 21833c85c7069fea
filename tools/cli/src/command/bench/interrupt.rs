//! Signals that end a run: the stream it has made is deleted all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::failure::{CommandError, Exit, Outcome};
use crate::signal::Signals;

/// A flag that the first signal sets; the second ends the process at once.
pub(super) fn interrupt_with() -> Outcome<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let fault = |error| CommandError::because(Exit::Failure, "cannot catch signals", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    let signals = runtime.block_on(async { Signals::catch() })?;
    let set = Arc::clone(&flag);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                signals.received(1).await;
                set.store(true, Ordering::Relaxed);
                signals.received(2).await;
                std::process::exit(i32::from(Exit::Interrupted as u8));
            });
        })
        .map_err(fault)?;
    Ok(flag)
}
