//! Forged entries, for the lies of a disk that stand for steps left out of the engine.

use std::path::Path;

use bytes::Bytes;
use tidemill_wire::{
    Timestamp,
    entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind},
};

use crate::segment::{PREPARING_SUFFIX, SegmentId, scan::walk, segment_id_of, watermarks};

fn id_of(path: &Path) -> Option<SegmentId> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(PREPARING_SUFFIX).map(|stem| format!("{stem}.segment"));
    segment_id_of(name.as_deref().or(path.file_name()?.to_str())?)
}

/// Gives the entries of a file that is renamed to be used again the epoch of its new name.
pub(super) fn dress_up(bytes: &mut [u8], from: &Path, to: &Path) {
    let again = to.extension().is_some_and(|extension| extension == "preparing");
    let (Some(old), Some(new), true) = (id_of(from), id_of(to), again) else { return };
    let mut headers = Vec::new();
    walk(bytes, old, |found, payload| {
        let header = EntryHeader { segment_epoch: new, ..found.header };
        headers.push((found.position as usize, header.encode(payload)));
    });
    for (position, header) in headers {
        bytes[position..position + ENTRY_HEADER_BYTES].copy_from_slice(&header);
    }
}

/// The buffers of a write, in which every watermark says 0.
pub(super) fn without_watermarks(buffers: &[Bytes]) -> Vec<Bytes> {
    forged(buffers, |header, payload| {
        if header.kind == EntryKind::Watermarks {
            let rows: Vec<_> = watermarks::decode(payload).map(|(owner, _)| (owner, 0.into())).collect();
            payload.copy_from_slice(&watermarks::encode(&rows));
        }
    })
}

/// The buffers of a write, in which every batch is of this time.
pub(super) fn with_times(buffers: &[Bytes], time: Timestamp) -> Vec<Bytes> {
    forged(buffers, |header, _| {
        if header.kind == EntryKind::Batch {
            header.append_time = time;
        }
    })
}

/// The buffers of a write with its entries changed, and their checksums with them.
fn forged(buffers: &[Bytes], change: impl Fn(&mut EntryHeader, &mut [u8])) -> Vec<Bytes> {
    let mut bytes = buffers.concat();
    let mut position = 0;
    while let Some(Ok(mut header)) = bytes.get(position..).map(EntryHeader::verify) {
        let payload = position + ENTRY_HEADER_BYTES..position + header.length as usize;
        change(&mut header, &mut bytes[payload.clone()]);
        let forged = header.encode(&bytes[payload]);
        bytes[position..position + ENTRY_HEADER_BYTES].copy_from_slice(&forged);
        position += header.stride();
    }
    vec![Bytes::from(bytes)]
}
