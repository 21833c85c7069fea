//! Which seeds are run, and what they came to.
//!
//! Owns the counts of a run: faults by kind, situations by name. Promises that a failing seed is named, and that neither a fault nor a situation is
//! silently missing from the seeds that the continuous integration runs. `TIDEMILL_SIM_SEEDS` and `TIDEMILL_SIM_FROM` ask for more or other
//! seeds, `TIDEMILL_SIM_SEED` for one; then every count is printed, as `cargo xtask sim` reads them.
#![allow(clippy::print_stderr, reason = "what was injected and reached is for the reader of a run")]

use std::{cell::Cell, collections::BTreeMap, sync::Once};

use tidemill_storage::sim::{Fault, Injected, Sim};

use crate::workload::{Reached, Scenario, run};

/// What a seed ends with that fails, in the table of a run.
const VIOLATION: &str = "violation of the model";

/// What some seeds came to.
#[derive(Default)]
pub(crate) struct Tally {
    seeds: u64,
    pub(crate) reached: Reached,
    injected: Injected,
    /// Situations that only some scenarios know.
    pub(crate) others: BTreeMap<&'static str, u64>,
}

/// Which seeds the environment asks for.
enum Asked {
    Nothing,
    One(u64),
    Many { from: u64, seeds: u64 },
}

fn asked() -> Asked {
    let number = |name| std::env::var(name).ok().map(|value| value.parse().expect("a number of a seed"));
    match (number("TIDEMILL_SIM_SEED"), number("TIDEMILL_SIM_SEEDS"), number("TIDEMILL_SIM_FROM")) {
        (Some(seed), _, _) => Asked::One(seed),
        (None, None, None) => Asked::Nothing,
        (None, seeds, from) => Asked::Many { from: from.unwrap_or(0), seeds: seeds.unwrap_or(1000) },
    }
}

/// Runs `seeds` seeds of a scenario from `from` on, or those that the environment asks for, and says which one fails.
pub(crate) fn check(name: &str, from: u64, seeds: u64, change: impl Fn(&mut Scenario)) -> Tally {
    check_with(name, from, seeds, |seed, tally| {
        run(seed, &change, tally);
    })
}

/// As `check`, for a run of another shape.
pub(crate) fn check_with(name: &str, from: u64, seeds: u64, run: impl Fn(u64, &mut Tally)) -> Tally {
    let (asked, from, seeds) = match asked() {
        Asked::Nothing => (false, from, seeds),
        Asked::One(seed) => (true, seed, 1),
        Asked::Many { from, seeds } => (true, from, seeds),
    };
    let mut tally = Tally::default();
    for seed in from..from.saturating_add(seeds) {
        let run = std::panic::AssertUnwindSafe(|| run(seed, &mut tally));
        if std::panic::catch_unwind(run).is_err() {
            if asked {
                eprintln!("sim-count 1 {VIOLATION}");
            }
            panic!("seed {seed} of the scenario `{name}` fails; run it alone with TIDEMILL_SIM_SEED={seed}");
        }
        tally.seeds += 1;
        if asked && tally.seeds.is_multiple_of(500) {
            eprintln!("{name}: {} of {seeds} seeds", tally.seeds);
        }
    }
    tally.print(name, asked);
    tally
}

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a run that is expected to fail does so. What it says then is not printed.
pub(crate) fn fails(run: impl FnOnce()) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                before(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
    EXPECTED.set(false);
    failed
}

impl Tally {
    /// Takes in what a world came to.
    pub(crate) fn end(&mut self, sim: &Sim) {
        self.injected.add(&sim.injected());
    }

    /// Counts a situation that only some scenarios know.
    pub(crate) fn count(&mut self, situation: &'static str, times: u64) {
        *self.others.entry(situation).or_default() += times;
    }

    fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let others = self.others.iter().map(|(name, count)| (*name, *count));
        self.injected.counts().chain(self.reached.counts()).chain(others)
    }

    fn print(&self, name: &str, machine: bool) {
        eprintln!("simulated `{name}`: {} seeds, no {VIOLATION}", self.seeds);
        if machine {
            eprintln!("sim-count {} seed", self.seeds);
            eprintln!("sim-count 0 {VIOLATION}");
        }
        for (what, count) in self.counts().filter(|(_, count)| *count > 0) {
            if machine {
                eprintln!("sim-count {count} {what}");
            } else {
                eprintln!("{count:>10} {what}");
            }
        }
    }

    /// Whether so many seeds were run that each situation must be among them.
    fn is_large(&self) -> bool {
        self.seeds >= 150
    }

    /// Refuses a run that came to one of these fewer than so many times.
    pub(crate) fn assert_reached(&self, times: u64, situations: &[&str]) {
        let counts: BTreeMap<&str, u64> = self.counts().collect();
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        let missed: Vec<_> =
            situations.iter().map(|name| (*name, count(name))).filter(|(_, count)| *count < times).collect();
        assert!(
            !self.is_large() || missed.is_empty(),
            "the seeds come to {missed:?} fewer than {times} times"
        );
    }

    /// Refuses a run that injected one of these fewer than so many times.
    pub(crate) fn assert_injected(&self, times: u64, faults: &[Fault]) {
        let counts = faults.iter().map(|fault| (fault.name(), self.injected.of(*fault)));
        let missed: Vec<_> = counts.filter(|(_, count)| *count < times).collect();
        assert!(
            !self.is_large() || missed.is_empty(),
            "the seeds inject {missed:?} fewer than {times} times"
        );
    }
}
