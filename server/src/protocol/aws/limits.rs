//! Bounds of the AWS protocols.

/// Values in the input of an operation that has no path of its own.
pub(super) const VALUES_MAX: u32 = 1 << 16;
/// Nesting of what is skipped in CBOR because the model does not know it.
pub(super) const DEPTH_MAX: u32 = 128;
/// Broken constraints that one message tells of.
pub(super) const VIOLATIONS_MAX: usize = 32;
/// Characters of a value in such a message.
pub(super) const VALUE_CHARS_MAX: usize = 256;

// Every record of the largest PutRecords has two texts and a blob in a structure.
const _: () = assert!(VALUES_MAX > 500 * 4 + 8);
