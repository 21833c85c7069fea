//! The bounds of what crosses cores and of what an executor takes.

use std::time::Duration;

/// Letters that wait in one core's mailbox; senders wait when it is full.
pub(super) const MAILBOX_LETTERS_MAX: usize = 1_024;
/// Changes of streams and queues that wait for the catalog's thread.
pub(super) const CATALOG_COMMANDS_MAX: usize = 256;
/// Names of deleted queues that are held; beyond them the first is free early. Some 10 MiB at most.
pub(super) const HELD_NAMES_MAX: usize = 65_536;
/// How long appends to a shard are held back at most before its split or merge is given up. A flush of a busy disk takes seconds at worst, and clients try for longer.
pub(super) const HOLD_TIME_MAX: Duration = Duration::from_secs(5);
/// How often closed shards are looked through for those whose records are over: often against the least retention, and it costs next to nothing.
pub(super) const EXPIRY_PERIOD: Duration = Duration::from_secs(10);
/// Queues that a core tells of in its metrics: the busiest since the start.
pub(super) const REPORTED_QUEUES_MAX: usize = 100;
/// How often queues are looked through for those that can let go of what they have read ahead.
pub(super) const REST_PERIOD: Duration = Duration::from_secs(5);
/// How often streams on demand are looked at for whether they have the shards they need.
pub(super) const CAPACITY_PERIOD: Duration = Duration::from_secs(10);
/// Shards of a core whose own metrics are told at most.
pub(super) const WATCHED_SHARDS_MAX: usize = 4_096;
/// Letters that a core takes from its mailbox before it lets others run.
pub(super) const LETTERS_PER_TURN_MAX: usize = 64;
/// Memory that an executor registers with the kernel. It counts against RLIMIT_MEMLOCK, and only the heartbeat's and the
/// pump's small reads use it.
pub(super) const IO_MEMORY_BYTES: usize = 1 << 20;
/// What an executor and its rings lock at least: measured, with the registered memory and room to spare.
pub(super) const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
/// Operations on files that the kernel carries out for a core at once: for each of its lanes a write, flushes of the active and of sealed segments, and the
/// filling of the next one, and some for compaction and the catalog.
pub(super) const DISK_WORKERS_MAX: u32 = 32;
/// Entries of an executor's own ring.
pub(super) const RING_DEPTH: usize = 256;
/// Heartbeats of an idle core, in milliseconds. An idle core has nothing that could be late but its first request, and
/// that one brings the short beat back.
pub(super) const HEARTBEAT_IDLE_MS: u64 = 50;
/// How often the watchdog looks.
pub(super) const WATCHDOG_PERIOD_MS: u64 = 50;
/// Time that tasks have to end when their core has closed.
pub(super) const SEE_OFF_TIME_MAX: Duration = Duration::from_secs(2);
/// Share of the core that requests have against upkeep's.
pub(super) const REQUEST_SHARES: usize = 1_000;
/// See [`REQUEST_SHARES`].
pub(super) const UPKEEP_SHARES: usize = 100;
/// How late a latency-sensitive task may run, in milliseconds, when others keep the core busy.
pub(super) const REQUEST_LATENCY_MS: u64 = 1;

const _: () = assert!(LETTERS_PER_TURN_MAX <= MAILBOX_LETTERS_MAX);
const _: () = assert!(IO_MEMORY_BYTES as u64 >= MEMLOCK_BYTES_MIN);
const _: () = assert!(UPKEEP_SHARES < REQUEST_SHARES);
