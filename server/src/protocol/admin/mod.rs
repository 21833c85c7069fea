//! The admin port: metrics and health over HTTP/1.1, for scrapers, probes and people.
//!
//! Runs in the queue of what can wait, so a scrape does not delay a request. Beside reading, an operator can hold compaction; a peer costs no more than `limits` say.

mod compaction;
mod health;
mod limits;
mod metrics;
mod ready;

use std::rc::Rc;

use bytes::Bytes;
use futures_lite::future::or;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};

use crate::gate::budget::Budget;
use crate::net::{Body, HttpPort, Listener, Patrol};
use crate::shard::{Core, Pulse, sleep};

/// The media type of answers that are not metrics.
const TEXT: &str = "text/plain; charset=utf-8";

/// The admin port of a server.
pub struct Admin {
    core: Rc<Core>,
    pulses: Vec<Pulse>,
    connections: Budget,
    patrol: Rc<Patrol>,
    port: HttpPort,
}

impl Admin {
    /// The port, served by a core that sees the pulses of all.
    #[must_use]
    pub fn new(core: Rc<Core>, pulses: Vec<Pulse>) -> Rc<Self> {
        let patrol = Patrol::new(limits::TIMES, || tracing::debug!("admin connection was too slow"));
        let tasks = Rc::clone(&core);
        let port =
            HttpPort::new(limits::HTTP, Rc::clone(&patrol), None, move |task| tasks.spawn_upkeep(task));
        Rc::new(Self { core, pulses, connections: Budget::new(limits::CONNECTIONS_MAX, 0), patrol, port })
    }

    /// Serves a listener until the core closes. The port outlives the start of an orderly end, so that probes see it.
    pub async fn serve(self: Rc<Self>, listener: Listener) {
        let closed = Rc::clone(self.core.closed());
        let patrol = Rc::clone(&self.patrol);
        or(closed.wait(), or(patrol.walk(), self.accept(listener))).await;
    }

    async fn accept(self: Rc<Self>, listener: Listener) {
        loop {
            let socket = match listener.accept().await {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the admin port");
                    sleep(limits::ACCEPT_RETRY).await;
                    continue;
                }
            };
            // Over the bound the socket is closed without a word: scrapers come again.
            let Ok(permit) = self.connections.try_take(1) else { continue };
            let admin = Rc::clone(&self);
            self.core.spawn_upkeep(async move {
                let answering = Rc::clone(&admin);
                // The port serves to the very end, so that probes see it.
                let served = admin.port.serve(socket, std::future::pending(), move |request| {
                    let (head, _) = request.into_parts();
                    let admin = Rc::clone(&answering);
                    async move { admin.answer(&head.method, head.uri.path(), &head.headers).await }
                });
                let served = async {
                    if let Err(error) = served.await {
                        tracing::debug!(%error, "admin connection ended");
                    }
                };
                or(served, admin.core.closed().wait()).await;
                drop(permit);
            });
        }
    }

    async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        let changes = matches!(path, compaction::PAUSE | compaction::RESUME);
        let reads = matches!(path, "/metrics" | "/healthz" | "/readyz");
        if changes && *method != Method::POST {
            return refused("POST");
        }
        if reads && !matches!(*method, Method::GET | Method::HEAD) {
            return refused("GET, HEAD");
        }
        match path {
            "/metrics" => metrics::answer(&self.core).await,
            "/healthz" => health::answer(&self.core, &self.pulses),
            "/readyz" => ready::answer(&self.core).await,
            compaction::PAUSE => compaction::answer(&self.core, headers, true).await,
            compaction::RESUME => compaction::answer(&self.core, headers, false).await,
            _ => text(
                StatusCode::NOT_FOUND,
                "not found; there are /metrics, /healthz, /readyz, /compaction/pause and /compaction/resume\n"
                    .to_owned(),
            ),
        }
    }
}

/// The answer to a method that a path does not take.
fn refused(allowed: &'static str) -> Response<Body> {
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, format!("allowed here: {allowed}\n"));
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refused
}

/// An answer of plain text.
fn text(status: StatusCode, body: String) -> Response<Body> {
    answer(status, TEXT, body)
}

fn answer(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
