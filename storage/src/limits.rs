//! The bounds of the lane log, and the relations between them.
//!
//! Owns every number that is not a knob. What an operator may choose is in `config`.

/// A segment's header takes one page, so that entries begin on a page of their own.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;
/// The trailer takes the last page of the file: it is found without knowing anything else.
pub const SEGMENT_TRAILER_BYTES: u64 = 4096;
/// Positions are kept in units of 8 bytes in 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 8 << 32;
/// Room for a header, a trailer and some entries.
pub const SEGMENT_BYTES_MIN: u64 = 32 << 10;

/// The kernel takes at most this many buffers in one write (`IOV_MAX`).
pub const WRITE_BUFFERS_MAX: usize = 1024;
/// The kernel moves at most this many bytes in one write.
pub const WRITE_BYTES_MAX: u64 = 1 << 30;
/// Payloads up to this size are copied beside their headers: a copy of so little costs less than one more buffer in the write.
pub const PAYLOAD_COPY_BYTES_MAX: usize = 4096;
/// A writer keeps the memory of groups whose copied bytes are up to this; what a larger one takes is given back.
pub const ARENA_BYTES_KEPT_MAX: usize = 1 << 20;

/// Neighbouring entries of one owner share a point of the index up to this many bytes,
/// so a fetch never walks further than this to find its first entry.
pub const POINT_BYTES_MAX: u64 = 16 << 10;
/// Of each segment, one part in this many is kept for watermarks, so that retention can free space on a full disk.
pub const WATERMARK_RESERVE_PARTS: u64 = 32;
/// A segment without live entries stays while the numbers that are to be kept from it take more than one part in this many of it.
pub const WATERMARK_PARTS_MAX: u64 = 2;
/// Rows in one watermarks entry.
pub const WATERMARK_ROWS_MAX: usize = 4096;

