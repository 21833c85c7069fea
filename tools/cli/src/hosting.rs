//! A server in this process: started and stopped without holding up the runtime.

use tidemill_server::boot::{Server, ServerHandle};
use tidemill_server::config::Config;

use crate::failure::{CommandError, Exit, Outcome, chain};

/// Starts a server and returns when it listens.
pub(crate) async fn start(config: Config) -> Outcome<ServerHandle> {
    off_runtime(|| Server::start(config).map_err(|error| CommandError::new(Exit::Failure, chain(&error))))
        .await
}

/// Stops a server in order and returns when it has ended.
pub(crate) async fn stop(server: ServerHandle) -> Outcome {
    server.shutdown();
    off_runtime(|| server.join().map_err(|error| CommandError::new(Exit::Failure, chain(&error)))).await
}

/// Runs what blocks the thread.
async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| CommandError::because(Exit::Failure, "server", &error))?
}
