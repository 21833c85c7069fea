//! Log lines about peers, bounded: a thousand bad peers are no reason for a thousand lines.

use std::cell::Cell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use super::limits::LOG_PERIOD;

/// The lines of one core.
#[derive(Debug, Default)]
pub(super) struct PeerLog {
    next: Cell<Duration>,
    left_out: Cell<u64>,
}

impl PeerLog {
    /// Says what is wrong with a peer, or counts that it was not said.
    pub(super) fn warn(&self, now: Duration, peer: Option<SocketAddr>, error: &dyn Display, what: &str) {
        if now < self.next.get() {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        self.next.set(now + LOG_PERIOD);
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        tracing::warn!(peer, %error, left_out = self.left_out.take(), "{what}");
    }
}
