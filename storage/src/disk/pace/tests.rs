//! The pace on disks of different kinds, and each of its rules alone.

use super::*;

const FLOOR: u64 = 16 << 20;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// A pace whose floor is not due for a while.
fn paced(now: Duration) -> Pace {
    let mut pace = Pace::new(FLOOR);
    pace.turn_begins(64 << 20, now);
    pace.turn_ends();
    pace
}

#[test]
fn without_durable_writes_reads_take_the_disk() {
    let mut pace = Pace::new(FLOOR);
    for turn in 0..COLD_TURNS as u64 {
        assert_eq!(pace.turn_bytes(micros(turn)), COLD_TURN_BYTES);
        assert_eq!(pace.verdict(pace.asks(), micros(turn)), Verdict::Go);
        pace.turn_begins(COLD_TURN_BYTES, micros(turn));
    }
    assert_eq!(pace.verdict(pace.asks(), micros(9)), Verdict::Wait);
    pace.turn_ends();
    assert_eq!(pace.verdict(pace.asks(), micros(10)), Verdict::Go);
    // A while after the last write it is so again.
    let write = pace.write_begins(micros(20));
    pace.write_ends(write, micros(30));
    assert!(pace.turn_bytes(micros(31)) < COLD_TURN_BYTES);
    assert_eq!(pace.verdict(pace.asks(), micros(31)), Verdict::Wait, "one turn at a time");
    assert_eq!(pace.verdict(pace.asks(), micros(30) + ACTIVE), Verdict::Go);
    assert_eq!(pace.turn_bytes(micros(30) + ACTIVE), COLD_TURN_BYTES);
}

#[test]
fn a_turn_waits_for_the_write_in_flight_and_lets_few_go_before() {
    let mut pace = paced(micros(0));
    let first = pace.write_begins(micros(1));
    let asked = pace.asks();
    assert_eq!(pace.verdict(asked, micros(2)), Verdict::Wait);
    pace.write_ends(first, micros(300));
    assert_eq!(pace.verdict(asked, micros(300)), Verdict::Go);
    // Then there are always some in flight.
    for passed in 1..COLD_WRITES_PASSED_MAX {
        pace.write_begins(micros(300 + passed));
        assert_eq!(pace.verdict(asked, micros(300 + passed)), Verdict::Wait);
    }
    pace.write_begins(micros(399));
    assert_eq!(pace.verdict(asked, micros(400)), Verdict::Go);
    pace.turn_begins(COLD_TURN_BYTES_MIN, micros(400));
    assert_eq!(pace.verdict(pace.asks(), micros(401)), Verdict::Wait);
}

#[test]
fn the_floor_is_given_while_a_write_hangs() {
    let mut pace = paced(micros(0));
    let _hangs = pace.write_begins(micros(1));
    let asked = pace.asks();
    assert_eq!(pace.verdict(asked, micros(2)), Verdict::Wait);
    let (mut read, mut now) = (0, Duration::ZERO);
    while now < Duration::from_secs(2) {
        if pace.verdict(pace.asks(), now) == Verdict::Go {
            let bytes = pace.turn_bytes(now);
            pace.turn_begins(bytes, now);
            pace.turn_ends();
            read += bytes as u64;
        }
        now += micros(100);
    }
    let seconds = 2 * FLOOR - FLOOR / 4;
    assert!((seconds - FLOOR / 50..=seconds + FLOOR / 50).contains(&read), "{read} bytes, for {seconds}");
}

#[test]
fn reads_pause_to_let_a_write_be_measured_without_them() {
    let mut pace = paced(micros(0));
    let mut now = micros(1);
    for _ in 0..ROUND_WRITES {
        pace.turn_begins(COLD_TURN_BYTES, now);
        let write = pace.write_begins(now);
        pace.turn_ends();
        now += micros(500);
        pace.write_ends(write, now);
    }
    let end = now + micros(500) * ROUND_WRITES as u32 / PAUSE_PARTS;
    assert_eq!(pace.verdict(pace.asks(), now), Verdict::Until(end));
    assert_eq!(pace.verdict(pace.asks(), end), Verdict::Go);
}

