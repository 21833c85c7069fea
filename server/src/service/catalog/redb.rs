//! The catalog in a file of the `redb` crate; the only home of that crate.
//!
//! Tables and keys are drawn in `docs/format/catalog.md`. A new file is written beside its name and renamed
//! when it is complete, so a file of that name always holds a node. Every change is one transaction that is
//! flushed before it is applied in memory. After a failed one nothing more is written until the file is
//! opened again, because what the disk holds is then unknown.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, TableHandle, WriteTransaction,
};

use tidemill_storage::failpoint::{self, Step};
use tidemill_wire::StreamId;

use super::Catalog;
use super::encoding::{
    DecodeError, decode_capacity, decode_commitment, decode_consumer, decode_counters, decode_node,
    decode_peaks, decode_policy, decode_record_size, decode_stream, encode_capacity, encode_commitment,
    encode_consumer, encode_counters, encode_node, encode_peaks, encode_policy, encode_record_size,
    encode_stream,
};
use super::entity::{Counters, Node, Stream};
use super::error::{Inconsistency, StoreError};
use super::redb_queues::{read_queues, read_stream_queues, write_queue, write_stream_queue};
use super::rules::{Limits, StreamDefaults};
use super::state::{Change, PolicyHolder, State};
use crate::service::capacity::Capacity;
use crate::service::commitment::Commitment;
use crate::service::consumer::{Consumer, ConsumerName};
use crate::service::peaks::Peaks;
use crate::service::queue_definition::Definition as Queue;
use crate::service::stream_queue::StreamQueue;

const NODE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("node");
const STREAMS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("streams");
/// By stream and name. A catalog of before there were any has no such table.
const CONSUMERS: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("consumers");
/// By stream and consumer, whose name is empty where it is the policy of the stream itself.
const POLICIES: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("policies");
/// By stream, of those that have a bound of their own.
const RECORD_SIZES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("record_sizes");
/// By stream, of those that have another one than the default.
const CAPACITIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("capacities");
/// By stream, of those on demand that have had traffic.
const PEAKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("peaks");
const NODE_KEY: &str = "node";
const COUNTERS_KEY: &str = "counters";
/// There from the first commitment on.
const COMMITMENT_KEY: &str = "commitment";

/// The catalog is read once, at the start, so redb need not keep much of it.
const CACHE_BYTES: usize = 4 << 20;

/// A catalog in a file, which no other process can open meanwhile.
#[derive(Debug)]
pub struct RedbCatalog {
    database: Database,
    path: PathBuf,
    state: State,
    poisoned: bool,
}

impl RedbCatalog {
    /// Opens the catalog of a data directory that has one.
    ///
    /// # Errors
    /// `Ok(None)` when there is no such file. An error when another process has it open, when it cannot be
    /// read, or when it is damaged.
    pub fn open(path: &Path, limits: Limits, defaults: StreamDefaults) -> Result<Option<Self>, StoreError> {
        match fs::exists(path) {
            Ok(true) => Self::load(path, limits, defaults).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(failed(path)(error)),
        }
    }

