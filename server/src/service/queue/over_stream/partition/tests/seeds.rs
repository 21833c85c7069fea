//! Random work, crashes and restarts against a model of what a queue over a stream promises.
//!
//! `TIDEMILL_STREAM_QUEUE_SEEDS=N` runs more of them, `TIDEMILL_STREAM_QUEUE_SEED=N` one.

use std::collections::BTreeSet;

use super::*;

const GENERATIONS: u64 = 4;
const WORKERS: u64 = 4;
const STEPS: u64 = 12;

/// What was asked for and what was promised, by the names of records.
#[derive(Clone, Default)]
struct Model {
    /// Those whose put was acknowledged.
    put: BTreeSet<u64>,
    /// Those that came before the queue begins.
    early: BTreeSet<u64>,
    /// Those that may have.
    maybe_early: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    acknowledging: BTreeSet<u64>,
    /// Until when a record is hidden for sure.
    hidden: BTreeMap<u64, Timestamp>,
    /// How often somebody who had a record has let it go before its time.
    let_go: BTreeMap<u64, u64>,
    /// How often a record was received for sure since it was put or restored; one that may have been restored is not there.
    receives: BTreeMap<u64, u32>,
    maybe_restored: BTreeSet<u64>,
    received: u64,
    dead: u64,
    next: u64,
}

impl Model {
    /// Takes in what a receive got that was begun when this was `before`.
    fn take(
        &mut self,
        side: Side,
        received: &[StreamReceived],
        before: &Model,
        now: Timestamp,
        until: Timestamp,
    ) {
        for one in received {
            let name = names(std::slice::from_ref(one))[0];
            self.received += 1;
            assert!(name < self.next, "{name} was never put");
            assert!(!before.early.contains(&name), "{name} came before the queue begins");
            assert!(!before.acknowledged.contains(&name), "{name} was acknowledged and came back");
            let hidden = before.hidden.get(&name).copied().unwrap_or_default();
            // Who had it may have let it go since this receive was begun.
            let is_let_go = before.let_go.get(&name) != self.let_go.get(&name);
            assert!(is_let_go || hidden <= now, "{name} is hidden until {hidden}, and came at {now}");
            let receives = one.receipt.named.receives;
            if !self.maybe_restored.contains(&name) {
                let known = before.receives.get(&name).copied().unwrap_or(0);
                assert!(receives > known, "{name} was received {known} times before, and this is {receives}");
                let is_dead = side == Side::Dead;
                assert!(
                    is_dead != (receives <= RECEIVES_MAX),
                    "{name} came as {side:?} the {receives}th time"
                );
                let most = self.receives.entry(name).or_default();
                *most = receives.max(*most);
            }
            self.dead += u64::from(side == Side::Dead);
            self.hidden.insert(name, until);
        }
    }
}

struct World {
    start: Start,
    model: RefCell<Model>,
    /// The catalog has the third shard, and never forgets it.
    is_split: Cell<bool>,
}

impl World {
    async fn work(&self, sim: &Sim, env: &SimEnv, open: &Open) {
        for _ in 0..STEPS {
            match sim.draw(12) {
                0..=3 => self.put(sim, open).await,
                4..=7 => self.consume(sim, open, Side::Live).await,
                8 => self.consume(sim, open, Side::Dead).await,
                9 => self.split(open),
                10 => env.sleep(Duration::from_millis(sim.draw(4_000))).await,
                _ => drop(open.partition.count().await),
            }
        }
    }

    fn let_go(&self, name: u64) {
        let mut model = self.model.borrow_mut();
        model.hidden.remove(&name);
        *model.let_go.entry(name).or_default() += 1;
    }

    fn split(&self, open: &Open) {
        self.is_split.set(true);
        open.partition.follow(&source(0..3));
    }

    /// What was put before there was the queue, and the creation of it. A server that is killed in between begins with all that came after the time of creation.
    async fn create(&self, sim: &Sim, env: &SimEnv, open: &Open) {
        for _ in 0..4 {
            let name = {
                let mut model = self.model.borrow_mut();
                let name = model.next;
                model.next += 1;
                model.maybe_early.insert(name);
                name
            };
            let before = open.lane.now();
            let put = open.try_put(u32::from(sim.draw(2) == 0), [name]).await;
            if put.is_ok() {
                self.place(name, before, open.lane.now());
            }
            env.sleep(Duration::from_millis(sim.draw(2_000))).await;
        }
        if self.start == Start::Newest && open.partition.begin().await.is_ok() {
            let mut model = self.model.borrow_mut();
            model.early = model.maybe_early.clone();
        }
    }

    /// Says of a record that was put between these times whether the queue has it.
    fn place(&self, name: u64, before: Timestamp, after: Timestamp) {
        let mut model = self.model.borrow_mut();
        model.put.insert(name);
        match self.start {
            Start::At(time) if after < time => {
                model.early.insert(name);
            }
            Start::At(time) if before < time => {}
            Start::Newest => {}
            Start::Oldest | Start::At(_) => {
                model.maybe_early.remove(&name);
            }
        }
    }

    /// Nobody may name a time that is still to come.
    async fn wait_for_start(&self, env: &SimEnv, open: &Open) {
        if let Start::At(time) = self.start {
            let left = (time.0 + 1).saturating_sub(open.lane.now().0);
            env.sleep(Duration::from_millis(left)).await;
        }
    }

