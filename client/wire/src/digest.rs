//! MD5 of several messages side by side.
//!
//! One digest is a chain of steps that wait for each other, and leaves most of the processor idle; those of a batch have nothing to do with one another. Sixteen at a
//! time go through the widest registers where the processor has them, eight in plain code everywhere else.

mod wide;

use md5::{Digest, Md5};

use self::wide::Wide;

/// Messages at a time without the widest registers.
const LANES: usize = 8;
/// Messages from which on it is worth while, and how many times the longest all have to be together.
const WORTH: usize = 3;
const BLOCK_BYTES: usize = 64;
/// Bytes that a message's length takes, and the mark before them.
const LENGTH_BYTES: usize = 8;
const MARK: u8 = 0x80;

/// A digest.
pub type Md5Digest = [u8; 16];

/// The four words of each digest under way.
type State<const N: usize> = [[u32; N]; 4];
/// The words of one block of each message.
type Block<const N: usize> = [[u32; N]; 16];

/// The beginning of every digest (RFC 1321, section 3.3).
const BEGIN: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The whole part of 2^32 times the sine of each number from 1 to 64 (RFC 1321, section 3.4).
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee,
    0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
    0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
    0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed,
    0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
    0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039,
    0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

/// The digests of messages, in their order.
#[must_use]
pub fn md5_of_each(messages: &[&[u8]]) -> Vec<Md5Digest> {
    let mut digests = Vec::with_capacity(messages.len());
    match Wide::find() {
        Some(wide) => gather(messages, &mut digests, |state, block| wide.compress(state, block)),
        None => gather::<LANES>(messages, &mut digests, compress),
    }
    digests
}

/// Digests so many at a time, or one by one where that is faster.
fn gather<const N: usize>(
    messages: &[&[u8]],
    digests: &mut Vec<Md5Digest>,
    compress: impl Fn(&mut State<N>, &Block<N>),
) {
    for group in messages.chunks(N) {
        let bytes: usize = group.iter().map(|message| message.len()).sum();
        let longest = group.iter().map(|message| message.len()).max().unwrap_or(0);
        if group.len() >= WORTH && bytes >= longest * WORTH {
            digests.extend(&side_by_side(group, &compress)[..group.len()]);
        } else {
            digests.extend(group.iter().map(|message| Md5Digest::from(Md5::digest(message))));
        }
    }
}

/// The digests of up to so many messages; places without one have that of none.
fn side_by_side<const N: usize>(
    messages: &[&[u8]],
    compress: impl Fn(&mut State<N>, &Block<N>),
) -> [Md5Digest; N] {
    let lanes: [Blocks<'_>; N] =
        std::array::from_fn(|lane| Blocks::of(messages.get(lane).copied().unwrap_or_default()));
    let count = lanes.iter().map(|blocks| blocks.count).max().unwrap_or(0);
    let mut state = BEGIN.map(|word| [word; N]);
    let mut digests = [[0; 16]; N];
    for at in 0..count {
        let mut block = [[0; N]; 16];
        for (lane, blocks) in lanes.iter().enumerate() {
            let (words, _) = blocks.get(at).as_chunks::<4>();
            for (word, bytes) in block.iter_mut().zip(words) {
                word[lane] = u32::from_le_bytes(*bytes);
            }
        }
        compress(&mut state, &block);
        for (lane, digest) in digests.iter_mut().enumerate().filter(|(lane, _)| lanes[*lane].count == at + 1)
        {
            for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(&state) {
                *bytes = word[lane].to_le_bytes();
            }
        }
    }
    digests
}

/// A message's blocks, with what is added behind its end.
struct Blocks<'m> {
    whole: &'m [[u8; BLOCK_BYTES]],
    tail: [[u8; BLOCK_BYTES]; 2],
    count: usize,
}

