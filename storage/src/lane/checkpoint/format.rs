//! The bytes of a checkpoint: `docs/format/lane-log.md` has them.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, Timestamp};

use super::Owner;
use crate::{
    lane::spans::{Span, Spans},
    segment::{
        Place, SegmentId,
        bytes::{Fields, Put},
        footer::OwnerRow,
        header::{open_structure, seal_structure},
    },
};

const MAGIC: [u8; 8] = *b"TIDECHKP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const LISTED_BYTES: u64 = 48;
/// Bit of an owner's flags: retention took spans of it.
const IS_CUT: u32 = 1;
/// Chunks are handed on when they have grown to this.
const PART_BYTES: usize = 256 << 10;

/// A checkpoint that was read.
pub(crate) struct Checkpoint {
    pub(in super::super) listed: BTreeMap<SegmentId, Listed>,
    pub(in super::super) owners: Vec<(OwnerId, Owner)>,
    pub(in super::super) bytes: u64,
}

impl Checkpoint {
    /// Segments and owners.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.listed.len() as u64, self.owners.len() as u64)
    }

    /// Rows of a segment's owner table: of those owners whose oldest or newest records are in it.
    pub(in super::super) fn rows_of(&self, segment: SegmentId) -> impl Iterator<Item = OwnerRow> {
        self.owners.iter().flat_map(move |(id, owner)| {
            let spans = owner.spans.iter().filter(move |span| span.segment == segment && span.is_sealed());
            spans.map(|span| span.row(*id))
        })
    }
}

/// A sealed segment, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) place: Place,
    /// Owners' spans in it that readers can reach.
    pub(crate) spans: u64,
    /// Payload bytes of these.
    pub(crate) live_payload_bytes: u64,
    /// Payload bytes of all its batches.
    pub(crate) payload_bytes: u64,
}

/// Makes the bytes of a checkpoint, part by part.
pub(super) struct Encoder {
    lane: LaneId,
    segments: u64,
    owners: u64,
    open: Vec<u8>,
    chunks: Vec<Bytes>,
    crc: crc32fast::Hasher,
}

impl Encoder {
    pub(super) fn new(lane: LaneId, listed: &BTreeMap<SegmentId, Listed>) -> Self {
        let mut open = Vec::with_capacity(listed.len() * LISTED_BYTES as usize);
        for (id, segment) in listed {
            open.put_u64(*id);
            open.put_u64(segment.place.first);
            open.put_u64(segment.place.last);
            open.put_u64(segment.spans);
            open.put_u64(segment.live_payload_bytes);
            open.put_u64(segment.payload_bytes);
        }
        let (segments, crc) = (listed.len() as u64, crc32fast::Hasher::new());
        Self { lane, segments, owners: 0, open, chunks: Vec::new(), crc }
    }

    /// Adds an owner as it is without what lies behind the listed segments.
    pub(super) fn add(&mut self, id: OwnerId, owner: &Owner, listed: &BTreeMap<SegmentId, Listed>) {
        let mut kept: Vec<Span> = Vec::new();
        let (mut next, mut payload_bytes) = (None, owner.payload_bytes);
        for span in owner.spans.iter() {
            if listed.contains_key(&span.segment) {
                kept.push(span);
            } else {
                next.get_or_insert(span.first);
                payload_bytes = payload_bytes.saturating_sub(span.payload_bytes);
            }
        }
        let mention = Some(owner.mention).filter(|mention| listed.contains_key(mention));
        let mention = mention.or_else(|| kept.last().map(|span| span.segment));
        self.owners += 1;
        self.open.put_u64(id.0);
        self.open.put_u64(next.unwrap_or(owner.next).0);
        self.open.put_u64(mention.unwrap_or(0));
        self.open.put_u64(payload_bytes);
        self.open.put_u32(if owner.is_cut { IS_CUT } else { 0 });
        self.open.put_u32(u32::try_from(kept.len()).expect("an owner keeps a few spans"));
        for span in kept {
            self.open.put_u64(span.segment);
            self.open.put_u64(span.first.0);
            self.open.put_u64(span.next.0);
            self.open.put_u64(span.first_time.0);
            self.open.put_u64(span.last_time.0);
            self.open.put_u64(span.payload_bytes);
            self.open.put_u32(span.first_point);
            self.open.put_u32(span.point_count);
        }
    }

