//! Sequence numbers as Kinesis writes them: decimal numbers of 56 digits that grow within a shard.
//!
//! ```text
//! bits      what
//! 184–185   2
//! 142–183   when the stream was created, milliseconds since the epoch
//! 110–141   index of the shard
//! 46–109    number of the record in its shard
//! 36–45     0
//! 4–35      index of the shard again, where Amazon's client library looks for it
//! 0–3       2
//! ```
//!
//! The numbers of a child are greater than those of its parents, and those of a stream greater than those of one of the same name that was deleted
//! before it, so a checkpoint of the one is not taken for one of the other.

use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

/// Digits of a number.
const DIGITS: usize = 56;
/// Digits of a limb in decimal.
const CHUNK_DIGITS: usize = 19;
const CHUNK: u64 = 10_u64.pow(CHUNK_DIGITS as u32);
const CREATED_BITS: u32 = 42;
const SEQUENCE_SHIFT: u32 = 46;
const VERSION: u128 = 2;

/// A record's number with the shard and the stream that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordNumber {
    /// When the stream was created.
    pub(super) created: Timestamp,
    /// The shard.
    pub(super) shard: ShardIndex,
    /// The number in the shard.
    pub(super) sequence: SequenceNumber,
}

impl RecordNumber {
    /// As Kinesis writes it.
    pub(super) fn to_decimal(self) -> String {
        Numbering::new(self.created, self.shard).decimal(self.sequence)
    }

    /// Reads what [`to_decimal`](Self::to_decimal) has written, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (high, low) = from_decimal(text)?;
        let shard = u32::try_from(low >> 4 & u128::from(u32::MAX)).ok()?;
        let sequence = u64::try_from(low >> SEQUENCE_SHIFT & u128::from(u64::MAX)).ok()?;
        let created = u64::try_from(high >> 14 & ((1 << CREATED_BITS) - 1)).ok()?;
        let number = Self {
            created: Timestamp(created),
            shard: ShardIndex(shard),
            sequence: SequenceNumber(sequence),
        };
        (number.to_decimal() == text).then_some(number)
    }
}

/// Writes the numbers of one shard: what is the same in all of them is divided into decimal digits once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbering {
    /// The number of the first record, in chunks of decimal digits.
    first: [u64; 3],
}

impl Numbering {
    /// The numbers of a shard of the stream that was created then.
    pub(super) fn new(created: Timestamp, shard: ShardIndex) -> Self {
        let created = u128::from(created.get()) & ((1 << CREATED_BITS) - 1);
        let shard = u128::from(shard.get());
        let low = VERSION | shard << 4 | shard << 110;
        let high = shard >> 18 | created << 14 | VERSION << 56;
        Self { first: chunks(high, low) }
    }

    /// A number that comes after those of the records before this one, and before that of this one: after it this one is read.
    pub(super) fn before(&self, sequence: SequenceNumber) -> String {
        let previous = sequence.get().checked_sub(1).map(SequenceNumber);
        previous.map_or_else(|| self.before_first(), |previous| self.decimal(previous))
    }

    /// A number below that of the first record, which no record has.
    pub(super) fn before_first(&self) -> String {
        let [high, middle, low] = self.first;
        let below = |chunk: u64, borrowed: bool| match chunk.checked_sub(u64::from(borrowed)) {
            Some(less) => (less, false),
            None => (CHUNK - 1, true),
        };
        let (low, borrowed) = below(low, true);
        let (middle, borrowed) = below(middle, borrowed);
        let (high, _) = below(high, borrowed);
        Self { first: [high, middle, low] }.decimal(SequenceNumber(0))
    }

    /// The number of a record.
    pub(super) fn decimal(&self, sequence: SequenceNumber) -> String {
        self.digits(sequence).as_str().to_owned()
    }

    /// The same where it is only looked at: numbers are written for every record.
    pub(super) fn digits(&self, sequence: SequenceNumber) -> Digits {
        let [high, middle, low] = self.first;
        // The number's bits are 0 in the first one, so adding it is setting them.
        let (over, offset) = offset(sequence);
        let (low, carried) = add(low, offset);
        let (middle, carried) = add(middle, over + carried);
        let mut digits = [b'0'; DIGITS];
        let (first, rest) = digits.split_at_mut(DIGITS - 2 * CHUNK_DIGITS);
        let (second, third) = rest.split_at_mut(CHUNK_DIGITS);
        put_digits(first, high + carried);
        put_digits(second, middle);
        put_digits(third, low);
        Digits(digits)
    }
}

/// A number as it is written.
pub(super) struct Digits([u8; DIGITS]);

