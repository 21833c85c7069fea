//! Room on a disk that several lanes share: who goes first when there is little.
//!
//! Promises that no lane takes what another one needs to free more: while a lane's reserve is not whole, no lane makes a new segment. Leaves out
//! other programs that write to the same disk.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Given to all lanes that have their files on one disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// Lanes whose reserve is not whole for lack of room.
    lacking: Arc<AtomicUsize>,
}

impl Room {
    /// Whether some lane waits for room for its reserve.
    pub(crate) fn is_short(&self) -> bool {
        self.lacking.load(Ordering::Acquire) > 0
    }

    /// Tells the others that this lane waits, until the answer is dropped.
    pub(crate) fn lack(&self) -> Lack {
        self.lacking.fetch_add(1, Ordering::AcqRel);
        Lack(self.clone())
    }
}

/// A lane waits for room for its reserve.
pub(crate) struct Lack(Room);

impl Drop for Lack {
    fn drop(&mut self) {
        self.0.lacking.fetch_sub(1, Ordering::AcqRel);
    }
}
