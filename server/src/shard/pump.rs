//! Carries the completions of the storage ring into the executor.
//!
//! The executor can wait for its own files and sockets only, so the ring's eventfd is given to it as a file, and a task reads that.
#![allow(unsafe_code, reason = "the executor takes a descriptor it has not opened only as a raw number")]

use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;

use glommio::io::BufferedFile;
use tidemill_storage::ring::Ring;

use super::event::Event;

/// Bytes of an eventfd's count.
const COUNT_BYTES: usize = 8;

/// Wakes who waits for the ring until `stop` has happened and the ring has nothing more in flight; then `stopped` happens.
pub(super) async fn pump(ring: Ring, stop: Rc<Event>, stopped: Rc<Event>) {
    let descriptor = match ring.eventfd().try_clone_to_owned() {
        Ok(descriptor) => descriptor,
        Err(error) => panic!("the ring's eventfd cannot be shared with the executor: {error}"),
    };
    // SAFETY: the number comes from a descriptor that is given up here, so the file is its only owner.
    let file = unsafe { BufferedFile::from_raw_fd(descriptor.into_raw_fd()) };
    while !(stop.has_happened() && ring.in_flight() == 0) {
        if let Err(error) = file.read_at(0, COUNT_BYTES).await {
            panic!("the ring's eventfd cannot be read: {error}");
        }
        ring.reap();
    }
    // Closing it through the executor reports a failure that nobody could act on.
    drop(file.close().await);
    stopped.happen();
}

/// Has the pump look at what it waits for.
pub(super) fn kick(ring: &Ring) {
    // A full counter cannot be added to, and is readable all the same.
    let _ = rustix::io::write(ring.eventfd(), &1_u64.to_ne_bytes());
}
