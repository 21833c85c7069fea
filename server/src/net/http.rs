//! HTTP/1.1 on the executors: hyper over our sockets and timers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::socket::Socket;

/// An answer's body, whole in memory.
pub type Body = Full<bytes::Bytes>;

/// Bytes read at a time; requests to the admin port are small.
const READ_BYTES: usize = 4_096;

/// What a peer may cost.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Time that a head may take.
    pub head_time_max: Duration,
}

/// Serves the requests of one connection until its peer ends it.
pub async fn serve_http<F>(
    socket: Socket,
    limits: HttpLimits,
    answer: impl Fn(Request<Incoming>) -> F,
) -> Result<(), hyper::Error>
where
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(ExecutorTimer)
        .header_read_timeout(limits.head_time_max)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(limits.headers_max)
        .keep_alive(true)
        .half_close(false);
    builder.serve_connection(Stream::new(socket), service).await
}

/// A socket as hyper wants it.
struct Stream {
    socket: Rc<Socket>,
    buffer: RefCell<[u8; READ_BYTES]>,
}

impl Stream {
    fn new(socket: Socket) -> Self {
        Self { socket: Rc::new(socket), buffer: RefCell::new([0; READ_BYTES]) }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = self.buffer.borrow_mut();
        let room = target.remaining().min(buffer.len());
        self.socket.poll_read(context, &mut buffer[..room]).map_ok(|bytes| {
            // Over a small buffer of our own: its memory is always initialised, hyper's is not.
            target.put_slice(buffer.get(..bytes).unwrap_or_default());
        })
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.shut(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

/// The executor's timers. hyper wants a sleep that could be sent to another thread, which a timer of the executor
/// cannot; so a task has the timer, and the sleep hears of it through a channel.
#[derive(Clone, Copy, Debug)]
struct ExecutorTimer;

struct TaskSleep(oneshot::Receiver<()>);

impl Sleep for TaskSleep {}

impl Future for TaskSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl Timer for ExecutorTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let (mut over, sleep) = oneshot::channel();
        glommio::spawn_local(async move {
            let timer = async {
                glommio::timer::Timer::new(duration).await;
            };
            futures_lite::future::or(timer, over.cancellation()).await;
            // Nobody listens any more when the sleep was dropped.
            let _ = over.send(());
        })
        .detach();
        Box::pin(TaskSleep(sleep))
    }

    #[expect(clippy::disallowed_methods, reason = "hyper names deadlines on this clock and on no other")]
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }

    #[expect(clippy::disallowed_methods, reason = "hyper names deadlines on this clock and on no other")]
    fn now(&self) -> Instant {
        Instant::now()
    }
}
