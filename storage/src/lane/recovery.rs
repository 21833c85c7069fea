//! Recovery: from the files of a lane to its state, whatever happened before.
//!
//! Works in two steps. `survey` reads, judges and changes nothing; `settle` then makes the end of the log what was judged. Promises that a torn tail
//! is cut and told, and that damage to anything that was stable is an error with file and offset. Every entry says how far the lane was
//! stable when it was formed, and that tells the two apart. What compaction made is no part of that judgement: it has its name only when it is whole.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tidemill_wire::{
    OwnerId, SequenceNumber, Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use super::{
    answer::{RecoveryReport, TornTail},
    checkpoint::{Checkpoint, Listed, Taken},
    core::{FileOf, SegmentOf},
    lookup::spans_within,
    owner::Owner,
    places::Places,
    preparer::{Fill, create_file, name_segment},
    reserve::{self, Reserve},
    sealer::write_footer,
    spans::{Gap, Span},
    writer::extend,
};
use crate::{
    config::LaneConfig,
    env::{Access, Disk, Env, File, WriteMode},
    error::{Damage, DiskError, OpenError},
    limits::{CHUNK_BYTES, RECOVERED_TOGETHER_MAX, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    owner_map::OwnerMap,
    segment::{
        CHECKPOINT_NAME, COMPACTING_SUFFIX, PREPARING_SUFFIX, Place, RESERVE_SUFFIX, Segment, SegmentId,
        footer::OwnerRow,
        load::{LoadError, Loaded, Scanned, load, load_without_rows, scan},
        scan::WalkEnd,
        segment_id_of, segment_path,
    },
};

mod listed;
mod mended;
mod superseded;

/// A lane as its files tell it.
pub(super) struct Recovered<E: Env> {
    pub(super) segments: BTreeMap<SegmentId, SegmentOf<E>>,
    pub(super) compacted: BTreeMap<SegmentId, SegmentOf<E>>,
    pub(super) places: Places,
    /// The checkpoint that this was made of.
    pub(super) checkpoint: Option<Taken>,
    /// Of some owners no segment is known that tells their numbers.
    pub(super) has_unmentioned: bool,
    pub(super) spare: Option<SegmentOf<E>>,
    pub(super) owners: OwnerMap<Owner>,
    pub(super) next_segment: SegmentId,
    pub(super) last_time: Timestamp,
    pub(super) ends_with_mark: bool,
    pub(super) reserve: Reserve,
    pub(super) report: RecoveryReport,
}

/// One file, read.
struct Piece<F> {
    segment: Segment<F>,
    rows: Vec<OwnerRow>,
    /// What the scan found; `None` for a segment with a whole footer.
    scanned: Option<Scanned>,
    /// Where its footer was, if that was broken behind a whole trailer.
    rebuilt: Option<u64>,
    /// What the checkpoint knows of it: then its rows were not read.
    listed: Option<Listed>,
}

/// All files, read and judged.
struct Survey<F> {
    /// The log, in order.
    pieces: Vec<Piece<F>>,
    /// What compaction made.
    compacted: Vec<Piece<F>>,
    /// Index of the piece in which the log ends, if its last one is not closed.
    end: Option<usize>,
    torn_tail: Option<TornTail>,
    leftovers: Vec<String>,
    report: RecoveryReport,
}

pub(super) async fn recover<E: Env>(env: &E, config: &LaneConfig) -> Result<Recovered<E>, OpenError> {
    let start = env.monotonic();
    env.disk().create_directory(&config.directory)?;
    let mut checkpoint = None;
    let mut surveyed = None;
    if env.disk().list(&config.directory)?.iter().any(|name| name == CHECKPOINT_NAME) {
        (checkpoint, surveyed) = match listed::survey_by_checkpoint(env, config).await {
            Some((checkpoint, survey)) => (Some(checkpoint), Some(survey)),
            None => (None, None),
        };
        if surveyed.is_none() {
            env.disk().remove(config.directory.join(CHECKPOINT_NAME)).await?;
        }
    }
    let survey = match surveyed {
        Some(survey) => survey,
        None => survey(env, config, None).await?,
    };
    let mut recovered = settle(env, config, survey, checkpoint).await?;
    recovered.report.elapsed = env.monotonic().saturating_sub(start);
    Ok(recovered)
}

async fn survey<E: Env>(
    env: &E,
    config: &LaneConfig,
    checkpoint: Option<&Checkpoint>,
) -> Result<Survey<FileOf<E>>, OpenError> {
    let (mut ids, mut pieces, mut compacted) = (Vec::new(), Vec::new(), Vec::new());
    let mut leftovers = Vec::new();
    let mut report = RecoveryReport::default();
    for name in env.disk().list(&config.directory)? {
        if [PREPARING_SUFFIX, COMPACTING_SUFFIX, RESERVE_SUFFIX].iter().any(|suffix| name.ends_with(suffix)) {
            report.compactions_unfinished += u64::from(name.ends_with(COMPACTING_SUFFIX));
            report.files_removed += u64::from(!name.ends_with(RESERVE_SUFFIX));
            leftovers.push(name);
            continue;
        }
        if name == CHECKPOINT_NAME {
            continue;
        }
        let Some(id) = segment_id_of(&name) else {
            tracing::warn!(lane = config.lane.0, name, "a file in the lane's directory is not a segment");
            continue;
        };
        ids.push(id);
    }
    let listed = |id| checkpoint.and_then(|checkpoint| checkpoint.listed.get(&id)).copied();
    let read = stream::iter(ids).map(|id| read_segment(env, config, id, listed(id)));
    let read = read.buffered(RECOVERED_TOGETHER_MAX);
    let mut read = std::pin::pin!(read);
    let mut damaged = Vec::new();
    while let Some(piece) = read.next().await {
        if let Err(OpenError::Damaged(damage)) = piece {
            damaged.push(damage);
            continue;
        }
        let piece = piece?;
        match &piece.scanned {
            None => report.segments_sealed += 1,
            Some(scanned) => {
                report.footers_rebuilt += u64::from(piece.rebuilt.is_some());
                report.segments_scanned += u64::from(scanned.contents.entry_count > 0);
                report.entries_scanned += scanned.contents.entry_count;
            }
        }
        if piece.segment.covers.is_some() { &mut compacted } else { &mut pieces }.push(piece);
    }
    report.segments_compacted = compacted.len() as u64;
    superseded::read_footers(env, config, damaged, &compacted, &mut pieces).await?;
    let (end, torn_tail) = judge(&pieces)?;
    mended::tell(config, &pieces);
    Ok(Survey { pieces, compacted, end, torn_tail, leftovers, report })
}

async fn read_segment<E: Env>(
    env: &E,
    config: &LaneConfig,
    id: SegmentId,
    listed: Option<Listed>,
) -> Result<Piece<FileOf<E>>, OpenError> {
    let path = segment_path(&config.directory, id);
    let loaded = match listed {
        Some(_) => load_without_rows(env.disk(), &path, id, Access::Write).await,
        None => load(env.disk(), &path, id, Access::Write).await,
    };
    let loaded = loaded.map_err(|error| match error {
        LoadError::Damaged(damage) => OpenError::Damaged(damage),
        LoadError::Disk(error) => OpenError::Disk(error),
    })?;
    let (expected, found) = (config.lane.0, loaded.header.lane.0);
    if expected != found {
        return Err(OpenError::ForeignLane { path, expected, found });
    }
    if let (Some(listed), Some(trailer)) = (listed, loaded.trailer) {
        let Loaded { file, header, .. } = loaded;
        let segment = Segment { covers: header.covers, ..Segment::sealed(id, path, file, trailer) };
        return Ok(Piece { segment, rows: Vec::new(), scanned: None, rebuilt: None, listed: Some(listed) });
    }
    read_piece(id, path, loaded).await
}

async fn read_piece<F: File>(
    id: SegmentId,
    path: std::path::PathBuf,
    loaded: Loaded<F>,
) -> Result<Piece<F>, OpenError> {
    let Loaded { file, header, trailer, rows } = loaded;
    let covers = header.covers;
    if let (Some(trailer), Some(rows)) = (trailer, rows) {
        let segment = Segment { covers, ..Segment::sealed(id, path, file, trailer) };
        return Ok(Piece { segment, rows, scanned: None, rebuilt: None, listed: None });
    }
    if covers.is_some() && trailer.is_none() {
        let offset = file.bytes() - SEGMENT_TRAILER_BYTES;
        let expected = "the trailer that a compacted segment has before its name".to_owned();
        let found = "no valid trailer of this segment".to_owned();
        return Err(OpenError::Damaged(Damage { path, offset, expected, found }));
    }
    let scanned = scan(&file, id).await?;
    if let Some(trailer) = trailer.filter(|trailer| trailer.entries_end != scanned.end) {
        let expected = format!("entries up to {}, as the trailer says", trailer.entries_end);
        return Err(OpenError::Damaged(Damage {
            path,
            offset: scanned.end,
            expected,
            found: scanned.why.to_string(),
        }));
    }
    let footer_end = file.bytes() - SEGMENT_TRAILER_BYTES;
    // One that an earlier version filled has room for plain rows.
    if scanned.end + scanned.contents.plain_footer_bytes() > footer_end {
        let expected = "room for the footer behind the entries".to_owned();
        let found = "entries up to the end".to_owned();
        return Err(OpenError::Damaged(Damage { path, offset: scanned.end, expected, found }));
    }
    let rebuilt = trailer.map(|trailer| trailer.footer_position);
    let segment = Segment { covers, ..Segment::empty(id, path, file) };
    let rows = rows_of(&scanned);
    // A broken owner table behind a valid trailer: the entries are all there, so the segment is as good as closed.
    let why = if rebuilt.is_some() { WalkEnd::Closed } else { scanned.why };
    Ok(Piece { segment, rows, scanned: Some(Scanned { why, ..scanned }), rebuilt, listed: None })
}

fn rows_of(scanned: &Scanned) -> Vec<OwnerRow> {
    let owners = scanned.contents.sorted_owners();
    owners.into_iter().filter_map(|id| Some(scanned.contents.owner(id)?.row(id, 0))).collect()
}

/// Finds where the log ends, and whether what lies behind may be dropped.
fn judge<F: File>(pieces: &[Piece<F>]) -> Result<(Option<usize>, Option<TornTail>), OpenError> {
    let closed =
        |piece: &Piece<F>| piece.scanned.as_ref().is_none_or(|scanned| scanned.why == WalkEnd::Closed);
    let Some(end) = pieces.iter().position(|piece| !closed(piece)) else { return Ok((None, None)) };
    let Some((piece, later)) = pieces.get(end..).and_then(<[_]>::split_first) else {
        return Ok((None, None));
    };
    let Some(scanned) = &piece.scanned else { return Ok((None, None)) };
    let path = piece.segment.path.clone();
    let damaged = |witness: &str, position: u64| {
        let expected =
            format!("an entry, since {witness} was written behind it at {position} when it was stable");
        let found = scanned.why.to_string();
        Err(OpenError::Damaged(Damage { path: path.clone(), offset: scanned.end, expected, found }))
    };
    if let Some((position, _)) = scanned.stray.witness {
        return damaged("an entry", position);
    }
    let mut tail = TornTail {
        path: path.clone(),
        offset: scanned.end,
        reason: scanned.why.to_string(),
        entries_dropped: scanned.stray.entries,
        bytes_dropped: scanned.stray.bytes,
    };
    for piece in later {
        let name = format!("segment {:016x}", piece.segment.id);
        let Some(scanned) = &piece.scanned else { return damaged(&name, SEGMENT_HEADER_BYTES) };
        // An entry says that its own segment is stable up to some point only when all earlier segments are.
        if scanned.claims_stable {
            return damaged(&name, SEGMENT_HEADER_BYTES);
        }
        tail.entries_dropped += scanned.contents.entry_count + scanned.stray.entries;
        tail.bytes_dropped += scanned.end - SEGMENT_HEADER_BYTES + scanned.stray.bytes;
    }
    let torn = tail.entries_dropped > 0 || matches!(scanned.why, WalkEnd::Broken(_));
    Ok((Some(end), torn.then_some(tail)))
}

async fn settle<E: Env>(
    env: &E,
    config: &LaneConfig,
    survey: Survey<FileOf<E>>,
    checkpoint: Option<Checkpoint>,
) -> Result<Recovered<E>, OpenError> {
    let Survey { mut pieces, compacted, end, torn_tail, leftovers, mut report } = survey;
    // The process before may have been killed between naming a file and making the name stable: a power cut must not take it back later.
    env.disk().sync_directory(config.directory.clone()).await?;
    let highest = pieces.iter().chain(&compacted).map(|piece| piece.segment.id).max();
    let mut later = end.map_or_else(Vec::new, |end| pieces.split_off(end + 1));
    if torn_tail.is_some() {
        // From the last one backwards: a crash on the way leaves the same log with the same end.
        let is_empty = |piece: &Piece<_>| {
            piece.scanned.as_ref().is_some_and(|s| s.contents.entry_count == 0 && s.stray.entries == 0)
        };
        let (spares, stray): (Vec<_>, Vec<_>) = later.into_iter().partition(is_empty);
        later = spares;
        for piece in stray.into_iter().rev() {
            remove(env, config, piece).await?;
        }
        if pieces.last().is_some_and(|piece| piece.segment.entry_bytes() == 0 && is_headless(piece)) {
            let Some(piece) = pieces.pop() else { unreachable!("the last piece was just looked at") };
            remove(env, config, piece).await?;
        }
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
        let found = spans_within(segment, wanted.iter().copied()).await.map_err(|error| match error {
            LoadError::Damaged(damage) => OpenError::Damaged(damage),
            LoadError::Disk(error) => OpenError::Disk(error),
        })?;
        found.iter().for_each(|(_, span)| segment.release_span(span.payload_bytes));
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
