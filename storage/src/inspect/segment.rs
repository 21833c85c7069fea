//! One segment file: what it says of itself, and whether that is so.

use std::path::PathBuf;

use super::{Finding, OwnerReport, SegmentReport, SegmentState, damage, empty_report, note, order};
use crate::{
    env::{Access, Env, File},
    error::DiskError,
    limits::{SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    segment::{
        Place,
        contents::Contents,
        footer::{OwnerRow, POINT_BYTES, Point},
        load::{LoadError, Loaded, Scanned, load, scan, scan_bytes},
        scan::WalkEnd,
        trailer::Trailer,
    },
};

/// A file's report, and what its relation to others needs.
pub(super) struct Examined {
    pub(super) report: SegmentReport,
    /// Of a segment with a sound header.
    pub(super) place: Option<Place>,
    pub(super) rows: Vec<OwnerRow>,
    /// Where the entries of a segment without a footer end.
    pub(super) tail: Option<Tail>,
}

/// The end of the entries of a segment without a footer.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    pub(super) end: u64,
    pub(super) why: WalkEnd,
    /// An entry says that all earlier segments were stable.
    pub(super) claims_stable: bool,
    /// A valid entry behind the end says that the lane was stable beyond it.
    pub(super) is_damaged: bool,
}

impl Examined {
    pub(super) fn into_report(self) -> SegmentReport {
        self.report
    }
}

/// Looks at a file, at every byte of it if `whole`.
pub(super) async fn examine<E: Env>(env: &E, path: PathBuf, id: u64, whole: bool) -> Examined {
    let report = empty_report(path.clone(), Some(id), SegmentState::Unreadable);
    let mut examined = Examined { report, place: None, rows: Vec::new(), tail: None };
    let loaded = match load(env.disk(), &path, id, Access::Read).await {
        Ok(loaded) => loaded,
        Err(error) => {
            examined.report.findings.push(load_finding(error));
            return examined;
        }
    };
    let report = &mut examined.report;
    report.lane = Some(loaded.header.lane);
    report.created = Some(loaded.header.created);
    report.covers = loaded.header.covers.map(|place| (place.first, place.last));
    report.file_bytes = loaded.file.bytes();
    examined.place = Some(loaded.header.covers.unwrap_or(Place { first: id, last: id }));
    if let Err(error) = fill(&mut examined, &loaded, whole).await {
        examined.report.findings.push(load_finding(LoadError::Disk(error)));
    }
    examined
}

async fn fill<F: File>(examined: &mut Examined, loaded: &Loaded<F>, whole: bool) -> Result<(), DiskError> {
    let (Some(trailer), Some(rows)) = (&loaded.trailer, &loaded.rows) else {
        let scanned = scan(&loaded.file, loaded.header.id).await?;
        fill_from_scan(examined, loaded, &scanned);
        return Ok(());
    };
    let report = &mut examined.report;
    report.state = SegmentState::Sealed;
    report.entry_bytes = trailer.entries_end - SEGMENT_HEADER_BYTES;
    report.entries = trailer.entry_count;
    report.times = Some((trailer.first_time, trailer.last_time));
    report.owners = rows.iter().map(owner_report).collect();
    examined.rows.clone_from(rows);
    if whole {
        check_against_entries(report, loaded, trailer, rows).await?;
    }
    Ok(())
}

/// Checks a footer and a trailer against what they describe, and the order of the entries.
async fn check_against_entries<F: File>(
    report: &mut SegmentReport,
    loaded: &Loaded<F>,
    trailer: &Trailer,
    rows: &[OwnerRow],
) -> Result<(), DiskError> {
    loaded.file.populate(0..loaded.file.bytes()).await?;
    let bytes = loaded.file.view(0..trailer.entries_end);
    let scanned = scan_bytes(&bytes, loaded.header.id);
    report.findings.extend(order::check(&bytes, &loaded.header));
    if scanned.end != trailer.entries_end {
        let expected = format!("entries up to {}", trailer.entries_end);
        report.findings.push(damage(scanned.end, expected, scanned.why.to_string()));
        return Ok(());
    }
    let contents = &scanned.contents;
    let expected = expected_footer(contents);
    if *rows != expected.0 {
        let found = "rows that differ from the entries".to_owned();
        report.findings.push(damage(
            trailer.footer_position,
            "rows of what the entries hold".to_owned(),
            found,
        ));
    }
    let points = loaded.file.view(trailer.point_position(0)..trailer.point_position(trailer.point_count));
    let stored = points.chunks_exact(POINT_BYTES as usize).filter_map(Point::decode);
    if crc32fast::hash(&points) != trailer.points_crc || !stored.eq(expected.1) {
        let found = "points that differ from the entries".to_owned();
        let expected = "points of where the entries are".to_owned();
        report.findings.push(damage(trailer.point_position(0), expected, found));
    }
    let told = (trailer.entry_count, trailer.first_time, trailer.last_time);
    let held = (contents.entry_count, contents.first_time, contents.last_time);
    if told != held {
        let words = |(count, first, last): (u64, _, _)| format!("{count} entries from {first} to {last}");
        let offset = loaded.file.bytes() - SEGMENT_TRAILER_BYTES;
        report.findings.push(damage(offset, words(held), words(told)));
    }
    Ok(())
}

