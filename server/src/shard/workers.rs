//! How many operations of a core may wait for the disk at once, in the kernel.
//!
//! What cannot be done at once, a buffered write or a flush of a file, is done by a worker thread of the kernel, and a thread has as many of them as
//! the entries of the first ring that it made. The first that glommio makes, on the first executor of a process, is one of two entries, to ask what
//! the kernel can do. A lane that flushes one segment and fills another then has no worker left, and its appends wait for the disk's flush instead of
//! for the page cache. So each core says itself how many it wants. The limit belongs to the thread and stays when the ring is gone
//! (`io_uring_register(2)`, IORING_REGISTER_IOWQ_MAX_WORKERS).

use std::io;

use io_uring::IoUring;

use super::limits::DISK_WORKERS_MAX;

/// Allows this thread so many workers for files. Those for sockets stay as they are.
pub(super) fn allow_disk_workers() -> io::Result<()> {
    set([DISK_WORKERS_MAX, 0]).map(drop)
}

/// Sets the limits for files and for what may never end, of which 0 leaves one as it is, and returns those before.
fn set(mut limits: [u32; 2]) -> io::Result<[u32; 2]> {
    IoUring::new(1)?.submitter().register_iowq_max_workers(&mut limits)?;
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::super::{Executor, Runtime, online_cpus};
    use super::*;

    #[test]
    fn an_executor_has_workers_for_each_of_its_files() {
        let cpu = online_cpus().expect("the system tells its processors")[0];
        let (sender, receiver) = channel();
        let runtime = Runtime { preempt: Duration::from_millis(1), spin: Duration::ZERO };
        let main = async move |_executor| sender.send(set([0, 0])).expect("the test waits");
        let thread = Executor::start(0, cpu, runtime, main).expect("a thread");
        let limits = receiver.recv().expect("the executor runs").expect("the kernel tells");
        assert_eq!(limits[0], DISK_WORKERS_MAX);
        thread.join().expect("no panic").expect("no error");
    }
}
