//! Bytes through a pair of sockets, in pieces and out of order of nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Completion, Gather, Ring};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn copied_and_shared_pieces_arrive_in_their_order() {
    let (near, mut far) = pair();
    let mut gather = Box::new(Gather::default());
    let mut expected = Vec::new();
    for number in 0..1_000_u32 {
        gather.copy(&[0; 4]).copy_from_slice(&number.to_le_bytes());
        expected.extend_from_slice(&number.to_le_bytes());
        let shared = vec![number as u8; number as usize % 300];
        expected.extend_from_slice(&shared);
        gather.share(Bytes::from(shared));
    }
    let mut ring = Ring::new(4).unwrap();
    let reader = std::thread::spawn(move || {
        let mut found = Vec::new();
        far.read_to_end(&mut found).unwrap();
        found
    });
    ring.send(7, &near, gather).unwrap();
    loop {
        ring.wait(None).unwrap();
        let Some(Completion::Sent { line: 7, mut gather, result }) = ring.next() else { continue };
        gather.advance(result.unwrap());
        if gather.is_empty() {
            break;
        }
        ring.send(7, &near, gather).unwrap();
    }
    drop((ring, near));
    assert_eq!(reader.join().unwrap(), expected);
}

#[test]
fn received_bytes_go_behind_those_that_are_there() {
    let (near, far) = pair();
    let mut ring = Ring::new(4).unwrap();
    let mut gather = Box::new(Gather::default());
    gather.copy(b"flood");
    ring.send(0, &far, gather).unwrap();
    ring.receive(1, &near, b"the ......".to_vec(), 4).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        ring.wait(Some(Duration::from_secs(10))).unwrap();
        while let Some(completion) = ring.next() {
            match completion {
                Completion::Received { line, buffer, result } => {
                    assert_eq!((line, &buffer[..4 + result.unwrap()]), (1, &b"the flood"[..]));
                    seen.push('r');
                }
                Completion::Sent { line, gather, result } => {
                    assert_eq!((line, gather.is_empty(), result.unwrap()), (0, false, 5));
                    seen.push('s');
                }
                Completion::Written { .. } => panic!("nothing was written"),
            }
        }
    }
    assert_eq!(ring.in_kernel(), 0);
}

#[test]
fn waiting_for_nothing_ends_with_its_timeout() {
    let (near, _far) = pair();
    let mut ring = Ring::new(4).unwrap();
    ring.receive(0, &near, vec![0; 16], 0).unwrap();
    let began = Instant::now();
    ring.wait(Some(Duration::from_millis(30))).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(29), "{:?}", began.elapsed());
    assert!(ring.next().is_none());
    assert_eq!(ring.in_kernel(), 1, "the buffer is still the kernel's");
}

#[test]
fn who_looks_without_sleeping_sees_what_has_come() {
    let (near, mut far) = pair();
    let mut ring = Ring::new(4).unwrap();
    ring.receive(7, &near, vec![0; 16], 0).unwrap();
    ring.wait(Some(Duration::ZERO)).unwrap();
    assert!(ring.next().is_none(), "nothing was sent");
    far.write_all(b"answer").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let completion = loop {
        ring.wait(Some(Duration::ZERO)).unwrap();
        if let Some(completion) = ring.next() {
            break completion;
        }
        assert!(Instant::now() < deadline, "what came is not shown");
    };
    let Completion::Received { line: 7, buffer, result } = completion else { panic!("it was a receive") };
    assert_eq!(&buffer[..result.unwrap()], b"answer");
}
