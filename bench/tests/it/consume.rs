//! Fetches: everything is read, round and round, from many places at once.

use tidemill_bench::{BenchError, Options, Until};
use tidemill_wire::message::{CreateStream, Settings};

use crate::server::{Fault, Server};
use crate::{consume, options};

#[test]
fn an_empty_stream_is_filled_first_and_then_read_in_whole_batches() {
    let server = Server::start(Fault::None);
    let options = Options { fill_bytes: 100_000, fetch_bytes: 4_000, ..options(&server) };
    let found = consume(&options).unwrap();
    let state = server.state();
    assert!(state.stored_batches * 1_005 >= 90_000, "the stream was filled");
    assert!(found.answered.requests > 0 && found.answered.requests <= state.fetches);
    assert!(found.answered.records >= found.answered.requests, "each fetch brings records: {found:?}");
    // 100 bytes of data each, and a key of five to ten bytes for every ten of them; a first fetch may begin inside a batch.
    let bytes_per_record = found.answered.bytes as f64 / found.answered.records as f64;
    assert!((100.0..103.0).contains(&bytes_per_record), "{found:?}");
    assert_eq!(state.deletions, 1);
}

#[test]
fn a_stream_that_holds_enough_is_not_written_to() {
    let server = Server::start(Fault::None);
    let options = Options { fill_bytes: 50_000, keep_stream: true, ..options(&server) };
    consume(&options).unwrap();
    let stored = server.state().stored_batches;
    consume(&options).unwrap();
    assert_eq!(server.state().stored_batches, stored);
}

#[test]
fn reading_goes_on_from_the_oldest_after_the_end() {
    let server = Server::start(Fault::None);
    let options = Options { fill_bytes: 20_000, keep_stream: true, ..options(&server) };
    consume(&options).unwrap();
    // A machine that stalls fills in more than it was asked to.
    let (records, bytes) = (server.state().stored_records, server.state().stored_bytes);
    let found = consume(&Options { until: Until::Bytes(6 * bytes), ..options }).unwrap();
    assert!(found.answered.records > 5 * records, "{records}: {found:?}");
}

#[test]
fn a_batch_larger_than_a_fetch_still_comes() {
    let server = Server::start(Fault::None);
    let found = consume(&Options { fill_bytes: 20_000, fetch_bytes: 1, ..options(&server) }).unwrap();
    assert!(found.answered.records > 0, "{found:?}");
}

#[test]
fn nothing_to_read_is_an_error() {
    let server = Server::start(Fault::None);
    let name = "bench".parse().unwrap();
    server.state().create(&CreateStream { name, shards: 2, settings: Settings::default() });
    let error = consume(&Options { fill_bytes: 0, ..options(&server) }).unwrap_err();
    assert!(matches!(error, BenchError::Empty { .. }), "{error:?}");
}

#[test]
fn a_fill_beyond_what_the_stream_keeps_is_refused() {
    let server = Server::start(Fault::None);
    let error = consume(&Options { retention_bytes: 1_000, ..options(&server) }).unwrap_err();
    assert_eq!(error.to_string(), "fill is 256000000, must be 0 to 2000");
}
