//! A request's frame that is built once and completed in place.

use bytes::BytesMut;
use tidemill_wire::RequestId;
use tidemill_wire::message::{Encoder, Request, RequestBody};

use crate::ring::Gather;

/// An id that is in no other field.
const SENTINEL: u64 = 0x7469_6465_6d69_6c6c;

/// Header and message of a frame, and where its id is.
#[derive(Clone, Debug)]
pub(super) struct Template {
    head: Vec<u8>,
    id_at: usize,
}

impl Template {
    /// The frame of a request with a body of so many bytes.
    pub(super) fn new(encoder: &mut Encoder, body: &RequestBody, body_bytes: usize) -> Self {
        let mut frame = |id| {
            let mut head = BytesMut::new();
            encoder.request(&mut head, &Request { id: RequestId(id), body: body.clone() }, body_bytes);
            head.to_vec()
        };
        let (head, other) = (frame(SENTINEL), frame(!SENTINEL));
        let sentinel = SENTINEL.to_le_bytes();
        let id_at = head
            .windows(sentinel.len())
            .position(|window| window == sentinel)
            .expect("the schema holds an id as eight bytes in little-endian order");
        let mut expected = head.clone();
        expected[id_at..id_at + sentinel.len()].copy_from_slice(&(!SENTINEL).to_le_bytes());
        // Invariant: requests that differ in their id differ in these bytes and nowhere else.
        assert_eq!(expected, other, "the id is found where it is");
        Self { head, id_at }
    }

    /// Queues the frame with this id, up to its body.
    pub(super) fn put(&self, id: RequestId, out: &mut Gather) {
        let copy = out.copy(&self.head);
        copy[self.id_at..self.id_at + 8].copy_from_slice(&id.0.to_le_bytes());
    }
}
