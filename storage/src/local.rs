//! An environment on the calling thread: for offline tools, tests and benches.
//!
//! Owns a ring, its tasks and the real clocks. `block_on` runs everything until one future is done. Promises that the disk works while tasks run, and that those that
//! can wait do so as long as others are ready. Leaves out shares of the time: the server brings its own executor.

use std::{
    cell::RefCell,
    future::Future,
    io,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tidemill_wire::Timestamp;

use crate::{
    disk::RingDisk,
    env::Env,
    limits::COLD_BYTES_PER_SECOND_MIN,
    ring::Ring,
    tasks::{Tasks, is_background},
};

/// The calling thread as an environment. Clones are the same one.
#[derive(Clone)]
pub struct LocalEnv(Rc<Inner>);

struct Inner {
    disk: RingDisk,
    tasks: Tasks,
    start: Instant,
    random: RefCell<ChaCha8Rng>,
}

#[allow(clippy::disallowed_methods, reason = "this environment is one of the homes of the real clocks")]
impl LocalEnv {
    /// Makes a ring of its own.
    pub fn new() -> io::Result<Self> {
        let ring = Ring::new()?;
        let mut seed = [0; 32];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(Rc::new(Inner {
            disk: RingDisk::new(ring, COLD_BYTES_PER_SECOND_MIN),
            tasks: Tasks::default(),
            start: Instant::now(),
            random: RefCell::new(ChaCha8Rng::from_seed(seed)),
        })))
    }

    /// Runs `main` and all tasks on this thread until `main` is done. Tasks that are left go on with the next call.
    ///
    /// # Panics
    /// If the kernel refuses to wait for the ring.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        let ring = self.0.disk.ring();
        let idle = || {
            let now = self.monotonic();
            let timeout = self.0.tasks.next_deadline().map(|deadline| deadline.saturating_sub(now));
            ring.wait(timeout).expect("the kernel waits for a ring that it made");
            ring.reap();
            self.0.tasks.fire(self.monotonic());
            true
        };
        // The kernel begins what a round of tasks has asked for, and tells what is done, while others are ready still.
        let round = || {
            ring.reap();
            self.0.tasks.fire(self.monotonic());
        };
        let first =
            |ready: &[u64]| Some(ready.iter().position(|number| !is_background(*number)).unwrap_or(0));
        self.0
            .tasks
            .drive(main, first, round, idle)
            .expect("an idle loop that always goes on ends with its future")
    }

    /// Drops all tasks where they stand, as the end of a process does, and like it waits for the operations that the kernel has begun: a rename that
    /// ended later would change what the next lane has already looked at.
    ///
    /// # Panics
    /// If the kernel refuses to wait for the ring.
    pub fn stop(&self) {
        self.0.tasks.clear();
        let ring = self.0.disk.ring();
        while ring.in_flight() > 0 {
            ring.wait(None).expect("the kernel waits for a ring that it made");
            ring.reap();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "this environment is one of the homes of the real clocks")]
impl Env for LocalEnv {
    type Disk = RingDisk;

    fn disk(&self) -> &RingDisk {
        &self.0.disk
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.0.start.elapsed()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.spawn(task);
    }

    fn spawn_background(&self, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.spawn_background(task);
    }

    async fn sleep(&self, duration: Duration) {
        self.0.tasks.sleep_until(self.monotonic().saturating_add(duration)).await;
    }

    fn random_u64(&self) -> u64 {
        self.0.random.borrow_mut().next_u64()
    }
}
