//! The owner table of a sealed segment, asked for some of its rows.
//!
//! Promises that each row handed out was checked at that moment: by its own checksum, or in a table of plain rows by that of the whole table. A table
//! that no longer is what was written is made anew from the segment's entries, if these prove to be the same. Leaves out what rows mean for an owner.

use std::{collections::BTreeSet, ops::Range};

use bytes::Bytes;
use tidemill_wire::OwnerId;

use super::{
    Segment,
    contents::Contents,
    filter::OwnerFilter,
    footer::{OwnerRow, RowFormat},
    load::{LoadError, scan},
    trailer::Trailer,
};
use crate::{
    env::{File, WriteMode},
    error::{Damage, DiskError},
    failpoint::{Work, between},
    lane::give_way,
    limits::UPKEEP_BATCH,
    owner_map::OWNER_MAP_PARTS,
};

/// Rows that are brought in together where one is looked for: about a page.
const SEARCH_ROWS: u32 = 64;
/// The same where all are read.
const STREAM_ROWS: u32 = 1024;
/// Rows that are brought in where one is looked for in vain: a few blocks.
const MISS_ROWS: u32 = 4 * SEARCH_ROWS;

/// Rows of one owner table. It belongs to one sealed segment.
pub(crate) struct Rows<'a, F> {
    segment: &'a Segment<F>,
    trailer: Trailer,
    /// Rows in memory, from the one with this index on.
    block: (u32, Bytes),
    /// All rows before this are of owners below the one that was looked for last.
    low: u32,
    sought: OwnerId,
    /// How often the table had been made anew when it was read.
    mends: u64,
    /// The next row of a stream, with the owner and the end of the points before it.
    next: u32,
    before: Option<(OwnerId, u32)>,
}

impl<'a, F: File> Rows<'a, F> {
    /// The table of a segment; nothing if that is not sealed.
    pub(crate) async fn open(segment: &'a Segment<F>) -> Result<Option<Self>, LoadError> {
        let Some(trailer) = segment.trailer.get() else { return Ok(None) };
        let mut rows = Self {
            segment,
            trailer,
            block: (0, Bytes::new()),
            low: 0,
            sought: OwnerId(0),
            mends: segment.mends.get(),
            next: 0,
            before: None,
        };
        match rows.load().await {
            Err(LoadError::Damaged(damage)) if rows.mend(&damage).await? => rows.load().await?,
            loaded => loaded?,
        }
        Ok(Some(rows))
    }

    /// The segment that it belongs to.
    pub(crate) fn segment(&self) -> &'a Segment<F> {
        self.segment
    }

    /// Some bytes of the table. A copy: a table that is made anew must not be written under a view.
    async fn bytes(&self, window: Range<u64>) -> Result<Bytes, DiskError> {
        Ok(Bytes::copy_from_slice(&self.segment.footer(window).await?))
    }

    /// Brings in a table that can only be checked as a whole.
    async fn load(&mut self) -> Result<(), LoadError> {
        if self.trailer.rows != RowFormat::Plain {
            return Ok(());
        }
        let table = self.bytes(self.trailer.row_position(0)..self.trailer.point_position(0)).await?;
        if crc32fast::hash(&table) != self.trailer.owners_crc {
            return Err(self.damaged(0, "the owner table of the footer"));
        }
        self.block = (0, table);
        Ok(())
    }

    /// The row of an owner, if it has one. Costs least where owners are asked for in rising order.
    pub(crate) async fn find(&mut self, owner: OwnerId) -> Result<Option<OwnerRow>, LoadError> {
        match self.search(owner).await {
            Err(LoadError::Damaged(damage)) if self.mend(&damage).await? => self.search(owner).await,
            found => found,
        }
    }

    async fn search(&mut self, owner: OwnerId) -> Result<Option<OwnerRow>, LoadError> {
        let count = self.trailer.owner_count;
        if owner < self.sought {
            self.low = 0;
        }
        let (mut low, mut high) = (self.low, count);
        self.sought = owner;
        let mut step = if low > 0 { 2 } else { count };
        // The row is not before `low`, and before `high` if it is there at all.
        while low < high {
            let probed = match high - low {
                rest if step < rest => low + step - 1,
                _ => low + (high - low) / 2,
            };
            let row = self.row(probed, if high - low <= SEARCH_ROWS { low } else { probed }).await?;
            match row.owner.cmp(&owner) {
                std::cmp::Ordering::Equal => {
                    self.low = probed;
                    return Ok(Some(row));
                }
                std::cmp::Ordering::Less => (low, step) = (probed + 1, step.saturating_mul(2)),
                std::cmp::Ordering::Greater => (high, step) = (probed, count),
            }
            self.low = low;
        }
        Ok(None)
    }

    /// The next row of all, in rising order of owners.
    pub(crate) async fn next(&mut self) -> Result<Option<OwnerRow>, LoadError> {
        let index = self.next;
        if index >= self.trailer.owner_count {
            return Ok(None);
        }
        let row = match self.read(index, index, STREAM_ROWS).await {
            Err(LoadError::Damaged(damage)) if self.mend(&damage).await? => {
                self.read(index, index, STREAM_ROWS).await?
            }
            row => row?,
        };
        if self.before.is_some_and(|(owner, points)| row.owner <= owner || row.first_point != points) {
            return Err(self.damaged(index, "rows in rising order, whose points follow one another"));
        }
        self.before = Some((row.owner, row.first_point.saturating_add(row.point_count)));
        self.next = index + 1;
        Ok(Some(row))
    }

    async fn row(&mut self, index: u32, from: u32) -> Result<OwnerRow, LoadError> {
        self.read(index, from, SEARCH_ROWS).await
    }

    /// The row with an index, of the block in memory, or else of one that begins with row `from`.
    async fn read(&mut self, index: u32, from: u32, count: u32) -> Result<OwnerRow, LoadError> {
        if let Some(row) = self.decode(index) {
            return row.ok_or_else(|| self.damaged(index, "a row of the owner table"));
        }
        let end = from.saturating_add(count).min(self.trailer.owner_count);
        let window = self.trailer.row_position(from)..self.trailer.row_position(end);
        self.block = (from, self.bytes(window).await?);
        self.decode(index).flatten().ok_or_else(|| self.damaged(index, "a row of the owner table"))
    }

    /// The row with an index, if it is in memory.
    fn decode(&self, index: u32) -> Option<Option<OwnerRow>> {
        let row_bytes = usize::try_from(self.trailer.rows.row_bytes()).ok()?;
        let start = usize::try_from(index.checked_sub(self.block.0)?).ok()?.checked_mul(row_bytes)?;
        let bytes = self.block.1.get(start..start.checked_add(row_bytes)?)?;
        Some(self.trailer.rows.decode(bytes))
    }

    /// Sees to it that a damaged table is made anew. Returns whether it is another one now.
    async fn mend(&mut self, damage: &Damage) -> Result<bool, DiskError> {
        let is_other = mend(self.segment, &self.trailer, damage, self.mends).await?;
        self.mends = self.segment.mends.get();
        self.block = (0, Bytes::new());
        Ok(is_other)
    }

    fn damaged(&self, index: u32, expected: &str) -> LoadError {
        LoadError::Damaged(Damage {
            path: self.segment.path.clone(),
            offset: self.trailer.row_position(index),
            expected: expected.to_owned(),
            found: "other bytes".to_owned(),
        })
    }
}

