//! Processor time of processes and of all that descend from them, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// Ticks of a second in `/proc/PID/stat`, on every Linux of this kind.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one line of `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time, its own and that of the children it has waited for.
    ticks: u64,
}

/// Seconds that these processes, their living descendants and the dead ones they waited for have used.
pub(crate) fn seconds_of(roots: &[u32]) -> io::Result<f64> {
    let mut stats = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended since the directory was read.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        stats.extend(parse(&text).map(|stat| (pid, stat)));
    }
    if let Some(gone) = roots.iter().find(|root| !stats.contains_key(root)) {
        return Err(io::Error::other(format!("server process {gone} is gone")));
    }
    let ticks: u64 =
        stats.keys().filter(|pid| descends(**pid, roots, &stats)).map(|pid| stats[pid].ticks).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Seconds that this process has used.
pub(crate) fn own_seconds() -> io::Result<f64> {
    seconds_of(&[std::process::id()])
}

fn descends(pid: u32, roots: &[u32], stats: &BTreeMap<u32, Stat>) -> bool {
    // A parent that ended between two reads could otherwise close a circle.
    let line = std::iter::successors(Some(pid), |pid| stats.get(pid).map(|stat| stat.parent)).take(64);
    line.into_iter().any(|ancestor| roots.contains(&ancestor))
}

/// The second field is a name in brackets that may hold anything.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Stat { parent, ticks })
}

#[cfg(test)]
mod tests {
    use super::{Stat, own_seconds, parse};

    #[test]
    fn a_name_with_brackets_and_blanks_shifts_no_field() {
        let line = "42 (a ) b) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7";
        assert_eq!(parse(line), Some(Stat { parent: 7, ticks: 127 }));
        assert_eq!(parse("42 (cut) S 7"), None);
    }

    #[test]
    fn own_time_goes_forward() {
        let before = own_seconds().expect("this process is there");
        let mut sum = 0_u64;
        while own_seconds().expect("this process is there") <= before {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