    /// Writes the catalog of a new data directory, without streams, and opens it.
    ///
    /// # Errors
    /// When there is a file of that name already, or it cannot be written.
    pub fn create(
        path: &Path,
        node: Node,
        limits: Limits,
        defaults: StreamDefaults,
    ) -> Result<Self, StoreError> {
        if fs::exists(path).map_err(failed(path))? {
            return Err(failed(path)(io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let unfinished = path.with_extension("redb.new");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&unfinished)(error)),
            _ => {}
        }
        let state = State::new(node, limits, defaults);
        let created = Builder::new().set_cache_size(CACHE_BYTES).create(&unfinished);
        let database = created.map_err(|error| failed(&unfinished)(error))?;
        write_new(&database, node, state.counters()).map_err(|error| failed(&unfinished)(error))?;
        database.close().map_err(|error| failed(&unfinished)(error))?;
        fs::rename(&unfinished, path).map_err(failed(path))?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))
            .and_then(|file| file.sync_all())
            .map_err(failed(path))?;
        Self::load(path, limits, defaults)
    }

    fn load(path: &Path, limits: Limits, defaults: StreamDefaults) -> Result<Self, StoreError> {
        let opened = Builder::new().set_cache_size(CACHE_BYTES).open(path);
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
            error => failed(path)(error),
        })?;
        Self::restore(database, path, limits, defaults)
    }

    /// The catalog that an open database holds.
    fn restore(
        database: Database,
        path: &Path,
        limits: Limits,
        defaults: StreamDefaults,
    ) -> Result<Self, StoreError> {
        let stored = read(&database, path)?;
        let inconsistent = |reason| StoreError::Inconsistent { path: path.to_owned(), reason };
        let state = State::new(stored.node, limits, defaults).with_commitment(stored.commitment);
        let state = state.restore(stored.counters, stored.streams);
        let state = state.and_then(|state| state.with_consumers(stored.consumers));
        let state = state.and_then(|state| state.with_policies(stored.policies));
        let state = state.and_then(|state| state.with_record_sizes(stored.record_sizes));
        let state = state.and_then(|state| state.with_queues(stored.queues));
        let state = state.and_then(|state| state.with_stream_queues(stored.stream_queues));
        let state = state.and_then(|state| state.with_capacities(stored.capacities));
        let state = state.and_then(|state| state.with_peaks(stored.peaks)).map_err(inconsistent)?;
        Ok(Self { database, path: path.to_owned(), state, poisoned: false })
    }

    /// Writes a change in one transaction.
    fn write(&self, change: &Change) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let counters = encode_counters(self.state.counters_after(change));
            transaction.open_table(NODE)?.insert(COUNTERS_KEY, counters.as_slice())?;
            let mut streams = transaction.open_table(STREAMS)?;
            match change {
                Change::Create(stream, aside) => {
                    streams.insert(stream.id.get(), encode_stream(stream).as_slice())?;
                    if let Some(kib) = aside.record_kib {
                        let mut table = transaction.open_table(RECORD_SIZES)?;
                        table.insert(stream.id.get(), encode_record_size(kib).as_slice())?;
                    }
                    self.write_capacity(&transaction, stream.id, &aside.capacity)?;
                }
                Change::Update(stream) => {
                    streams.insert(stream.id.get(), encode_stream(stream).as_slice())?;
                }
                Change::Settle(stream, capacity) => {
                    streams.insert(stream.id.get(), encode_stream(stream).as_slice())?;
                    self.write_capacity(&transaction, stream.id, capacity)?;
                }
                Change::Delete(stream) => {
                    streams.remove(stream.id.get())?;
                    self.remove_aside(&transaction, stream)?;
                }
                Change::Skip(_) => {}
                Change::Commit(commitment) => {
                    let value = encode_commitment(*commitment);
                    transaction.open_table(NODE)?.insert(COMMITMENT_KEY, value.as_slice())?;
                }
                Change::Peaks(stream, peaks) => {
                    let mut table = transaction.open_table(PEAKS)?;
                    table.insert(stream.get(), encode_peaks(peaks).as_slice())?;
                }
                Change::Register(consumer) => {
                    let key = (consumer.stream.get(), consumer.name.as_str());
                    transaction.open_table(CONSUMERS)?.insert(key, encode_consumer(consumer).as_slice())?;
                }
                Change::Deregister(consumer) => {
                    let key = (consumer.stream.get(), consumer.name.as_str());
                    transaction.open_table(CONSUMERS)?.remove(key)?;
                    let is_of = |holder: &&PolicyHolder| holder.consumer.as_ref() == Some(&consumer.name);
                    let holders = self.state.policy_holders(consumer.stream).filter(is_of);
                    remove_policies(&transaction, holders)?;
                }
                Change::Policy(holder, Some(policy)) => {
                    let mut table = transaction.open_table(POLICIES)?;
                    table.insert(policy_key(holder), encode_policy(policy).as_slice())?;
                }
                Change::RecordSize(stream, kib) => {
                    let mut table = transaction.open_table(RECORD_SIZES)?;
                    table.insert(stream.get(), encode_record_size(*kib).as_slice())?;
                }
                Change::Queue(queue) => write_queue(&transaction, queue.id, Some(queue))?,
                Change::DeleteQueue(queue) => write_queue(&transaction, *queue, None)?,
                Change::StreamQueue(queue) => write_stream_queue(&transaction, queue.id, Some(queue))?,
                Change::DeleteStreamQueue(queue) => write_stream_queue(&transaction, *queue, None)?,
                Change::Policy(holder, None) => remove_policies(&transaction, [holder].into_iter())?,
            }
        }
        let passage = failpoint::enter(Step::Commit, &self.path);
        transaction.commit()?;
        passage.leave();
        Ok(())
    }

    /// Writes a capacity, or removes the row of one that is the default. A catalog without others does not get their table.
    fn write_capacity(
        &self,
        transaction: &WriteTransaction,
        stream: StreamId,
        capacity: &Capacity,
    ) -> Result<(), redb::Error> {
        if *capacity != Capacity::default() {
            let mut table = transaction.open_table(CAPACITIES)?;
            table.insert(stream.get(), encode_capacity(capacity).as_slice())?;
        } else if self.state.has_capacity(stream) {
            transaction.open_table(CAPACITIES)?.remove(stream.get())?;
        }
        Ok(())
    }

    /// Removes what is kept beside a stream that is deleted. A catalog that has none of it does not get its tables.
    fn remove_aside(&self, transaction: &WriteTransaction, stream: &Stream) -> Result<(), redb::Error> {
        self.write_capacity(transaction, stream.id, &Capacity::default())?;
        if self.state.peaks(stream.id).is_some() {
            transaction.open_table(PEAKS)?.remove(stream.id.get())?;
        }
        if self.state.has_record_size(stream.id) {
            transaction.open_table(RECORD_SIZES)?.remove(stream.id.get())?;
        }
        self.remove_consumers(transaction, stream)?;
        self.remove_stream_queues(transaction, stream)?;
        remove_policies(transaction, self.state.policy_holders(stream.id))
    }

    /// Removes the consumers of a stream that is deleted. A catalog whose streams have none does not get their table.
    fn remove_consumers(&self, transaction: &WriteTransaction, stream: &Stream) -> Result<(), redb::Error> {
        let Some(consumers) = self.state.consumers(stream.id) else { return Ok(()) };
        let mut table = transaction.open_table(CONSUMERS)?;
        for name in consumers.keys() {
            table.remove((stream.id.get(), name.as_str()))?;
        }
        Ok(())
    }

    /// Removes the queues over a stream that is deleted. A catalog without such queues does not get their table.
    fn remove_stream_queues(
        &self,
        transaction: &WriteTransaction,
        stream: &Stream,
    ) -> Result<(), redb::Error> {
        for queue in self.state.stream_queues_of(stream.id) {
            write_stream_queue(transaction, queue.id, None)?;
        }
        Ok(())
    }
}

