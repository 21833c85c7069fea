//! Random work, crashes and restarts against a model of what a queue promises.
//!
//! `TIDEMILL_QUEUE_SEEDS=N` runs more of them, `TIDEMILL_QUEUE_SEED=N` one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const GENERATIONS: u64 = 4;
const WORKERS: u64 = 4;
const STEPS: u64 = 12;

/// What was asked for and what was promised, by the numbers of messages.
#[derive(Default)]
struct Model {
    /// Numbers in the partition of those whose sending was acknowledged.
    sent: BTreeMap<u64, u64>,
    /// Those whose sending was begun.
    begun: BTreeSet<u64>,
    groups: BTreeMap<u64, String>,
    deleted: BTreeSet<u64>,
    deletion_begun: BTreeSet<u64>,
    /// Until when a message is hidden for sure.
    hidden: BTreeMap<u64, Timestamp>,
    receives: u64,
    next: u64,
    /// What is sent now may be purged.
    is_purging: bool,
}

/// What was promised when a receive was begun: later promises may be younger than what it gets.
struct Before {
    deleted: BTreeSet<u64>,
    hidden: BTreeMap<u64, Timestamp>,
}

impl Model {
    fn before(&self) -> Before {
        Before { deleted: self.deleted.clone(), hidden: self.hidden.clone() }
    }

    /// Takes in what a receive got that was begun when this was `before`.
    fn take(
        &mut self,
        received: &[Received],
        before: &Before,
        now: Timestamp,
        until: Timestamp,
        is_fifo: bool,
    ) {
        let batch = numbers(received);
        let mut in_batch: BTreeSet<&String> = BTreeSet::new();
        for (one, number) in received.iter().zip(&batch) {
            self.receives += 1;
            assert!(self.begun.contains(number), "{number} was never sent");
            assert_eq!(one.message.content.body, format!("body {number}"));
            assert!(!before.deleted.contains(number), "{number} was deleted for ever and came back");
            let hidden = before.hidden.get(number).copied().unwrap_or_default();
            assert!(hidden <= now, "{number} is hidden until {hidden}, and came at {now}");
            let sequence = *self.sent.entry(*number).or_insert(one.sequence);
            assert_eq!(sequence, one.sequence, "{number} is there twice");
            if is_fifo {
                let group = &self.groups[number];
                in_batch.insert(group);
                for (other, earlier) in &self.sent {
                    let is_before = *earlier < sequence && &self.groups[other] == group;
                    let is_done = self.deletion_begun.contains(other) || batch.contains(other);
                    assert!(!is_before || is_done, "{number} came before {other} of its group was done");
                }
            }
        }
        for number in &batch {
            self.hidden.insert(*number, until);
        }
    }
}

struct World {
    model: RefCell<Model>,
    is_fifo: bool,
    /// Messages of a standard queue have groups.
    is_grouped: bool,
}

impl World {
    async fn work(&self, sim: &Sim, env: &SimEnv, open: &Open) {
        for _ in 0..STEPS {
            match sim.draw(40) {
                0..=15 => self.send(sim, open).await,
                16..=31 => self.consume(sim, open).await,
                32..=35 => env.sleep(Duration::from_millis(sim.draw(4_000))).await,
                36 => self.purge(open).await,
                _ => drop(open.partition.count().await),
            }
        }
    }

    async fn send(&self, sim: &Sim, open: &Open) {
        let count = 1 + sim.draw(4);
        let mut messages = Vec::new();
        for _ in 0..count {
            let mut model = self.model.borrow_mut();
            // Of a FIFO queue some are sent again whose answer was never seen.
            let lost = model.begun.iter().copied().filter(|number| !model.sent.contains_key(number));
            let lost: Vec<u64> =
                lost.filter(|number| !messages.iter().any(|(other, _)| other == number)).collect();
            let number = if self.is_fifo && !lost.is_empty() && sim.draw(2) == 0 {
                lost[usize::try_from(sim.draw(lost.len() as u64)).expect("few")]
            } else {
                model.next += 1;
                model.next
            };
            model.begun.insert(number);
            if model.is_purging {
                model.deletion_begun.insert(number);
            }
            let mut message = Message { sent: open.lane.now(), ..message(number) };
            if self.is_fifo {
                let drawn = format!("group {}", sim.draw(3));
                let group = model.groups.entry(number).or_insert(drawn).clone();
                message.content.group = Some(group);
                message.content.deduplication = Some(number.to_string());
            } else if self.is_grouped {
                message.content.group = Some(format!("group {}", sim.draw(3)));
            }
            messages.push((number, message));
        }
        let (names, messages): (Vec<u64>, Vec<Message>) = messages.into_iter().unzip();
        for (number, sent) in names.into_iter().zip(open.partition.send(messages).await) {
            if let Ok(sent) = sent {
                let before = self.model.borrow_mut().sent.insert(number, sent.sequence);
                assert!(before.is_none_or(|before| before == sent.sequence), "{number} was sent twice");
            }
        }
    }

