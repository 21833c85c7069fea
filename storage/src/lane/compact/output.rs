//! The output: the segment that compaction writes.
//!
//! Promises entries that are those of their sources but for the segment's epoch and its flush position, each checked on the way, and what is left of them
//! where records go for their keys. Leaves out the footer, which is the sealer's, and the name.

use bytes::{Bytes, BytesMut};
use tidemill_wire::{
    OwnerId, SequenceNumber,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind, stride},
};

use super::{
    super::{
        core::{Core, FileOf, SegmentOf},
        reserve,
        signal::give_way,
    },
    Room, Setback,
    gather::{Part, Plan},
    keys::Keys,
    may_go_on, time_of,
    walk::{Entry, Walk},
};
use crate::{
    env::{Disk, Env, File, WriteMode},
    error::Damage,
    limits::{CHUNK_BYTES, PAYLOAD_COPY_BYTES_MAX, SEGMENT_HEADER_BYTES, WRITE_BUFFERS_MAX},
    segment::{Place, Segment, SegmentId, compacting_path},
};

/// Makes the file. A full disk is met here, and the reserve is used then if it may be and is large enough.
pub(super) async fn create<E: Env>(
    core: &Core<E>,
    id: SegmentId,
    covers: Place,
    bytes: u64,
    reserved: bool,
) -> Result<(Segment<FileOf<E>>, Room), Setback> {
    let path = compacting_path(&core.config.directory, id);
    let (file, room) = match core.env.disk().create(path.clone(), bytes).await {
        Err(error) if error.is_full() && reserved => {
            (reserve::take(core, bytes, path.clone()).await?.ok_or(error)?, Room::Reserved)
        }
        created => (created?, Room::Found),
    };
    Ok((Segment { covers: Some(covers), ..Segment::empty(id, path, file) }, room))
}

/// What a copy came to.
pub(super) struct Copied {
    /// Owners of which records went for their keys.
    pub(super) relieved: Vec<OwnerId>,
    /// There are sparse entries.
    pub(super) is_sparse: bool,
}

/// Copies the plan's entries, and leaves the segment as it must be to be sealed.
pub(super) async fn copy<E: Env>(
    core: &Core<E>,
    segment: &Segment<FileOf<E>>,
    plan: &Plan,
    keys: &Keys,
    victims: &[SegmentOf<E>],
) -> Result<Copied, Setback> {
    let mut output = Output::new(segment);
    output.put_mark(plan);
    let mut relieved = Vec::new();
    for part in &plan.parts {
        let dropped = copy_part(core, &mut output, part, keys, victims).await?;
        if dropped > 0 {
            core.state.borrow_mut().stats.dropped_records += dropped;
            relieved.push(part.owner);
        }
    }
    output.drain(core).await?;
    Ok(Copied { relieved, is_sparse: output.is_sparse })
}

/// Copies one owner's entries. Returns how many of its records went for their keys.
async fn copy_part<E: Env>(
    core: &Core<E>,
    output: &mut Output<'_, FileOf<E>>,
    part: &Part,
    keys: &Keys,
    victims: &[SegmentOf<E>],
) -> Result<u64, Setback> {
    let mut sieve = keys.sieve(part);
    let mut walk = Walk::new(part, victims);
    let (mut entries, mut left) = (Vec::new(), Vec::new());
    while let Some(index) = walk.next_point(&mut entries).await? {
        if let Some(sieve) = &mut sieve {
            for entry in entries.drain(..) {
                sieve.push(entry, &mut left).await;
            }
            std::mem::swap(&mut entries, &mut left);
        }
        put_all(output, &victims[index], &mut entries)?;
        if output.pending_bytes >= CHUNK_BYTES {
            output.drain(core).await?;
        }
        if sieve.is_some() || walk.is_between_steps() {
            give_way().await;
        }
    }
    let Some(mut sieve) = sieve else { return Ok(0) };
    sieve.finish(&mut left);
    if let Some((index, _)) = part.spans.last() {
        put_all(output, &victims[*index], &mut left)?;
    }
    Ok(sieve.dropped_records)
}

fn put_all<F: File>(
    output: &mut Output<'_, F>,
    victim: &Segment<F>,
    entries: &mut Vec<Entry>,
) -> Result<(), Setback> {
    for (header, payload) in entries.drain(..) {
        let base = header.base_sequence;
        if !output.put(&header, payload) {
            let expected = "sequence numbers that points can count".to_owned();
            let offset = victim.written.get();
            let damage = Damage { path: victim.path.clone(), offset, expected, found: base.to_string() };
            return Err(Setback::Damaged { segment: victim.id, damage });
        }
    }
    Ok(())
}

/// What is written and what is about to be.
struct Output<'a, F> {
    segment: &'a Segment<F>,
    arena: BytesMut,
    buffers: Vec<Bytes>,
    pending_bytes: u64,
    owner: Option<(OwnerId, SequenceNumber)>,
    is_sparse: bool,
}

impl<'a, F: File> Output<'a, F> {
    fn new(segment: &'a Segment<F>) -> Self {
        let (arena, buffers) = (BytesMut::new(), Vec::new());
        Self { segment, arena, buffers, pending_bytes: 0, owner: None, is_sparse: false }
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
        self.is_sparse |= header.kind == EntryKind::Sparse;
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