impl Catalog for RedbCatalog {
    fn state(&self) -> &State {
        &self.state
    }

    fn commit(&mut self, change: Change) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { path: self.path.clone() });
        }
        if let Err(error) = self.write(&change) {
            self.poisoned = true;
            return Err(failed(&self.path)(error));
        }
        self.state.apply(change);
        Ok(())
    }
}

/// What a file holds.
struct Stored {
    node: Node,
    counters: Counters,
    streams: Vec<Stream>,
    consumers: Vec<Consumer>,
    policies: Vec<(PolicyHolder, String)>,
    record_sizes: Vec<(StreamId, u32)>,
    queues: Vec<Queue>,
    stream_queues: Vec<StreamQueue>,
    capacities: Vec<(StreamId, Capacity)>,
    peaks: Vec<(StreamId, Peaks)>,
    commitment: Commitment,
}

fn write_new(database: &Database, node: Node, counters: Counters) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(NODE)?;
        table.insert(NODE_KEY, encode_node(node).as_slice())?;
        table.insert(COUNTERS_KEY, encode_counters(counters).as_slice())?;
        transaction.open_table(STREAMS)?;
    }
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database, path: &Path) -> Result<Stored, StoreError> {
    let transaction = database.begin_read().map_err(failed(path))?;
    let node = single(&transaction, path, NODE_KEY, decode_node)?;
    let counters = single(&transaction, path, COUNTERS_KEY, decode_counters)?;
    let table = transaction.open_table(STREAMS).map_err(failed(path))?;
    let mut streams = Vec::new();
    for row in table.iter().map_err(failed(path))? {
        let (key, value) = row.map_err(failed(path))?;
        let key = key.value();
        let stream =
            decode_stream(value.value()).map_err(|source| damaged(path, format!("streams/{key}"), source))?;
        if stream.id.get() != key {
            let reason =
                Inconsistency(format!("stream {} has the key {key} and the id {}", stream.name, stream.id));
            return Err(StoreError::Inconsistent { path: path.to_owned(), reason });
        }
        streams.push(stream);
    }
    let consumers = read_consumers(&transaction, path)?;
    let policies = read_policies(&transaction, path)?;
    let record_sizes = read_by_stream(&transaction, path, RECORD_SIZES, decode_record_size)?;
    let commitment = single(&transaction, path, COMMITMENT_KEY, |bytes| match bytes {
        [] => Ok(Commitment::default()),
        bytes => decode_commitment(bytes),
    })?;
    let capacities = read_by_stream(&transaction, path, CAPACITIES, decode_capacity)?;
    let peaks = read_by_stream(&transaction, path, PEAKS, decode_peaks)?;
    let queues = read_queues(&transaction, path)?;
    let stream_queues = read_stream_queues(&transaction, path)?;
    Ok(Stored {
        node,
        counters,
        streams,
        consumers,
        policies,
        record_sizes,
        capacities,
        queues,
        stream_queues,
        peaks,
        commitment,
    })
}

