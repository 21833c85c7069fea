//! Quotas: what is admitted, what is refused, and for how long.

use std::time::Duration;

use tidemill_wire::message::{
    ErrorCode, Failure, Fetch, Position, Quota, RequestBody, Settings, UpdateStream,
};
use tidemill_wire::{SequenceNumber, StreamId};

use crate::client::{Client, from_oldest, keyless, name};
use crate::fixture::{Fixture, now};

fn limited(quota: Quota) -> Settings {
    Settings { quota: Some(quota), ..Settings::default() }
}

/// Takes all that a bucket holds again and again until a batch comes too early: the second one, but on a machine that stalls. Returns the refusal and
/// how long before it, in ms, the last batch was sent that was admitted.
fn refused_append(client: &mut Client, stream: StreamId, batch: &[u8]) -> (Failure, u32) {
    let mut admitted = now();
    client.append(stream, 0, batch).expect("one second of burst");
    for _ in 0..20 {
        let sent = now();
        match client.append(stream, 0, batch) {
            Ok(_) => admitted = sent,
            Err(refused) => {
                return (refused, u32::try_from(admitted.elapsed().as_millis()).expect("a short test"));
            }
        }
    }
    panic!("the bucket is never empty");
}

fn create(client: &mut Client, stream: &str, quota: Quota) -> StreamId {
    client.create(stream, 1, limited(quota)).id
}

#[test]
fn an_append_over_the_byte_rate_is_told_exactly_how_long_to_wait() {
    let server = Fixture::start();
    let mut client = server.client();
    let quota = Quota { write_bytes_per_second: 100_000, ..Quota::OFF };
    let stream = create(&mut client, "bytes", quota);
    let (refused, elapsed_ms) = refused_append(&mut client, stream, &keyless([vec![0; 100_000]]));
    assert_eq!(refused.code, ErrorCode::WriteThrottled);
    let wait = refused.retry_after_ms;
    assert!(wait <= 1_000 && wait + elapsed_ms >= 999, "{wait} ms after {elapsed_ms} ms");
    std::thread::sleep(Duration::from_millis(u64::from(wait)));
    client.append(stream, 0, &keyless([vec![0; 100_000]])).expect("after the wait");
}

#[test]
fn an_append_over_the_record_rate_is_refused_and_nothing_of_it_is_stored() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = create(&mut client, "records", Quota { write_records_per_second: 10, ..Quota::OFF });
    let (refused, elapsed_ms) = refused_append(&mut client, stream, &keyless(["x"; 10]));
    assert_eq!(refused.code, ErrorCode::WriteThrottled);
    let wait = refused.retry_after_ms;
    assert!(wait <= 1_000 && wait + elapsed_ms >= 999, "{wait} ms after {elapsed_ms} ms");
    assert_eq!(client.describe("records").shards[0].next_sequence.0 % 10, 0);
}

#[test]
fn a_producer_without_limit_is_admitted_at_the_rate_plus_one_burst() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = create(&mut client, "pushing", Quota { write_bytes_per_second: 1_000_000, ..Quota::OFF });
    let begun = now();
    let (mut admitted, mut late) = (0_u64, Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(2) {
        let sent = now();
        let mut told = Duration::ZERO;
        match client.append(stream, 0, &keyless([vec![0; 10_000]])) {
            Ok(_) => admitted += 10_000,
            Err(refused) => {
                assert_eq!(refused.code, ErrorCode::WriteThrottled);
                told = Duration::from_millis(u64::from(refused.retry_after_ms));
                std::thread::sleep(told);
            }
        }
        // A bucket that is full meanwhile loses what a machine that stalls does not ask for.
        late += (sent.elapsed() - told).saturating_sub(Duration::from_millis(100));
    }
    let bound = 1_000_000 + u64::try_from(begun.elapsed().as_millis()).expect("a short test") * 1_000;
    assert!(admitted <= bound, "{admitted} bytes admitted, at most {bound} are allowed");
    let lost = u64::try_from(late.as_millis()).expect("a short test") * 1_000;
    assert!(admitted >= bound * 9 / 10 - lost, "{admitted} bytes admitted of {bound}, late by {late:?}");
}

#[test]
fn a_reader_gets_what_its_quota_allows_and_is_told_when_to_come_again() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = create(&mut client, "reading", Quota { read_bytes_per_second: 100_000, ..Quota::OFF });
    for _ in 0..100 {
        client.append(stream, 0, &keyless([vec![0; 10_000]])).expect("stored");
    }
    let begun = now();
    let (fetched, records) = client.fetch(from_oldest(stream, 0)).expect("one second of burst");
    assert_eq!(records.len(), 10, "the answer is cut to the quota");
    let at = |next_sequence| Fetch { position: Position::Sequence(next_sequence), ..from_oldest(stream, 0) };
    let mut next = at(fetched.next_sequence);
    // Refused at once, but on a machine that stalls: there the quota has grown by a record every 100 ms.
    let refused = loop {
        match client.fetch(next) {
            Err(refused) => break refused,
            Ok((fetched, _)) => next = at(fetched.next_sequence),
        }
    };
    assert_eq!(refused.code, ErrorCode::ReadThrottled);
    assert!((1..=100).contains(&refused.retry_after_ms), "{refused:?}");
    let waiting = Fetch { wait_ms: 5_000, ..next };
    let (fetched, records) = client.fetch(waiting).expect("a fetch that waits outlasts the quota");
    assert!(!records.is_empty());
    let (read, elapsed) = (u128::from(fetched.next_sequence.0), begun.elapsed().as_millis());
    assert!(read <= 10 + elapsed / 100 + 1, "{read} records after {elapsed} ms");
}

#[test]
fn a_reader_that_waits_is_paced_to_the_rate() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = create(&mut client, "paced", Quota { read_bytes_per_second: 200_000, ..Quota::OFF });
    for _ in 0..60 {
        client.append(stream, 0, &keyless([vec![0; 10_000]])).expect("stored");
    }
    let begun = now();
    let mut next = 0;
    while next < 60 {
        let position = Position::Sequence(SequenceNumber(next));
        let fetch = Fetch { position, wait_ms: 5_000, ..from_oldest(stream, 0) };
        next = client.fetch(fetch).expect("within the wait").0.next_sequence.0;
    }
    // 600 kB at 200 kB/s, of which one second is burst.
    let elapsed = begun.elapsed();
    assert!((Duration::from_millis(1_900)..Duration::from_secs(10)).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn a_quota_that_is_turned_off_no_longer_holds() {
    let server = Fixture::start();
    let mut client = server.client();
    let stream = create(&mut client, "freed", Quota { write_records_per_second: 1, ..Quota::OFF });
    refused_append(&mut client, stream, &keyless(["x"]));
    let update = UpdateStream { name: name("freed"), settings: limited(Quota::OFF) };
    client.ask(RequestBody::UpdateStream(update));
    client.append(stream, 0, &keyless(["x"; 1_000])).expect("no quota any more");
}
