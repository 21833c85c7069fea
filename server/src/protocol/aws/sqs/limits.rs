//! Bounds of the service, as AWS documents them.

use std::ops::RangeInclusive;

/// Entries of a batch.
pub(super) const BATCH_ENTRIES_MAX: usize = 10;
/// Bytes of all messages of a batch, attributes included.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Characters of an entry's id in a batch.
pub(super) const BATCH_ID_CHARS_MAX: usize = 80;
/// Attributes of a message.
pub(super) const ATTRIBUTES_MAX: usize = 10;
/// Characters of an attribute's name, and of its type.
pub(super) const ATTRIBUTE_CHARS_MAX: usize = 256;
/// Messages of one receive.
pub(super) const RECEIVE_MESSAGES: RangeInclusive<i64> = 1..=10;
/// Seconds that a message may be hidden.
pub(super) const VISIBILITY_S: RangeInclusive<i64> = 0..=43_200;
/// Seconds that a receive may wait.
pub(super) const WAIT_S: RangeInclusive<i64> = 0..=20;
/// Seconds that a message may be delayed.
pub(super) const DELAY_S: RangeInclusive<i64> = 0..=900;
/// Queues in a page.
pub(super) const LIST_QUEUES: RangeInclusive<i64> = 1..=1_000;
/// Queues in a page if the caller says nothing, and queues that are looked at at a time.
pub(super) const LIST_QUEUES_DEFAULT: usize = 1_000;
/// How long page tokens are good for.
pub(super) const TOKEN_AGE_MS_MAX: u64 = 86_400_000;
/// Actions, and statements, of a policy that AddPermission makes.
pub(super) const POLICY_ACTIONS_MAX: usize = 7;
/// See there.
pub(super) const POLICY_STATEMENTS_MAX: usize = 20;
/// How often a change of statements is tried while others change them, too. Each time somebody else's has come about.
pub(super) const POLICY_EDITS_MAX: usize = 100;
/// Tags of a queue.
pub(super) const TAGS_MAX: usize = 50;
/// Messages a second of a task that asks for a rate.
pub(super) const MOVE_RATE: RangeInclusive<i64> = 1..=500;
