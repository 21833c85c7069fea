//! A look at what a server holds and takes: its own numbers, and what its files take of the disk.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use super::FlowError;
use crate::admin::{request, sum};

/// Bytes of a block as the file system counts them.
const BLOCK_BYTES: u64 = 512;

/// One moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Look {
    /// Bytes that all files of the lanes take of the disk.
    pub(super) disk_bytes: u64,
    /// Bytes of entries that readers can reach.
    pub(super) live_bytes: u64,
    pub(super) dead_bytes: u64,
    pub(super) appended_bytes: u64,
    pub(super) rewritten_bytes: u64,
    pub(super) compactions: u64,
    pub(super) retired_segments: u64,
    pub(super) setbacks: u64,
}

/// Looks. What the files take is read first: files may go meanwhile, and are then not counted.
pub(super) fn look(admin: &str, data: &Path) -> Result<Look, FlowError> {
    let disk_bytes = disk_bytes(data)?;
    let answer = request(admin, "GET", "/metrics").map_err(|error| FlowError::Server(error.to_string()))?;
    if answer.status != 200 {
        return Err(FlowError::Server(format!("/metrics answers {}", answer.status)));
    }
    let of = |name: &str| sum(&answer.body, name);
    Ok(Look {
        disk_bytes,
        live_bytes: of("tidemill_live_bytes"),
        dead_bytes: of("tidemill_dead_bytes"),
        appended_bytes: of("tidemill_appended_bytes_total"),
        rewritten_bytes: of("tidemill_rewritten_bytes_total"),
        compactions: of("tidemill_compactions_total"),
        retired_segments: of("tidemill_retired_segments_total"),
        setbacks: of("tidemill_compaction_setbacks_total"),
    })
}

/// Bytes that the files of all lanes take.
fn disk_bytes(data: &Path) -> Result<u64, FlowError> {
    let failed =
        |error: std::io::Error| FlowError::File { what: data.display().to_string(), why: error.to_string() };
    let mut bytes = 0;
    for lane in std::fs::read_dir(data).map_err(failed)? {
        let lane = lane.map_err(failed)?;
        if !lane.file_name().to_string_lossy().starts_with("lane-") {
            continue;
        }
        for file in std::fs::read_dir(lane.path()).map_err(failed)? {
            match file.map_err(failed)?.metadata() {
                Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(bytes)
}
