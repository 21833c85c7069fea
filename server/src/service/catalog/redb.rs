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
};

use tidemill_storage::failpoint::{self, Step};

use super::Catalog;
use super::encoding::{
    DecodeError, decode_counters, decode_node, decode_stream, encode_counters, encode_node, encode_stream,
};
use super::entity::{Node, Stream};
use super::error::{Inconsistency, StoreError};
use super::rules::{Limits, StreamDefaults};
use super::state::{Change, Counters, State};

const NODE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("node");
const STREAMS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("streams");
const NODE_KEY: &str = "node";
const COUNTERS_KEY: &str = "counters";

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
        let state = State::new(stored.node, limits, defaults);
        let state = state.restore(stored.counters, stored.streams).map_err(inconsistent)?;
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
                Change::Create(stream) | Change::Update(stream) => {
                    streams.insert(stream.id.get(), encode_stream(stream).as_slice())?;
                }
                Change::Delete(stream) => {
                    streams.remove(stream.id.get())?;
                }
                Change::Skip(_) => {}
            }
        }
        let passage = failpoint::enter(Step::Commit, &self.path);
        transaction.commit()?;
        passage.leave();
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
    Ok(Stored { node, counters, streams })
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

fn damaged(path: &Path, key: String, source: DecodeError) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), key, source }
}

fn failed<E: ToString>(path: &Path) -> impl Fn(E) -> StoreError + '_ {
    |error| StoreError::Failed { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