/// The row of one owner in a segment, if it has one.
pub(crate) async fn row_of<F: File>(
    segment: &Segment<F>,
    owner: OwnerId,
) -> Result<Option<OwnerRow>, LoadError> {
    match Rows::open(segment).await? {
        Some(mut rows) => rows.find(owner).await,
        None => Ok(None),
    }
}

/// Notes that a table was asked in vain. When that has cost as much as to read it, it is read, and the segment's filter made of it: nobody asks it in vain after that.
pub(crate) async fn note_miss<F: File>(segment: &Segment<F>) {
    let Some(trailer) = segment.trailer.get() else { return };
    segment.misses.set(segment.misses.get().saturating_add(1));
    let is_worth = segment.misses.get().saturating_mul(MISS_ROWS) >= trailer.owner_count;
    if !is_worth || segment.filter.borrow().is_some() {
        return;
    }
    let count = usize::try_from(trailer.owner_count).unwrap_or(usize::MAX);
    let (Some(mut filter), Ok(Some(mut rows))) = (OwnerFilter::for_owners(count), Rows::open(segment).await)
    else {
        return;
    };
    let mut read = 0;
    loop {
        match rows.next().await {
            Ok(Some(row)) => filter.insert(&row),
            Ok(None) => break,
            // Who looks for one of these rows is told.
            Err(_) => return,
        }
        read += 1;
        if read % UPKEEP_BATCH == 0 {
            give_way().await;
        }
    }
    segment.filter.replace(Some(filter));
}

/// Writes a damaged owner table anew. The entries tell what was in it, and the trailer's checksum whether they tell the same. Returns whether it is another one than that which had been made anew
/// so often: of several readers who meet the damage one makes the table anew, in steps, and the others wait for it.
async fn mend<F: File>(
    segment: &Segment<F>,
    trailer: &Trailer,
    damage: &Damage,
    mends: u64,
) -> Result<bool, DiskError> {
    let _gate = segment.mend_gate.lock().await;
    if segment.mends.get() != mends {
        return Ok(true);
    }
    if segment.is_beyond_mending.get() {
        return Ok(false);
    }
    let table = table_of(scan(&segment.file, segment.id).await?.contents, trailer).await;
    let same = table.len() as u64 == trailer.owners_bytes() && crc32fast::hash(&table) == trailer.owners_crc;
    if same {
        tracing::warn!(error = %damage, "an owner table was damaged and is made anew from the entries; nothing is lost");
        segment.file.write(trailer.footer_position, vec![Bytes::from(table)], WriteMode::Cached).await?;
        segment.file.flush().await?;
        segment.mends.set(mends + 1);
    }
    // Once is enough: a scan reads the whole segment.
    segment.is_beyond_mending.set(!same);
    Ok(same)
}

/// The owner table of a segment that holds this.
async fn table_of(mut contents: Contents, trailer: &Trailer) -> Vec<u8> {
    let mut owners = BTreeSet::new();
    for part in 0..OWNER_MAP_PARTS {
        owners.extend(contents.owners_of(part));
        between(Work::Mend).await;
    }
    let (mut table, mut points) = (Vec::new(), 0_u32);
    for (index, owner) in owners.iter().enumerate() {
        let Some(row) = contents.owner(*owner).map(|part| part.row(*owner, points)) else { continue };
        trailer.rows.encode_into(&row, &mut table);
        points = points.saturating_add(row.point_count);
        if index % UPKEEP_BATCH == UPKEEP_BATCH - 1 {
            between(Work::Mend).await;
        }
    }
    while contents.take_part().is_some() {
        give_way().await;
    }
    table
}
