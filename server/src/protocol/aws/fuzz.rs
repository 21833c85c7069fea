//! The fuzz targets of the AWS protocols, listed once: each takes arbitrary bytes and must neither panic nor run away.
//!
//! The tests run every target for a moment, over mutations of valid bytes; `cargo xtask fuzz` runs them for long.

use std::time::Duration;

use super::front::fuzz as front;

/// A target: its name, what it does with arbitrary bytes, and valid ones to begin with.
type Target = (&'static str, fn(&[u8]), &'static [&'static str]);

/// Every target.
const TARGETS: &[Target] = &[("signature", front::signature, front::SEEDS)];

/// How long each runs among the other tests.
const DEFAULT_TIME: Duration = Duration::from_millis(300);

/// A splitmix64 sequence: the same mutations in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).expect("below a bound in memory")
    }
}

fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..chance.below(5) {
        if bytes.is_empty() {
            return;
        }
        let at = chance.below(bytes.len());
        match chance.below(5) {
            0 => bytes[at] = u8::try_from(chance.below(256)).expect("a byte"),
            1 => bytes[at] ^= 1 << chance.below(8),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let from = chance.below(bytes.len());
                let piece = bytes[from..bytes.len().min(from + 24)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run tells how far it came")]
#[expect(clippy::disallowed_methods, reason = "a fuzz run is bounded by time")]
fn fuzz_smoke() {
    let seconds = std::env::var("TIDEMILL_FUZZ_SECONDS").ok();
    let time = seconds.map_or(DEFAULT_TIME, |text| {
        Duration::from_secs(text.parse().expect("TIDEMILL_FUZZ_SECONDS is a number of seconds"))
    });
    let only = std::env::var("TIDEMILL_FUZZ_TARGET").ok();
    for (name, target, seeds) in TARGETS {
        if only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        seeds.iter().for_each(|seed| target(seed.as_bytes()));
        let (mut chance, began, mut iterations) = (Chance(0x7469_6465), std::time::Instant::now(), 0_u64);
        while began.elapsed() < time {
            let mut bytes = seeds[chance.below(seeds.len())].as_bytes().to_vec();
            mutate(&mut bytes, &mut chance);
            iterations += 1;
            let run = std::panic::catch_unwind(|| target(&bytes));
            assert!(run.is_ok(), "target {name} failed at iteration {iterations} with {bytes:?}");
        }
        println!("fuzz target {name}: {iterations} iterations in {time:?}");
    }
}
