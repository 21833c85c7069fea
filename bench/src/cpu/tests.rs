//! The kernel's own texts, and this process as the subject.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::listener::listening_inodes;
use super::stat::parse;
use super::{CpuError, CpuTime, anonymous_memory, listener_of, memory, process_cpu};

#[test]
fn the_name_of_a_process_does_not_shift_its_fields() {
    let rest = "S 1 7 7 0 -1 4194304 100 0 0 0 1234 56 9 9 20 0 3 0 100 1000 10 18446744073709551615";
    let expected = CpuTime { user: Duration::from_millis(12_340), system: Duration::from_millis(560) };
    for name in ["tidemill", "two words", "a) S 9 9 (b", ""] {
        assert_eq!(parse(&format!("7 ({name}) {rest}"), 100), Some(expected), "{name}");
    }
    for damaged in
        ["", "7 (x)", "7 (x) S 1 7 7 0 -1 4194304 100 0 0 0 1234", "7 (x) S 1 2 3 4 5 6 7 8 9 0 a b"]
    {
        assert_eq!(parse(damaged, 100), None, "{damaged}");
    }
}

#[test]
fn work_of_this_process_shows_in_its_processor_time() {
    let pid = std::process::id();
    let before = process_cpu(pid).unwrap().total();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut number = 1_u64;
    while process_cpu(pid).unwrap().total() < before + Duration::from_millis(50) {
        assert!(Instant::now() < deadline, "no processor time was counted");
        for _ in 0..100_000 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    // Above the largest pid of any kernel.
    assert!(matches!(process_cpu(u32::MAX), Err(CpuError::Unreadable { .. })));
}

#[test]
fn sockets_in_the_table_are_told_apart_by_port_and_state() {
    let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1DB0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0 100 0 0 10 0
   1: 0100007F:1DB1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0 100 0 0 10 0
   2: 0100007F:1DB0 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0 20 4 30 10 -1
   3: 0100007F:1DB0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 44 1 0 100 0 0 10 0
   4: torn";
    assert_eq!(listening_inodes(table, 7_600).collect::<Vec<_>>(), [41, 44]);
    assert_eq!(listening_inodes(table, 7_602).count(), 0);
}

#[test]
fn the_listener_of_a_port_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(listener_of(port).unwrap(), Some(std::process::id()));
    drop(listener);
    assert_eq!(listener_of(port).unwrap(), None);
}

#[test]
fn memory_is_read_from_its_own_line() {
    let text = "Name:\tRssAnon: 9 kB\nVmRSS:\t  300 kB\nRssAnon:\t  100 kB\nRssFile:\t  200 kB\n";
    assert_eq!(memory::parse(text), Some(102_400));
    for damaged in ["", "RssAnon:", "RssAnon: x kB", "RssAnon: 5 MB"] {
        assert_eq!(memory::parse(damaged), None, "{damaged}");
    }
    assert!(anonymous_memory(std::process::id()).unwrap() > 0);
}
