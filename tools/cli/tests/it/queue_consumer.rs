//! Consumers that have messages pushed, and what becomes of the messages when a consumer, its connection or the server ends.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill_client::{Client, ClientOptions, ConsumeOptions, Outgoing, Queue, ReceiveOptions};
use tokio::runtime::Runtime;

use crate::process::{PATIENCE, Server};

fn runtime() -> Runtime {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.expect("a runtime")
}

async fn queue(address: &str) -> Queue {
    let client = Client::connect(address, ClientOptions::default()).await.expect("the server listens");
    client.queue(&"work".parse().expect("a name")).await.expect("the queue is there")
}

/// An address that stays while the server behind it is another one.
struct Relay {
    address: SocketAddr,
    server: Arc<Mutex<String>>,
}

impl Relay {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = Arc::new(Mutex::new(server.to_owned()));
        let target = Arc::clone(&server);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let server = target.lock().expect("no panic").clone();
                // Without a server the connection ends at once.
                if let Ok(far) = TcpStream::connect(server) {
                    pass(&near, &far);
                    pass(&far, &near);
                }
            }
        });
        Self { address, server }
    }

    fn turn_to(&self, server: &str) {
        server.clone_into(&mut self.server.lock().expect("no panic"));
    }
}

/// Passes on what comes from one side until one of them ends.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
    std::thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_consumer_goes_on_after_the_server_was_killed_and_its_receipts_are_good() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    server.run(&["queue", "create", "work", "--visibility", "10m"]).ok();
    server.run(&["queue", "send", "work", "a", "b"]).ok();
    let (runtime, relay) = (runtime(), Relay::to(&server.address));
    let mut consumer = runtime.block_on(queue(&relay.address.to_string())).consume(ConsumeOptions::default());
    let mut receipts = Vec::new();
    runtime.block_on(async {
        for _ in 0..2 {
            let pushed = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("it comes");
            receipts.push(pushed.expect("a message").receipt);
        }
        assert_eq!(consumer.delete(&receipts[..1]).await.expect("deleted"), []);
    });
    let waiting = runtime.spawn(async move {
        let next = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("it comes");
        (next.expect("the consumer goes on"), consumer)
    });
    server.kill();
    let server = Server::start(&data, &[]);
    relay.turn_to(&server.address);
    server.run(&["queue", "send", "work", "c"]).ok();
    let (next, mut consumer) = runtime.block_on(waiting).expect("no panic");
    assert_eq!(next.body.as_ref(), b"c", "b is hidden still");
    receipts.push(next.receipt);
    assert_eq!(runtime.block_on(consumer.delete(&receipts[1..])).expect("deleted"), []);
    let counts = runtime.block_on(async { queue(&server.address).await.counts().await.expect("counted") });
    assert_eq!((counts.visible, counts.in_flight, counts.delayed), (0, 0, 0));
    drop(consumer);
    server.stop();
}

#[test]
fn a_consumer_that_ends_while_messages_are_on_their_way_loses_none() {
    const ROUNDS: u64 = 60;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    server.run(&["queue", "create", "work", "--visibility", "2s"]).ok();
    let mut left: BTreeSet<String> = (0..ROUNDS).map(|number| number.to_string()).collect();
    runtime().block_on(async {
        let sender = queue(&server.address).await;
        for round in 0..ROUNDS {
            // Every second one ends with its connection, the others leave that to those who come.
            let queue = if round % 2 == 0 { queue(&server.address).await } else { sender.clone() };
            let mut consumer = queue.consume(ConsumeOptions::default());
            let patience = Duration::from_micros(round * 50);
            let outgoing = [Outgoing::new(round.to_string())];
            let (sent, got) =
                tokio::join!(sender.send(&outgoing), tokio::time::timeout(patience, consumer.next()));
            sent.expect("the server answers").remove(0).expect("it is taken");
            if let Ok(got) = got {
                let got = got.expect("a message");
                assert_eq!(consumer.delete(&[got.receipt]).await.expect("the server answers"), []);
                let body = String::from_utf8(got.body.to_vec()).expect("a number");
                assert!(left.remove(&body), "{body} was deleted");
            }
        }
        let began = Instant::now();
        let wait = Duration::from_secs(1);
        while !left.is_empty() {
            assert!(began.elapsed() < PATIENCE, "these were lost: {left:?}");
            let options = ReceiveOptions { wait, ..ReceiveOptions::default() };
            for got in sender.receive(options).await.expect("the server answers") {
                let body = String::from_utf8(got.body.to_vec()).expect("a number");
                assert_eq!(sender.delete(&[got.receipt]).await.expect("the server answers"), []);
                assert!(left.remove(&body), "{body} was deleted");
            }
        }
        let counts = sender.counts().await.expect("counted");
        assert_eq!((counts.visible, counts.in_flight, counts.delayed), (0, 0, 0));
    });
    server.stop();
}
