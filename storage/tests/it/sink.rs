//! Entries whose fate a sink is told: each once, in order, whatever becomes of the lane.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::Rc,
    time::Duration,
};

use futures_channel::oneshot;
use tidemill_storage::{
    AppendError, AppendSink, Appended, Env, Lane, LaneHealth, Settled,
    sim::{Faults, Sim, SimEnv},
};
use tidemill_wire::{OwnerId, SequenceNumber, message::Ack};

use crate::{
    lane::{OWNER, open, run},
    record::payload,
    simulate::plain,
    workload,
};

/// Keeps what it hears, and tells those who wait for it.
#[derive(Default)]
pub(crate) struct Told {
    heard: RefCell<Vec<Settled>>,
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<Result<Appended, AppendError>>>>,
}

impl AppendSink for Told {
    fn settle(&self, settled: &[Settled]) {
        assert!(!settled.is_empty(), "a sink is told something");
        self.heard.borrow_mut().extend_from_slice(settled);
        for Settled { token, outcome } in settled {
            if let Some(waiting) = self.waiting.borrow_mut().remove(token) {
                // Whoever asked may have gone, in a crash for one.
                let _ = waiting.send(outcome.clone());
            }
        }
    }
}

impl Told {
    /// Appends and waits for what this sink is told, as if the lane had given a future.
    pub(crate) fn append<E: Env>(
        self: &Rc<Self>,
        lane: &Lane<E>,
        token: u64,
        owner: OwnerId,
        (label, bytes): (u64, usize),
        record_count: u32,
        ack: Ack,
    ) -> impl Future<Output = Result<Appended, AppendError>> + use<E> {
        let (telling, told) = oneshot::channel();
        assert!(self.waiting.borrow_mut().insert(token, telling).is_none(), "tokens are used once at a time");
        let sink = Rc::<Self>::clone(self);
        let queued = lane.append_to(sink, token, owner, payload(label, bytes), record_count, ack);
        if queued.is_err() {
            self.waiting.borrow_mut().remove(&token);
        }
        async move {
            queued?;
            told.await.expect("a sink is told of everything that was queued")
        }
    }

    fn tokens(&self) -> Vec<u64> {
        self.heard.borrow().iter().map(|settled| settled.token).collect()
    }
}

#[test]
fn sinks_and_futures_are_told_the_same_in_the_order_of_the_entries() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let (first, second) = (Rc::<Told>::default(), Rc::<Told>::default());
        let mut futures = Vec::new();
        for n in 0..90_u64 {
            let ack = if n % 7 == 0 { Ack::Durable } else { Ack::Written };
            let bytes = payload(n, 10 + n as usize);
            let sink = if n % 5 == 0 { &second } else { &first };
            match n % 3 {
                0 => futures.push((n, lane.append(OWNER, bytes, 2, ack))),
                _ => lane.append_to(Rc::<Told>::clone(sink), n, OWNER, bytes, 2, ack).expect("queued"),
            }
        }
        assert!(first.tokens().is_empty(), "nothing is told while it is queued");
        for (n, future) in futures {
            assert_eq!(future.await.expect("appended").base_sequence, SequenceNumber(2 * n));
        }
        lane.close().await;
        let expected = |fifth: bool| (0..90).filter(move |n| n % 3 != 0 && (n % 5 == 0) == fifth);
        assert_eq!(first.tokens(), expected(false).collect::<Vec<_>>());
        assert_eq!(second.tokens(), expected(true).collect::<Vec<_>>());
        for Settled { token, outcome } in first.heard.borrow().iter() {
            let base = outcome.as_ref().expect("appended").base_sequence;
            assert_eq!(base, SequenceNumber(2 * token));
        }
    });
}

#[test]
fn a_sink_is_not_told_of_what_was_refused_at_once() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let told = Rc::<Told>::default();
        let append = |bytes, count| {
            lane.append_to(Rc::<Told>::clone(&told), 1, OWNER, payload(0, bytes), count, Ack::Written)
        };
        assert_eq!(append(5000, 1), Err(AppendError::TooLarge { bytes: 5064, limit: 4096 }));
        assert_eq!(append(10, 0), Err(AppendError::RecordCount { record_count: 0 }));
        lane.close().await;
        assert_eq!(append(10, 1), Err(AppendError::Closed));
        assert!(told.tokens().is_empty());
    });
}

#[test]
fn a_sink_is_told_when_its_owner_is_forgotten_before_the_write() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let told = Rc::<Told>::default();
        let append = told.append(&lane, 3, OWNER, (1, 100), 1, Ack::Written);
        lane.forget(OWNER);
        assert!(matches!(append.await, Err(AppendError::UnknownOwner(_))));
        lane.close().await;
        assert_eq!(told.tokens(), [3]);
    });
}

