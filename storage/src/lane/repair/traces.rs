//! Broken entries that still tell what they were: those of which one bit is wrong.
//!
//! A CRC is linear: a bit that flips changes it by a value that depends on nothing but its distance from the end, and no two bits of an entry have the same. So the difference between the checksum that is
//! stored and that of the bytes says which bit it was. Promises to believe this about numbers only: readers are never given what was not whole. Where more bits are wrong, one time in 2^32
//! for each bit of the entry another one seems to be it; a segment's number that is not right, or a length that does not fit where it lies, rules out nearly all of these as well.

use std::ops::Range;

use tidemill_wire::{
    OwnerId, SequenceNumber,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use crate::segment::{SegmentId, scan::Found, watermarks};

/// The polynomial of CRC-32/ISO-HDLC, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// Where the header has the entry's length, and the segment's number.
const LENGTH: Range<usize> = 4..8;
const EPOCH: Range<usize> = 40..48;

/// What broken entries tell.
#[derive(Default)]
pub(crate) struct Traces {
    /// With numbers of owners, in the order of their positions.
    pub(crate) entries: Vec<Found>,
    /// How many records each of them had, which of a sparse one are fewer than its numbers.
    pub(crate) record_counts: Vec<u32>,
    /// Rows of those that tell numbers only.
    pub(crate) watermarks: Vec<(OwnerId, SequenceNumber)>,
    /// Where entries may be lost of which nothing tells.
    pub(crate) unknown: Vec<Range<u64>>,
}

/// Looks for broken entries in the parts of a segment in which there should be entries.
pub(super) fn find(bytes: &[u8], lost: &[Range<u64>], id: SegmentId) -> Traces {
    let mut traces = Traces::default();
    for range in lost {
        let (mut position, mut known) = (range.start, range.start);
        while position < range.end {
            let part = index(position).zip(index(range.end));
            let rest = part.and_then(|(from, to)| bytes.get(from..to)).unwrap_or_default();
            let Some(whole) = mend(rest, id) else {
                position += 8;
                continue;
            };
            if known < position {
                traces.unknown.push(known..position);
            }
            let header = whole.header;
            if header.kind == EntryKind::Watermarks {
                traces.watermarks.extend(watermarks::decode(&whole.payload));
            } else {
                traces.entries.push(Found { position, header });
                traces.record_counts.push(whole.record_count());
            }
            position += header.stride() as u64;
            known = position;
        }
        if known < range.end {
            traces.unknown.push(known..range.end);
        }
    }
    traces
}

fn index(position: u64) -> Option<usize> {
    usize::try_from(position).ok()
}

/// An entry with the wrong bit turned.
struct Mended {
    header: EntryHeader,
    payload: Vec<u8>,
}

impl Mended {
    fn record_count(&self) -> u32 {
        match self.header.kind {
            // Its payload begins with the count.
            EntryKind::Sparse => word(&self.payload, 0..4).unwrap_or(0).min(self.header.record_count),
            EntryKind::Batch => self.header.record_count,
            EntryKind::Watermarks => 0,
        }
    }
}

/// The entry that some bytes begin with, if one of its bits is wrong and it lies wholly within them.
fn mend(rest: &[u8], id: SegmentId) -> Option<Mended> {
    let epoch = u64::from_le_bytes(rest.get(EPOCH)?.try_into().ok()?);
    match (epoch ^ id).count_ones() {
        0 => mend_fields(rest, id),
        1 => with_header(rest, id, |header| header[EPOCH].copy_from_slice(&id.to_le_bytes())),
        _ => None,
    }
}

/// The same with the right segment's number.
fn mend_fields(rest: &[u8], id: SegmentId) -> Option<Mended> {
    let length = word(rest, LENGTH)?;
    (0..u32::BITS)
        .find_map(|bit| {
            let length = length ^ (1 << bit);
            with_header(rest, id, |header| header[LENGTH].copy_from_slice(&length.to_le_bytes()))
        })
        .or_else(|| {
            let covered = rest.get(LENGTH.start..usize::try_from(length).ok()?)?;
            let difference = word(rest, 0..4)? ^ crc32fast::hash(covered);
            let (byte, bit) = match difference.count_ones() {
                // Of the checksum itself.
                1 => (0, difference.trailing_zeros()),
                _ => {
                    let (byte, bit) = flipped(difference, covered.len())?;
                    (LENGTH.start + byte, bit)
                }
            };
            let mut entry = rest.get(..usize::try_from(length).ok()?)?.to_vec();
            *entry.get_mut(byte + usize::from(byte == 0) * (bit / 8) as usize)? ^= 1 << (bit % 8);
            whole(&entry, id)
        })
}

/// The entry with another header, if it is whole then.
fn with_header(rest: &[u8], id: SegmentId, change: impl FnOnce(&mut [u8])) -> Option<Mended> {
    let mut header = *rest.first_chunk::<ENTRY_HEADER_BYTES>()?;
    change(&mut header);
    let length = usize::try_from(word(&header, LENGTH)?).ok()?;
    let payload = rest.get(ENTRY_HEADER_BYTES..length)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[LENGTH.start..]);
    crc.update(payload);
    (crc.finalize() == word(&header, 0..4)?).then(|| whole(&[&header[..], payload].concat(), id)).flatten()
}

fn whole(entry: &[u8], id: SegmentId) -> Option<Mended> {
    let header = EntryHeader::verify(entry).ok()?;
    let is_right = header.segment_epoch == id && header.length as usize == entry.len();
    is_right.then(|| Mended { header, payload: entry.get(ENTRY_HEADER_BYTES..).unwrap_or_default().to_vec() })
}

/// Which bit of so many bytes makes this difference of their CRC: its byte and its place in it.
fn flipped(difference: u32, bytes: usize) -> Option<(usize, u32)> {
    // The last bit that goes in is the highest of the last byte.
    let mut value = POLYNOMIAL;
    for byte in (0..bytes).rev() {
        for bit in (0..8).rev() {
            if value == difference {
                return Some((byte, bit));
            }
            value = value >> 1 ^ if value & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    None
}

fn word(bytes: &[u8], at: Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
