//! The second step of a start: the end of the log becomes what was judged, and the index is made of the segments.
//!
//! Promises that a crash on the way leaves the same log with the same end, so that the next start comes to the same. Segments without a footer get one.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use super::{
    super::{
        core::FileOf,
        lookup::spans_within,
        preparer::{Fill, create_file, name_segment},
        sealer::write_footer,
        spans::{Gap, Span},
        writer::extend,
    },
    Checkpoint, Owner, Piece, Places, Recovered, RecoveryReport, Survey, listed, superseded,
};
use crate::{
    config::LaneConfig,
    env::{Disk, Env, File, WriteMode},
    error::{DiskError, OpenError},
    lane::reserve,
    limits::{CHUNK_BYTES, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    owner_map::OwnerMap,
    segment::{Place, Segment, SegmentId, filter::OwnerFilter, load::LoadError, scan::WalkEnd},
};

/// Makes the end of the log what was judged, and the index of what there is.
pub(super) async fn settle<E: Env>(
    env: &E,
    config: &LaneConfig,
    survey: Survey<FileOf<E>>,
    checkpoint: Option<Checkpoint>,
) -> Result<Recovered<E>, OpenError> {
    let Survey { mut pieces, compacted, end, torn_tail, leftovers, mut report } = survey;
    // The process before may have been killed between naming a file and making the name stable: a power cut must not take it back later.
    env.disk().sync_directory(config.directory.clone()).await?;
    let highest = pieces.iter().chain(&compacted).map(|piece| piece.segment.id).max();
    let later = end.map_or_else(Vec::new, |end| pieces.split_off(end + 1));
    // What was replaced is no part of what is cut, and nothing is written to it again.
    let (replaced, mut later): (Vec<_>, Vec<_>) =
        later.into_iter().partition(|piece| superseded::is_taken(piece, &compacted));
    if torn_tail.is_some() {
        later = drop_torn(env, config, &mut pieces, later).await?;
    }
    let mut recovered = Recovered {
        segments: BTreeMap::new(),
        compacted: BTreeMap::new(),
        places: Places::default(),
        checkpoint: None,
        has_unmentioned: false,
        spare: None,
        owners: OwnerMap::default(),
        next_segment: highest.map_or(1, |id| id + 1),
        last_time: Timestamp(0),
        ends_with_mark: false,
        // Before anything else takes the room.
        reserve: reserve::recover(env, config, leftovers).await?,
        report: RecoveryReport::default(),
    };
    if let Some(checkpoint) = checkpoint {
        listed::take(&mut recovered, checkpoint, pieces.iter().chain(&compacted));
        report.owners_listed = recovered.owners.len() as u64;
    }
    let ended = end.and_then(|end| pieces.get_mut(end));
    let mut active_id = ended.as_ref().filter(|_| torn_tail.is_none()).map(|piece| piece.segment.id);
    let mut spares = later.into_iter();
    if active_id.is_none() {
        active_id = begin(env, config, &mut recovered, spares.next(), ended).await?;
    }
    // Where the log goes on behind a cut.
    let next = recovered.segments.keys().next().copied().unwrap_or(recovered.next_segment);
    let mut lost = Vec::new();
    pieces.extend(replaced);
    for (piece, superseded) in in_place(pieces, compacted) {
        report.segments_superseded += u64::from(superseded);
        let keep_open = Some(piece.segment.id) == active_id;
        let fate = if keep_open { Fate::Active } else { Fate::Sealed { next } };
        take_piece(&mut recovered, piece, fate, superseded, &mut lost).await?;
    }
    release_gaps(&recovered, lost).await?;
    recovered.spare = spares.next().map(|piece| Rc::new(piece.segment));
    for piece in spares {
        remove(env, config, piece).await?;
        report.files_removed += 1;
    }
    count_mentions(&mut recovered);
    report.torn_tail = torn_tail;
    report.owners = recovered.owners.len() as u64;
    let segments = recovered.segments.values().chain(recovered.compacted.values());
    report.bytes = segments.map(|segment| segment.live_entry_bytes(0)).sum();
    recovered.report = report;
    Ok(recovered)
}

/// Removes segments behind a cut, all of which is dropped, and returns those that never had an entry.
async fn drop_torn<E: Env>(
    env: &E,
    config: &LaneConfig,
    pieces: &mut Vec<Piece<FileOf<E>>>,
    later: Vec<Piece<FileOf<E>>>,
) -> Result<Vec<Piece<FileOf<E>>>, OpenError> {
    let is_empty = |piece: &Piece<_>| {
        piece.scanned.as_ref().is_some_and(|s| s.contents.entry_count == 0 && s.stray.entries == 0)
    };
    let (spares, stray): (Vec<_>, Vec<_>) = later.into_iter().partition(is_empty);
    // From the last one backwards: a crash on the way leaves the same log with the same end.
    for piece in stray.into_iter().rev() {
        remove(env, config, piece).await?;
    }
    if pieces.last().is_some_and(|piece| piece.segment.entry_bytes() == 0 && is_headless(piece)) {
        let Some(piece) = pieces.pop() else { unreachable!("the last piece was just looked at") };
        remove(env, config, piece).await?;
    }
    Ok(spares)
}

/// Counts for each segment the owners whose numbers only it tells.
fn count_mentions<E: Env>(recovered: &mut Recovered<E>) {
    let Recovered { segments, compacted, owners, has_unmentioned, .. } = recovered;
    for (_, owner) in owners.iter_mut() {
        if let Some(segment) = segments.get(&owner.mention).or_else(|| compacted.get(&owner.mention)) {
            segment.mentions.set(segment.mentions.get() + 1);
        } else {
            // The checkpoint named one that went since.
            owner.mention = 0;
            *has_unmentioned |= owner.next > SequenceNumber(0);
        }
    }
}

/// Finds a segment for the log to go on in. Returns the id of the torn one, if it has to be that one.
async fn begin<E: Env>(
    env: &E,
    config: &LaneConfig,
    recovered: &mut Recovered<E>,
    spare: Option<Piece<FileOf<E>>>,
    torn: Option<&mut Piece<FileOf<E>>>,
) -> Result<Option<SegmentId>, OpenError> {
    let made = match spare {
        Some(piece) => Ok(piece.segment),
        None => fresh(env, config, &mut recovered.next_segment).await,
    };
    let segment = match (made, torn) {
        (Err(error), Some(torn)) if error.is_full() => return Ok(Some(wipe(torn).await?)),
        (Err(error), None) if error.is_full() && recovered.reserve.bytes() > 0 => {
            // A lane without a segment is of no use to anybody.
            recovered.reserve.drop_file(env, config).await?;
            fresh(env, config, &mut recovered.next_segment).await?
        }
        (made, _) => made?,
    };
    recovered.segments.insert(segment.id, Rc::new(segment));
    Ok(None)
}

/// All segments in the order of their places in the log, each with whether another one took its place: that one comes before it.
fn in_place<F: File>(pieces: Vec<Piece<F>>, compacted: Vec<Piece<F>>) -> Vec<(Piece<F>, bool)> {
    // Of segments with places within each other, the one that was made last has taken in the others.
    let mut taking: Vec<(Place, SegmentId)> =
        compacted.iter().map(|piece| (piece.segment.place(), piece.segment.id)).collect();
    taking.sort_unstable_by_key(|(place, id)| (place.first, std::cmp::Reverse((place.last, *id))));
    taking.dedup_by(|inner, outer| outer.0.contains(&inner.0));
    let taker = |segment: &Segment<F>| {
        let before = taking.partition_point(|(place, _)| place.first <= segment.place().first);
        let (place, id) = taking.get(before.checked_sub(1)?)?;
        (place.contains(&segment.place()) && *id != segment.id).then_some(place.first)
    };
    let all = pieces.into_iter().chain(compacted);
    let mut placed: Vec<_> = all.map(|piece| (taker(&piece.segment), piece)).collect();
    placed.sort_by_key(|(taker, piece)| match taker {
        Some(first) => (*first, true, piece.segment.id),
        None => (piece.segment.place().first, false, piece.segment.id),
    });
    placed.into_iter().map(|(taker, piece)| (piece, taker.is_some())).collect()
}

/// Whether a scan found nothing at all before the log's end.
fn is_headless<F>(piece: &Piece<F>) -> bool {
    piece.scanned.as_ref().is_some_and(|scanned| scanned.contents.entry_count == 0)
}

/// What becomes of a segment that has no footer.
#[derive(Clone, Copy)]
enum Fate {
    /// It is written next.
    Active,
    /// It gets its footer, and the log goes on in another one.
    Sealed { next: SegmentId },
}

/// Ends a segment that was cut as one that was full: with a mark, so that it is known to end there even if its trailer is lost.
/// A trailer that a killed process was writing may be in the page cache only.
async fn close_cut<F: File>(segment: &Segment<F>, next: SegmentId) -> Result<(), DiskError> {
    let (footer, last_time) = match segment.contents.borrow().as_ref() {
        Some(contents) => (contents.footer_bytes(0, 0), contents.last_time),
        None => return Ok(()),
    };
    let position = segment.written.get();
    if position + ENTRY_HEADER_BYTES as u64 + footer > segment.bytes() - SEGMENT_TRAILER_BYTES {
        return Ok(());
    }
    let mark = EntryHeader {
        length: ENTRY_HEADER_BYTES as u32,
        kind: EntryKind::Watermarks,
        key_id: 0,
        record_count: 0,
        owner: OwnerId(0),
        base_sequence: SequenceNumber(next),
        append_time: last_time,
        segment_epoch: segment.id,
        durable_before: position,
    };
    let bytes = Bytes::copy_from_slice(&mark.encode(&[]));
    segment.file.write(position, vec![bytes], WriteMode::Cached).await?;
    extend(segment, &mark);
    Ok(())
}

/// Makes a segment's entries stable, gives it a footer unless it is the one that is written next, and enters it into the index.
/// One whose place was taken by another only tells how far its owners' numbers had come.
async fn take_piece<E: Env>(
    recovered: &mut Recovered<E>,
    piece: Piece<FileOf<E>>,
    fate: Fate,
    superseded: bool,
    lost: &mut Vec<(OwnerId, Gap)>,
) -> Result<(), OpenError> {
    let keep_open = matches!(fate, Fate::Active);
    let Piece { segment, mut rows, scanned, listed, .. } = piece;
    if let Some(scanned) = scanned {
        rewrite(&segment.file, scanned.stable, scanned.end).await?;
        segment.written.set(scanned.end);
        segment.flushed.set(scanned.end);
        recovered.last_time = recovered.last_time.max(scanned.contents.last_time);
        segment.contents.replace(Some(scanned.contents));
        match fate {
            Fate::Active => recovered.ends_with_mark = scanned.ends_with_mark,
            Fate::Sealed { next } => {
                if scanned.why != WalkEnd::Closed {
                    close_cut(&segment, next).await?;
                }
                rows = write_footer(&segment).await?;
                segment.contents.replace(None);
            }
        }
    }
    if let Some(trailer) = segment.trailer.get() {
        recovered.last_time = recovered.last_time.max(trailer.last_time);
    }
    let segment = Rc::new(segment);
    let Recovered { segments, compacted, places, owners, .. } = recovered;
    if segment.is_sealed() && !superseded {
        places.insert(segment.place(), segment.id);
    }
    let others = if segment.covers.is_some() { &mut *compacted } else { &mut *segments };
    others.insert(segment.id, Rc::clone(&segment));
    if let Some(listed) = listed {
        segment.spans.set(listed.spans);
        segment.live_payload_bytes.set(listed.live_payload_bytes);
        segment.payload_bytes.set(listed.payload_bytes);
        return Ok(());
    }
    if segment.is_sealed() {
        segment.filter.replace(OwnerFilter::of(&rows).await);
    }
    segment.payload_bytes.set(rows.iter().map(|row| row.payload_bytes).fold(0, u64::saturating_add));
    for row in &mut rows {
        if superseded {
            row.point_count = 0;
        }
        let owner = owners.get_or_insert_with(row.owner, Owner::default);
        let over = owner.recover(segment.id, row);
        lost.extend(over.gap().map(|gap| (row.owner, gap)));
        if keep_open {
            // Its points are with its contents.
            owner.spans.set_points(segment.id, 0, 0);
        }
        if row.point_count > 0 {
            segment.hold_span(row.payload_bytes);
        }
        for span in over.iter() {
            if let Some(segment) = segments.get(&span.segment).or_else(|| compacted.get(&span.segment)) {
                segment.release_span(span.payload_bytes);
            }
        }
    }
    Ok(())
}

/// Lets go of spans in gaps of owners that retention has taken all of it from.
async fn release_gaps<E: Env>(
    recovered: &Recovered<E>,
    mut lost: Vec<(OwnerId, Gap)>,
) -> Result<(), OpenError> {
    let Recovered { segments, compacted, places, .. } = recovered;
    let segment = |id: &SegmentId| segments.get(id).or_else(|| compacted.get(id));
    let first = |span: &Span| Some(segment(&span.segment)?.place().first);
    lost.sort_unstable_by_key(|(owner, gap)| (*owner, gap.before.first));
    let wanted: Vec<(usize, OwnerId, (SegmentId, SegmentId))> = {
        let sides =
            lost.iter().filter_map(|(owner, gap)| Some((*owner, (first(&gap.before)?, first(&gap.after)?))));
        sides.enumerate().map(|(index, (owner, sides))| (index, owner, sides)).collect()
    };
    for (_, id) in places.between(0, SegmentId::MAX) {
        let Some(segment) = segment(id) else { continue };
        let within = spans_within(segment, wanted.iter().copied()).await;
        match within.error {
            Some(LoadError::Damaged(damage)) => return Err(OpenError::Damaged(damage)),
            Some(LoadError::Disk(error)) => return Err(OpenError::Disk(error)),
            None => {}
        }
        within.found.iter().for_each(|(_, span)| segment.release_span(span.payload_bytes));
    }
    Ok(())
}

/// Writes bytes over themselves and flushes them. After a flush that failed the kernel may hold pages that it takes for clean and that the disk
/// never got: reading them proves nothing, and flushing them again does nothing.
async fn rewrite<F: File>(file: &F, from: u64, to: u64) -> Result<(), DiskError> {
    let mut start = from;
    while start < to {
        let stop = to.min(start + CHUNK_BYTES);
        let copy = file.read(start, (stop - start) as usize).await?;
        file.write(start, vec![copy], WriteMode::Cached).await?;
        start = stop;
    }
    file.flush().await
}

async fn fresh<E: Env>(
    env: &E,
    config: &LaneConfig,
    next_segment: &mut SegmentId,
) -> Result<Segment<FileOf<E>>, DiskError> {
    let id = *next_segment;
    *next_segment += 1;
    let file = create_file(env, &config.directory, id, config.segment_bytes, || Fill::Go).await?;
    let Some(file) = file else { unreachable!("nothing abandons the making of a first segment") };
    name_segment(env, config, id, file).await
}

/// Writes zeroes over what lies behind the cut, so that nothing of it can come back: the log goes on there where the disk has no room for
/// another segment. Interrupted, it leaves less of the same torn tail.
async fn wipe<F: File>(torn: &mut Piece<F>) -> Result<SegmentId, DiskError> {
    let file = &torn.segment.file;
    let mut start = torn.scanned.as_ref().map_or(SEGMENT_HEADER_BYTES, |scanned| scanned.end);
    while start < file.bytes() {
        let step = CHUNK_BYTES.min(file.bytes() - start);
        let zeroes = Bytes::from(vec![0; usize::try_from(step).expect("a chunk fits memory")]);
        file.write(start, vec![zeroes], WriteMode::Cached).await?;
        start += step;
    }
    file.flush().await?;
    Ok(torn.segment.id)
}

async fn remove<E: Env>(env: &E, config: &LaneConfig, piece: Piece<FileOf<E>>) -> Result<(), OpenError> {
    let path = piece.segment.path.clone();
    drop(piece);
    env.disk().remove(path).await?;
    env.disk().sync_directory(config.directory.clone()).await?;
    Ok(())
}
