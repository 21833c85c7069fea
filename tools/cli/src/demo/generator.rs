//! A web server's access log, made up, for machines without logs worth showing.
//!
//! Deterministic: the same size gives the same lines, so a failed check can be repeated. Each line has a number, so
//! that a lost or a repeated one differs from all others.

use std::io::{self, Write};

/// 2026-01-01T00:00:00Z, when the made-up server began.
const START_SECONDS: u64 = 1_767_225_600;

const PATHS: &[&str] = &[
    "/",
    "/index.html",
    "/login",
    "/cart",
    "/search?q=tide",
    "/api/v1/orders",
    "/static/app.js",
    "/favicon.ico",
];
const METHODS: &[&str] = &["GET", "GET", "GET", "GET", "POST", "HEAD"];
const STATUSES: &[u32] = &[200, 200, 200, 200, 200, 304, 404, 500];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)",
    "curl/8.14.1",
    "kube-probe/1.33",
    "Mozilla/5.0 (Macintosh)",
];

/// Writes whole lines until at least `bytes` bytes are out.
pub(super) fn write_access_log(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut written = 0;
    let mut number = 0_u64;
    let mut line = Vec::with_capacity(256);
    while written < bytes {
        line.clear();
        write_line(&mut line, number, &mut chance)?;
        out.write_all(&line)?;
        written += line.len() as u64;
        number += 1;
    }
    Ok(())
}

fn write_line(line: &mut Vec<u8>, number: u64, chance: &mut Chance) -> io::Result<()> {
    // A few addresses come often and many rarely, as visitors do.
    let visitor = chance.below(1 + chance.0 % 5_000);
    let seconds = START_SECONDS + number / 50;
    let (day, clock) = (seconds / 86_400 % 28 + 1, seconds % 86_400);
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    let method = METHODS[chance.index(METHODS.len())];
    let path = PATHS[chance.index(PATHS.len())];
    let status = STATUSES[chance.index(STATUSES.len())];
    let (size, agent) = (chance.below(40_000), AGENTS[chance.index(AGENTS.len())]);
    writeln!(
        line,
        "10.{}.{}.{} - - [{day:02}/Jan/2026:{hour:02}:{minute:02}:{second:02} +0000] \"{method} {path} HTTP/1.1\" {status} {size} \"-\" \"{agent}\" request={number}",
        visitor >> 16 & 255,
        visitor >> 8 & 255,
        visitor & 255,
    )
}

/// Marsaglia's xorshift64: plenty for made-up visitors.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }
}
