//! What is gone for ever and still takes memory: given back in steps, for a million messages in one step would keep the core.

use futures_lite::future::yield_now;
use hashbrown::hash_map::IntoIter;
use tidemill_storage::Env;

use super::groups::Group;
use super::state::State;

/// Items that are given back in one step.
const STEP_ITEMS: usize = 2_000;

/// Gives back what is gone for ever while nobody wants the core.
pub(super) fn give_back<E: Env>(env: &E, gone: Vec<State>) {
    for state in gone {
        env.spawn_background(async move {
            let mut gone = Gone::new(state);
            while gone.give_back(STEP_ITEMS) {
                yield_now().await;
            }
        });
    }
}

/// What is left of a state that nobody needs any more.
pub(super) struct Gone {
    state: State,
    groups: IntoIter<u64, Group>,
    /// The one whose messages are being given back.
    group: Group,
}

impl Gone {
    /// All of a state.
    pub(super) fn new(mut state: State) -> Self {
        let empty = State::new(state.is_fifo).groups;
        let groups = std::mem::replace(&mut state.groups, empty).into_iter();
        Self { state, groups, group: Group::default() }
    }

    /// Gives back so many items at most, and returns whether more are left.
    pub(super) fn give_back(&mut self, items_max: usize) -> bool {
        (0..items_max).all(|_| self.give_back_one())
    }

    fn give_back_one(&mut self) -> bool {
        let Self { state, groups, group } = self;
        let is_some = state.messages.pop_first().is_some()
            || state.heads.pop_first().is_some()
            || state.timers.pop_first().is_some()
            || state.back.pop_first().is_some()
            || state.runs.pop_first().is_some()
            || group.ready.pop_first().is_some()
            || group.runs.pop_first().is_some();
        if is_some {
            return true;
        }
        match groups.next() {
            Some(next) => {
                *group = next.1;
                true
            }
            None => false,
        }
    }
}
