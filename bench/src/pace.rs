//! The open loop's arithmetic: when each request is meant to leave.
//!
//! Records arrive evenly at a rate, over all connections together; a request carries a number of them. The times are computed from the
//! request's number and never from the answer before, so a server that stalls delays no arrival, and what it kept waiting counts in the latency.

use std::time::Duration;

const SECOND_NS: u128 = 1_000_000_000;

/// The arrivals of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Arrivals of units, in each second, over all connections.
    per_second: u64,
    /// Units of a request.
    per_request: u64,
    /// Connections that share the rate.
    connections: u64,
    /// The next request's number among those of all connections.
    next: u64,
    /// From the first unit's arrival until the request leaves.
    hold_ns: u64,
}

/// A request that has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When its first unit arrives, in nanoseconds since the load began: latency counts from here.
    pub(crate) intended_ns: u64,
    /// When it may leave.
    pub(crate) due_ns: u64,
}

impl Pace {
    /// The arrivals of connection `connection` of so many. With `linger`, units arrive one by one and a request leaves when it has `units_max`
    /// of them or when its first has waited so long; without, the units of a request arrive together.
    pub(crate) fn new(
        per_second: u64,
        units_max: u32,
        linger: Option<Duration>,
        connection: u32,
        connections: u32,
    ) -> Self {
        let connections = u64::from(connections.max(1));
        let per_second = per_second.max(1);
        let per_request = units_per_request(per_second, units_max, linger, connections);
        let hold_ns = linger.map_or(0, |linger| {
            let gap = SECOND_NS * u128::from(connections) / u128::from(per_second);
            let full = gap * u128::from(per_request - 1);
            let is_full = per_request == u64::from(units_max.max(1));
            let hold = if is_full { full.min(linger.as_nanos()) } else { linger.as_nanos() };
            u64::try_from(hold).unwrap_or(u64::MAX)
        });
        Self { per_second, per_request, connections, next: connection.into(), hold_ns }
    }

    /// Units of each request.
    pub(crate) fn per_request(&self) -> u32 {
        u32::try_from(self.per_request).unwrap_or(u32::MAX)
    }

    /// The next request.
    pub(crate) fn peek(&self) -> Arrival {
        let elapsed =
            u128::from(self.next) * u128::from(self.per_request) * SECOND_NS / u128::from(self.per_second);
        let intended_ns = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Arrival { intended_ns, due_ns: intended_ns.saturating_add(self.hold_ns) }
    }

    /// Goes on to the one after.
    pub(crate) fn advance(&mut self) {
        self.next = self.next.saturating_add(self.connections);
    }

    /// Requests that are meant for before `end_ns` and have not been taken.
    pub(crate) fn left_before(&self, end_ns: u64) -> u64 {
        let per_request = u128::from(self.per_request) * SECOND_NS;
        // The first number whose time is not before the end.
        let end = (u128::from(end_ns) * u128::from(self.per_second)).div_ceil(per_request);
        let left = end.saturating_sub(u128::from(self.next)).div_ceil(u128::from(self.connections));
        u64::try_from(left).unwrap_or(u64::MAX)
    }
}

/// How many units of one connection arrive until the first has waited for `linger`, itself counted; at most `units_max`.
fn units_per_request(per_second: u64, units_max: u32, linger: Option<Duration>, connections: u64) -> u64 {
    let units_max = u64::from(units_max.max(1));
    let Some(linger) = linger else { return units_max };
    let arrived = linger.as_nanos() * u128::from(per_second) / (SECOND_NS * u128::from(connections));
    u64::try_from(arrived).unwrap_or(u64::MAX).saturating_add(1).min(units_max)
}

#[cfg(test)]
mod tests;
