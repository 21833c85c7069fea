//! Ports that somebody else has.

use std::net::TcpListener;
use std::thread::{sleep, spawn};
use std::time::Duration;

use super::{bind, bind_shared};

#[test]
fn a_port_that_is_given_back_soon_is_waited_for() {
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = other.local_addr().expect("it is bound");
    let goes = spawn(move || {
        sleep(Duration::from_millis(300));
        drop(other);
    });
    let bound = bind_shared(address, 2).expect("it is free by then");
    assert!(bound.iter().all(|bound| bound.address == address));
    goes.join().expect("it does not panic");
}

#[test]
fn a_port_that_stays_in_use_is_told() {
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = other.local_addr().expect("it is bound");
    let error = bind(address).expect_err("it is in use");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