    async fn purge(&self, open: &Open) {
        let before: BTreeSet<u64> = {
            let model = &mut *self.model.borrow_mut();
            if std::mem::replace(&mut model.is_purging, true) {
                return;
            }
            model.deletion_begun.extend(&model.begun);
            model.sent.keys().copied().collect()
        };
        let purged = open.partition.purge().await;
        let model = &mut *self.model.borrow_mut();
        model.is_purging = false;
        if purged.is_ok() {
            model.deleted.extend(before);
        }
    }

    async fn consume(&self, sim: &Sim, open: &Open) {
        let visibility_s = sim.draw(6);
        let max = 1 + usize::try_from(sim.draw(10)).expect("few");
        let (begun, before) = (open.lane.now(), self.model.borrow().before());
        let Ok(batch) = open.partition.receive(&want(max, visibility_s)).await else { return };
        let received = batch.received;
        let until = Timestamp(begun.0 + visibility_s * 1_000);
        self.model.borrow_mut().take(&received, &before, open.lane.now(), until, self.is_fifo);
        for one in received {
            let (number, named) = (numbers(std::slice::from_ref(&one))[0], (one.sequence, one.receives));
            match sim.draw(4) {
                0 => {
                    let seconds = sim.draw(6);
                    let before = open.lane.now();
                    self.model.borrow_mut().hidden.remove(&number);
                    let changed =
                        open.partition.hide(&[(named, Duration::from_secs(seconds))]).await.remove(0);
                    if changed.is_ok() {
                        self.model.borrow_mut().hidden.insert(number, Timestamp(before.0 + seconds * 1_000));
                    }
                }
                1 => {}
                _ => {
                    self.model.borrow_mut().deletion_begun.insert(number);
                    if open.partition.delete(&[named]).await.remove(0).is_ok() {
                        self.model.borrow_mut().deleted.insert(number);
                    }
                }
            }
        }
    }

    /// With time, all that is left comes, and can be deleted.
    async fn drain(&self, env: &SimEnv, open: &Open) {
        env.sleep(Duration::from_secs(20)).await;
        for _ in 0..2_000 {
            let before = self.model.borrow().before();
            let received = open.receive(10, 30).await;
            if received.is_empty() {
                break;
            }
            self.model.borrow_mut().take(&received, &before, open.lane.now(), Timestamp(0), self.is_fifo);
            self.model.borrow_mut().deletion_begun.extend(numbers(&received));
            open.delete(&received).await;
            self.model.borrow_mut().deleted.extend(numbers(&received));
        }
        assert_eq!(open.counts().await, (0, 0, 0));
        let model = self.model.borrow();
        for number in model.sent.keys() {
            assert!(model.deletion_begun.contains(number), "{number} was lost");
        }
    }
}

/// Runs a seed, and returns how many messages were received.
fn run(seed: u64) -> u64 {
    let is_fifo = seed % 2 == 1;
    let settings = || if is_fifo { fifo() } else { QueueSettings::default() };
    let sim = Sim::new(seed);
    let env = sim.env();
    let world = World { model: RefCell::default(), is_fifo, is_grouped: seed % 4 == 2 };
    for generation in 0..GENERATIONS {
        sim.stop_after(50 + sim.draw(3_000));
        world.model.borrow_mut().is_purging = false;
        let finished = sim.run(async {
            let open = open(&env, settings()).await;
            futures_util::future::join_all((0..WORKERS).map(|_| world.work(&sim, &env, &open))).await;
        });
        let crash = if sim.draw(2) == 0 { Crash::Process } else { Crash::Power };
        tracing::debug!(generation, finished = finished.is_some(), "crash");
        sim.crash(crash);
    }
    sim.run(async {
        let open = open(&env, settings()).await;
        world.drain(&env, &open).await;
        open.lane.close().await;
    })
    .expect("not stopped");
    world.model.into_inner().receives
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run tells how far it came")]
fn promises_hold_over_crashes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("TIDEMILL_QUEUE_SEED") {
        run(seed);
        return;
    }
    let seeds = number("TIDEMILL_QUEUE_SEEDS").unwrap_or(120);
    let received: u64 = (0..seeds)
        .map(|seed| {
            let outcome = std::panic::catch_unwind(|| run(seed));
            outcome.unwrap_or_else(|_| panic!("seed {seed}: TIDEMILL_QUEUE_SEED={seed} runs it alone"))
        })
        .sum();
    println!("{seeds} seeds, {received} messages received");
    assert!(received > seeds * 10, "the runs do something: {received}");
}
