//! The simulated world: one seed decides who runs next, how long the disk takes, and what fails.
//!
//! Owns virtual time, chance, and the run of a workload up to a crash. A run is a function of its seed and the workload: two runs of one seed
//! have the same [`Sim::history`]. For tests of this crate and of those above it; nothing that serves ever reaches it. The disk's fault model
//! stands at the top of `sim/disk.rs`.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    future::Future,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tidemill_wire::Timestamp;

mod disk;
mod faults;
mod file;
mod forge;
mod image;
mod rot;
mod wall;

pub use disk::SimDisk;
pub use faults::{Fault, Faults, Injected, Lie, ROT};
pub use file::SimFile;
pub use rot::Rot;

use crate::{env::Env, tasks::Tasks};

/// How a run ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the page cache survives, operations in flight are done in part.
    Process,
    /// The power is cut: what was not flushed is lost in part, sector by sector.
    Power,
}

/// A world made from a seed.
pub struct Sim(Rc<World>);

/// The world as an environment. Clones are the same world.
#[derive(Clone)]
pub struct SimEnv {
    world: Rc<World>,
    disk: SimDisk,
}

struct World {
    tasks: Tasks,
    now: Cell<Duration>,
    wall: wall::WallClock,
    /// Every place that ever rotted, under the names that its file had.
    rotted: RefCell<BTreeSet<(PathBuf, u64)>>,
    random: RefCell<ChaCha8Rng>,
    disk: RefCell<image::DiskState>,
    steps: Cell<u64>,
    crash_at: Cell<u64>,
    history: RefCell<crc32fast::Hasher>,
    injected: faults::Counter,
}

impl Sim {
    /// A world with an empty disk and no faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(World {
            tasks: Tasks::default(),
            now: Cell::new(Duration::ZERO),
            wall: wall::WallClock::default(),
            rotted: RefCell::default(),
            random: RefCell::new(ChaCha8Rng::seed_from_u64(seed)),
            disk: RefCell::new(image::DiskState::default()),
            steps: Cell::new(0),
            crash_at: Cell::new(u64::MAX),
            history: RefCell::new(crc32fast::Hasher::new()),
            injected: faults::Counter::default(),
        }))
    }

    /// The world as an environment.
    #[must_use]
    pub fn env(&self) -> SimEnv {
        SimEnv { world: Rc::clone(&self.0), disk: SimDisk(Rc::clone(&self.0)) }
    }

    /// A number below `bound`, from the seed.
    #[must_use]
    pub fn draw(&self, bound: u64) -> u64 {
        self.0.draw(bound)
    }

    /// Stops the next run after so many steps of tasks.
    pub fn stop_after(&self, steps: u64) {
        self.0.crash_at.set(self.0.steps.get().saturating_add(steps));
    }

    /// Runs until `main` is done; `None` if the run was stopped before.
    ///
    /// # Panics
    /// If nothing can go on any more: some task waits for something that never comes.
    pub fn run<T>(&self, main: impl Future<Output = T>) -> Option<T> {
        let world = &self.0;
        let pick = |ready: &[u64]| {
            world.steps.set(world.steps.get() + 1);
            let stop = world.steps.get() >= world.crash_at.get();
            (!stop).then(|| usize::try_from(world.draw(ready.len() as u64)).expect("below a usize"))
        };
        let idle = || {
            let next = world.tasks.next_deadline().expect("a task waits for something that never comes");
            world.advance(next.saturating_sub(world.now.get()));
            let rate = world.disk.borrow().faults.clock_jumps;
            if world.happens(rate) {
                world.jump_clock(world.draw_jump_ms());
            }
            world.tasks.fire(next);
            true
        };
        let result = world.tasks.drive(main, pick, || (), idle);
        world.crash_at.set(u64::MAX);
        result
    }

    /// Ends all tasks where they stand and leaves the disk as the crash does.
    pub fn crash(&self, crash: Crash) {
        self.0.tasks.clear();
        let mut random = self.0.random.borrow_mut();
        self.0.disk.borrow_mut().crash(crash, &mut random, &self.0.injected);
        drop(random);
        self.0.note_rot();
        self.0.note(&[crash as u8]);
        self.0.advance(Duration::from_millis(self.draw(3000)));
    }

    /// Moves the wall clock by so many milliseconds, and no other clock.
    pub fn jump_clock(&self, by_ms: i64) {
        self.0.jump_clock(by_ms);
    }

    /// Changes what may fail from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.0.disk.borrow_mut().faults = faults;
    }

    /// Writes everything back to the device and keeps nothing of it in memory, as after a long time.
    pub fn forget_pages(&self) {
        self.0.disk.borrow_mut().forget_pages();
    }

    /// Puts a file under a name, as if it had always been there.
    pub fn put_file(&self, path: PathBuf, bytes: &[u8]) {
        self.0.disk.borrow_mut().put_file(path, bytes);
    }

    /// All files as they are now, by name.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.0.disk.borrow().files()
    }

    /// Bytes of all files that have a name.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.0.disk.borrow().used_bytes()
    }

    /// How often each kind of fault happened so far.
    #[must_use]
    pub fn injected(&self) -> Injected {
        self.0.injected.counts()
    }

    /// A sum over everything that was done so far.
    #[must_use]
    pub fn history(&self) -> u32 {
        self.0.history.borrow().clone().finalize()
    }

    /// Adds something to the history.
    pub fn note(&self, bytes: &[u8]) {
        self.0.note(bytes);
    }
}

