//! Ends the connections of slow peers.
//!
//! One task of a port looks at all its connections twice a second, so that a request costs no timer. A connection says what it waits for;
//! how long it may is in [`PatrolTimes`], kept to within a period.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use super::taking::{Answers, Taking};
use crate::net::Socket;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// How long a connection may wait for its peer.
#[derive(Clone, Copy, Debug)]
pub struct PatrolTimes {
    /// For the rest of a request's head.
    pub head: Duration,
    /// For the next request.
    pub idle: Duration,
    /// For room to write.
    pub write: Duration,
}

/// The connections of a port on one core.
pub struct Patrol {
    times: PatrolTimes,
    /// Looks so far: the clock of what follows.
    now: Rc<Cell<u64>>,
    watched: RefCell<Places>,
    /// Called for each connection that is ended.
    ended: Box<dyn Fn()>,
}

#[derive(Default)]
struct Places {
    watches: Vec<Option<Rc<Watch>>>,
    free: Vec<usize>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its next request.
    Idle,
    /// The rest of a head.
    Head,
    /// Nothing from its peer: it has requests to answer.
    Serving,
}

/// One connection under watch.
struct Watch {
    socket: Rc<Socket>,
    phase: Cell<Phase>,
    since: Cell<u64>,
    /// Since when the peer takes no more, if it does not.
    blocked: Cell<Option<u64>>,
    requests: Cell<u32>,
    /// In HTTP/2 what comes between requests need not belong to a head.
    is_multiplexed: Cell<bool>,
    /// In HTTP/2 a peer may take some answers and leave others.
    answers: Rc<Answers>,
    is_ended: Cell<bool>,
}

/// A place under watch; given up when dropped.
pub(super) struct Watched {
    patrol: Rc<Patrol>,
    place: usize,
    watch: Rc<Watch>,
}

/// A request that is being answered.
pub(super) struct Serving {
    patrol: Rc<Patrol>,
    watch: Rc<Watch>,
}

impl Patrol {
    /// A patrol without connections. `ended` is called for each one that it ends.
    #[must_use]
    pub fn new(times: PatrolTimes, ended: impl Fn() + 'static) -> Rc<Self> {
        Rc::new(Self { times, now: Rc::default(), watched: RefCell::default(), ended: Box::new(ended) })
    }

    /// Looks after the connections; never resolves.
    pub async fn walk(self: Rc<Self>) {
        loop {
            glommio::timer::Timer::new(PERIOD).await;
            self.look();
        }
    }

    fn look(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        let places = self.watched.borrow();
        for watch in places.watches.iter().flatten() {
            if !watch.is_ended.get() && self.is_over(watch, now) {
                // Its task sees the end and leaves.
                watch.socket.shut(Shutdown::Both);
                watch.is_ended.set(true);
                (self.ended)();
            }
        }
    }

    fn is_over(&self, watch: &Watch, now: u64) -> bool {
        // A wait begins between two looks, so one more than the time has periods makes sure that it was long enough.
        let over = |since: u64, time: Duration| {
            u128::from(now - since) > time.as_millis().div_ceil(PERIOD.as_millis())
        };
        let waited = match watch.phase.get() {
            Phase::Idle => over(watch.since.get(), self.times.idle),
            Phase::Head => over(watch.since.get(), self.times.head),
            Phase::Serving => false,
        };
        let is_left = |since| over(since, self.times.write);
        waited || watch.blocked.get().is_some_and(is_left) || watch.answers.are_left(is_left)
    }

    pub(super) fn watch(self: &Rc<Self>, socket: Rc<Socket>) -> Watched {
        let watch = Rc::new(Watch {
            socket,
            phase: Cell::new(Phase::Idle),
            since: Cell::new(self.now.get()),
            blocked: Cell::new(None),
            requests: Cell::new(0),
            is_multiplexed: Cell::new(false),
            answers: Rc::default(),
            is_ended: Cell::new(false),
        });
        let places = &mut *self.watched.borrow_mut();
        let place = places.free.pop().unwrap_or_else(|| {
            places.watches.push(None);
            places.watches.len() - 1
        });
        places.watches[place] = Some(Rc::clone(&watch));
        Watched { patrol: Rc::clone(self), place, watch }
    }
}

impl Watched {
    /// Bytes came.
    pub(super) fn received(&self) {
        if self.watch.phase.get() == Phase::Idle && !self.watch.is_multiplexed.get() {
            self.enter(Phase::Head);
        }
    }

    /// What came was whole, and the next request may take its time.
    pub(super) fn rest(&self) {
        self.enter(Phase::Idle);
    }

    /// The peer speaks HTTP/2.
    pub(super) fn multiplex(&self) {
        self.watch.is_multiplexed.set(true);
        self.enter(Phase::Idle);
    }

    /// The patrol's looks so far.
    pub(super) fn clock(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.patrol.now)
    }

    /// The peer takes no more, or again.
    pub(super) fn blocked(&self, is_blocked: bool) {
        let since = self.watch.blocked.get().unwrap_or_else(|| self.patrol.now.get());
        self.watch.blocked.set(is_blocked.then_some(since));
    }

    /// A request came.
    pub(super) fn begin(&self) -> Serving {
        self.watch.requests.set(self.watch.requests.get() + 1);
        self.enter(Phase::Serving);
        Serving { patrol: Rc::clone(&self.patrol), watch: Rc::clone(&self.watch) }
    }

    fn enter(&self, phase: Phase) {
        self.watch.phase.set(phase);
        self.watch.since.set(self.patrol.now.get());
    }
}

impl Serving {
    /// Looks after an answer until its peer has taken it; in HTTP/1.1 the socket tells.
    pub(super) fn watch_answer(&self, is_whole: bool) -> Option<Rc<Taking>> {
        let watch = &self.watch;
        watch.is_multiplexed.get().then(|| watch.answers.begin(&self.patrol.now, is_whole))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let places = &mut *self.patrol.watched.borrow_mut();
        places.watches[self.place] = None;
        places.free.push(self.place);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let left = self.watch.requests.get() - 1;
        self.watch.requests.set(left);
        if left == 0 {
            self.watch.phase.set(Phase::Idle);
            self.watch.since.set(self.patrol.now.get());
        }
    }
}
