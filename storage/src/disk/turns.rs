//! Turns: so many at a time, in the order in which they were asked for.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use futures_channel::oneshot;

/// Gives out turns. Clones give out the same.
#[derive(Clone)]
pub(super) struct Turns(Rc<RefCell<Queue>>);

struct Queue {
    free: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// Somebody's turn, until it is dropped.
pub(super) struct Turn(Turns);

impl Turns {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self(Rc::new(RefCell::new(Queue { free: at_a_time, waiting: VecDeque::new() })))
    }

    pub(super) async fn next(&self) -> Turn {
        let turn = {
            let mut queue = self.0.borrow_mut();
            if queue.free == 0 {
                let (sender, turn) = oneshot::channel();
                queue.waiting.push_back(sender);
                Some(turn)
            } else {
                queue.free -= 1;
                None
            }
        };
        match turn {
            Some(turn) => turn.await.expect("a queue lives as long as those who wait in it"),
            None => Turn(self.clone()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.0.0.borrow_mut();
            // Those who stopped waiting are passed over.
            while queue.waiting.front().is_some_and(oneshot::Sender::is_canceled) {
                queue.waiting.pop_front();
            }
            let next = queue.waiting.pop_front();
            queue.free += usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Nobody can stop waiting between the look above and this.
            drop(next.send(Self(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