impl World {
    fn draw(&self, bound: u64) -> u64 {
        self.random.borrow_mut().next_u64() % bound.max(1)
    }

    fn note(&self, bytes: &[u8]) {
        let mut history = self.history.borrow_mut();
        history.update(&self.now.get().as_nanos().to_le_bytes());
        history.update(bytes);
    }

    /// Lets time go by, for all clocks.
    fn advance(&self, duration: Duration) {
        self.now.set(self.now.get().saturating_add(duration));
        self.wall.advance(duration);
    }

    fn jump_clock(&self, by_ms: i64) {
        if by_ms != 0 {
            self.wall.jump(by_ms);
            self.inject(if by_ms > 0 { Fault::ClockForward } else { Fault::ClockBack });
            self.note(&by_ms.to_le_bytes());
        }
    }

    /// By how much the clock jumps: forward or back, by a second to four years, or to where it belongs.
    fn draw_jump_ms(&self) -> i64 {
        let far = i64::try_from(1000_u64 << self.draw(28)).unwrap_or(i64::MAX);
        match self.draw(4) {
            0 | 1 => far,
            2 => -far,
            _ => self.wall.error_ms().saturating_neg(),
        }
    }

    async fn delay(&self) {
        // Mostly as fast as a disk with a cache; now and then something else comes first.
        let micros = if self.draw(50) == 0 { self.draw(40_000) } else { 10 + self.draw(400) };
        self.tasks.sleep_until(self.now.get() + Duration::from_micros(micros)).await;
    }

    /// Waits for at most so many microseconds.
    async fn pause(&self, micros_max: u64) {
        let micros = self.draw(micros_max);
        self.tasks.sleep_until(self.now.get() + Duration::from_micros(micros)).await;
    }

    /// Draws whether something happens that has `rate` cases in a million.
    fn happens(&self, rate: u32) -> bool {
        rate > 0 && self.draw(1_000_000) < u64::from(rate)
    }

    fn inject(&self, fault: Fault) {
        self.injected.count(fault, 1);
        self.note(&[b'!', fault as u8]);
    }
}

impl SimEnv {
    /// The wall clock, as it is.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.world.wall.now()
    }

    /// The latest that a clock can show which follows the wall clock wherever it goes and never falls.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.world.wall.latest()
    }
}

impl Env for SimEnv {
    type Disk = SimDisk;

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn now(&self) -> Timestamp {
        let lies = self.world.disk.borrow().faults.lie == Some(Lie::EarlyClock);
        let ahead = if lies { self.world.draw(60_000) } else { 0 };
        Timestamp(self.world.wall.now().0.saturating_add(ahead))
    }

    fn monotonic(&self) -> Duration {
        self.world.now.get()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.tasks.spawn(task);
    }

    async fn sleep(&self, duration: Duration) {
        self.world.tasks.sleep_until(self.world.now.get().saturating_add(duration)).await;
    }

    fn random_u64(&self) -> u64 {
        self.world.draw(u64::MAX)
    }
}
