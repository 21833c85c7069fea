//! Tests of `shard`: what passes between cores, on real executors.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_lite::future::{block_on, poll_once, yield_now, zip};
use tidemill_storage::Appended;
use tidemill_wire::message::Ack;
use tidemill_wire::{LaneId, SequenceNumber, ShardIndex, StreamId, Timestamp};

use super::heartbeat::beat;
use super::mailbox::Mailbox;
use super::request::{Letter, Request};
use super::router::ask_all;
use super::*;
use crate::metrics::CoreMetrics;
use crate::service::stream::{Append, AppendError};

/// glommio loses a wake-up within 2,000 of these without the heartbeat.
const ROUND_TRIPS: u32 = 10_000;
/// A hundred times what they take.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Runtime { preempt: Duration::from_micros(500), spin: Duration::ZERO }
}

/// Answers questions of other cores until a letter to drain comes.
async fn answer(mailbox: Mailbox) {
    while let Some(letter) = mailbox.receive().await {
        match letter {
            Letter::Request(Request::Bounds { reply, .. }) => {
                reply.send(Vec::new()).expect("somebody waits for the answer");
            }
            Letter::Drain { .. } => return,
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(post: &Post, core: u32) {
    let (reply, answer) = oneshot::channel();
    let letter = Letter::Request(Request::Bounds { stream: StreamId(0), reply });
    post.send(core, letter).await.expect("the other core lives");
    answer.await.expect("the other core answers");
}

/// Runs `main` beside a heartbeat, as every core does.
async fn with_heartbeat(executor: Executor, main: impl Future<Output = ()>) {
    let (busy, stop) = (Rc::<Busy>::default(), Rc::<Event>::default());
    let _work = busy.begin();
    let (period, stall) = (Duration::from_millis(1), Duration::from_secs(1));
    let metrics = Rc::new(CoreMetrics::default());
    executor.spawn(beat(Clock::start(), period, stall, busy, metrics, Pulse::default(), Rc::clone(&stop)));
    main.await;
    stop.happen();
}

#[test]
fn thousands_of_round_trips_between_two_cores_complete() {
    let cpus = online_cpus().expect("processors");
    let (post, mailboxes) = Post::new(2);
    let (finished, done) = mpsc::channel();
    let mut threads = Vec::new();
    for (core, mailbox) in (0..2_u32).zip(mailboxes) {
        let (post, finished) = (post.clone(), finished.clone());
        let cpu = cpus[core as usize % cpus.len()];
        let thread = Executor::start(core, cpu, runtime(), move |executor| async move {
            let playing = executor.clone();
            with_heartbeat(executor, async move {
                let (other, asking) = (1 - core, post.clone());
                playing.spawn(async move {
                    for _ in 0..ROUND_TRIPS {
                        ask(&asking, other).await;
                    }
                    finished.send(core).expect("the test waits");
                });
                answer(mailbox).await;
            })
            .await;
        });
        threads.push(thread.expect("a thread"));
    }
    for _ in 0..2 {
        done.recv_timeout(PATIENCE).expect("every round trip completes in bounded time");
    }
    let (done, _) = mpsc::channel();
    for core in 0..2 {
        post.send_blocking(core, Letter::Drain { done: done.clone() }).expect("the cores live");
    }
    for thread in threads {
        thread.join().expect("no panic").expect("an executor");
    }
}

/// What became of appends, in the order in which it was told.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<(u64, Outcome)>>>);

impl Claim for (Told, u64) {
    fn settle(settled: &mut Vec<(Self, Outcome)>) {
        for ((told, number), outcome) in settled.drain(..) {
            told.0.borrow_mut().push((number, outcome));
        }
    }
}

/// An append that is known by its number of records.
fn append(records: u32) -> Append {
    let (stream, shard, ack) = (StreamId(1), ShardIndex(0), Ack::Written);
    Append { stream, shard, ack, batch: Bytes::new(), records, payload_bytes: 0 }
}

fn records(letter: &Letter) -> Vec<u32> {
    let Letter::Request(Request::Appends { appends, .. }) = letter else { panic!("{letter:?}") };
    appends.iter().map(|append| append.records).collect()
}

#[test]
fn a_courier_takes_appends_of_one_sender_along_together_and_in_order() {
    let (ledger, told) = (Rc::<Ledger<_>>::default(), Told::default());
    let mut courier = Courier::new(&ledger);
    for (core, number) in [(1, 0), (2, 1), (1, 2), (1, 3), (2, 4)] {
        courier.take(core, append(number), (told.clone(), u64::from(number)));
    }
    let letters: Vec<_> =
        courier.letters().iter().map(|(core, letter, _)| (*core, records(letter))).collect();
    assert_eq!(letters, [(1, vec![0, 2, 3]), (2, vec![1, 4])]);
    assert!(told.0.borrow().is_empty());
}

#[test]
fn each_append_of_another_core_is_settled_once_whatever_comes_back() {
    let (ledger, told) = (Rc::<Ledger<_>>::default(), Told::default());
    let mut courier = Courier::new(&ledger);
    let stored = |base| Ok(Appended { base_sequence: SequenceNumber(base), append_time: Timestamp(1) });
    for round in 0..3_u64 {
        for number in 0..4_u32 {
            let claim = (told.clone(), round * 4 + u64::from(number));
            courier.take(1 + number % 2, append(number), claim);
        }
        let letters = courier.letters();
        assert_eq!(letters.len(), 2, "one letter for each core");
        // The second core answers before the first, and in the last round it has gone.
        for (core, _, tokens) in letters.iter().rev() {
            let gone = round == 2 && *core == 2;
            let outcomes = if gone { Vec::new() } else { vec![stored(round), stored(round)] };
            ledger.answered(tokens, outcomes);
        }
    }
    let mut told = told.0.take();
    told.sort_by_key(|(number, _)| *number);
    let expected = (0..12).map(|number| {
        let gone = number > 8 && number % 2 == 1;
        (number, if gone { Err(AppendError::Closing) } else { stored(number / 4) })
    });
    assert_eq!(told, expected.collect::<Vec<_>>());
}

#[test]
fn a_full_mailbox_makes_its_senders_wait() {
    let (post, mailboxes) = Post::new(1);
    let letter = || {
        let (reply, _) = oneshot::channel();
        Letter::Report { reply }
    };
    for _ in 0..limits::MAILBOX_LETTERS_MAX {
        block_on(post.send(0, letter())).expect("room");
    }
    let mut waiting = Box::pin(post.send(0, letter()));
    assert!(block_on(poll_once(&mut waiting)).is_none());
    assert!(mailboxes[0].try_receive().is_some());
    assert_eq!(block_on(waiting), Ok(()));
}

#[test]
fn numbers_are_gathered_without_the_cores_that_do_not_answer() {
    let (post, mailboxes) = Post::new(4);
    let answer = async {
        for core in [0, 3] {
            let Some(Letter::Report { reply }) = mailboxes[core].receive().await else { panic!("no letter") };
            let core = u32::try_from(core).expect("a small number");
            let report = CoreReport {
                core: CoreMetrics::default().snapshot(core),
                lanes: Vec::new(),
                queues: Vec::new(),
                stream_queues: Vec::new(),
                shards: Vec::new(),
            };
            reply.send(report).expect("somebody waits");
        }
    };
    let enough = async {
        for _ in 0..10 {
            yield_now().await;
        }
    };
    let (reports, ()) = block_on(zip(ask_all(&post, |reply| Letter::Report { reply }, enough), answer));
    let cores: Vec<u32> = reports.iter().map(|report| report.core.core).collect();
    assert_eq!(cores, [0, 3]);
}

#[test]
fn what_a_core_leaves_unread_is_answered_by_the_loss_of_its_way_back() {
    let (post, mailboxes) = Post::new(1);
    let (done, known) = async_channel::bounded(1);
    block_on(post.send(0, Letter::Forget { stream: StreamId(0), done })).expect("room");
    let (reply, answer) = oneshot::channel();
    let letter = Letter::Request(Request::Bounds { stream: StreamId(0), reply });
    block_on(post.send(0, letter)).expect("room");
    drop(mailboxes);
    assert_eq!(known.try_recv(), Err(async_channel::TryRecvError::Closed));
    assert!(block_on(poll_once(answer)).is_some_and(|answer| answer.is_err()), "the sender waits for ever");
}

#[test]
fn lanes_are_dealt_out_to_all_cores() {
    let placement = Placement { cores: 3, lanes: 8 };
    let mut seen = Vec::new();
    for core in 0..3 {
        for lane in placement.lanes_of(core) {
            assert_eq!(placement.core_of(lane), core);
            seen.push(lane);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..8).map(LaneId).collect::<Vec<_>>());
    assert_eq!(Placement { cores: 4, lanes: 2 }.lanes_of(3).count(), 0);
}

#[test]
fn an_event_wakes_all_who_wait_and_keeps_no_place_for_those_who_left() {
    let event = Event::default();
    let mut kept = Box::pin(event.wait());
    assert!(block_on(poll_once(&mut kept)).is_none());
    for _ in 0..100 {
        let mut left = Box::pin(event.wait());
        assert!(block_on(poll_once(&mut left)).is_none());
    }
    assert_eq!(event.places(), 2);
    event.happen();
    block_on(kept);
    block_on(event.wait());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// With a walk over all who wait for each of them this would take minutes.
#[test]
fn a_signal_wakes_each_of_very_many_once_however_often_they_look() {
    let signal = Signal::default();
    let tasks: Vec<Arc<Woken>> = (0..20_000).map(|_| Arc::default()).collect();
    let wakers: Vec<Waker> = tasks.iter().map(|task| Waker::from(Arc::clone(task))).collect();
    for notified in 1..=3 {
        for _ in 0..10 {
            // The few first ones alone, and then among all.
            wakers.iter().take(4).for_each(|waker| signal.register(&Context::from_waker(waker)));
            wakers.iter().for_each(|waker| signal.register(&Context::from_waker(&waker.clone())));
        }
        signal.notify();
        assert!(tasks.iter().all(|task| task.0.load(Ordering::Relaxed) == notified));
    }
    signal.notify();
    assert!(tasks.iter().all(|task| task.0.load(Ordering::Relaxed) == 3));
}

/// Set in the process that is to panic.
const PANIC: &str = "TIDEMILL_TEST_PANIC";

#[test]
fn a_task_that_panics_stops_the_process() {
    let name = "shard::tests::a_task_that_panics_stops_the_process";
    if std::env::var_os(PANIC).is_some() {
        let cpu = online_cpus().expect("processors")[0];
        let thread = Executor::start(0, cpu, runtime(), |executor| async move {
            executor.spawn(async { panic!("a task is at fault") });
            std::future::pending::<()>().await;
        });
        let _ = thread.expect("a thread").join();
        return;
    }
    let this = std::env::current_exe().expect("the test's own path");
    let child = std::process::Command::new(this).args(["--exact", name]).env(PANIC, "1").output();
    let child = child.expect("a process");
    assert!(!child.status.success(), "the process has outlived its core's panic: {child:?}");
    let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
    assert_eq!(signal, Some(libc::SIGABRT), "{child:?}");
}
