//! The file: made whole or not at all, locked, and refused when damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tempfile::TempDir;
use tidemill_wire::Timestamp;

use super::super::redb_queues::{QUEUES, STREAM_QUEUES};
use super::super::tests::{DEFAULTS, LIMITS, NODE as SAMPLE, name, new};
use super::*;
use crate::service::catalog::encoding::{encode_queue, encode_stream_queue};

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("catalog.redb");
    (directory, path)
}

fn create(path: &Path) -> RedbCatalog {
    RedbCatalog::create(path, SAMPLE, LIMITS, DEFAULTS).expect("a new catalog")
}

fn open(path: &Path) -> Result<Option<RedbCatalog>, StoreError> {
    RedbCatalog::open(path, LIMITS, DEFAULTS)
}

/// Changes the file behind the catalog's back, and returns why it is refused then.
fn refused_after(damage: impl FnOnce(&redb::WriteTransaction)) -> String {
    let (directory, path) = directory();
    let mut catalog = create(&path);
    catalog.create_stream(new("logs", 2), Timestamp(1)).expect("the name is free");
    drop(catalog);
    let database = Database::open(&path).expect("a sound file");
    let transaction = database.begin_write().expect("a transaction");
    damage(&transaction);
    transaction.commit().expect("the damage is done");
    drop(database);
    let message = open(&path).expect_err("it is damaged").to_string();
    message.replace(&format!("{}/", directory.path().display()), "")
}

#[test]
fn a_catalog_is_there_again_after_it_was_closed() {
    let (_directory, path) = directory();
    assert!(open(&path).expect("no file is no error").is_none());
    let mut catalog = create(&path);
    let stream = catalog.create_stream(new("logs", 2), Timestamp(1)).expect("the name is free");
    drop(catalog);
    let catalog = open(&path).expect("it is sound").expect("it is there");
    assert_eq!((catalog.node(), catalog.stream(&name("logs"))), (SAMPLE, Some(&stream)));
}

#[test]
fn an_existing_catalog_is_not_created_anew() {
    let (_directory, path) = directory();
    drop(create(&path));
    let error = RedbCatalog::create(&path, SAMPLE, LIMITS, DEFAULTS).expect_err("it exists");
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
}

#[test]
fn an_unfinished_file_is_made_again() {
    let (_directory, path) = directory();
    fs::write(path.with_extension("redb.new"), b"half a file").expect("it is written");
    assert!(open(&path).expect("there is no finished file").is_none());
    drop(create(&path));
    assert!(!path.with_extension("redb.new").exists());
    assert!(open(&path).expect("it is sound").is_some());
}

