//! The rows of queues, and of queues over streams. A catalog without such queues has no table of them.

use std::path::Path;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, WriteTransaction};
use tidemill_wire::QueueId;

use super::encoding::{DecodeError, decode_queue, decode_stream_queue, encode_queue, encode_stream_queue};
use super::error::{Inconsistency, StoreError};
use super::redb::{damaged, failed};
use crate::service::queue_definition::Definition as Queue;
use crate::service::stream_queue::StreamQueue;

/// By id.
pub(super) const QUEUES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("queues");
/// By id.
pub(super) const STREAM_QUEUES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("stream_queues");

/// Every queue.
pub(super) fn read_queues(transaction: &ReadTransaction, path: &Path) -> Result<Vec<Queue>, StoreError> {
    let named = |queue: &Queue| (queue.id.0, format!("queue {}", queue.name));
    read_by_id(transaction, path, QUEUES, decode_queue, named)
}

/// Every queue over a stream.
pub(super) fn read_stream_queues(
    transaction: &ReadTransaction,
    path: &Path,
) -> Result<Vec<StreamQueue>, StoreError> {
    let named = |queue: &StreamQueue| (queue.id.0, format!("queue {} over a stream", queue.name));
    read_by_id(transaction, path, STREAM_QUEUES, decode_stream_queue, named)
}

/// Writes a queue, or removes it.
pub(super) fn write_queue(
    transaction: &WriteTransaction,
    id: QueueId,
    queue: Option<&Queue>,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(QUEUES)?;
    match queue {
        Some(queue) => table.insert(id.0, encode_queue(queue).as_slice())?,
        None => table.remove(id.0)?,
    };
    Ok(())
}

/// The same with a queue over a stream.
pub(super) fn write_stream_queue(
    transaction: &WriteTransaction,
    id: QueueId,
    queue: Option<&StreamQueue>,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(STREAM_QUEUES)?;
    match queue {
        Some(queue) => table.insert(id.0, encode_stream_queue(queue).as_slice())?,
        None => table.remove(id.0)?,
    };
    Ok(())
}

/// The values of a table whose keys are ids that the values have, too. A table that is not there has none.
fn read_by_id<T>(
    transaction: &ReadTransaction,
    path: &Path,
    table: TableDefinition<'_, u64, &'static [u8]>,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    named: impl Fn(&T) -> (u64, String),
) -> Result<Vec<T>, StoreError> {
    let table_name = table.name().to_owned();
    let table = match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table.map_err(failed(path))?,
    };
    let mut values = Vec::new();
    for row in table.iter().map_err(failed(path))? {
        let (key, value) = row.map_err(failed(path))?;
        let key = key.value();
        let value = decode(value.value());
        let value = value.map_err(|source| damaged(path, format!("{table_name}/{key}"), source))?;
        let (id, name) = named(&value);
        if id != key {
            let reason = Inconsistency(format!("{name} has the key {key} and the id {id}"));
            return Err(StoreError::Inconsistent { path: path.to_owned(), reason });
        }
        values.push(value);
    }
    Ok(values)
}
