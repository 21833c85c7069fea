//! Reads a shard, at once or as soon as there is something.

use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;
use tidemill_wire::entry::{EntryHeader, EntryKind};
use tidemill_wire::limits::FETCH_WAIT_MS_MAX;
use tidemill_wire::message::{ErrorCode, Failure, Fetch, Fetched, ResponseBody};

use super::connection::{Connection, Ticket};
use super::error::fetch_failure;
use super::limits::FETCH_MESSAGE_BYTES_MAX;
use crate::service::stream::{self, Delivery, FetchError};

/// The first version whose readers know sparse batches.
const SPARSE_VERSION: u16 = 2;

/// Begins to read, and answers when there is something, or nothing after all.
pub(super) fn begin(mut ticket: Ticket, asked: Fetch) {
    let core = ticket.connection.core().clone();
    core.clone().spawn(async move {
        let wait = Duration::from_millis(u64::from(asked.wait_ms.min(FETCH_WAIT_MS_MAX)));
        if !wait.is_zero() {
            ticket.wait();
        }
        let fetch = stream::Fetch {
            stream: asked.stream,
            shard: asked.shard,
            position: asked.position,
            bytes_max: bytes_max(&ticket.connection, asked.bytes_max),
            wait,
            kind: stream::ReadKind::Flow,
        };
        let connection = std::rc::Rc::clone(&ticket.connection);
        let gone = async {
            connection.ended.wait().await;
            Err(FetchError::Closing)
        };
        match or(core.fetch(fetch), gone).await {
            Ok(delivery) => {
                connection.room().await;
                match check_readable(&connection, &delivery.entries) {
                    Ok(()) => deliver(&connection, ticket.id, delivery),
                    Err(failure) => ticket.settle(Err(failure)),
                }
            }
            Err(error) => {
                if matches!(error, FetchError::Throttled { .. }) {
                    core.metrics().throttled_fetches.increment();
                }
                ticket.settle(Err(fetch_failure(&error)));
            }
        }
    });
}

/// What a fetch's answer may hold so that its frame is within the limit, unless its only entry is larger.
fn bytes_max(connection: &Connection, wanted: u32) -> usize {
    let frame = connection.native.settings.frame_bytes_max as usize;
    (wanted as usize).min(frame.saturating_sub(FETCH_MESSAGE_BYTES_MAX))
}

/// Version 1 tells its readers to skip entries of other kinds than it knows, and so would lose the records of sparse batches.
pub(super) fn check_readable(connection: &Connection, runs: &[Bytes]) -> Result<(), Failure> {
    let version = connection.version.get().unwrap_or(0);
    if version >= SPARSE_VERSION || !runs.iter().any(|run| holds_sparse(run)) {
        return Ok(());
    }
    let text = format!(
        "records here are compacted by key: version {version} cannot read them, {SPARSE_VERSION} can"
    );
    let limit = (u64::from(version), u64::from(SPARSE_VERSION));
    Err(Failure::new(ErrorCode::UnsupportedVersion, text).with_limit(limit.0, limit.1))
}

fn holds_sparse(run: &[u8]) -> bool {
    let mut rest = run;
    while let Ok(header) = EntryHeader::decode(rest) {
        if header.kind == EntryKind::Sparse {
            return true;
        }
        rest = rest.get(header.stride()..).unwrap_or_default();
    }
    false
}

/// Puts what was read into the outbox.
pub(super) fn deliver(connection: &Connection, id: tidemill_wire::RequestId, delivery: Delivery) {
    let Delivery { entries, from, next, oldest, end, closed, .. } = delivery;
    connection.core().metrics().sent_records.add(next.since(from));
    let fetched = Fetched {
        from_sequence: from,
        next_sequence: next,
        oldest_sequence: oldest,
        end_sequence: end,
        closed,
    };
    connection.deliver(id, ResponseBody::Fetched(fetched), entries);
}
