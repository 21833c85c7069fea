//! One connection from its first byte to its last, in whichever version of HTTP its peer speaks.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_lite::future::or;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::body::Body;
use super::frames::Frames;
use super::patrol::{Patrol, Watched};
use super::stream::{READ_BYTES, Scratch, Stream, Transport, WatchedSocket};
use super::tls::Tls;
use crate::net::Socket;

/// What a peer that speaks HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A peer whose connection is ended for its mistakes has this long to read why.
const LINGER: Duration = Duration::from_millis(500);
/// As long as it does not send more than this.
const LINGER_BYTES: usize = 8 << 20;
/// hyper asks for this at least.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// What a peer may cost.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Bytes of a request's head.
    pub head_bytes_max: u32,
    /// Header fields of a request, in HTTP/1.1.
    pub headers_max: usize,
    /// Requests of one connection at a time in HTTP/2; `None` refuses HTTP/2.
    pub streams_max: Option<u32>,
    /// Streams that a peer resets before they are looked at, and those that were reset for its errors, before the connection ends.
    pub resets_max: usize,
    /// Bytes of one stream that a peer may send before it is told to go on; a connection gets twice as many.
    pub window_bytes: u32,
    /// Bytes of answers that wait to be written to one stream.
    pub send_bytes_max: usize,
}

/// A port on one core: what its connections share.
pub struct HttpPort {
    limits: HttpLimits,
    patrol: Rc<Patrol>,
    tls: Option<Arc<Tls>>,
    scratch: Scratch,
    spawn: Spawn,
}

/// Starts a task in the queue of the port.
type Spawn = Rc<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;

/// An answer on its way.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

/// hyper's way to start tasks.
#[derive(Clone)]
struct Tasks(Spawn);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, task: F) {
        (self.0)(Box::pin(task));
    }
}

impl HttpPort {
    /// A port, under TLS or not, whose streams of HTTP/2 run where `spawn` puts them. Somebody has to let the patrol walk.
    #[must_use]
    pub fn new(
        limits: HttpLimits,
        patrol: Rc<Patrol>,
        tls: Option<Arc<Tls>>,
        spawn: impl Fn(Pin<Box<dyn Future<Output = ()>>>) + 'static,
    ) -> Self {
        let scratch = Rc::new(RefCell::new(vec![0; READ_BYTES]));
        Self { limits, patrol, tls, scratch, spawn: Rc::new(spawn) }
    }

    /// Serves the requests of one connection until its peer ends it. When `stopping` resolves, those that have begun are answered and no others taken.
    pub async fn serve<F>(
        &self,
        socket: Socket,
        stopping: impl Future<Output = ()>,
        answer: impl Fn(Request<Incoming>) -> F + 'static,
    ) -> Result<(), ServeError>
    where
        F: Future<Output = Response<Body>> + 'static,
    {
        let socket = Rc::new(socket);
        let watched = Rc::new(self.patrol.watch(Rc::clone(&socket)));
        let mut stopping = pin!(stopping);
        let socket_watched = WatchedSocket { socket: Rc::clone(&socket), watched: Rc::clone(&watched) };
        let transport = match &self.tls {
            None => Transport::Plain(socket_watched),
            Some(tls) => {
                let Some(accepted) = or_stop(stopping.as_mut(), pin!(tls.accept(socket_watched))).await
                else {
                    return Ok(());
                };
                watched.rest();
                Transport::Tls(Box::new(accepted.map_err(ServeError::Tls)?))
            }
        };
        let mut stream = Stream::new(transport, Rc::clone(&self.scratch));
        let Some(version) = or_stop(stopping.as_mut(), pin!(sniff(&mut stream))).await else { return Ok(()) };
        let served = match version.map_err(ServeError::Socket)? {
            Version::None => Ok(()),
            Version::One => self.serve_one(stream, watched, stopping, answer).await,
            Version::Two => self.serve_two(stream, watched, stopping, answer).await,
        };
        if served.is_err() {
            self.linger(&socket).await;
        }
        served
    }

