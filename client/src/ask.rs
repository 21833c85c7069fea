//! A request by the connection to the first address, tried again as the client's policy says.

use bytes::Bytes;
use tidemill_wire::message::RequestBody;

use crate::ClientError;
use crate::connection::{Answer, Connection};
use crate::pool::Pool;
use crate::retry::{Retry, may_be_carried_out};

/// Whether a request may be repeated when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// As often as need be.
    Harmless,
    /// Only while the server surely has not carried it out.
    NotOnceSent,
}

/// Asks, and returns the answer with the connection that it came by. `payload` is the frame's body.
pub(crate) async fn ask(
    pool: &Pool,
    body: RequestBody,
    payload: Bytes,
    repeat: Repeat,
) -> Result<(Connection, Answer), ClientError> {
    let mut retry = Retry::new(pool.options().retry);
    loop {
        let error = match attempt(pool, body.clone(), payload.clone()).await {
            Ok(answered) => return Ok(answered),
            Err(error) => error,
        };
        if repeat == Repeat::NotOnceSent && may_be_carried_out(&error) {
            return Err(error);
        }
        let Some(pause) = retry.failed(&error, pool.chance()) else { return Err(error) };
        tracing::debug!(%error, ?pause, "request is tried again");
        tokio::time::sleep(pause).await;
    }
}

async fn attempt(
    pool: &Pool,
    body: RequestBody,
    payload: Bytes,
) -> Result<(Connection, Answer), ClientError> {
    let connection = pool.first().await?;
    let answer = connection.request(body, payload).await?;
    Ok((connection, answer))
}
