//! Bits that rot on the simulated device, by the part of a segment that they are in.
//!
//! Owns where each part of a file is, and whether an error names a place that is rotten. Promises that all parts are equally likely, whatever their size,
//! and that a bit which was written anew is sound again.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use tidemill_wire::entry::{ENTRY_HEADER_BYTES, EntryHeader};

use super::{
    SimEnv, World,
    faults::{Fault, Lie, ROT},
    image::{DiskState, InodeId},
};
use crate::{
    error::Damage,
    limits::{SEGMENT_HEADER_BYTES, SEGMENT_TRAILER_BYTES},
    segment::{
        header::{HEADER_BYTES, SegmentHeader},
        scan::walk,
        segment_id_of,
        trailer::{TRAILER_BYTES, Trailer},
    },
};

/// How far behind the place that an error names its reason may be: the structures of the smallest segments are no larger.
const STRUCTURE_BYTES_MAX: u64 = 8192;

/// A bit that rotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rot {
    /// The file, by its name at that time.
    pub path: PathBuf,
    /// The byte.
    pub offset: u64,
    /// What part of the file it is in.
    pub part: Fault,
}

impl SimEnv {
    /// Flips a bit of the device, in a part of a file that the seed draws. `None` if there is no such part.
    pub fn rot(&self) -> Option<Rot> {
        let part = ROT[self.world.draw(ROT.len() as u64) as usize];
        let mut disk = self.world.disk.borrow_mut();
        if disk.faults.lie == Some(Lie::SilentCut) {
            return cut_silently(&mut disk, |bound| self.world.draw(bound));
        }
        let places = places(&disk, part);
        let mut place = self.world.draw(places.len() as u64) as usize;
        if part == Fault::RotPayload && self.world.draw(4) == 0 {
            // The last entry of the newest segment is like no other: nothing behind it proves that it was stable.
            place = places.len().saturating_sub(1);
        }
        let (path, inode, range) = places.get(place)?.clone();
        let at = range.start + self.world.draw(range.len() as u64) as usize;
        let bit = self.world.draw(8) as u32;
        let lie = disk.faults.lie;
        let inode = disk.inodes.get_mut(&inode)?;
        inode.rot(at, bit);
        match lie {
            Some(Lie::RotWithChecksum) if part == Fault::RotPayload => {
                inode.forge(|bytes| vouch(bytes, &range, at, bit));
            }
            Some(Lie::RotElsewhere) => {
                let bytes = inode.device().len();
                inode.mark_rotten((at + bytes / 2) % bytes);
            }
            _ => inode.mark_rotten(at),
        }
        drop(disk);
        self.world.note_rot();
        self.world.inject(part);
        self.world.note(&(at as u64).to_le_bytes());
        Some(Rot { path, offset: at as u64, part })
    }

    /// Whether there is rot where an error says that there is damage.
    #[must_use]
    pub fn explains(&self, damage: &Damage) -> bool {
        self.is_rotten(&damage.path, damage.offset)
    }

    /// Whether a bit rotted in the structure of a file that begins at a position. What was written there since may have healed it.
    #[must_use]
    pub fn is_rotten(&self, path: &Path, position: u64) -> bool {
        // A file that rotted may have another name by now, as what compaction writes has.
        self.world.note_rot();
        let window =
            (path.to_owned(), position)..(path.to_owned(), position.saturating_add(STRUCTURE_BYTES_MAX));
        self.world.rotted.borrow().range(window).next().is_some()
    }
}

impl World {
    /// Keeps in mind what is rotten now, under its present names.
    pub(super) fn note_rot(&self) {
        let disk = self.disk.borrow();
        let files = disk.names.iter().filter_map(|(path, id)| Some((path, disk.inodes.get(id)?)));
        let places = files.flat_map(|(path, inode)| inode.rotten().map(move |at| (path.clone(), at as u64)));
        self.rotted.borrow_mut().extend(places);
    }
}

