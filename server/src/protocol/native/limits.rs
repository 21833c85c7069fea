//! The bounds of the native protocol on one core.

use std::time::Duration;

/// Bytes read at a time; all connections of a core share the memory.
pub(super) const READ_BYTES: usize = 256 << 10;
/// A frame larger than this is received into a buffer of its own instead of being copied together.
pub(super) const SMALL_FRAME_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read at first after a large frame: of another large one, only these are copied.
pub(super) const LARGE_BEGINNING_BYTES: usize = 4 << 10;
/// Buffers of each size that a core keeps for later.
pub(super) const IDLE_BUFFERS_MAX: usize = 8;
/// Bytes of the buffers of one size that are kept, one buffer at least: the memory of a burst of the largest frames is given back.
pub(super) const IDLE_BYTES_MAX: usize = 32 << 20;
/// Smallest of the sizes in which buffers are kept.
pub(super) const BUFFER_BYTES_MIN: usize = 128 << 10;
/// Bytes of answers that may wait for their peer to take them. With more, nothing is read from it, and fetched entries wait.
pub(super) const OUTBOX_BYTES_MAX: usize = 8 << 20;
/// Runs of entries up to this size are copied beside their header: one more system call costs more than the copy.
pub(super) const COPY_BYTES_MAX: usize = 16 << 10;
/// Answers that are written together are collected in memory of this size at first.
pub(super) const ANSWER_BYTES: usize = 4 << 10;
/// Stream descriptions that one connection has made at a time; each may be as long as a message, for a request of a few bytes.
pub(super) const DESCRIPTIONS_MAX: u64 = 8;
/// Subscriptions of one connection.
pub(super) const SUBSCRIPTIONS_MAX: usize = 4_096;
/// Bytes that a subscription pushes at a time, so that several on one connection take turns.
pub(super) const PUSH_BYTES_MAX: usize = 1 << 20;
/// Room in a fetch's frame for its message.
pub(super) const FETCH_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Time that a peer has to finish a frame that it has begun, beside what its bytes take.
const FRAME_TIME_MAX: Duration = Duration::from_secs(30);
/// A frame's bytes come at least so fast, or their memory is not held any longer.
const FRAME_BYTES_PER_SECOND_MIN: usize = 64 << 10;
/// A peer that has not said hello after this long is gone.
pub(super) const HELLO_TIME_MAX: Duration = Duration::from_secs(10);
/// A peer that takes nothing of what waits for it for this long is gone.
pub(super) const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// When the server goes down, a peer that takes nothing of its answers for this long is gone.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);
/// Once everything is said, a peer is given this time to end its side.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// After an accept failed.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Log lines about peers on one core: one in this time, the others are counted.
pub(super) const LOG_PERIOD: Duration = Duration::from_secs(1);
/// Seconds that a message of a queue may be delayed, as in
/// [SQS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
pub(super) const MESSAGE_DELAY_S_MAX: u32 = 900;
/// Seconds that a message of a queue may be hidden.
pub(super) const MESSAGE_VISIBILITY_S_MAX: u32 = 43_200;
/// A push waits for records in steps of this; each step ends by itself and is taken up again.
pub(super) const PUSH_WAIT: Duration = Duration::from_secs(60);

const _: () = assert!(SMALL_FRAME_BYTES_MAX <= READ_BYTES);
const _: () = assert!(LARGE_BEGINNING_BYTES < SMALL_FRAME_BYTES_MAX);
const _: () = assert!(COPY_BYTES_MAX < OUTBOX_BYTES_MAX);

/// Time that a peer has for the `missing` bytes of a frame.
pub(super) fn frame_time_max(missing: usize) -> Duration {
    FRAME_TIME_MAX + Duration::from_secs((missing / FRAME_BYTES_PER_SECOND_MIN) as u64)
}
