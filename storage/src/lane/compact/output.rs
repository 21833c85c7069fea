//! The output: the segment that compaction writes.
//!
//! Promises entries that are those of their sources but for the segment's epoch and its flush position, each checked on the way. Leaves out the footer, which
//! is the sealer's, and the name.

use bytes::{Bytes, BytesMut};
use tidemill_wire::{
    OwnerId, SequenceNumber,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, stride},
};

use super::{
    super::{
        core::{Core, FileOf, SegmentOf},
        reader::{each_point, entry_at, points_between, stretches},
        signal::give_way,
    },
    Setback,
    gather::{POINTS_MAX, Part, Plan},
    may_go_on, time_of,
};
use crate::{
    env::{Disk, Env, File, WriteMode},
    error::Damage,
    limits::{CHUNK_BYTES, PAYLOAD_COPY_BYTES_MAX, SEGMENT_HEADER_BYTES, WRITE_BUFFERS_MAX},
    segment::{Place, Segment, SegmentId, compacting_path, footer::Point},
};

/// Makes the file. A full disk is met here, and `reserve` is used then if it is large enough.
pub(super) async fn create<E: Env>(
    core: &Core<E>,
    id: SegmentId,
    covers: Place,
    bytes: u64,
    reserve: &mut Option<FileOf<E>>,
) -> Result<Segment<FileOf<E>>, Setback> {
    let path = compacting_path(&core.config.directory, id);
    let file = match core.env.disk().create(path.clone(), bytes).await {
        Err(error) if error.is_full() => {
            let file = reserve.take_if(|file| file.bytes() >= bytes).ok_or(error)?;
            core.env.disk().rename(&file, path.clone()).await?;
            file
        }
        created => created?,
    };
    Ok(Segment { covers: Some(covers), ..Segment::empty(id, path, file) })
}

/// Copies the plan's entries, and leaves the segment as it must be to be sealed.
pub(super) async fn copy<E: Env>(
    core: &Core<E>,
    segment: &Segment<FileOf<E>>,
    plan: &Plan,
    victims: &[SegmentOf<E>],
) -> Result<(), Setback> {
    let mut output = Output::new(segment);
    output.put_mark(plan);
    for part in &plan.parts {
        let mut next = None;
        for (number, (index, span)) in part.spans.iter().enumerate() {
            let skipped = if number == 0 { part.skipped } else { 0 };
            let end = span.first_point.saturating_add(span.point_count);
            let mut at = span.first_point.saturating_add(skipped);
            while at < end {
                let stop = end.min(at.saturating_add(POINTS_MAX));
                copy_points(&mut output, &victims[*index], part, at..stop, &mut next).await?;
                at = stop;
                if output.pending_bytes >= CHUNK_BYTES {
                    output.drain(core).await?;
                }
                give_way().await;
            }
        }
        let expected = part.spans.last().map(|(_, span)| span.next);
        assert_eq!(next, expected, "an owner's part ends where its last span does");
    }
    output.drain(core).await
}

async fn copy_points<F: File>(
    output: &mut Output<'_, F>,
    victim: &Segment<F>,
    part: &Part,
    indexes: std::ops::Range<u32>,
    next: &mut Option<SequenceNumber>,
) -> Result<(), Setback> {
    let failed = |error| Setback::of_read(victim.id, error);
    let damaged = |offset, expected, found| {
        let damage = Damage { path: victim.path.clone(), offset, expected, found };
        Setback::Damaged { segment: victim.id, damage }
    };
    let points: Vec<Point> = points_between(victim, indexes).await.map_err(failed)?;
    let stretches = stretches(victim, &points).await.map_err(failed)?;
    for (stretch, point) in each_point(&stretches) {
        let mut position = point.position();
        while position < point.end() {
            let header = entry_at(victim, stretch, position, part.owner).map_err(failed)?;
            let dense = next.is_none_or(|next| next == header.base_sequence);
            let within = position + header.stride() as u64 <= point.end();
            if header.kind == EntryKind::Watermarks || !dense || !within {
                let expected = format!("sequence number {next:?} up to {}", point.end());
                let found = format!("{} up to {}", header.base_sequence, position + header.stride() as u64);
                return Err(damaged(position, expected, found));
            }
            let payload =
                stretch.slice(position + ENTRY_HEADER_BYTES as u64..position + u64::from(header.length));
            if !output.put(&header, payload) {
                let expected = "sequence numbers that points can count".to_owned();
                return Err(damaged(position, expected, format!("{}", header.base_sequence)));
            }
            *next = Some(header.next_sequence());
            position += header.stride() as u64;
        }
    }
    let last = part.spans.iter().rfind(|(_, span)| span.segment == victim.id).map(|(_, span)| span.next);
    match (*next, last) {
        (Some(found), Some(last)) if found > last => {
            Err(damaged(victim.written.get(), format!("sequence numbers below {last}"), found.to_string()))
        }
        _ => Ok(()),
    }
}

