//! What the fuzz targets of this package share: inputs that are made of valid ones, and the loop around a target.
//!
//! The tests run every target for a number of inputs, always the same; `cargo xtask fuzz` runs them for a time.

use std::time::Instant;

/// Inputs for each target, where no time is asked for.
const INPUTS: u64 = 5_000;

/// A splitmix64 sequence: the same mutations in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).expect("below a bound in memory")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }

    /// One of the seeds, changed in up to four places.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.below(5) {
            let at = self.below(bytes.len());
            match self.below(7) {
                _ if bytes.is_empty() => bytes.push(self.byte()),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.byte(),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.byte()),
                4 => drop(bytes.remove(at)),
                5 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
                _ => {
                    let from = self.below(bytes.len());
                    let piece = bytes[from..bytes.len().min(from + 24)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }
}

/// Gives a target its seeds and what can be made of them: neither may it panic nor run away. Says how far it came.
#[allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a long run is told its time, and tells how far it came"
)]
pub(crate) fn run(name: &str, target: fn(&[u8]), seeds: &[Vec<u8>]) {
    let only = std::env::var("TIDEMILL_FUZZ_TARGET").ok();
    if only.as_deref().is_some_and(|only| only != name) {
        return;
    }
    let seconds = std::env::var("TIDEMILL_FUZZ_SECONDS").ok();
    let seconds: Option<u64> =
        seconds.map(|text| text.parse().expect("TIDEMILL_FUZZ_SECONDS is a number of seconds"));
    let (mut chance, start, mut inputs) = (Chance(0x7469_6465_6d69_6c6c), Instant::now(), 0);
    seeds.iter().for_each(|seed| target(seed));
    while seconds.map_or(inputs < INPUTS, |seconds| start.elapsed().as_secs() < seconds) {
        let bytes = chance.input(seeds);
        inputs += 1;
        let run = std::panic::catch_unwind(|| target(&bytes));
        assert!(run.is_ok(), "target {name} fails at input {inputs}: {bytes:?}");
    }
    println!("fuzz target {name}: {inputs} inputs in {:?}", start.elapsed());
}
