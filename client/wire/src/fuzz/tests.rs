//! Runs every fuzz target on mutated valid bytes and on random ones, the same each time.
//!
//! `TIDEMILL_FUZZ_SECONDS` gives the time for each target, `TIDEMILL_FUZZ_TARGET` names the only one to run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::samples;

/// All targets together take about two seconds.
const DEFAULT_TIME: Duration = Duration::from_millis(350);
/// Longer inputs only make each try slower.
const INPUT_BYTES_MAX: usize = 4_096;

/// Marsaglia's xorshift64, enough to choose what to break.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn seeds() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let requests =
        samples::requests().iter().map(|request| samples::request_message(request).to_vec()).collect();
    let responses =
        samples::responses().iter().map(|response| samples::response_message(response).to_vec()).collect();
    let batches = samples::batches().iter().map(|batch| batch.to_vec()).collect();
    BTreeMap::from([
        ("frame", vec![samples::frames()]),
        ("batch", batches),
        ("entry", vec![samples::run(), samples::entry(b"payload", 1, 1)]),
        ("numbered", samples::numbered_payloads()),
        ("attributes", samples::attributes()),
        ("request", requests),
        ("response", responses),
    ])
}

/// Breaks bytes the way networks, disks and attackers do.
fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
    const EDGES: [u32; 8] = [0, 1, 4, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        match chance.below(7) {
            _ if bytes.is_empty() => bytes.push(chance.next() as u8),
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => bytes[at] = chance.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, chance.next() as u8),
            4 => drop(bytes.remove(at)),
            5 => {
                let edge = EDGES[chance.below(EDGES.len())].to_le_bytes();
                bytes.iter_mut().skip(at & !3).zip(edge).for_each(|(byte, edge)| *byte = edge);
            }
            _ => {
                let from = chance.below(bytes.len());
                let piece = bytes[from..bytes.len().min(from + 16)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
}

fn input(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    if chance.below(16) == 0 {
        return (0..chance.below(256)).map(|_| chance.next() as u8).collect();
    }
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    mutate(&mut bytes, chance);
    bytes
}

fn run(name: &str, target: fn(&[u8]), seeds: &[Vec<u8>], time: Duration) -> u64 {
    for seed in seeds {
        target(seed);
    }
    let mut chance = Chance(0x7469_6465_6d69_6c6c);
    let start = Instant::now();
    let mut iterations = 0;
    while start.elapsed() < time {
        for _ in 0..64 {
            let bytes = input(seeds, &mut chance);
            iterations += 1;
            if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                panic!("target {name} failed at iteration {iterations}: {panic:?}, input {text}");
            }
        }
    }
    iterations
}

#[test]
#[allow(clippy::print_stdout, reason = "a long run tells how far it came")]
fn fuzz_smoke() {
    let seconds = std::env::var("TIDEMILL_FUZZ_SECONDS").ok();
    let time = seconds.map_or(DEFAULT_TIME, |text| {
        Duration::from_secs(text.parse().expect("TIDEMILL_FUZZ_SECONDS is a number of seconds"))
    });
    let only = std::env::var("TIDEMILL_FUZZ_TARGET").ok();
    let seeds = seeds();
    for (name, target) in TARGETS {
        if only.as_deref().is_none_or(|only| only == *name) {
            let iterations = run(name, *target, &seeds[name], time);
            println!("fuzz target {name}: {iterations} iterations in {time:?}");
        }
    }
}
