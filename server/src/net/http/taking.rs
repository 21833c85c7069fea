//! Answers of an HTTP/2 connection that its peer has to take: each has a window of its own, so the socket tells nothing about one that is left.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The answers of one connection.
#[derive(Default)]
pub(super) struct Answers {
    places: RefCell<Places>,
    /// When any of them was taken from last.
    taken: Cell<u64>,
}

#[derive(Default)]
struct Places {
    waits: Vec<Wait>,
    free: Vec<usize>,
}

/// One answer that waits to be taken, or a free place.
#[derive(Clone, Copy)]
struct Wait {
    /// Since it is there, or was taken from last.
    since: u64,
    /// Pieces that are to be taken. An answer that is whole waits also before the first.
    pieces: u32,
    is_whole: bool,
}

/// An answer; its place is given up when this is dropped.
pub(super) struct Taking {
    answers: Rc<Answers>,
    place: usize,
    /// The patrol's clock.
    now: Rc<Cell<u64>>,
}

/// A piece of an answer until it is taken.
pub(super) struct TakenPiece(Rc<Taking>);

impl Answers {
    /// A further answer, whole or in parts that are made one after the other.
    pub(super) fn begin(self: &Rc<Self>, now: &Rc<Cell<u64>>, is_whole: bool) -> Rc<Taking> {
        let wait = Wait { since: now.get(), pieces: 0, is_whole };
        let places = &mut *self.places.borrow_mut();
        let place = places.free.pop().unwrap_or(places.waits.len());
        match places.waits.get_mut(place) {
            Some(free) => *free = wait,
            None => places.waits.push(wait),
        }
        Rc::new(Taking { answers: Rc::clone(self), place, now: Rc::clone(now) })
    }

    /// Whether one has been left for too long. Whoever follows events may be slow with them for as long as others on its connection are taken: they
    /// have room of their own, and one of them is in memory at a time.
    pub(super) fn are_left(&self, is_over: impl Fn(u64) -> bool) -> bool {
        let is_quiet = is_over(self.taken.get());
        let waits = &self.places.borrow().waits;
        waits.iter().any(|wait| {
            let is_bound = wait.is_whole || (wait.pieces > 0 && is_quiet);
            is_bound && is_over(wait.since)
        })
    }
}

impl Taking {
    /// A piece is handed over.
    pub(super) fn hand(self: &Rc<Self>) -> TakenPiece {
        self.change(|wait, now| {
            if wait.pieces == 0 {
                wait.since = now;
            }
            wait.pieces += 1;
        });
        TakenPiece(Rc::clone(self))
    }

    fn change(&self, change: impl FnOnce(&mut Wait, u64)) {
        if let Some(wait) = self.answers.places.borrow_mut().waits.get_mut(self.place) {
            change(wait, self.now.get());
        }
    }
}

impl TakenPiece {
    /// Some of it was taken.
    pub(super) fn advance(&self) {
        self.0.change(|wait, now| wait.since = now);
        self.0.answers.taken.set(self.0.now.get());
    }
}

impl Drop for TakenPiece {
    fn drop(&mut self) {
        self.0.change(|wait, _| wait.pieces -= 1);
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        // A free place waits for nothing.
        self.change(|wait, _| *wait = Wait { since: 0, pieces: 0, is_whole: false });
        self.answers.places.borrow_mut().free.push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_left_when_none_of_it_was_taken_for_too_long() {
        let (answers, now) = (Rc::<Answers>::default(), Rc::new(Cell::new(1)));
        let at = |time: u64| {
            now.set(time);
            answers.are_left(|since| time - since > 3)
        };
        let whole = answers.begin(&now, true);
        assert!(!at(4) && at(5), "an answer of which nothing is taken");
        let piece = whole.hand();
        piece.advance();
        assert!(!at(8) && at(9));
        drop(whole);
        assert!(at(9), "its last piece is still there");
        drop(piece);
        assert!(!at(100));
        // Events wait for nothing while there are none.
        let events = answers.begin(&now, false);
        assert!(!at(200));
        let event = events.hand();
        assert!(!at(203) && at(204));
        // Another answer on the connection is taken meanwhile.
        let other = answers.begin(&now, true);
        other.hand().advance();
        drop(other);
        assert!(!at(207) && at(208));
        drop(event);
        assert!(!at(300));
        drop(events);
        let places = answers.places.borrow();
        assert_eq!((places.waits.len(), places.free.len()), (2, 2), "places are used again");
    }
}
