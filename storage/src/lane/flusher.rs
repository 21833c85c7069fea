//! The flusher: makes `written` data stable after a while or when it has become much, and nobody who waits for `durable` has done so before.
//!
//! Much at once would take disk and core from appends for as long as it lasts.

use std::{pin::pin, rc::Rc};

use futures_util::future::select;

use super::{core::Core, signal::until};
use crate::{
    env::{Env, Urgency},
    limits::FLUSH_STEPS,
};

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    loop {
        let work = || {
            if core.is_over() {
                return Some(false);
            }
            let state = core.state.borrow();
            state.unflushed(u64::MAX).map(|_| true)
        };
        if !until(&core.signals.flusher, work).await {
            return;
        }
        let is_much = || {
            let much = FLUSH_STEPS * core.config.flush_step_bytes;
            let is_due = core.is_over() || core.state.borrow().unflushed_bytes() >= much;
            is_due.then_some(())
        };
        let slept = pin!(core.sleep(core.config.flush_interval));
        select(slept, pin!(until(&core.signals.flusher, is_much))).await;
        if core.is_over() || core.flush_below(u64::MAX, Urgency::Background).await.is_err() {
            return;
        }
    }
}
