//! Write-back: has the disk begin with what is `written`, some of it at a time.
//!
//! A flush of all that a second brought has the core for slices of 5 to 10 ms, in the kernel, one after the other, and appends of the same core wait for them. What the
//! disk has begun with before, the flush only waits for. One step is under way at a time; a lane that is faster takes larger ones, up to a bound. Makes nothing
//! stable: that is the flusher's.

use std::{ops::Range, rc::Rc};

use super::{
    core::{Core, SegmentOf},
    signal::{give_way, until},
};
use crate::{
    config::LaneConfig,
    env::{Env, File},
    limits::{PAGE_BYTES, WRITEBACK_STEPS_MAX},
    segment::Segment,
};

pub(super) async fn run<E: Env>(core: Rc<Core<E>>) {
    let work = || if core.is_over() { Some(None) } else { next(&core).map(Some) };
    while let Some(segment) = until(&core.signals.writeback, work).await {
        if core.write_back(&segment).await.is_err() {
            return;
        }
        // A flush that waits for this to end has its turn before the next step.
        give_way().await;
    }
}

/// The segment of which something is due.
fn next<E: Env>(core: &Core<E>) -> Option<SegmentOf<E>> {
    let state = core.state.borrow();
    let segment = state.active();
    due(&core.config, segment).map(|_| Rc::clone(segment))
}

/// What was written to a segment and the disk was not asked for, if it is enough.
pub(super) fn due<F: File>(config: &LaneConfig, segment: &Segment<F>) -> Option<Range<u64>> {
    let begun = segment.written_back.get().max(segment.flushed.get());
    step(config.writeback_bytes, begun, segment.written.get())
}

/// Of whole pages, for the next append writes the last one again; 0 bytes is never.
fn step(bytes: u64, begun: u64, written: u64) -> Option<Range<u64>> {
    let whole = |position: u64| position / PAGE_BYTES * PAGE_BYTES;
    let start = whole(begun);
    let end = whole(written).min(start + whole(bytes * WRITEBACK_STEPS_MAX).max(PAGE_BYTES));
    (bytes > 0 && end >= start + bytes.max(PAGE_BYTES)).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_of_whole_pages_and_large_enough() {
        assert_eq!(step(8 << 10, 4096, 4096 + 8191), None);
        assert_eq!(step(8 << 10, 4096, 4096 + 8192), Some(4096..12288));
        assert_eq!(
            step(8 << 10, 5000, 20_000),
            Some(4096..16384),
            "the page that was cut is asked for again"
        );
        assert_eq!(step(1, 4096, 8191), None, "the last page is not whole");
        assert_eq!(step(0, 4096, 1 << 40), None, "none was wanted");
        assert_eq!(step(1, 8192, 4096), None);
    }

    #[test]
    fn a_step_is_bounded() {
        assert_eq!(step(4 << 20, 0, 5 << 30), Some(0..16 << 20));
        assert_eq!(step(4 << 20, 16 << 20, 17 << 20), None);
        assert_eq!(step(1, 8192, 5 << 30), Some(8192..12288), "a page at least");
    }
}