#[test]
fn a_sink_is_told_of_everything_when_a_flush_fails() {
    let sim = Sim::new(12);
    let env = sim.env();
    let done = sim.run(async {
        let (lane, _) = workload::open(&env, &plain()).await;
        let told = Rc::<Told>::default();
        told.append(&lane, 1, OwnerId(1), (1, 100), 1, Ack::Durable).await.expect("appended");
        sim.set_faults(Faults { flush_failures: 1_000_000, ..Faults::default() });
        for token in 2..30 {
            // Nobody waits for these, and the sink hears of them all the same.
            drop(told.append(&lane, token, OwnerId(1), (token, 100), 1, Ack::Durable));
        }
        env.sleep(Duration::from_secs(1)).await;
        let mut tokens = told.tokens();
        tokens.sort_unstable();
        assert_eq!(tokens, (1..30).collect::<Vec<_>>());
        let heard = told.heard.take();
        assert!(heard[1..].iter().all(|one| matches!(one.outcome, Err(AppendError::Poisoned { .. }))));
        lane.close().await;
    });
    assert!(done.is_some());
}

/// Hears of entries at the very moment at which they are acknowledged.
#[derive(Default)]
struct Witness {
    lane: RefCell<Option<Lane<SimEnv>>>,
    acknowledged: Cell<u64>,
    refused: Cell<u64>,
}

impl AppendSink for Witness {
    fn settle(&self, settled: &[Settled]) {
        let health = self.lane.borrow().as_ref().expect("it is open").health();
        for Settled { outcome, .. } in settled {
            if outcome.is_ok() {
                assert_eq!(health, LaneHealth::Serving, "acknowledged after a flush had failed");
                self.acknowledged.set(self.acknowledged.get() + 1);
            } else {
                self.refused.set(self.refused.get() + 1);
            }
        }
    }
}

/// The failed flush may have lost what lies before a group that is being written: so the group is refused, though it asked for no flush of its own.
#[test]
fn a_group_in_flight_is_not_acknowledged_after_a_flush_beside_it_failed() {
    let (mut beside, mut acknowledged, mut refused) = (0, 0, 0);
    for seed in 0..30 {
        let sim = Sim::new(seed);
        let env = sim.env();
        let done = sim.run(async {
            let (lane, _) = workload::open(&env, &plain()).await;
            let witness = Rc::<Witness>::default();
            witness.lane.replace(Some(lane.clone()));
            sim.set_faults(Faults { flush_failures: 1_000_000, ..Faults::default() });
            let (mut queued, mut last) = (0, 0);
            while lane.health() == LaneHealth::Serving {
                let told = Rc::<Witness>::clone(&witness);
                let bytes = payload(queued, 200);
                if lane.append_to(told, queued, OwnerId(1), bytes, 1, Ack::Written).is_ok() {
                    queued += 1;
                }
                last = queued - witness.acknowledged.get() - witness.refused.get();
                env.sleep(Duration::from_micros(50 + env.random_u64() % 100)).await;
            }
            beside += last;
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(witness.acknowledged.get() + witness.refused.get(), queued);
            refused += witness.refused.get();
            acknowledged += witness.acknowledged.get();
            witness.lane.take();
        });
        assert!(done.is_some());
    }
    assert!(acknowledged > 100 && refused > 10, "{acknowledged} acknowledged, {refused} refused");
    assert!(beside > 10, "{beside} entries were under way when a flush failed");
}

#[test]
fn a_sink_is_told_when_the_last_handle_of_its_lane_is_dropped() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let told = Rc::<Told>::default();
        let append = told.append(&lane, 1, OWNER, (1, 100), 1, Ack::Written);
        drop(lane);
        assert_eq!(append.await, Err(AppendError::Closed));
        assert_eq!(told.tokens(), [1]);
    });
}

/// Appends another entry for each that it is told of, up to a number.
struct Chain {
    lane: RefCell<Option<Lane<tidemill_storage::local::LocalEnv>>>,
    this: std::rc::Weak<Self>,
    last: RefCell<Option<oneshot::Sender<()>>>,
}

impl AppendSink for Chain {
    fn settle(&self, settled: &[Settled]) {
        for Settled { token, outcome } in settled {
            assert_eq!(outcome.as_ref().expect("appended").base_sequence, SequenceNumber(*token));
            let lane = self.lane.borrow().clone().expect("a lane until the last");
            if *token < 20 {
                let this = self.this.upgrade().expect("it is told");
                lane.append_to(this, token + 1, OWNER, payload(*token, 50), 1, Ack::Written).expect("queued");
            } else {
                self.lane.take();
                self.last.take().expect("the last entry comes once").send(()).expect("the test waits");
            }
        }
    }
}

#[test]
fn a_sink_may_append_what_follows_from_what_it_is_told() {
    run(|env, directory| async move {
        let lane = open(&env, directory.path()).await;
        let (last, done) = oneshot::channel();
        let chain = Rc::new_cyclic(|this| Chain {
            lane: RefCell::new(Some(lane.clone())),
            this: this.clone(),
            last: RefCell::new(Some(last)),
        });
        lane.append_to(chain, 0, OWNER, payload(0, 50), 1, Ack::Written).expect("queued");
        done.await.expect("the chain comes to its end");
        assert_eq!(lane.bounds(OWNER).expect("known").next, SequenceNumber(21));
        lane.close().await;
    });
}
