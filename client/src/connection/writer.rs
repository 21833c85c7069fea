//! Writes requests to the socket, many in one call, large bodies without copying them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tidemill_wire::message::{Encoder, Request};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::{Outgoing, Shared};

/// Requests that one write takes from the queue.
const REQUESTS_PER_WRITE: usize = 64;
/// Pieces that one system call takes.
const SLICES_PER_WRITE: usize = 64;
/// A body below this is copied behind its message: cheaper than another slice.
const BODY_BYTES_COPIED_MAX: usize = 4 << 10;
/// What the buffer of messages begins with.
const HEADS_BYTES: usize = 16 << 10;

/// Runs until the connection ends.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
) {
    let mut encoder = Encoder::new();
    let mut taken = Vec::with_capacity(REQUESTS_PER_WRITE);
    let mut heads = BytesMut::with_capacity(HEADS_BYTES);
    let mut pieces = VecDeque::new();
    while queue.recv_many(&mut taken, REQUESTS_PER_WRITE).await > 0 {
        shared.pending.written(taken.iter().map(|outgoing| outgoing.id));
        for Outgoing { id, body, payload } in taken.drain(..) {
            encoder.request(&mut heads, &Request { id, body }, payload.len());
            if payload.len() <= BODY_BYTES_COPIED_MAX {
                heads.extend_from_slice(&payload);
            } else {
                pieces.push_back(heads.split().freeze());
                pieces.push_back(payload);
            }
        }
        if !heads.is_empty() {
            pieces.push_back(heads.split().freeze());
        }
        if let Err(error) = write_all(&mut socket, &mut pieces).await {
            shared.fail(&shared.disconnected(&error.to_string()));
            return;
        }
    }
}

async fn write_all(socket: &mut OwnedWriteHalf, pieces: &mut VecDeque<Bytes>) -> io::Result<()> {
    while !pieces.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let count = pieces.len().min(SLICES_PER_WRITE);
        for (slice, piece) in slices.iter_mut().zip(pieces.iter()) {
            *slice = IoSlice::new(piece);
        }
        let written = socket.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        advance(pieces, written);
    }
    Ok(())
}

fn advance(pieces: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(piece) = pieces.front_mut() {
        if written < piece.len() {
            piece.advance(written);
            return;
        }
        written -= piece.len();
        pieces.pop_front();
    }
}
