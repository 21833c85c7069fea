//! What a ring shows to those who do not sleep.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{Completion, Ring};

#[test]
fn who_looks_without_sleeping_sees_what_has_come() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let mut ring = Ring::new(4).expect("a ring");
    ring.receive(7, &theirs, vec![0; 16], 0).expect("queued");
    ring.wait(Some(Duration::ZERO)).expect("handed over");
    assert!(ring.next().is_none(), "nothing was sent");
    ours.write_all(b"answer").expect("sent");
    let deadline = Instant::now() + Duration::from_secs(30);
    let completion = loop {
        ring.wait(Some(Duration::ZERO)).expect("looked");
        if let Some(completion) = ring.next() {
            break completion;
        }
        assert!(Instant::now() < deadline, "what came is not shown");
    };
    let Completion::Received { line, buffer, result } = completion else { panic!("it was a receive") };
    assert_eq!((line, &buffer[..result.expect("received")]), (7, b"answer".as_slice()));
}
