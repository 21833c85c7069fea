//! What carries the AWS protocols: HTTP/1.1 and HTTP/2 on one port, and the signatures of its clients.
//!
//! Owns the port's connections, who calls, and how much of whose bodies is in memory. Promises that a call gets to a service only when its
//! signature has been checked, body included, and that a body is not read before the core has room for it and for what it is decoded
//! into. Leaves out what calls mean. Refusals have AWS's form, whatever is refused.

mod admission;
mod call;
mod cors;
mod form;
mod limits;
mod signature;
#[cfg(test)]
pub(super) use self::signature::fuzz;

use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::or;

use self::signature::Verifier;
use super::{Aws, Caller};
use crate::config::{self, Authentication};
use crate::gate::budget::Budget;
use crate::gate::identity::AccessKeys;
use crate::net::{HttpLimits, HttpPort, Listener, Patrol, PatrolTimes, Socket, Tls};
use crate::shard::{Core, sleep};

/// What the port is served with, the same on every core.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// Its bounds.
    pub http: config::Http,
    /// Who may call, and what they sign for.
    pub aws: config::Aws,
    /// The keys that they sign with.
    pub keys: AccessKeys,
    /// The certificate of the port, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
}

/// The port on one core.
pub struct Front {
    aws: Rc<Aws>,
    core: Rc<Core>,
    settings: FrontSettings,
    verifier: Verifier,
    /// Who calls when nobody is asked for a signature.
    anybody: Caller,
    connections: Budget,
    /// Bytes of requests and of large answers in flight.
    room: Budget,
    patrol: Rc<Patrol>,
    port: HttpPort,
}

impl Front {
    /// The port on a core; `room` is the core's budget of bytes in flight.
    #[must_use]
    pub fn new(aws: Rc<Aws>, core: Rc<Core>, settings: FrontSettings, room: Budget) -> Rc<Self> {
        let http = &settings.http;
        let times = PatrolTimes { head: http.head_time, idle: http.idle_time, write: http.write_time };
        let metrics = Rc::clone(core.metrics());
        let patrol = Patrol::new(times, move || metrics.http_connections_slow.increment());
        let bounds = HttpLimits {
            head_bytes_max: u32::try_from(http.head_bytes).expect("the knob's range ends at 1 MiB"),
            headers_max: limits::HEADERS_MAX,
            streams_max: Some(http.streams),
            resets_max: limits::RESETS_MAX,
            window_bytes: limits::WINDOW_BYTES,
            send_bytes_max: limits::SEND_BYTES_MAX,
        };
        let tasks = Rc::clone(&core);
        let port =
            HttpPort::new(bounds, Rc::clone(&patrol), settings.tls.clone(), move |task| tasks.spawn(task));
        let anybody = Caller {
            account: settings.aws.account.clone(),
            access_key: String::new(),
            name: limits::ANYBODY.to_owned(),
        };
        let connections = Budget::new(u64::from(http.connections), 0);
        let verifier = Verifier::new(settings.keys.clone());
        Rc::new(Self { aws, core, settings, verifier, anybody, connections, room, patrol, port })
    }

    /// Serves a listener until the server goes down.
    pub async fn serve(self: Rc<Self>, listener: Listener) {
        let (stopping, closed) = (Rc::clone(self.core.stopping()), Rc::clone(self.core.closed()));
        let patrol = Rc::clone(&self.patrol);
        // Connections that are on their way out are looked after as well.
        self.core.spawn(async move { or(closed.wait(), patrol.walk()).await });
        let accept = async {
            loop {
                match listener.accept().await {
                    Ok(socket) => self.admit(socket),
                    Err(error) => {
                        // Out of descriptors, or a peer that has gone before it was accepted: neither ends the server.
                        tracing::warn!(%error, "cannot accept a connection on the HTTP port");
                        sleep(limits::ACCEPT_RETRY).await;
                    }
                }
            }
        };
        or(stopping.wait(), accept).await;
    }

    fn admit(self: &Rc<Self>, socket: Socket) {
        let metrics = Rc::clone(self.core.metrics());
        let Ok(permit) = self.connections.try_take(1) else {
            metrics.http_connections_refused.increment();
            return;
        };
        metrics.http_connections_accepted.increment();
        metrics.open_http_connections.rise();
        let front = Rc::clone(self);
        self.core.spawn(async move {
            let guest = front.core.welcome();
            let peer = socket.peer();
            let answering = Rc::clone(&front);
            let stopping = front.core.stopping().wait();
            let served = async {
                let served = front.port.serve(socket, stopping, move |request| {
                    let front = Rc::clone(&answering);
                    async move { front.answer(request).await }
                });
                if let Err(error) = served.await {
                    tracing::debug!(?peer, %error, "HTTP connection ended");
                }
            };
            or(served, front.core.closed().wait()).await;
            metrics.open_http_connections.fall();
            drop((permit, guest));
        });
    }

    fn asks_for_signatures(&self) -> bool {
        match self.settings.aws.authentication {
            Authentication::Signature => true,
            Authentication::Off | Authentication::OffAnywhere => false,
        }
    }
}