impl Digits {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

/// By how much a record's number is above that of the first one: in chunks, and what is over.
fn offset(sequence: SequenceNumber) -> (u64, u64) {
    // A chunk is 2^19 × 5^19, and what they have in common need not be divided: so up to 2^37 records go without 128 bits.
    const COMMON_BITS: u32 = CHUNK_DIGITS as u32;
    const ODD: u64 = 5_u64.pow(CHUNK_DIGITS as u32);
    const SHIFT: u32 = SEQUENCE_SHIFT - COMMON_BITS;
    if sequence.get() >> (u64::BITS - SHIFT) == 0 {
        let shifted = sequence.get() << SHIFT;
        return (shifted / ODD, (shifted % ODD) << COMMON_BITS);
    }
    let offset = u128::from(sequence.get()) << SEQUENCE_SHIFT;
    (limb(offset / u128::from(CHUNK)), limb(offset % u128::from(CHUNK)))
}

/// The sum of two numbers below a chunk, and one for the chunk above if it does not hold it.
fn add(left: u64, right: u64) -> (u64, u64) {
    let room = CHUNK - right;
    if left >= room { (left - room, 1) } else { (left + right, 0) }
}

/// Writes a number's last digits, two at a time.
fn put_digits(out: &mut [u8], mut number: u64) {
    for pair in out.rchunks_mut(2) {
        let two = (number % 100) as u8;
        number /= 100;
        let (tens, ones) = (b'0' + two / 10, b'0' + two % 10);
        match pair {
            [first, second] => (*first, *second) = (tens, ones),
            rest => rest.fill(ones),
        }
    }
}

/// The decimal digits of a number in chunks, the greatest first.
fn chunks(high: u128, low: u128) -> [u64; 3] {
    let mut limbs = [limb(high >> 64), limb(high), limb(low >> 64), limb(low)];
    let mut chunks = [0; 3];
    for chunk in chunks.iter_mut().rev() {
        *chunk = limbs.iter_mut().fold(0, |rest, limb| {
            let value = u128::from(rest) << 64 | u128::from(*limb);
            *limb = self::limb(value / u128::from(CHUNK));
            self::limb(value % u128::from(CHUNK))
        });
    }
    chunks
}

/// The number that a text of digits means, if it has 256 bits at most.
fn from_decimal(text: &str) -> Option<(u128, u128)> {
    let mut limbs = [0_u64; 4];
    for digit in text.bytes() {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        let carry = limbs.iter_mut().rev().fold(u128::from(digit), |carry, limb| {
            let value = u128::from(*limb) * 10 + carry;
            *limb = self::limb(value);
            value >> 64
        });
        if carry > 0 {
            return None;
        }
    }
    let [a, b, c, d] = limbs.map(u128::from);
    Some((a << 64 | b, c << 64 | d))
}

/// The low 64 bits.
fn limb(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(created: u64, shard: u32, sequence: u64) -> RecordNumber {
        RecordNumber {
            created: Timestamp(created),
            shard: ShardIndex(shard),
            sequence: SequenceNumber(sequence),
        }
    }

    /// The high and the low half of a number, field by field.
    fn layout(created: u64, shard: u32, sequence: u64) -> (u128, u128) {
        let (created, shard, sequence) = (u128::from(created), u128::from(shard), u128::from(sequence));
        let low = VERSION | shard << 4 | sequence << SEQUENCE_SHIFT | shard << 110;
        (shard >> 18 | created << 14 | VERSION << 56, low)
    }

    #[test]
    fn the_numbers_are_those_of_the_layout() {
        let check = |number: RecordNumber, expected: &str| assert_eq!(number.to_decimal(), expected);
        // 2 × 2^184 + 2, and with a bit in each field.
        check(number(0, 0, 0), "49039857307708443467467104868809893875799651909875269634");
        check(number(1, 1, 1), "49039857307714018653768035598809911512275016993078247442");
        assert_eq!(chunks(0, u128::MAX), [3, 4_028_236_692_093_846_346, 3_374_607_431_768_211_455]);
        assert_eq!(from_decimal(&u128::MAX.to_string()), Some((0, u128::MAX)));
    }

    proptest! {
        #[test]
        fn numbers_are_read_back_and_grow_in_their_shard(
            created in 0_u64..1 << 42,
            shard in any::<u32>(),
            sequence in prop_oneof![0..u64::MAX, 0..1_u64 << 38],
        ) {
            let this = number(created, shard, sequence);
            let text = this.to_decimal();
            // As one long number in decimal, digit by digit.
            prop_assert_eq!(from_decimal(&text), Some(layout(created, shard, sequence)));
            prop_assert_eq!(text.len(), 56);
            prop_assert_eq!(RecordNumber::parse(&text), Some(this));
            prop_assert!(number(created, shard, sequence + 1).to_decimal() > text);
            if let Some(child) = shard.checked_add(1) {
                prop_assert!(number(created, child, 0).to_decimal() > text);
            }
        }

        #[test]
        fn a_number_before_a_record_comes_after_those_before_it(
            created in 0_u64..1 << 42,
            shard in any::<u32>(),
            sequence in 1..u64::MAX,
        ) {
            let numbering = Numbering::new(Timestamp(created), ShardIndex(shard));
            prop_assert_eq!(numbering.before(SequenceNumber(sequence)), numbering.decimal(SequenceNumber(sequence - 1)));
            let before_first = numbering.before(SequenceNumber(0));
            prop_assert!(before_first < numbering.decimal(SequenceNumber(0)) && before_first.len() == 56);
            prop_assert_eq!(RecordNumber::parse(&before_first), None);
            if let Some(parent) = shard.checked_sub(1) {
                let last = number(created, parent, u64::MAX).to_decimal();
                prop_assert!(before_first > last);
            }
        }

        #[test]
        fn other_texts_are_not_read(text in "[0-9]{0,140}|.{0,60}") {
            let parsed = RecordNumber::parse(&text);
            prop_assert!(parsed.is_none_or(|number| number.to_decimal() == text));
        }
    }
}