    /// Puts what there is aside, if it is much.
    pub(super) fn close_part(&mut self) {
        if self.open.len() >= PART_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        self.crc.update(&self.open);
        self.chunks.push(Bytes::from(std::mem::take(&mut self.open)));
    }

    /// The whole file.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.close();
        let body_bytes: u64 = self.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let mut fields = Vec::with_capacity(HEADER_BYTES);
        fields.put_u32(VERSION);
        fields.put_u32(self.lane.0);
        fields.put_u32(self.crc.finalize());
        fields.put_u64(self.segments);
        fields.put_u64(self.owners);
        fields.put_u64(body_bytes);
        fields.resize(HEADER_BYTES - 12, 0);
        self.chunks.insert(0, Bytes::from(seal_structure(MAGIC, &fields)));
        self.chunks
    }
}

/// Whether the bytes are a checkpoint of some lane.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    open(bytes).is_some()
}

struct Open<'a> {
    lane: LaneId,
    segments: u64,
    owners: u64,
    body: Fields<'a>,
}

fn open(bytes: &[u8]) -> Option<Open<'_>> {
    let mut fields = open_structure(MAGIC, VERSION, bytes, HEADER_BYTES).ok()?;
    let (lane, crc) = (LaneId(fields.u32()?), fields.u32()?);
    let (segments, owners, body_bytes) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let body = bytes.get(HEADER_BYTES..)?;
    let is_right = body.len() as u64 == body_bytes && crc32fast::hash(body) == crc;
    is_right.then_some(Open { lane, segments, owners, body: Fields(body) })
}

/// Reads the checkpoint of a lane; nothing if the bytes are anything else.
pub(super) fn decode(bytes: &[u8], lane: LaneId) -> Option<Checkpoint> {
    let Open { segments, owners, body, .. } = open(bytes).filter(|open| open.lane == lane)?;
    decode_body(segments, owners, body)
}

/// Reads what follows a header that says so many segments and owners.
pub(crate) fn decode_body(segments: u64, owners: u64, mut body: Fields<'_>) -> Option<Checkpoint> {
    let bytes = (HEADER_BYTES + body.0.len()) as u64;
    let mut checkpoint = Checkpoint { listed: BTreeMap::new(), owners: Vec::new(), bytes };
    for _ in 0..segments {
        let id = body.u64()?;
        let listed = Listed {
            place: Place { first: body.u64()?, last: body.u64()? },
            spans: body.u64()?,
            live_payload_bytes: body.u64()?,
            payload_bytes: body.u64()?,
        };
        checkpoint.listed.insert(id, listed);
    }
    for _ in 0..owners {
        let id = OwnerId(body.u64()?);
        let (next, mention, payload_bytes) = (SequenceNumber(body.u64()?), body.u64()?, body.u64()?);
        let (flags, spans) = (body.u32()?, body.u32()?);
        let mut kept = Spans::default();
        for _ in 0..spans {
            kept.push_back(&Span {
                segment: body.u64()?,
                first: SequenceNumber(body.u64()?),
                next: SequenceNumber(body.u64()?),
                first_time: Timestamp(body.u64()?),
                last_time: Timestamp(body.u64()?),
                payload_bytes: body.u64()?,
                first_point: body.u32()?,
                point_count: body.u32()?,
            });
        }
        let is_cut = flags & IS_CUT != 0;
        checkpoint.owners.push((id, Owner::of_checkpoint(next, mention, payload_bytes, is_cut, kept)));
    }
    body.0.is_empty().then_some(checkpoint)
}

#[cfg(test)]
mod tests;
