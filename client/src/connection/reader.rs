//! Reads the socket, cuts frames and hands answers to whoever waits for them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tidemill_wire::RequestId;
use tidemill_wire::frame::{self, Frame};
use tidemill_wire::message::{RequestBody, Response, ResponseBody};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pending::Waiter;
use super::{Answer, Shared};
use crate::ClientError;

/// Bytes of a fresh read buffer: the loopback and a 10 Gb/s link are at their best from here on.
const READ_BYTES: usize = 256 << 10;
/// With less room than this, a read would be a waste.
const READ_BYTES_MIN: usize = 16 << 10;
/// A body below this is copied, so that a few records kept by a caller do not keep a whole read buffer.
const BODY_BYTES_SHARED_MIN: usize = 32 << 10;

/// What the server answers when it ends the connection for a reason that belongs to no request.
const NO_REQUEST: RequestId = RequestId(0);

/// Runs until the connection ends.
pub(super) async fn run(shared: Arc<Shared>, mut socket: OwnedReadHalf, mut received: BytesMut, limit: u32) {
    let error = match read(&shared, &mut socket, &mut received, limit).await {
        Ok(()) if received.is_empty() => shared.disconnected("closed by the server"),
        Ok(()) => shared.disconnected("closed by the server in the middle of a frame"),
        Err(error) => error,
    };
    shared.fail(&error);
}

async fn read(
    shared: &Shared,
    socket: &mut OwnedReadHalf,
    received: &mut BytesMut,
    limit: u32,
) -> Result<(), ClientError> {
    let mut heard = Instant::now();
    loop {
        drain(shared, received, limit)?;
        make_room(received, limit);
        match tokio::time::timeout(shared.keep_alive, socket.read_buf(received)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(_)) => heard = Instant::now(),
            Ok(Err(error)) => return Err(shared.disconnected(&error.to_string())),
            Err(_) => {
                let silence = heard.elapsed();
                if silence > shared.request_timeout.saturating_add(shared.keep_alive) {
                    return Err(ClientError::Timeout {
                        address: Arc::clone(&shared.address),
                        after: silence,
                    });
                }
                ping(shared);
            }
        }
    }
}

/// Answers every whole frame that is there.
fn drain(shared: &Shared, received: &mut BytesMut, limit: u32) -> Result<(), ClientError> {
    let protocol = |error| shared.protocol(error);
    while let Some(Frame { message, body }) = frame::cut(received, limit).map_err(|e| protocol(e.into()))? {
        let response = Response::decode(&message).map_err(|e| protocol(e.into()))?;
        if let (NO_REQUEST, ResponseBody::Failed(failure)) = (response.id, &response.body) {
            return Err(shared.disconnected(&failure.to_string()));
        }
        let payload = if body.len() < BODY_BYTES_SHARED_MIN { Bytes::copy_from_slice(&body) } else { body };
        let answer = Answer { body: response.body, payload };
        shared.pending.answer(response.id, answer).map_err(protocol)?;
    }
    Ok(())
}

/// Makes room for the rest of the frame that has begun, or for a good read.
fn make_room(received: &mut BytesMut, limit: u32) {
    let whole = frame::peek(received, limit).ok().flatten().map_or(0, |lengths| lengths.total);
    let missing = whole.saturating_sub(received.len());
    let room = received.capacity() - received.len();
    if room < missing.max(READ_BYTES_MIN) {
        received.reserve(missing.max(READ_BYTES));
    }
}

/// Makes the server say something. Nobody waits for the answer itself.
fn ping(shared: &Shared) {
    let (answer, _) = oneshot::channel();
    if let Ok(id) = shared.pending.open(Waiter::Once { answer, permits: Vec::new() }) {
        shared.send(id, RequestBody::Ping, Bytes::new());
    }
}