    /// Reads away for a moment what the peer still sends: a socket that is closed with bytes unread takes back what was written last, and that
    /// says what was wrong.
    async fn linger(&self, socket: &Socket) {
        socket.shut(Shutdown::Write);
        let drain = async {
            let read = || poll_fn(|context| socket.poll_read(context, &mut self.scratch.borrow_mut()));
            let mut left = LINGER_BYTES;
            while let Ok(bytes) = read().await
                && (1..left).contains(&bytes)
            {
                left -= bytes;
                glommio::yield_if_needed().await;
            }
        };
        let late = async {
            glommio::timer::Timer::new(LINGER).await;
        };
        or(drain, late).await;
    }

    async fn serve_one<F>(
        &self,
        stream: Stream,
        watched: Rc<Watched>,
        stopping: Pin<&mut impl Future<Output = ()>>,
        answer: impl Fn(Request<Incoming>) -> F + 'static,
    ) -> Result<(), ServeError>
    where
        F: Future<Output = Response<Body>> + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            // The patrol does this, without a timer for each request.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES_MIN.max(self.limits.head_bytes_max as usize))
            .max_headers(self.limits.headers_max)
            .half_close(false);
        let service = service_fn(watch_each(watched, answer));
        let mut connection = pin!(builder.serve_connection(stream, service));
        if let Some(done) = or_stop(stopping, connection.as_mut()).await {
            return Ok(done?);
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }

    async fn serve_two<F>(
        &self,
        mut stream: Stream,
        watched: Rc<Watched>,
        stopping: Pin<&mut impl Future<Output = ()>>,
        answer: impl Fn(Request<Incoming>) -> F + 'static,
    ) -> Result<(), ServeError>
    where
        F: Future<Output = Response<Body>> + 'static,
    {
        stream.count_frames(Frames::new(watched.clock()));
        let limits = &self.limits;
        let Some(streams_max) = limits.streams_max else { return Err(ServeError::Version) };
        watched.multiplex();
        let mut builder = http2::Builder::new(Tasks(Rc::clone(&self.spawn)));
        builder
            .max_concurrent_streams(streams_max)
            .max_pending_accept_reset_streams(limits.resets_max)
            .max_local_error_reset_streams(limits.resets_max)
            .max_header_list_size(limits.head_bytes_max)
            .initial_stream_window_size(limits.window_bytes)
            .initial_connection_window_size(limits.window_bytes.saturating_mul(2))
            .max_send_buf_size(limits.send_bytes_max);
        let service = service_fn(watch_each(watched, answer));
        let mut connection = pin!(builder.serve_connection(stream, service));
        if let Some(done) = or_stop(stopping, connection.as_mut()).await {
            return Ok(done?);
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }
}

/// Why a connection ended before its peer wanted it to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Socket(io::Error),
    /// The peers did not agree on keys.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// It is no HTTP, over a bound, or broken.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// It speaks a version that this port does not.
    #[error("this port does not speak HTTP/2")]
    Version,
}

/// Puts every request of a connection under its watch until its answer is written.
fn watch_each<F>(
    watched: Rc<Watched>,
    answer: impl Fn(Request<Incoming>) -> F,
) -> impl Fn(Request<Incoming>) -> Answering
where
    F: Future<Output = Response<Body>> + 'static,
{
    move |request| {
        let serving = watched.begin();
        let answer = answer(request);
        Box::pin(async move { Ok(answer.await.map(|body| body.served_by(serving))) })
    }
}

/// Resolves with the work's output, or with nothing when it is time to stop. The work can be gone on with then.
async fn or_stop<F: Future>(
    mut stopping: Pin<&mut impl Future<Output = ()>>,
    mut work: Pin<&mut F>,
) -> Option<F::Output> {
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        stopping.as_mut().poll(context).map(|()| None)
    })
    .await
}

enum Version {
    /// The peer has gone.
    None,
    One,
    Two,
}

/// Reads as much as tells the versions apart, and puts it back.
async fn sniff(stream: &mut Stream) -> io::Result<Version> {
    let mut read = BytesMut::new();
    let version = loop {
        let most = PREFACE.len() - read.len();
        let more: Bytes = poll_fn(|context| stream.poll_some(context, most)).await?;
        if more.is_empty() {
            break Version::None;
        }
        read.extend_from_slice(&more);
        if !PREFACE.starts_with(&read) {
            break Version::One;
        }
        if read.len() == PREFACE.len() {
            break Version::Two;
        }
    };
    stream.unread(read.freeze());
    Ok(version)
}