impl<'m> Blocks<'m> {
    fn of(message: &'m [u8]) -> Self {
        let (whole, rest) = message.as_chunks::<BLOCK_BYTES>();
        let mut blocks = [[0; BLOCK_BYTES]; 2];
        let tail = blocks.as_flattened_mut();
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()] = MARK;
        let tails = if rest.len() + 1 + LENGTH_BYTES <= BLOCK_BYTES { 1 } else { 2 };
        let end = tails * BLOCK_BYTES;
        // In bits, of which only the low 64 count.
        let bits = (message.len() as u64).wrapping_mul(8);
        tail[end - LENGTH_BYTES..end].copy_from_slice(&bits.to_le_bytes());
        Self { whole, tail: blocks, count: whole.len() + tails }
    }

    /// A block; behind the last one, whatever is there.
    fn get(&self, at: usize) -> &[u8; BLOCK_BYTES] {
        self.whole.get(at).unwrap_or_else(|| &self.tail[(at - self.whole.len()).min(1)])
    }
}

/// One block of each message.
fn compress(state: &mut State<LANES>, block: &Block<LANES>) {
    let [mut a, mut b, mut c, mut d] = *state;
    // Steps go in fours, in which each word of the state has its turn.
    macro_rules! round {
        ($from:literal, $word:expr, [$s0:literal, $s1:literal, $s2:literal, $s3:literal], $mix:expr) => {
            for four in 0..4 {
                let at = $from + four * 4;
                let word = |step: usize| &block[$word(at + step) % 16];
                a = step::<$s0>(&a, &b, &c, &d, word(0), SINES[at], $mix);
                d = step::<$s1>(&d, &a, &b, &c, word(1), SINES[at + 1], $mix);
                c = step::<$s2>(&c, &d, &a, &b, word(2), SINES[at + 2], $mix);
                b = step::<$s3>(&b, &c, &d, &a, word(3), SINES[at + 3], $mix);
            }
        };
    }
    round!(0, |at: usize| at, [7, 12, 17, 22], |x, y, z| (x & y) | (!x & z));
    round!(16, |at: usize| at * 5 + 1, [5, 9, 14, 20], |x, y, z| (x & z) | (y & !z));
    round!(32, |at: usize| at * 3 + 5, [4, 11, 16, 23], |x, y, z| x ^ y ^ z);
    round!(48, |at: usize| at * 7, [6, 10, 15, 21], |x, y, z| y ^ (x | !z));
    for (word, more) in state.iter_mut().zip([a, b, c, d]) {
        *word = std::array::from_fn(|lane| word[lane].wrapping_add(more[lane]));
    }
}

#[inline(always)]
fn step<const SHIFT: u32>(
    a: &[u32; LANES],
    b: &[u32; LANES],
    c: &[u32; LANES],
    d: &[u32; LANES],
    word: &[u32; LANES],
    sine: u32,
    mix: impl Fn(u32, u32, u32) -> u32,
) -> [u32; LANES] {
    std::array::from_fn(|lane| {
        let sum = a[lane].wrapping_add(mix(b[lane], c[lane], d[lane])).wrapping_add(word[lane]);
        b[lane].wrapping_add(sum.wrapping_add(sine).rotate_left(SHIFT))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(messages: &[&[u8]]) {
        let alone: Vec<Md5Digest> = messages.iter().map(|message| Md5::digest(message).into()).collect();
        assert_eq!(md5_of_each(messages), alone);
        for (group, alone) in messages.chunks(LANES).zip(alone.chunks(LANES)) {
            assert_eq!(side_by_side(group, compress)[..group.len()], *alone);
        }
        let Some(wide) = Wide::find() else { return };
        for (group, alone) in messages.chunks(wide::LANES).zip(alone.chunks(wide::LANES)) {
            let digests = side_by_side(group, |state, block| wide.compress(state, block));
            assert_eq!(digests[..group.len()], *alone);
        }
    }

    #[test]
    fn digests_side_by_side_are_those_of_each_alone() {
        let long = vec![b'x'; 1_000];
        // Every length around the ends of a block and of what is added to it.
        for length in 0..200 {
            check(&[&long[..length], &long[..length + 1], &long[..length * 3], b"", b"abc"]);
        }
        check(&[&long[..]; 10]);
        check(&[&long[..1_000], b"", b""]);
        check(&[]);
    }

    proptest! {
        #[test]
        fn digests_of_any_messages_are_those_of_each_alone(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
        ) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            check(&messages);
        }
    }
}