#[test]
fn a_second_opening_is_refused() {
    let (_directory, path) = directory();
    let _first = create(&path);
    let error = open(&path).expect_err("it is open");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_catalog_is_refused() {
    let (_directory, path) = directory();
    fs::write(&path, vec![0x5A; 100_000]).expect("it is written");
    let error = open(&path).expect_err("it is no catalog");
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
}

#[test]
fn damaged_values_are_refused_with_their_key() {
    let newer = refused_after(|transaction| {
        let mut table = transaction.open_table(STREAMS).expect("the table");
        table.insert(1, &[9_u8][..]).expect("a value");
    });
    assert_eq!(
        newer,
        "catalog catalog.redb is damaged at streams/1: value has version 9, which this server does not know"
    );
    let without_node = refused_after(|transaction| {
        let mut table = transaction.open_table(NODE).expect("the table");
        table.remove(NODE_KEY).expect("a removal");
    });
    assert_eq!(without_node, "catalog catalog.redb is damaged at node/node: value ends inside version");
    let moved = refused_after(|transaction| {
        let mut table = transaction.open_table(STREAMS).expect("the table");
        let value = table.remove(1).expect("a removal").expect("a value").value().to_vec();
        table.insert(2, value.as_slice()).expect("a value");
    });
    assert_eq!(moved, "catalog catalog.redb contradicts itself: stream logs has the key 2 and the id 1");
    let counters = refused_after(|transaction| {
        let mut table = transaction.open_table(NODE).expect("the table");
        let low = encode_counters(Counters { next_stream: 1, next_owner: 9 });
        table.insert(COUNTERS_KEY, low.as_slice()).expect("a value");
    });
    let expected = "catalog catalog.redb contradicts itself: stream logs: its id 1 has not been given out";
    assert_eq!(counters, expected);
}

/// Memory in the place of a file, whose flushes can be made to fail.
#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    broken: Arc<AtomicBool>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

#[test]
fn after_a_failed_flush_nothing_has_changed_and_no_change_is_taken() {
    let broken = Arc::new(AtomicBool::new(false));
    let disk = Disk { memory: InMemoryBackend::new(), broken: Arc::clone(&broken) };
    let database = Builder::new().create_with_backend(disk).expect("a database in memory");
    write_new(&database, SAMPLE, Counters { next_stream: 1, next_owner: 1 }).expect("it is written");
    let restored = RedbCatalog::restore(database, Path::new("catalog.redb"), LIMITS, DEFAULTS);
    let mut catalog = restored.expect("it is sound");
    catalog.create_stream(new("before", 1), Timestamp(1)).expect("the disk is sound");

    broken.store(true, Ordering::Relaxed);
    let error =
        catalog.create_stream(new("during", 1), Timestamp(1)).expect_err("the flush fails").to_string();
    assert!(
        error.starts_with("catalog catalog.redb failed: ") && error.contains("the disk is broken"),
        "{error}"
    );
    broken.store(false, Ordering::Relaxed);
    let error = catalog
        .delete_stream(&name("before"), super::super::OnConsumers::Refuse)
        .expect_err("it is poisoned")
        .to_string();
    assert_eq!(
        error,
        "catalog catalog.redb takes no changes after a failed write until the server is restarted"
    );
    assert!(catalog.streams().map(|stream| stream.name.as_str()).eq(["before"]));
}

#[test]
fn tags_are_there_again_after_the_catalog_was_closed() {
    let (_directory, path) = directory();
    let mut catalog = create(&path);
    let tags = std::collections::BTreeMap::from([("team".to_owned(), "tide".to_owned())]);
    let new = super::super::NewStream { tags, ..new("logs", 2) };
    let stream = catalog.create_stream(new, Timestamp(1)).expect("the name is free");
    drop(catalog);
    let catalog = open(&path).expect("it is sound").expect("it is there");
    assert_eq!(catalog.stream(&name("logs")), Some(&stream));
}

#[test]
fn a_catalog_of_before_there_were_consumers_opens_and_damaged_ones_are_refused() {
    let (_directory, path) = directory();
    let mut catalog = create(&path);
    let stream = catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free").id;
    drop(catalog);
    let database = Database::open(&path).expect("a sound file");
    let read = database.begin_read().expect("a transaction");
    let missing = read.open_table(CONSUMERS).map(drop);
    assert!(matches!(missing, Err(TableError::TableDoesNotExist(_))), "only a consumer makes the table");
    drop((read, database));
    let mut catalog = open(&path).expect("it is sound").expect("it is there");
    let name = crate::service::consumer::ConsumerName::new("reader").expect("a name");
    let new = super::super::NewConsumer { stream, name, tags: std::collections::BTreeMap::new() };
    let consumer = catalog.register_consumer(new, Timestamp(2)).expect("the name is free");
    drop(catalog);
    let damage = |key: (u64, &str), value: &[u8]| {
        let database = Database::open(&path).expect("a sound file");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(CONSUMERS).expect("the table").insert(key, value).expect("a value");
        transaction.commit().expect("the damage is done");
        drop(database);
        let message = open(&path).expect_err("it is damaged").to_string();
        let database = Database::open(&path).expect("a sound file");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(CONSUMERS).expect("the table").remove(key).expect("a removal");
        transaction.commit().expect("the damage is undone");
        message.replace(&path.display().to_string(), "catalog.redb")
    };
    let moved = damage((1, "other"), &encode_consumer(&consumer));
    assert_eq!(
        moved,
        "catalog catalog.redb contradicts itself: consumer reader of stream 1 has the key 1/other"
    );
    let newer = damage((1, "other"), &[9]);
    let expected = "catalog catalog.redb is damaged at consumers/1/other: value has version 9, which this server does not know";
    assert_eq!(newer, expected);
    let stranger = Consumer { stream: tidemill_wire::StreamId(7), ..consumer.clone() };
    let unknown = damage((7, "reader"), &encode_consumer(&stranger));
    let expected = "catalog catalog.redb contradicts itself: consumer reader: the id 7 of its stream has not been given out";
    assert_eq!(unknown, expected);
    let catalog = open(&path).expect("it is sound").expect("it is there");
    assert!(catalog.state().consumers(stream).is_some_and(|all| all.values().eq([&consumer])));
}

#[test]
fn a_catalog_of_before_there_were_queues_opens_and_damaged_ones_are_refused() {
    let (_directory, path) = directory();
    let mut catalog = create(&path);
    catalog.create_stream(new("logs", 1), Timestamp(1)).expect("the name is free");
    drop(catalog);
    let database = Database::open(&path).expect("a sound file");
    let read = database.begin_read().expect("a transaction");
    let missing = read.open_table(QUEUES).map(drop);
    assert!(matches!(missing, Err(TableError::TableDoesNotExist(_))), "only a queue makes the table");
    drop((read, database));
    let mut catalog = open(&path).expect("it is sound").expect("it is there");
    let new = super::super::tests::queues::new_queue("work");
    catalog.create_queue(new, Timestamp(2)).expect("the name is free");
    let queue = Queue::clone(catalog.state().queues().next().expect("it is there"));
    drop(catalog);
    let damage = |key: u64, value: &[u8]| {
        let database = Database::open(&path).expect("a sound file");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(QUEUES).expect("the table").insert(key, value).expect("a value");
        transaction.commit().expect("the damage is done");
        drop(database);
        let message = open(&path).expect_err("it is damaged").to_string();
        let database = Database::open(&path).expect("a sound file");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(QUEUES).expect("the table").remove(key).expect("a removal");
        transaction.commit().expect("the damage is undone");
        message.replace(&path.display().to_string(), "catalog.redb")
    };
    let moved = damage(3, &encode_queue(&queue));
    assert_eq!(moved, "catalog catalog.redb contradicts itself: queue work has the key 3 and the id 2");
    let newer = damage(3, &[9]);
    let expected =
        "catalog catalog.redb is damaged at queues/3: value has version 9, which this server does not know";
    assert_eq!(newer, expected);
    let mut catalog = open(&path).expect("it is sound").expect("it is there");
    assert!(catalog.state().queues().map(std::convert::AsRef::as_ref).eq([&queue]));
    catalog.delete_queue(queue.id).expect("it is there");
    drop(catalog);
    let catalog = open(&path).expect("it is sound").expect("it is there");
    assert_eq!(catalog.state().queues().len(), 0);
}

#[test]
fn queues_over_streams_are_there_again_and_damaged_ones_are_refused() {
    let (_directory, path) = directory();
    let mut catalog = create(&path);
    let stream = super::super::tests::stream_queues::on_demand(&mut catalog, "logs");
    let new = super::super::tests::stream_queues::new_stream_queue(stream.id, "work");
    let queue = catalog.create_stream_queue(new, Timestamp(2)).expect("the name is free");
    drop(catalog);
    let with = |key: u64, value: &[u8]| -> Result<(), String> {
        let database = Database::open(&path).expect("a sound file");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(STREAM_QUEUES).expect("the table").insert(key, value).expect("a value");
        transaction.commit().expect("the damage is done");
        drop(database);
        let message = open(&path).map(drop).map_err(|error| error.to_string());
        let database = Database::open(&path).expect("a sound file");
        let transaction = database.begin_write().expect("a transaction");
        transaction.open_table(STREAM_QUEUES).expect("the table").remove(key).expect("a removal");
        transaction.commit().expect("the damage is undone");
        message.map_err(|message| message.replace(&path.display().to_string(), "catalog.redb"))
    };
    let refused =
        |key, value: &StreamQueue| with(key, &encode_stream_queue(value)).expect_err("it is damaged");
    let moved = refused(3, &queue);
    assert!(moved.ends_with("queue work over a stream has the key 3 and the id 2"), "{moved}");
    let newer = with(3, &[9]).expect_err("it is damaged");
    assert!(newer.contains("damaged at stream_queues/3: value has version 9"), "{newer}");
    let other = |id: u64, change: fn(&mut StreamQueue)| {
        let name = ConsumerName::new("other").expect("a name");
        let mut other = StreamQueue { id: tidemill_wire::QueueId(id), name, ..StreamQueue::clone(&queue) };
        change(&mut other);
        other
    };
    let owned = refused(1, &other(1, |_| {}));
    assert!(owned.contains("id is there twice"), "it is the stream's: {owned}");
    let ahead = refused(3, &other(3, |other| other.next_shard = tidemill_wire::ShardIndex(9)));
    assert!(ahead.contains("was to open shard 9 next, and is to open 1"), "{ahead}");
    let early = refused(3, &other(3, |_| {}));
    assert!(early.contains("has not been given out"), "{early}");
    // Somebody who does not know of such queues has deleted the stream, and made others since.
    let mut catalog = open(&path).expect("it is sound").expect("it is there");
    catalog.create_stream(super::super::tests::new("more", 1), Timestamp(3)).expect("the name is free");
    catalog.create_stream(super::super::tests::new("gone", 1), Timestamp(3)).expect("the name is free");
    catalog.delete_stream(&name("gone"), crate::service::catalog::OnConsumers::Refuse).expect("it is there");
    drop(catalog);
    let shared = refused(4, &other(4, |other| other.stream = tidemill_wire::StreamId(4)));
    assert!(shared.contains("which is not its own"), "{shared}");
    let catalog = open(&path).expect("it is sound").expect("it is there");
    assert!(catalog.state().stream_queues().eq([&queue]));
}
