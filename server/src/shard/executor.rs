//! A thread pinned to a core, with its task queues.
//!
//! Requests run in a queue with many shares, upkeep in one with few. A task that panics ends the process: what the core
//! owned would be lost to everybody who waits for it.
//!
//! glommio 0.9 parks with a runnable task when its preemption timer fires between two looks at the queues, and before the first task has
//! run there is no timer that would end the sleep. So the builder keeps glommio's own 100 ms as the timer of the queue in which
//! the first task starts, which a busy machine does not overrun, and the queues bring their own, shorter ones.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_lite::future::or;
use glommio::{Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle, timer::Timer};
use pin_project_lite::pin_project;

use super::event::Signal;
use super::limits::{
    HEARTBEAT_IDLE_MS, IO_MEMORY_BYTES, REQUEST_LATENCY_MS, REQUEST_SHARES, RING_DEPTH, SEE_OFF_TIME_MAX,
    UPKEEP_SHARES,
};
use super::workers::allow_disk_workers;

/// How an executor divides its core.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// Longest run of one queue while others wait.
    pub preempt: Duration,
    /// How long an idle executor spins before it sleeps.
    pub spin: Duration,
}

/// Its task queues.
#[derive(Clone, Copy, Debug)]
struct Queues {
    requests: TaskQueueHandle,
    upkeep: TaskQueueHandle,
}

/// The executor that runs this thread. Clones are the same.
#[derive(Clone, Debug)]
pub struct Executor {
    queues: Queues,
    tasks: Rc<Tasks>,
}

/// The tasks that were spawned and have not ended. A task that still waits when its executor ends is never dropped, and neither is what it holds, so
/// an executor ends after its tasks.
#[derive(Debug, Default)]
struct Tasks {
    live: Cell<u64>,
    ended: Signal,
}

/// One of the tasks; dropped with it.
struct Live(Rc<Tasks>);

pin_project! {
    /// A task that is counted. An async block around it would keep room for it twice: where it is captured, and where it is awaited.
    struct Counted<F> {
        #[pin]
        task: F,
        _live: Live,
    }
}

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.project().task.poll(context)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.set(self.0.live.get() - 1);
        self.0.ended.notify();
    }
}

impl Executor {
    /// Starts a thread for core number `core` on `cpu`, and runs `main` on it to its end.
    pub fn start<F>(
        core: u32,
        cpu: usize,
        runtime: Runtime,
        main: impl FnOnce(Self) -> F + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<()>>>
    where
        F: Future<Output = ()> + 'static,
    {
        std::thread::Builder::new().name(format!("tidemill-core-{core}")).spawn(move || {
            let _stop_the_process = PanicGuard { core };
            let executor = LocalExecutorBuilder::new(Placement::Fixed(cpu))
                .name("tidemill")
                .io_memory(IO_MEMORY_BYTES)
                .ring_depth(RING_DEPTH)
                .spin_before_park(runtime.spin)
                .make()
                .map_err(|error| io::Error::other(error.to_string()))?;
            allow_disk_workers()?;
            executor.run(async move {
                let proxy = glommio::executor();
                let latency = Latency::Matters(Duration::from_millis(REQUEST_LATENCY_MS));
                let requests = proxy.create_task_queue(Shares::Static(REQUEST_SHARES), latency, "requests");
                let preempt = Latency::Matters(runtime.preempt);
                let upkeep = proxy.create_task_queue(Shares::Static(UPKEEP_SHARES), preempt, "upkeep");
                let executor = Self { queues: Queues { requests, upkeep }, tasks: Rc::default() };
                // The main task is one among the others, so it runs in their queue.
                let main = main(executor.clone());
                let life = async {
                    glommio::spawn_local_into(main, requests).expect("the queue was just made").await;
                    executor.see_off(core).await;
                };
                or(life, never_oversleep()).await;
            });
            Ok(())
        })
    }

    /// Runs a task in the queue of requests.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_into(self.queues.requests, task);
    }

    /// Runs a task in the queue of what can wait.
    pub fn spawn_upkeep(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_into(self.queues.upkeep, task);
    }

    fn spawn_into(&self, queue: TaskQueueHandle, task: impl Future<Output = ()> + 'static) {
        self.tasks.live.set(self.tasks.live.get() + 1);
        let task = Counted { task, _live: Live(Rc::clone(&self.tasks)) };
        glommio::spawn_local_into(task, queue).expect("queues live as long as their executor").detach();
    }

    /// Waits until all tasks have ended.
    async fn see_off(&self, core: u32) {
        let tasks = &self.tasks;
        let ended = async {
            tasks.ended.until(|| (tasks.live.get() == 0).then_some(())).await;
        };
        or(ended, sleep(SEE_OFF_TIME_MAX)).await;
        if tasks.live.get() > 0 {
            tracing::warn!(core, tasks = tasks.live.get(), "executor ends before its tasks");
        }
    }
}

/// Keeps a timer as long as the executor lives: a wake-up that is lost is made up for when it fires. The core's heartbeat does that more
/// closely while the core serves, and does not run while it recovers its lanes and while it ends.
async fn never_oversleep() {
    loop {
        sleep(Duration::from_millis(HEARTBEAT_IDLE_MS)).await;
    }
}

/// Resolves after `duration`.
pub async fn sleep(duration: Duration) {
    Timer::new(duration).await;
}

/// Lets others run if this task has had its time.
pub async fn yield_if_needed() {
    glommio::yield_if_needed().await;
}

/// Ends the process when the thread unwinds.
struct PanicGuard {
    core: u32,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(core = self.core, "a core has panicked, the process stops");
            std::process::abort();
        }
    }
}