fn fill_from_scan<F: File>(examined: &mut Examined, loaded: &Loaded<F>, scanned: &Scanned) {
    let contents = &scanned.contents;
    let report = &mut examined.report;
    report.state = if contents.entry_count == 0 { SegmentState::Spare } else { SegmentState::Open };
    report.entry_bytes = scanned.end - SEGMENT_HEADER_BYTES;
    report.entries = contents.entry_count;
    report.times = (contents.entry_count > 0).then_some((contents.first_time, contents.last_time));
    examined.rows = expected_footer(contents).0;
    report.owners = examined.rows.iter().map(owner_report).collect();
    report.findings.extend(order::check(&loaded.file.view(0..scanned.end), &loaded.header));
    if let Some(trailer) = &loaded.trailer {
        report.state = SegmentState::Sealed;
        if scanned.end == trailer.entries_end {
            let found = "other bytes; the next start makes it anew from the entries";
            report.findings.push(note(trailer.footer_position, "the owner table of the footer", found));
            // A start that has a checkpoint does not read the table, and readers go by the points.
            let points = trailer.point_position(0)..trailer.point_position(trailer.point_count);
            if crc32fast::hash(&loaded.file.view(points)) != trailer.points_crc {
                let expected = "points of where the entries are".to_owned();
                let found = "points that differ from the entries".to_owned();
                report.findings.push(damage(trailer.point_position(0), expected, found));
            }
        } else {
            let expected = format!("entries up to {}, as the trailer says", trailer.entries_end);
            report.findings.push(damage(scanned.end, expected, scanned.why.to_string()));
        }
        return;
    }
    if report.covers.is_some() {
        let expected = "the trailer that a compacted segment has before its name".to_owned();
        let found = "no valid trailer of this segment".to_owned();
        report.findings.push(damage(loaded.file.bytes() - SEGMENT_TRAILER_BYTES, expected, found));
        return;
    }
    examined.tail = Some(Tail {
        end: scanned.end,
        why: scanned.why,
        claims_stable: scanned.claims_stable,
        is_damaged: scanned.stray.witness.is_some(),
    });
    if let Some((position, stable)) = scanned.stray.witness {
        let expected =
            format!("an entry, since one at {position} says that the lane was stable up to {stable}");
        report.findings.push(damage(scanned.end, expected, scanned.why.to_string()));
    } else if scanned.stray.entries > 0 || matches!(scanned.why, WalkEnd::Broken(_)) {
        let found = format!("{}, and {} entries behind it", scanned.why, scanned.stray.entries);
        report.findings.push(note(scanned.end, "the end of the log, or another entry", &found));
    }
}

/// The rows and points that a segment with these contents must have.
pub(crate) fn expected_footer(contents: &Contents) -> (Vec<OwnerRow>, Vec<Point>) {
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for id in contents.sorted_owners() {
        if let Some(part) = contents.owner(id) {
            rows.push(part.row(id, u32::try_from(points.len()).unwrap_or(u32::MAX)));
            points.extend_from_slice(&part.points);
        }
    }
    (rows, points)
}

fn owner_report(row: &OwnerRow) -> OwnerReport {
    OwnerReport {
        owner: row.owner,
        first: row.first,
        next: row.next,
        first_time: row.first_time,
        last_time: row.last_time,
        payload_bytes: row.payload_bytes,
        watermark_only: row.point_count == 0,
        is_live: false,
    }
}

fn load_finding(error: LoadError) -> Finding {
    match error {
        LoadError::Damaged(found) => damage(found.offset, found.expected, found.found),
        LoadError::Disk(error) => {
            damage(error.offset, "a file that can be read".to_owned(), error.to_string())
        }
    }
}