/// What is written and what is about to be.
struct Output<'a, F> {
    segment: &'a Segment<F>,
    arena: BytesMut,
    buffers: Vec<Bytes>,
    pending_bytes: u64,
    owner: Option<(OwnerId, SequenceNumber)>,
}

impl<'a, F: File> Output<'a, F> {
    fn new(segment: &'a Segment<F>) -> Self {
        Self { segment, arena: BytesMut::new(), buffers: Vec::new(), pending_bytes: 0, owner: None }
    }

    /// Begins the segment with a mark as old as the oldest entry: points count times from the first entry of a segment.
    fn put_mark(&mut self, plan: &Plan) {
        let mark = EntryHeader {
            length: ENTRY_HEADER_BYTES as u32,
            kind: EntryKind::Watermarks,
            key_id: 0,
            record_count: 0,
            owner: OwnerId(0),
            base_sequence: SequenceNumber(0),
            append_time: plan.first_time,
            segment_epoch: self.segment.id,
            durable_before: 0,
        };
        self.add(&mark, Bytes::new());
    }

    /// Adds an entry. Returns whether its owner's numbers still fit the points, which count them in 32 bits.
    fn put(&mut self, header: &EntryHeader, payload: Bytes) -> bool {
        let first = match self.owner {
            Some((owner, first)) if owner == header.owner => first,
            _ => header.base_sequence,
        };
        self.owner = Some((header.owner, first));
        let fits = header.next_sequence().since(first) < u64::from(u32::MAX);
        if fits {
            self.add(&EntryHeader { segment_epoch: self.segment.id, durable_before: 0, ..*header }, payload);
        }
        fits
    }

    fn add(&mut self, header: &EntryHeader, payload: Bytes) {
        let position = self.segment.written.get();
        if let Some(contents) = self.segment.contents.borrow_mut().as_mut() {
            contents.add(position, header, &payload);
        }
        self.arena.extend_from_slice(&header.encode(&payload));
        if payload.len() <= PAYLOAD_COPY_BYTES_MAX {
            self.arena.extend_from_slice(&payload);
        } else {
            self.buffers.push(self.arena.split().freeze());
            self.buffers.push(payload);
        }
        let length = header.length as usize;
        self.arena.extend_from_slice(&[0; 8][..stride(length) - length]);
        self.pending_bytes += header.stride() as u64;
        self.segment.written.set(position + header.stride() as u64);
    }

    /// Writes what is pending and flushes it, so that no flush of the log has to wait for all of the output. Then rests as the budget asks.
    async fn drain<E: Env<Disk: Disk<File = F>>>(&mut self, core: &Core<E>) -> Result<(), Setback> {
        let bytes = std::mem::take(&mut self.pending_bytes);
        if bytes == 0 {
            return Ok(());
        }
        self.buffers.push(self.arena.split().freeze());
        let mut position = self.segment.written.get() - bytes;
        assert!(position >= SEGMENT_HEADER_BYTES && self.segment.written.get() <= self.segment.bytes());
        let mut buffers = std::mem::take(&mut self.buffers).into_iter();
        loop {
            let together: Vec<Bytes> = buffers.by_ref().take(WRITE_BUFFERS_MAX).collect();
            if together.is_empty() {
                break;
            }
            let step: u64 = together.iter().map(|buffer| buffer.len() as u64).sum();
            self.segment.file.write(position, together, WriteMode::Cached).await?;
            position += step;
            give_way().await;
        }
        self.segment.file.flush().await?;
        core.state.borrow_mut().stats.rewritten_bytes += bytes;
        let rest = time_of(bytes, core.config.compaction_bytes_per_second);
        if core.sleep(rest).await && may_go_on(core).await { Ok(()) } else { Err(Setback::Stopped) }
    }
}