    async fn put(&self, sim: &Sim, open: &Open) {
        let count = 1 + sim.draw(4);
        let names: Vec<u64> = {
            let mut model = self.model.borrow_mut();
            let first = model.next;
            model.next += count;
            (first..first + count).collect()
        };
        // The queue comes to know of the third shard at some time.
        let shard = u32::try_from(sim.draw(3)).expect("few");
        if open.try_put(shard, names.iter().copied()).await.is_ok() {
            self.model.borrow_mut().put.extend(names);
        }
    }

    async fn consume(&self, sim: &Sim, open: &Open, side: Side) {
        let visibility_s = sim.draw(4);
        let records_max = 1 + usize::try_from(sim.draw(10)).expect("few");
        let (begun, before) = (open.lane.now(), self.model.borrow().clone());
        let wanted = Wanted { side, records_max, visibility: Duration::from_secs(visibility_s) };
        let Ok(received) = open.partition.receive(&wanted).await else { return };
        let until = Timestamp(begun.0 + visibility_s * 1_000);
        self.model.borrow_mut().take(side, &received, &before, open.lane.now(), until);
        for one in received {
            self.settle(sim, open, &one).await;
        }
    }

    async fn settle(&self, sim: &Sim, open: &Open, one: &StreamReceived) {
        let (name, named, side) = (names(std::slice::from_ref(one))[0], one.receipt.named, one.receipt.side);
        match sim.draw(6) {
            0 => {
                let seconds = sim.draw(4);
                let before = open.lane.now();
                self.let_go(name);
                let changes = [(named, Duration::from_secs(seconds))];
                if open.partition.hide(side, &changes).await.remove(0).is_ok() {
                    self.model.borrow_mut().hidden.insert(name, Timestamp(before.0 + seconds * 1_000));
                }
            }
            1 if side == Side::Dead => {
                self.let_go(name);
                self.model.borrow_mut().maybe_restored.insert(name);
                drop(open.partition.restore(&[named]).await);
            }
            1..=3 => {}
            _ => {
                self.model.borrow_mut().acknowledging.insert(name);
                if open.partition.acknowledge(side, &[named]).await.remove(0).is_ok() {
                    self.model.borrow_mut().acknowledged.insert(name);
                }
            }
        }
    }

    fn expect_all(&self, side: Side, received: &[StreamReceived], before: &Model, now: Timestamp) {
        let mut model = self.model.borrow_mut();
        model.take(side, received, before, now, Timestamp(0));
        model.acknowledging.extend(names(received));
        model.acknowledged.extend(names(received));
    }

    /// With time, all that is left comes, on one side or the other, and can be acknowledged.
    async fn drain(&self, env: &SimEnv, open: &Open) {
        self.split(open);
        env.sleep(Duration::from_secs(20)).await;
        for side in [Side::Live, Side::Dead] {
            for _ in 0..2_000 {
                let before = self.model.borrow().clone();
                let received = open.receive_from(side, 10, 30).await;
                if received.is_empty() {
                    break;
                }
                self.expect_all(side, &received, &before, open.lane.now());
                open.acknowledge(&received).await;
            }
        }
        assert_eq!(open.counts().await, (0, 0, 0, 0));
        let model = self.model.borrow();
        for name in model.put.difference(&model.early) {
            if model.maybe_early.contains(name) {
                continue;
            }
            assert!(model.acknowledging.contains(name), "{name} was lost");
        }
    }
}

/// Runs a seed, and returns how many records were received, and how many of them as dead letters.
fn run_seed(seed: u64) -> (u64, u64) {
    let sim = Sim::new(seed);
    let env = sim.env();
    let start = match sim.draw(3) {
        0 => Start::Oldest,
        1 => Start::Newest,
        _ => Start::At(Timestamp(env.now().0 + sim.draw(6_000))),
    };
    let queue = definition(start, Timestamp(0));
    let world = World { start, model: RefCell::default(), is_split: Cell::default() };
    for generation in 0..GENERATIONS {
        sim.stop_after(50 + sim.draw(3_000));
        let finished = sim.run(async {
            let open = open(&env, Arc::clone(&queue)).await;
            if world.is_split.get() {
                world.split(&open);
            }
            if generation == 0 {
                world.create(&sim, &env, &open).await;
            }
            world.wait_for_start(&env, &open).await;
            futures_util::future::join_all((0..WORKERS).map(|_| world.work(&sim, &env, &open))).await;
        });
        let crash = if sim.draw(2) == 0 { Crash::Process } else { Crash::Power };
        tracing::debug!(generation, finished = finished.is_some(), "crash");
        sim.crash(crash);
    }
    sim.run(async {
        let open = open(&env, queue).await;
        world.drain(&env, &open).await;
        open.lane.close().await;
    })
    .expect("not stopped");
    let model = world.model.into_inner();
    (model.received, model.dead)
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run tells how far it came")]
fn promises_hold_over_crashes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("TIDEMILL_STREAM_QUEUE_SEED") {
        run_seed(seed);
        return;
    }
    let seeds = number("TIDEMILL_STREAM_QUEUE_SEEDS").unwrap_or(120);
    let (mut received, mut dead) = (0, 0);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| run_seed(seed));
        let outcome = outcome
            .unwrap_or_else(|_| panic!("seed {seed}: TIDEMILL_STREAM_QUEUE_SEED={seed} runs it alone"));
        received += outcome.0;
        dead += outcome.1;
    }
    println!("{seeds} seeds, {received} records received, {dead} of them as dead letters");
    assert!(received > seeds * 10 && dead > seeds, "the runs do something: {received}, {dead}");
}
