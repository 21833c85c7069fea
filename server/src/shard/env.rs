//! What a lane needs from the core that runs it: the disk through the ring, the clocks, chance and tasks.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tidemill_storage::Env;
use tidemill_storage::disk::RingDisk;
use tidemill_storage::ring::Ring;
use tidemill_wire::Timestamp;

use super::clock::Clock;
use super::event::Event;
use super::executor::{Executor, sleep};
use super::pump;

/// The environment of one core. Clones are the same.
#[derive(Clone)]
pub struct CoreEnv {
    disk: RingDisk,
    clock: Clock,
    executor: Executor,
    /// State of a splitmix64 sequence, begun from the kernel's randomness.
    random: Rc<Cell<u64>>,
    stop: Rc<Event>,
    stopped: Rc<Event>,
}

impl CoreEnv {
    /// Makes the core's storage ring and begins to carry its completions. Reads of data that is on the disk only get so many bytes a second at least.
    pub fn start(clock: Clock, executor: Executor, cold_bytes_per_second_min: u64) -> io::Result<Self> {
        let mut seed = [0; 8];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        let ring = Ring::new()?;
        let (stop, stopped) = (Rc::<Event>::default(), Rc::<Event>::default());
        executor.spawn(pump::pump(ring.clone(), Rc::clone(&stop), Rc::clone(&stopped)));
        let random = Rc::new(Cell::new(u64::from_ne_bytes(seed)));
        let disk = RingDisk::new(ring, cold_bytes_per_second_min);
        Ok(Self { disk, clock, executor, random, stop, stopped })
    }

    /// Ends the pump when nothing is in flight any more.
    pub async fn stop(&self) {
        self.stop.happen();
        pump::kick(self.disk.ring());
        self.stopped.wait().await;
    }

    /// The core's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }
}

impl Env for CoreEnv {
    type Disk = RingDisk;

    fn disk(&self) -> &RingDisk {
        &self.disk
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task);
    }

    fn spawn_background(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn_upkeep(task);
    }

    async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }

    fn random_u64(&self) -> u64 {
        // Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
