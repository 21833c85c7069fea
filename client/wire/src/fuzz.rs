//! The fuzz targets of this crate, listed once: each takes arbitrary bytes and must neither panic nor run away.

use bytes::{Bytes, BytesMut};

use crate::batch::BatchView;
use crate::entry::EntryRun;
use crate::frame;
use crate::limits::FRAME_BYTES_MAX_DEFAULT;
use crate::message::{Request, Response};

/// A target: its name and what it does with arbitrary bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("frame", cut_frames),
    ("batch", read_batch),
    ("entry", walk_entries),
    ("request", decode_request),
    ("response", decode_response),
];

fn cut_frames(input: &[u8]) {
    let mut received = BytesMut::from(input);
    while let Ok(Some(frame)) = frame::cut(&mut received, FRAME_BYTES_MAX_DEFAULT) {
        decode_request(&frame.message);
        read_batch(&frame.body);
    }
    assert!(received.len() <= input.len());
}

fn read_batch(input: &[u8]) {
    let Ok(batch) = BatchView::parse(Bytes::copy_from_slice(input)) else { return };
    let count = batch.count();
    if let Ok(records) = batch.records() {
        assert_eq!(records.count(), count as usize);
    }
}

fn walk_entries(input: &[u8]) {
    let run = EntryRun::new(Bytes::copy_from_slice(input));
    assert!(run.count() <= input.len());
}

fn decode_request(input: &[u8]) {
    if let Ok(request) = Request::decode(input) {
        assert!(!format!("{request:?}").is_empty());
    }
}

fn decode_response(input: &[u8]) {
    if let Ok(response) = Response::decode(input) {
        assert!(!format!("{response:?}").is_empty());
    }
}