/// The rows of a table by stream, which is there from the first one on.
fn read_by_stream<T>(
    transaction: &ReadTransaction,
    path: &Path,
    definition: TableDefinition<'_, u64, &'static [u8]>,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<Vec<(StreamId, T)>, StoreError> {
    let table = match transaction.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table.map_err(failed(path))?,
    };
    let mut values = Vec::new();
    for row in table.iter().map_err(failed(path))? {
        let (key, value) = row.map_err(failed(path))?;
        let stream = key.value();
        let value = decode(value.value())
            .map_err(|source| damaged(path, format!("{}/{stream}", definition.name()), source))?;
        values.push((StreamId(stream), value));
    }
    Ok(values)
}

fn policy_key(holder: &PolicyHolder) -> (u64, &str) {
    (holder.stream.get(), holder.consumer.as_ref().map_or("", ConsumerName::as_str))
}

/// Removes policies, if there are any: a catalog that never had one does not get their table.
fn remove_policies<'a>(
    transaction: &WriteTransaction,
    holders: impl Iterator<Item = &'a PolicyHolder>,
) -> Result<(), redb::Error> {
    let mut holders = holders.peekable();
    if holders.peek().is_some() {
        let mut table = transaction.open_table(POLICIES)?;
        for holder in holders {
            table.remove(policy_key(holder))?;
        }
    }
    Ok(())
}

fn read_policies(
    transaction: &ReadTransaction,
    path: &Path,
) -> Result<Vec<(PolicyHolder, String)>, StoreError> {
    let table = match transaction.open_table(POLICIES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table.map_err(failed(path))?,
    };
    let mut policies = Vec::new();
    for row in table.iter().map_err(failed(path))? {
        let (key, value) = row.map_err(failed(path))?;
        let (stream, name) = key.value();
        let broken = |source| damaged(path, format!("policies/{stream}/{name}"), source);
        let policy = decode_policy(value.value()).map_err(broken)?;
        let consumer = (!name.is_empty()).then(|| ConsumerName::new(name)).transpose();
        let consumer = consumer.map_err(|error| {
            broken(DecodeError::Impossible { field: "consumer name", value: format!("{:?}", error.text) })
        })?;
        policies.push((PolicyHolder { stream: StreamId(stream), consumer }, policy));
    }
    Ok(policies)
}

fn read_consumers(transaction: &ReadTransaction, path: &Path) -> Result<Vec<Consumer>, StoreError> {
    let table = match transaction.open_table(CONSUMERS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table.map_err(failed(path))?,
    };
    let mut consumers = Vec::new();
    for row in table.iter().map_err(failed(path))? {
        let (key, value) = row.map_err(failed(path))?;
        let (stream, name) = key.value();
        let consumer = decode_consumer(value.value())
            .map_err(|source| damaged(path, format!("consumers/{stream}/{name}"), source))?;
        if (consumer.stream.get(), consumer.name.as_str()) != (stream, name) {
            let reason = Inconsistency(format!(
                "consumer {} of stream {} has the key {stream}/{name}",
                consumer.name, consumer.stream
            ));
            return Err(StoreError::Inconsistent { path: path.to_owned(), reason });
        }
        consumers.push(consumer);
    }
    Ok(consumers)
}

fn single<T>(
    transaction: &ReadTransaction,
    path: &Path,
    key: &str,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, StoreError> {
    let table = transaction.open_table(NODE).map_err(failed(path))?;
    let value = table.get(key).map_err(failed(path))?;
    let bytes = value.as_ref().map_or(&[][..], |value| value.value());
    decode(bytes).map_err(|source| damaged(path, format!("node/{key}"), source))
}

pub(super) fn damaged(path: &Path, key: String, source: DecodeError) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), key, source }
}

pub(super) fn failed<E: ToString>(path: &Path) -> impl Fn(E) -> StoreError + '_ {
    |error| StoreError::Failed { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
