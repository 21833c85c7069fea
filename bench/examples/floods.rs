//! What hostile peers of the HTTP port do to the others: a client puts records at a fixed rate while one kind of peer after the other works at the server.
//!
//! `cargo run --release -p tidemill-bench --example floods -- 127.0.0.1:7690 [SECONDS]` wants a server that asks for no signatures (`aws.authentication=off`). Each phase
//! has so many seconds. Prints a row for each: what the hostile peers got done, and how long a PutRecord took from when it was due until its answer. A put that is not answered with 200 ends the run.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PUTS_PER_SECOND: u32 = 200;
/// Threads that flood, each with a connection.
const FLOODERS: usize = 2;
/// Peers that are slow on purpose.
const SLOW_PEERS: usize = 2_000;
/// Connections that take no answers, with as many requests on each as the server takes at a time.
const SHUT_WINDOWS: usize = 40;
const STREAMS: u32 = 128;
/// Between two bytes of a slow peer.
const DRIP: Duration = Duration::from_millis(500);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:method POST`, `:scheme http`, `:path /` of HTTP/2's static table, and `:authority x`.
const HEAD: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'x'];

/// What hostile peers get done.
#[derive(Default)]
struct Done {
    bytes: AtomicU64,
    connections: AtomicU64,
}

/// One kind of hostile peer.
type Kind = (&'static str, fn(SocketAddr, &Done, &AtomicBool));

const KINDS: &[Kind] = &[
    ("none", |_, _, _| {}),
    ("streams that are opened and reset", |server, done, stop| {
        flood(server, done, stop, &opened_and_reset);
    }),
    ("settings", |server, done, stop| {
        flood(server, done, stop, &|_| frame(4, 0, 0, &[0, 4, 0, 1, 0, 0]).repeat(1_000));
    }),
    ("pings", |server, done, stop| flood(server, done, stop, &|_| frame(6, 0, 0, &[7; 8]).repeat(1_000))),
    ("window updates", |server, done, stop| {
        flood(server, done, stop, &|round| match round {
            0 => frame(1, 4, 1, HEAD),
            _ => frame(8, 0, 1, &1_u32.to_be_bytes()).repeat(1_000),
        });
    }),
    ("heads that go on without an end", |server, done, stop| {
        flood(server, done, stop, &|round| match round {
            0 => frame(1, 0, 1, HEAD),
            _ => frame(9, 0, 1, &[0; 0]).repeat(1_000),
        });
    }),
    ("heads a byte at a time", |server, done, stop| {
        drip(server, done, stop, b"POST / HTTP/1.1\r\nhost: x\r\nx-slow: ");
    }),
    ("bodies a byte at a time", |server, done, stop| {
        drip(server, done, stop, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n");
    }),
    ("answers that are not taken", shut_windows),
];

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "127.0.0.1:7690".to_owned());
    let server: SocketAddr = server.parse().map_err(io::Error::other)?;
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut setup = Client::connect(server)?;
    setup.call("CreateStream", r#"{"StreamName":"floods","ShardCount":1}"#, &[200, 400])?;
    println!("| hostile peers | their connections | their MB/s | puts | p50 ms | p99 ms | max ms |");
    println!("|---|---|---|---|---|---|---|");
    for (name, attack) in KINDS {
        let (done, stop) = (Done::default(), AtomicBool::new(false));
        let mut times = std::thread::scope(|scope| {
            if *name != "none" {
                scope.spawn(|| attack(server, &done, &stop));
            }
            let times = put(server, Duration::from_secs(seconds));
            stop.store(true, Ordering::Relaxed);
            times
        })?;
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 1_000].as_secs_f64() * 1e3;
        let megabytes = done.bytes.load(Ordering::Relaxed) / 1_000_000 / seconds;
        let connections = done.connections.load(Ordering::Relaxed);
        println!(
            "| {name} | {connections} | {megabytes} | {} | {:.2} | {:.2} | {:.2} |",
            times.len(),
            at(500),
            at(990),
            at(1_000)
        );
    }
    Ok(())
}

/// A well-behaved client.
struct Client(TcpStream);

impl Client {
    fn connect(server: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(socket))
    }

    fn call(&mut self, operation: &str, body: &str, expected: &[u16]) -> io::Result<()> {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.{operation}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        loop {
            let mut piece = [0; 4_096];
            let read = self.0.read(&mut piece)?;
            if read == 0 {
                return Err(io::Error::other("the server has closed a connection that did nothing wrong"));
            }
            answer.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            let mut lines = head.lines();
            let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
            let length = lines
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if rest.len() < length.unwrap_or(0_usize) {
                continue;
            }
            return match expected.contains(&status) {
                true => Ok(()),
                false => Err(io::Error::other(format!("{operation} is answered with {text}"))),
            };
        }
    }
}

/// Puts records at the rate; how long each took from when it was due.
fn put(server: SocketAddr, time: Duration) -> io::Result<Vec<Duration>> {
    let mut client = Client::connect(server)?;
    let body = r#"{"StreamName":"floods","PartitionKey":"key","Data":"ZGF0YQ=="}"#;
    let (began, mut times) = (Instant::now(), Vec::new());
    for number in 0.. {
        let due = began + Duration::from_secs(1) * number / PUTS_PER_SECOND;
        if due - began >= time {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        client.call("PutRecord", body, &[200])?;
        times.push(due.elapsed());
    }
    Ok(times)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn opened_and_reset(round: u32) -> Vec<u8> {
    let streams = (0..500_u32).map(|index| 1 + 2 * (round * 500 + index));
    let both = |stream| [frame(1, 5, stream, HEAD), frame(3, 0, stream, &8_u32.to_be_bytes())].concat();
    streams.flat_map(both).collect()
}

/// Sends what `make` gives as fast as the server reads, reads what it answers, and comes again when it is thrown out.
fn flood(server: SocketAddr, done: &Done, stop: &AtomicBool, make: &(dyn Fn(u32) -> Vec<u8> + Sync)) {
    std::thread::scope(|scope| {
        for _ in 0..FLOODERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Whatever happens to a hostile peer is its own affair.
                    let _ = flood_once(server, done, stop, make);
                }
            });
        }
    });
}

fn flood_once(
    server: SocketAddr,
    done: &Done,
    stop: &AtomicBool,
    make: &(dyn Fn(u32) -> Vec<u8> + Sync),
) -> io::Result<()> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    done.connections.fetch_add(1, Ordering::Relaxed);
    let mut reader = socket.try_clone()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut answers = vec![0; 64 << 10];
            while matches!(reader.read(&mut answers), Ok(read) if read > 0) {}
        });
        let sent = (|| {
            socket.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat())?;
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let bytes = make(round);
                socket.write_all(&bytes)?;
                done.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Ok(())
        })();
        // Whether or not it is closed already.
        let _ = socket.shutdown(Shutdown::Both);
        sent
    })
}

/// Many peers that begin a request and go on with it a byte at a time; one that is thrown out comes again.
fn drip(server: SocketAddr, done: &Done, stop: &AtomicBool, begin: &[u8]) {
    let connect = || {
        let mut socket = TcpStream::connect(server).ok()?;
        socket.write_all(begin).ok()?;
        socket.set_nonblocking(true).ok()?;
        done.connections.fetch_add(1, Ordering::Relaxed);
        Some(socket)
    };
    let mut peers: Vec<Option<TcpStream>> = (0..SLOW_PEERS).map(|_| connect()).collect();
    while !stop.load(Ordering::Relaxed) {
        for peer in &mut peers {
            let is_open = peer.as_mut().is_some_and(|socket| socket.write_all(b"x").is_ok());
            done.bytes.fetch_add(1, Ordering::Relaxed);
            if !is_open {
                *peer = connect();
            }
        }
        std::thread::sleep(DRIP);
    }
}

/// Peers of HTTP/2 that ask as much as they may and open no window for the answers; one that is thrown out comes again.
fn shut_windows(server: SocketAddr, done: &Done, stop: &AtomicBool) {
    let ask = [PREFACE.to_vec(), frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])]
        .into_iter()
        .chain((0..STREAMS).map(|index| frame(1, 5, 1 + 2 * index, HEAD)))
        .collect::<Vec<_>>()
        .concat();
    let connect = || {
        let mut socket = TcpStream::connect(server).ok()?;
        socket.write_all(&ask).ok()?;
        socket.set_nonblocking(true).ok()?;
        done.connections.fetch_add(1, Ordering::Relaxed);
        done.bytes.fetch_add(ask.len() as u64, Ordering::Relaxed);
        Some(socket)
    };
    let mut peers: Vec<Option<TcpStream>> = (0..SHUT_WINDOWS).map(|_| connect()).collect();
    while !stop.load(Ordering::Relaxed) {
        for peer in &mut peers {
            let is_open = peer.as_mut().is_some_and(|socket| {
                let mut answers = [0; 4_096];
                match socket.read(&mut answers) {
                    Ok(read) => read > 0,
                    Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                }
            });
            if !is_open {
                *peer = connect();
            }
        }
        std::thread::sleep(DRIP);
    }
}
