//! A server that only answers: what HTTP itself takes on this machine, to measure the rest against.
//!
//! The executor, the sockets and the HTTP of a core, and nothing behind them: a body is read and dropped piece by piece, and every answer is the same.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;

use crate::config::Config;
use crate::net::{HttpLimits, HttpPort, Listener, Patrol, PatrolTimes, bind, serve_same};
use crate::shard::{Executor, Runtime};

/// Longer than anybody measures.
const TIME: Duration = Duration::from_secs(3_600);

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("no server can be started that only answers: {0}")]
pub struct SinkError(io::Error);

/// Starts it on a core with a loopback port, and returns where it listens. It ends with the process.
pub fn start_sink(cpu: usize, answer: Bytes) -> Result<SocketAddr, SinkError> {
    let bound = bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(|error| SinkError(error.source))?;
    let address = bound.address;
    let config = Config::default();
    let runtime = Runtime {
        preempt: Duration::from_micros(config.runtime.preempt_us),
        spin: Duration::from_micros(config.runtime.spin_us),
    };
    let head_bytes_max = u32::try_from(config.http.head_bytes).expect("the knob's range ends at 1 MiB");
    let (listening, listens) = mpsc::channel();
    let main = move |executor: Executor| async move {
        match bound.listen() {
            Ok(listener) => {
                // Whoever started it waits for this.
                _ = listening.send(Ok(()));
                serve(executor, listener, answer, head_bytes_max).await;
            }
            Err(error) => _ = listening.send(Err(error)),
        }
    };
    let thread = Executor::start(0, cpu, runtime, main).map_err(SinkError)?;
    match listens.recv() {
        Ok(heard) => heard.map(|()| address).map_err(SinkError),
        Err(_) => {
            let ended = thread.join().unwrap_or(Ok(()));
            Err(SinkError(ended.err().unwrap_or_else(|| io::ErrorKind::Other.into())))
        }
    }
}

async fn serve(executor: Executor, listener: Listener, answer: Bytes, head_bytes_max: u32) {
    let patrol = Patrol::new(PatrolTimes { head: TIME, idle: TIME, write: TIME }, || {});
    let limits = HttpLimits {
        head_bytes_max,
        headers_max: 100,
        streams_max: None,
        resets_max: 1,
        window_bytes: 1 << 16,
        send_bytes_max: 1 << 16,
    };
    let tasks = executor.clone();
    let port = Rc::new(HttpPort::new(limits, Rc::clone(&patrol), None, move |task| tasks.spawn(task)));
    let accept = async {
        while let Ok(socket) = listener.accept().await {
            let (port, answer) = (Rc::clone(&port), answer.clone());
            executor.spawn(async move {
                // A peer that goes is no fault.
                _ = serve_same(&port, socket, answer).await;
            });
        }
    };
    or(accept, patrol.walk()).await;
}
