//! Tests of `shard`: what passes between cores, on real executors.

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_lite::future::{block_on, poll_once, yield_now, zip};
use tidemill_wire::{LaneId, StreamId};

use super::heartbeat::beat;
use super::mailbox::Mailbox;
use super::request::{Letter, Request, Requests};
use super::router::ask_all;
use super::*;
use crate::metrics::CoreMetrics;

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
            Letter::Requests(requests) => {
                for request in requests.0 {
                    let Request::Bounds { reply, .. } = request else { panic!("{request:?}") };
                    reply.send(Vec::new()).expect("somebody waits for the answer");
                }
            }
            Letter::Drain { .. } => return,
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(post: &Post, core: u32) {
    let (reply, answer) = oneshot::channel();
    let requests = Requests(vec![Request::Bounds { stream: StreamId(0), reply }]);
    post.send(core, Letter::Requests(requests)).await.expect("the other core lives");
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

#[test]
fn a_courier_takes_requests_of_one_sender_along_together_and_in_order() {
    let (post, mailboxes) = Post::new(2);
    let mut courier = Courier::new();
    for stream in 0..5 {
        let (reply, _) = oneshot::channel();
        courier.take(1, Request::Bounds { stream: StreamId(stream), reply });
    }
    block_on(courier.deliver(&post));
    let Some(Letter::Requests(requests)) = mailboxes[1].try_receive() else { panic!("no letter") };
    let streams = requests.0.iter().map(|request| match request {
        Request::Bounds { stream, .. } => stream.0,
        other => panic!("{other:?}"),
    });
    assert_eq!(streams.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(mailboxes[1].try_receive().is_none() && mailboxes[0].try_receive().is_none());
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
            let report = CoreReport { core: CoreMetrics::default().snapshot(core), lanes: Vec::new() };
            reply.send(report).expect("somebody waits");
        }
    };
    let enough = async {
        for _ in 0..10 {
            yield_now().await;
        }
    };
    let (reports, ()) = block_on(zip(ask_all(&post, enough), answer));
    let cores: Vec<u32> = reports.iter().map(|report| report.core.core).collect();
    assert_eq!(cores, [0, 3]);
}

#[test]
fn what_a_core_leaves_unread_is_answered_by_the_loss_of_its_way_back() {
    let (post, mailboxes) = Post::new(1);
    let (done, known) = async_channel::bounded(1);
    block_on(post.send(0, Letter::Forget { stream: StreamId(0), done })).expect("room");
    let (reply, answer) = oneshot::channel();
    let requests = Requests(vec![Request::Bounds { stream: StreamId(0), reply }]);
    block_on(post.send(0, Letter::Requests(requests))).expect("room");
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
