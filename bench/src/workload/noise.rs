//! Bytes that no file system and no link can shrink, the same in every run: xorshift64
//! ([Marsaglia, 2003](https://doi.org/10.18637/jss.v008.i14)).

pub(super) struct Noise(u64);

impl Noise {
    /// A sequence of its own for each number.
    pub(super) fn new(number: u64) -> Self {
        // Zero is the one state that never changes.
        Self((number ^ 0x9e37_79b9_7f4a_7c15).max(1))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}
