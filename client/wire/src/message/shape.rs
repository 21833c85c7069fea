//! Messages that always lie the same way, read and written by their shape.
//!
//! A message of plain numbers has the same bytes every time but for those of the numbers. A [`Shape`] learns from the builder which bytes those are.
//! Promises that what it writes is what the builder writes, and that what it reads the verifier accepts and reads the same
//! (`tests::shapes_*`); messages of any other shape, from whatever builder, are left to those. Leaves out which messages are worth it.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::BytesMut;

use super::request::{Append, Request, RequestBody};
use super::response::{Appended, Response, ResponseBody};
use super::{Ack, Builder};
use crate::frame;
use crate::ids::{RequestId, SequenceNumber, ShardIndex, StreamId, Timestamp};

/// Bytes that are compared at a time.
const WORD: usize = 8;

/// Where the numbers of a message lie; all else in it is fixed.
struct Shape<const NUMBERS: usize> {
    /// The message with zeroes for its numbers.
    fixed: Vec<u8>,
    /// For each word of the message, the bits that are fixed.
    masks: Vec<u64>,
    numbers: [Range<usize>; NUMBERS],
}

/// Ids and numbers of which none has the value that the builder leaves out of a message.
static APPENDS: LazyLock<[Shape<3>; 2]> = LazyLock::new(|| {
    [Ack::Durable, Ack::Written].map(|ack| {
        Shape::learn([8, 8, 4], |builder, [id, stream, shard]| {
            let append = Append { stream: StreamId(stream), shard: Some(ShardIndex(narrow(shard))), ack };
            Request { id: RequestId(id), body: RequestBody::Append(append) }.build(builder);
        })
    })
});

/// Of the first shard, whose index is left out, and of any other.
static APPENDED: LazyLock<(Shape<3>, Shape<4>)> = LazyLock::new(|| {
    let build = |builder: &mut Builder, id, base, time, shard| {
        let appended = Appended {
            shard: ShardIndex(narrow(shard)),
            base_sequence: SequenceNumber(base),
            append_time: Timestamp(time),
        };
        Response { id: RequestId(id), body: ResponseBody::Appended(appended) }.build(builder);
    };
    let first = Shape::learn([8, 8, 8], |builder, [id, base, time]| build(builder, id, base, time, 0));
    let other =
        Shape::learn([8, 8, 8, 4], |builder, [id, base, time, shard]| build(builder, id, base, time, shard));
    (first, other)
});

/// An append to a named shard, if it lies in one of the usual ways.
pub(super) fn read_append(message: &[u8]) -> Option<Request> {
    let acks = APPENDS.iter().zip([Ack::Durable, Ack::Written]);
    let ([id, stream, shard], ack) =
        acks.into_iter().find_map(|(shape, ack)| Some((shape.read(message)?, ack)))?;
    let shard = Some(narrow(shard)).filter(|shard| *shard != super::request::ROUTE).map(ShardIndex);
    let append = Append { stream: StreamId(stream), shard, ack };
    Some(Request { id: RequestId(id), body: RequestBody::Append(append) })
}

/// Appends the frame of an append's answer to `out`; tells whether it could.
pub(super) fn write_appended(out: &mut BytesMut, id: RequestId, appended: &Appended) -> bool {
    let (first, other) = &*APPENDED;
    let (id, base, time) = (id.0, appended.base_sequence.0, appended.append_time.0);
    if id == 0 || base == 0 || time == 0 {
        return false;
    }
    match u64::from(appended.shard.0) {
        0 => first.write(out, [id, base, time]),
        shard => other.write(out, [id, base, time, shard]),
    }
    true
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl<const NUMBERS: usize> Shape<NUMBERS> {
    /// Compares messages that differ in one number to see where it lies. `bytes` are the sizes of the numbers.
    fn learn(bytes: [usize; NUMBERS], build: impl Fn(&mut Builder, [u64; NUMBERS])) -> Self {
        let message = |numbers: [u64; NUMBERS]| {
            let mut builder = Builder::new();
            build(&mut builder, numbers);
            builder.finished_data().to_vec()
        };
        // Each byte of one differs from the same byte of the other, and neither is a default.
        let number = |digits: u64, bytes: usize| digits >> (64 - 8 * bytes);
        let ones = bytes.map(|bytes| number(0x1111_1111_1111_1111, bytes));
        let before = message(ones);
        assert!(before.len().is_multiple_of(WORD), "a message with a number of eight bytes is aligned to it");
        let numbers = std::array::from_fn(|index| {
            let mut numbers = ones;
            numbers[index] = number(0x2222_2222_2222_2222, bytes[index]);
            let after = message(numbers);
            let differs = |at: &usize| before[*at] != after[*at];
            let start = (0..before.len()).find(differs).expect("a number that is no default is written");
            let range = start..start + bytes[index];
            let all: Vec<usize> = (0..before.len()).filter(differs).collect();
            assert_eq!(all, range.clone().collect::<Vec<_>>(), "a number lies in one place");
            range
        });
        let (mut fixed, mut mask) = (before.clone(), vec![u8::MAX; before.len()]);
        for range in &numbers {
            fixed[range.clone()].fill(0);
            mask[range.clone()].fill(0);
        }
        Self { fixed, masks: mask.chunks_exact(WORD).map(word).collect(), numbers }
    }

    /// The numbers of a message that has this shape.
    fn read(&self, message: &[u8]) -> Option<[u64; NUMBERS]> {
        if message.len() != self.fixed.len() {
            return None;
        }
        let words = message.chunks_exact(WORD).zip(self.fixed.chunks_exact(WORD)).zip(&self.masks);
        let difference =
            words.fold(0, |all, ((found, fixed), mask)| all | (word(found) & mask ^ word(fixed)));
        if difference != 0 {
            return None;
        }
        let mut numbers = [0; NUMBERS];
        for (number, range) in numbers.iter_mut().zip(&self.numbers) {
            *number = match message.get(range.clone())? {
                bytes if bytes.len() == WORD => word(bytes),
                bytes => u64::from(u32::from_le_bytes(bytes.try_into().ok()?)),
            };
        }
        Some(numbers)
    }

    /// Appends a frame without a body.
    fn write(&self, out: &mut BytesMut, numbers: [u64; NUMBERS]) {
        frame::put(out, &self.fixed, 0);
        let start = out.len() - self.fixed.len();
        let message = &mut out[start..];
        for (number, range) in numbers.into_iter().zip(&self.numbers) {
            let bytes = number.to_le_bytes();
            if range.len() == WORD {
                message[range.clone()].copy_from_slice(&bytes);
            } else {
                message[range.clone()].copy_from_slice(&bytes[..range.len()]);
            }
        }
    }
}

fn word(bytes: &[u8]) -> u64 {
    let bytes = bytes.first_chunk::<WORD>().copied();
    u64::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests;
