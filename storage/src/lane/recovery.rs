//! Recovery: from the files of a lane to its state, whatever happened before.
//!
//! Works in two steps. `survey` reads, judges and changes nothing; `settle` then makes the end of the log what was judged. Promises that a torn tail
//! is cut and told, and that damage to anything that was stable is an error with file and offset. Every entry says how far the lane was
//! stable when it was formed, and that tells the two apart. What compaction made is no part of that judgement: it has its name only when it is whole.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use tidemill_wire::Timestamp;

use super::{
    answer::{RecoveryReport, TornTail},
    checkpoint::{Checkpoint, Listed, Taken},
    core::{FileOf, SegmentOf},
    owner::Owner,
    places::Places,
    reserve::Reserve,
};
use crate::{
    config::LaneConfig,
    env::{Access, Disk, Env, File},
    error::{Damage, OpenError},
    limits::{RECOVERED_TOGETHER_MAX, SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    owner_map::OwnerMap,
    segment::{
        CHECKPOINT_NAME, COMPACTING_SUFFIX, PREPARING_SUFFIX, RESERVE_SUFFIX, Segment, SegmentId,
        footer::OwnerRow,
        load::{LoadError, Loaded, Scanned, load, load_without_rows, scan},
        scan::WalkEnd,
        segment_id_of, segment_path,
    },
};

mod listed;
mod mended;
mod settle;
mod superseded;

use settle::settle;

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
    let (end, torn_tail) = judge(&pieces, &compacted)?;
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

/// Whether it has records: its trailer tells, or its rows where the table was made anew.
fn has_records<F>(piece: &Piece<F>) -> bool {
    let trailer = piece.segment.trailer.get();
    trailer.is_some_and(|trailer| trailer.point_count > 0) || piece.rows.iter().any(|row| row.point_count > 0)
}

/// Finds where the log ends, and whether what lies behind may be dropped.
fn judge<F: File>(
    pieces: &[Piece<F>],
    compacted: &[Piece<F>],
) -> Result<(Option<usize>, Option<TornTail>), OpenError> {
    let closed =
        |piece: &Piece<F>| piece.scanned.as_ref().is_none_or(|scanned| scanned.why == WalkEnd::Closed);
    let is_end = |piece: &Piece<F>| !closed(piece) && !superseded::is_taken(piece, compacted);
    let Some(end) = pieces.iter().position(is_end) else { return Ok((None, None)) };
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
    // Records that compaction or a repair has written anew have their place only when all before it is closed for good. A repair puts numbers alone anywhere.
    let place = piece.segment.place();
    let is_behind = |other: &&Piece<F>| other.segment.place().first > place.last && has_records(other);
    if let Some(behind) = compacted.iter().find(is_behind) {
        return damaged(&format!("segment {:016x}", behind.segment.id), SEGMENT_HEADER_BYTES);
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
        if superseded::is_taken(piece, compacted) {
            continue;
        }
        tail.entries_dropped += scanned.contents.entry_count + scanned.stray.entries;
        tail.bytes_dropped += scanned.end - SEGMENT_HEADER_BYTES + scanned.stray.bytes;
    }
    let torn = tail.entries_dropped > 0 || matches!(scanned.why, WalkEnd::Broken(_));
    Ok((Some(end), torn.then_some(tail)))
}
