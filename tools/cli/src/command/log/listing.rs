//! Each entry of the lanes' segments on a line of its own, printed as it is read: a lane has millions.

use serde::Serialize;
use tidemill_storage::inspect::{EntryLine, entries, inspect};
use tidemill_wire::entry::EntryKind;

use super::{Place, local_env};
use crate::failure::{CommandError, Exit, Outcome, chain};
use crate::output::Output;
use crate::time::show_time;

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    position: u64,
    is_stray: bool,
    kind: &'static str,
    owner: u64,
    first_sequence: u64,
    record_count: u32,
    time: String,
    bytes: u64,
    durable_before: u64,
}

pub(super) fn print(place: &Place, output: Output) -> Outcome {
    let env = local_env()?;
    for directory in place.lanes()? {
        let failed = |error: tidemill_storage::DiskError| CommandError::new(Exit::Failure, chain(&error));
        let report = env.block_on(inspect(&env, &directory)).map_err(failed)?;
        for segment in report.segments {
            let Some(id) = segment.id else { continue };
            let file = segment.path.display().to_string();
            let mut printed = Ok(());
            let visit = |entry: EntryLine| {
                if printed.is_ok() {
                    printed = output.print(&line(&file, &entry), Line::text);
                }
            };
            env.block_on(entries(&env, &segment.path, id, visit)).map_err(failed)?;
            printed?;
        }
    }
    Ok(())
}

fn line<'a>(file: &'a str, entry: &EntryLine) -> Line<'a> {
    let header = entry.header;
    Line {
        file,
        position: entry.position,
        is_stray: entry.is_stray,
        kind: match header.kind {
            EntryKind::Batch => "batch",
            EntryKind::Sparse => "sparse",
            EntryKind::Watermarks if header.payload_bytes() == 0 => "mark",
            EntryKind::Watermarks => "watermarks",
        },
        owner: header.owner.get(),
        first_sequence: header.base_sequence.get(),
        record_count: header.record_count,
        time: show_time(header.append_time),
        bytes: u64::from(header.length),
        durable_before: header.durable_before,
    }
}

impl Line<'_> {
    fn text(&self) -> String {
        let stray = if self.is_stray { " stray" } else { "" };
        let Self { file, position, kind, owner, first_sequence, record_count, time, bytes, .. } = self;
        let last = first_sequence + u64::from(record_count.saturating_sub(1));
        let name = file.rsplit('/').next().unwrap_or_default();
        format!(
            "{name} {position}{stray} {kind} owner {owner} {first_sequence}..={last} {time} {bytes} bytes"
        )
    }
}