/// A disk that works at one thing after the other, under appends that come at intervals and a replay that wants all it can get.
struct Disk {
    bytes_per_milli: u64,
    write_micros: u64,
    /// What a read does to a write that meets it, beside its own time.
    penalty_micros: u64,
    append_micros: u64,
}

/// Medians of writes with and without the replay in microseconds, and what was read per second.
fn run(disk: &Disk) -> (u64, u64, u64) {
    let mut pace = Pace::new(FLOOR);
    let mut median = |from: Duration, replays: bool| {
        let (mut times, mut read) = (Vec::new(), 0_u64);
        let (mut now, mut due) = (from, from);
        let (mut turn_end, mut free_at) = (None, from);
        let mut write: Option<(Write, Duration, Duration)> = None;
        let end = from + Duration::from_secs(20);
        while now < end {
            if turn_end.is_some_and(|at| at <= now) {
                pace.turn_ends();
                turn_end = None;
            }
            if let Some((held, _, _)) = write.take_if(|(_, at, _)| *at <= now) {
                pace.write_ends(held, now);
            }
            if write.is_none() && due <= now {
                let penalty = if turn_end.is_some() { disk.penalty_micros } else { 0 };
                let done = now.max(free_at) + micros(disk.write_micros + penalty);
                free_at = done;
                times.push((done - due).as_micros() as u64);
                write = Some((pace.write_begins(now), done, due));
                due += micros(disk.append_micros);
            }
            if replays && turn_end.is_none() && pace.verdict(pace.asks(), now) == Verdict::Go {
                let bytes = pace.turn_bytes(now);
                pace.turn_begins(bytes, now);
                free_at = now.max(free_at) + micros(bytes as u64 * 1000 / disk.bytes_per_milli);
                turn_end = Some(free_at);
                read += bytes as u64;
            }
            now += micros(10);
        }
        if turn_end.is_some() {
            pace.turn_ends();
        }
        if let Some((held, _, _)) = write {
            pace.write_ends(held, now);
        }
        // What comes first is before it has settled.
        let settled = times.len() / 2;
        let rest = times.get_mut(settled..).unwrap_or_default();
        rest.sort_unstable();
        (rest.get(rest.len() / 2).copied().unwrap_or(0), read / 20)
    };
    let (alone, _) = median(Duration::ZERO, false);
    let (beside, read) = median(Duration::from_secs(60), true);
    (alone, beside, read)
}

#[track_caller]
fn check(disk: &Disk, percent_max: u64, read_min: u64) {
    let (alone, beside, read) = run(disk);
    assert!(beside * 100 <= alone * percent_max, "{beside} µs beside a replay, {alone} µs alone");
    assert!(read >= read_min, "{read} bytes per second");
}

#[test]
fn a_fast_disk_serves_both() {
    let fast = Disk { bytes_per_milli: 1_000_000, write_micros: 300, penalty_micros: 0, append_micros: 1000 };
    check(&fast, 140, 300_000_000);
}

#[test]
fn a_slow_disk_gives_the_reads_less() {
    let slow = Disk { bytes_per_milli: 100_000, write_micros: 2000, penalty_micros: 0, append_micros: 4000 };
    check(&slow, 150, 20_000_000);
}

#[test]
fn a_disk_that_flushes_slowly_is_read_in_large_turns() {
    let flushing =
        Disk { bytes_per_milli: 1_000_000, write_micros: 5000, penalty_micros: 0, append_micros: 6500 };
    check(&flushing, 130, 60_000_000);
}

#[test]
fn a_disk_that_suffers_from_any_read_gives_the_floor() {
    let poor =
        Disk { bytes_per_milli: 500_000, write_micros: 500, penalty_micros: 5000, append_micros: 10_000 };
    let (_, _, read) = run(&poor);
    assert!(read >= FLOOR, "{read} bytes per second");
}