/// Segments without a footer behind the active one; with more, appends wait for the sealer.
pub const SEALING_SEGMENTS_MAX: usize = 2;
/// Bytes written, scanned or brought in at a time where much is to be moved, so that others get their turn between.
pub const CHUNK_BYTES: u64 = 4 << 20;
/// What the kernel writes back at a time at least, and what a mapping begins and ends with.
pub const PAGE_BYTES: u64 = 4096;
/// Bytes of a new segment that are filled with zeroes in one go. The kernel's worker has the core of the appends for all of a step, some 1.5 ms.
pub const FILL_BYTES: u64 = 1 << 20;
/// So many times what write-back begins with at least is one step of it at most: more has the core for long.
pub const WRITEBACK_STEPS_MAX: u64 = 4;
/// Segment files that a start reads at a time: each is a few small reads one after the other, and the disk answers many at once.
pub const RECOVERED_TOGETHER_MAX: usize = 16;
/// Bytes of entries that a reader brings together in one step; one entry may be more.
pub const READ_STEP_BYTES: u64 = 1 << 20;
/// A block that cold reads fill: a step's windows, each with what alignment adds to its ends.
pub const COLD_BLOCK_BYTES: usize = 2 * READ_STEP_BYTES as usize;
/// Bytes in blocks that are filled or wait for a peer to take them. Beyond it cold entries are brought into the page cache instead.
pub const COLD_BYTES_MAX: usize = 64 << 20;
/// Blocks kept for later.
pub const IDLE_BLOCKS_MAX: usize = 4;
/// Bytes that are read in one turn, in windows of which so many are in flight at once. To begin one takes the core for some tens of microseconds.
pub const COLD_TURN_BYTES: usize = 256 << 10;
/// See [`COLD_TURN_BYTES`].
pub const COLD_TURN_WINDOWS: usize = 16;
/// While something is being made durable there is one turn at a time, and it is as large as the disk bears, from this
pub const COLD_TURN_BYTES_MIN: usize = 32 << 10;
/// in steps of this
pub const COLD_TURN_BYTES_STEP: usize = 32 << 10;
/// to this.
pub const COLD_TURN_BYTES_MAX: usize = READ_STEP_BYTES as usize;
/// A turn that waits for the durable write in flight waits for so many more to begin at most.
pub const COLD_WRITES_PASSED_MAX: u64 = 2;
/// What cold reads of a core get at least, in bytes per second, unless somebody says otherwise.
pub const COLD_BYTES_PER_SECOND_MIN: u64 = 16 << 20;
/// Turns at a time while nothing is made durable: the disk is kept busy, and the first flush that comes meets twice a turn's bytes in its queue.
pub const COLD_TURNS: usize = 2;
/// Owners or spans that are looked at before others get their turn: some hundred nanoseconds each.
pub const UPKEEP_BATCH: usize = 64;
/// A checkpoint of the index is written only when so many times its bytes were written to the lane since the one before.
pub const CHECKPOINT_PARTS: u64 = 8;
/// A checkpoint that cannot be written is tried again after this time at the latest.
pub const CHECKPOINT_RETRY_MAX: std::time::Duration = std::time::Duration::from_secs(600);
/// Bits of the filter of a segment for each of its owners, and in all. It is rounded up to a power of two.
pub const FILTER_BITS_PER_OWNER: usize = 16;
/// See [`FILTER_BITS_PER_OWNER`]: 16 KiB.
pub const FILTER_BITS_MAX: usize = 1 << 17;
/// A segment with more owners has no filter: beyond this it would say yes of more than one in a hundred others.
pub const FILTER_OWNERS_MAX: usize = FILTER_BITS_MAX / 10;
/// Bytes of entries that are read in one step where all of a segment are: some tens of microseconds.
pub const SCAN_STEP_BYTES: usize = 256 << 10;
/// Segments that one compaction takes at most.
pub const VICTIMS_MAX: usize = 16;
/// Compaction looks for dead bytes when one part in this many of the sealed files could be freed.
pub const GARBAGE_PARTS: u64 = 5;
/// What will be over within `EXPIRY_WAIT` waits for that, until so many parts of `GARBAGE_PARTS_PRESSING` of the sealed files could be freed.
pub const GARBAGE_PARTS_WAITING: u64 = 2;
/// See [`GARBAGE_PARTS_WAITING`].
pub const GARBAGE_PARTS_PRESSING: u64 = 9;
/// A segment whose rest is expected to be over within so long is better not rewritten.
pub const EXPIRY_WAIT: std::time::Duration = std::time::Duration::from_secs(300);
/// A compaction frees at least one part in this many of the files it takes.
pub const FREED_PARTS: u64 = 10;
/// The same on a full disk.
pub const FREED_PARTS_FULL: u64 = 16;
/// Where the room of a whole reserve is not there, halves are tried so often.
pub const RESERVE_HALVINGS_MAX: u32 = 4;
/// So many neighbours that fit one segment together are made one, for the sake of the number of files.
pub const MERGED_SEGMENTS_MIN: usize = 8;
/// Owners are interleaved where their runs of entries are shorter than this on average.
pub const INTERLEAVED_RUN_BYTES: u64 = 4 << 10;
/// Interleaved is only what has this many runs for each owner on average: grouping makes one of them.
pub const INTERLEAVED_RUNS_PER_OWNER: u64 = 4;
/// Keys that are hashed or looked up before others get their turn.
pub const KEYS_AT_ONCE: u32 = 512;
/// Operations in flight on one ring before further ones wait.
pub const RING_ENTRIES: u32 = 256;
/// The completion queue is this many times the submission queue.
pub const RING_COMPLETION_FACTOR: u32 = 4;

const _: () = assert!(SEGMENT_BYTES_MIN > SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES);
const _: () = assert!(SEGMENT_BYTES_MAX / 8 <= 1 << 32);
const _: () = assert!(SEGMENT_BYTES_MIN.is_multiple_of(PAGE_BYTES) && CHUNK_BYTES.is_multiple_of(FILL_BYTES));
const _: () = assert!(FILL_BYTES.is_multiple_of(PAGE_BYTES));
const _: () = assert!(WRITE_BUFFERS_MAX >= 8);
const _: () = assert!(COLD_BLOCK_BYTES as u64 >= READ_STEP_BYTES && COLD_BYTES_MAX > 2 * COLD_BLOCK_BYTES);
const _: () = assert!(COLD_TURN_BYTES_MIN >= COLD_TURN_BYTES_STEP && COLD_TURN_BYTES_MAX >= COLD_TURN_BYTES);
const _: () = assert!(
    COLD_TURN_BYTES_STEP.is_multiple_of(4096) && COLD_TURN_BYTES.is_multiple_of(COLD_TURN_BYTES_STEP)
);
const _: () = assert!(COLD_TURNS * COLD_TURN_WINDOWS < RING_ENTRIES as usize);
const _: () = assert!(
    GARBAGE_PARTS_WAITING * GARBAGE_PARTS > GARBAGE_PARTS_PRESSING
        && GARBAGE_PARTS_WAITING * 4 < GARBAGE_PARTS_PRESSING,
    "waiting begins with the first share, and ends before one part in four"
);
const _: () = assert!(
    MERGED_SEGMENTS_MIN <= VICTIMS_MAX && FREED_PARTS > GARBAGE_PARTS && FREED_PARTS_FULL > FREED_PARTS
);
