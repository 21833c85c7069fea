//! The flusher: makes `written` data stable after a while, when nobody who waits for `durable` has done so before.

use std::rc::Rc;

use super::{core::Core, signal::until};
use crate::env::Env;

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    loop {
        let work = || {
            if core.is_over() {
                return Some(false);
            }
            let state = core.state.borrow();
            state.unflushed(u64::MAX).map(|_| true)
        };
        if !until(&core.signals.flusher, work).await || !core.sleep(core.config.flush_interval).await {
            return;
        }
        if core.flush_below(u64::MAX).await.is_err() {
            return;
        }
    }
}
