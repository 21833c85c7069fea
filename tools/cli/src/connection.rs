//! The way to a server: address, connection, and what its failures mean for the exit code.

use std::time::Duration;

use tidemill_client::{Client, ClientError, ClientOptions, RetryPolicy, SendError};

use crate::failure::{CommandError, Exit, Outcome, exit_of};

/// Where the server is unless said otherwise.
pub(crate) const SERVER_DEFAULT: &str = "127.0.0.1:7600";

const PORT_DEFAULT: u16 = 7600;

/// Reads `host`, `host:port`, `::1` or `[::1]:port`, and adds the usual port where none is named.
pub(crate) fn parse_server(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
        // More than one colon without brackets is an IPv6 address.
        None if text.bytes().filter(|byte| *byte == b':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(format!("{text:?} names no host: expected HOST or HOST:PORT"));
    }
    let port = match port.map(str::parse) {
        None => PORT_DEFAULT,
        Some(Ok(port @ 1..)) => port,
        Some(_) => return Err(format!("{text:?} has no port from 1 to 65535 after its host")),
    };
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

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

#[cfg(test)]
mod tests;
