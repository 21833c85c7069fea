//! The way to a server: address, connection, and what its failures mean for the exit code.

use std::time::Duration;

use tidemill_client::{Client, ClientError, ClientOptions, RetryPolicy, SendError};

use crate::failure::{CommandError, Exit, Outcome, exit_of};

/// Where the server is unless said otherwise.
pub(crate) const SERVER_DEFAULT: &str = "127.0.0.1:7600";

/// Connects once: a person at a terminal would rather know at once than wait.
pub(crate) async fn connect(address: &str) -> Outcome<Client> {
    connect_with(address, ClientOptions::default()).await
}

/// Connects, and comes back for as long as it takes when the server goes away later.
pub(crate) async fn connect_patiently(address: &str) -> Outcome<Client> {
    connect_with(address, ClientOptions { retry: RetryPolicy::FOREVER, ..ClientOptions::default() }).await
}

async fn connect_with(address: &str, options: ClientOptions) -> Outcome<Client> {
    let name = concat!("tidemill/", env!("CARGO_PKG_VERSION")).to_owned();
    let options = ClientOptions { name, connect_timeout: Duration::from_secs(5), ..options };
    Client::connect(address, options).await.map_err(|error| request_failed(&error))
}

/// A request failed.
pub(crate) fn request_failed(error: &ClientError) -> CommandError {
    CommandError::new(exit_of_request(error), crate::failure::chain(error))
}

/// A record was not stored, or may not have been.
pub(crate) fn send_failed(error: &SendError) -> CommandError {
    let exit = match error {
        SendError::Refused(failure) => exit_of(failure.code),
        SendError::Unreachable(cause) | SendError::UnknownOutcome(cause) => exit_of_request(cause),
        SendError::UnknownShard { .. } => Exit::NotFound,
        SendError::Record(_) | SendError::FrameTooLarge { .. } => Exit::Refused,
        SendError::Closed => Exit::Failure,
    };
    CommandError::new(exit, crate::failure::chain(error))
}

fn exit_of_request(error: &ClientError) -> Exit {
    match error {
        ClientError::Connect { .. } | ClientError::Disconnected { .. } | ClientError::Timeout { .. } => {
            Exit::Unreachable
        }
        ClientError::Refused(failure) => exit_of(failure.code),
        ClientError::Protocol { .. } | ClientError::OtherNode { .. } => Exit::Failure,
        ClientError::Batch { .. } => Exit::Damaged,
    }
}