/// All places of a part: the file, and where in it.
fn places(disk: &DiskState, part: Fault) -> Vec<(PathBuf, InodeId, Range<usize>)> {
    let mut places = Vec::new();
    for (path, id) in &disk.names {
        let (Some(name), Some(inode)) =
            (path.file_name().and_then(|name| name.to_str()), disk.inodes.get(id))
        else {
            continue;
        };
        let found = parts(name, inode.device())
            .into_iter()
            .filter(|(kind, range)| *kind == part && !range.is_empty());
        places.extend(found.map(|(_, range)| (path.clone(), *id, range)));
    }
    places
}

/// The parts of a file.
fn parts(name: &str, bytes: &[u8]) -> Vec<(Fault, Range<usize>)> {
    let Some(end) = bytes.len().checked_sub(SEGMENT_TRAILER_BYTES as usize) else {
        return vec![(Fault::RotUnused, 0..bytes.len())];
    };
    let header = SegmentHeader::decode(bytes).ok();
    let Some(id) = segment_id_of(name).filter(|id| header.is_some_and(|header| header.id == *id)) else {
        return vec![(Fault::RotUnused, 0..bytes.len())];
    };
    let mut parts = vec![
        (Fault::RotHeader, 0..HEADER_BYTES),
        (Fault::RotUnused, HEADER_BYTES..SEGMENT_HEADER_BYTES as usize),
    ];
    let (entries_end, _) = walk(&bytes[..end], id, |found, payload| {
        let start = found.position as usize;
        let payload = start + ENTRY_HEADER_BYTES..start + ENTRY_HEADER_BYTES + payload.len();
        parts.push((Fault::RotEntryHeader, start..payload.start));
        parts.push((Fault::RotUnused, payload.end..start + found.header.stride()));
        parts.push((Fault::RotPayload, payload));
    });
    let trailer = Trailer::decode(&bytes[end..], end as u64).ok().filter(|trailer| trailer.id == id);
    let Some(trailer) = trailer else {
        parts.push((Fault::RotUnused, entries_end as usize..bytes.len()));
        return parts;
    };
    let rows = trailer.footer_position as usize..trailer.point_position(0) as usize;
    let points = rows.end..trailer.point_position(trailer.point_count) as usize;
    parts.push((Fault::RotUnused, trailer.entries_end as usize..rows.start));
    parts.push((Fault::RotUnused, points.end..end));
    parts.push((Fault::RotRows, rows));
    parts.push((Fault::RotPoints, points));
    parts.push((Fault::RotTrailer, end..end + TRAILER_BYTES));
    parts.push((Fault::RotUnused, end + TRAILER_BYTES..bytes.len()));
    parts
}

/// Gives the entry around a flipped bit of its payload the checksum of what it holds now.
fn vouch(bytes: &mut [u8], payload: &Range<usize>, at: usize, bit: u32) {
    let start = payload.start - ENTRY_HEADER_BYTES;
    // In memory it may be sound.
    let sound = EntryHeader::verify(&bytes[start..]).is_ok();
    bytes[at] ^= u8::from(sound) << bit;
    if let Ok(header) = EntryHeader::decode(&bytes[start..]) {
        let forged = header.encode(&bytes[payload.clone()]);
        bytes[start..payload.start].copy_from_slice(&forged);
    }
}

/// Takes away the last segment's entries from one of them on.
fn cut_silently(disk: &mut DiskState, draw: impl Fn(u64) -> u64) -> Option<Rot> {
    let is_open = |inode: &InodeId, name: &str| {
        let found = parts(name, disk.inodes.get(inode)?.device());
        let sealed = found.iter().any(|(part, _)| *part == Fault::RotTrailer);
        let entries: Vec<usize> = found
            .iter()
            .filter(|(part, _)| *part == Fault::RotEntryHeader)
            .map(|(_, range)| range.start)
            .collect();
        (!sealed && !entries.is_empty()).then_some(entries)
    };
    let named = disk.names.iter().rev();
    let mut open = named.filter_map(|(path, inode)| {
        Some((path.clone(), *inode, is_open(inode, path.file_name()?.to_str()?)?))
    });
    let (path, id, entries) = open.next()?;
    drop(open);
    let at = entries[draw(entries.len() as u64) as usize];
    disk.inodes.get_mut(&id)?.forge(|bytes| bytes[at..].fill(0));
    Some(Rot { path, offset: at as u64, part: Fault::RotEntryHeader })
}
