//! `tidemill log`: looks at the files of a data directory while no server runs on it.

mod listing;
mod owners;
mod repair;
mod report;

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rustix::fs::{FlockOperation, flock};
use tidemill_storage::inspect::{LaneReport, inspect, verify};
use tidemill_storage::local::LocalEnv;

use crate::failure::{CommandError, Exit, Outcome, chain};
use crate::output::{Output, note};

use report::{Report, Size};

/// Look at the log files of a data directory, offline, and repair them.
///
/// Nothing is changed and no right to write is needed, but for repair --apply.
#[derive(Debug, Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the segments of each lane: state, times, entries, live bytes, and with --owners whose records they hold.
    ///
    /// Live is what a start would let readers reach; what retention will say of it is not known to the files. Of each owner's part, IS tells whether it
    /// is live, dead, or only the next number of an owner whose records are gone.
    #[command(after_help = "Examples:
  tidemill log inspect /var/lib/tidemill
  tidemill log inspect /var/lib/tidemill/lane-000 --owners --json
  tidemill log inspect ./data --lane 0 --entries | grep 'owner 7 '")]
    Inspect {
        #[command(flatten)]
        place: Place,
        /// Show what each shard has in each segment.
        #[arg(long)]
        owners: bool,
        /// Show each entry instead, one a line, stray ones behind broken bytes included.
        #[arg(long, conflicts_with = "owners")]
        entries: bool,
    },
    /// Read every byte and check it: each entry's checksum and order, each footer against its entries, each segment against the others.
    ///
    /// Prints what is damaged with file and offset. Exit code 0 if all is sound, 5 if something is damaged. An unfinished end of
    /// the last segment is what a crash leaves and no damage: it was never acknowledged.
    #[command(after_help = "Examples:
  tidemill log verify /var/lib/tidemill
  tidemill log verify ./data --json | jq '.lanes[].segments[].findings[]'")]
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Bring a damaged lane back, with everything that can still be read; only with --apply, else tell what that would do.
    ///
    /// Entries of a damaged segment are copied to a new one in its place, and the original is moved aside, never changed. Says which
    /// sequence numbers of which owners have lost their records: readers pass over them, and they are not given out again. The server must be down.
    /// Exit code 5 if something is damaged and --apply was not given, or if no repair is possible.
    #[command(after_help = "Examples:
  tidemill log repair /var/lib/tidemill
  tidemill log repair /var/lib/tidemill --lane 2 --apply")]
    Repair {
        #[command(flatten)]
        place: Place,
        /// Do it.
        #[arg(long)]
        apply: bool,
        /// Where damaged originals go, on the same file system; beside the lane as lane-NNN.damaged if not given.
        #[arg(long, value_name = "DIR")]
        aside: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, Args)]
struct Place {
    /// The data directory, or one lane's directory in it.
    directory: PathBuf,
    /// Only this lane.
    #[arg(long, value_name = "N")]
    lane: Option<u32>,
}

impl Log {
    pub(crate) fn run(&self, output: Output) -> Outcome {
        match &self.action {
            Action::Repair { place, apply, aside } => repair::run(place, aside.as_deref(), *apply, output),
            Action::Inspect { place, entries: true, .. } => listing::print(place, output),
            Action::Inspect { place, owners, entries: false } => {
                let size = if *owners { Size::Owners } else { Size::Segments };
                output.print(&Report::new(&place.examine(false)?, size), Report::text)
            }
            Action::Verify { place } => {
                let lanes = place.examine(true)?;
                output.print(&Report::new(&lanes, Size::Findings), Report::text)?;
                match report::first_damage(&lanes) {
                    None => Ok(()),
                    Some(damage) => Err(CommandError::new(Exit::Damaged, damage)),
                }
            }
        }
    }
}

impl Place {
    /// Reads the lanes, every byte of them if `whole`.
    fn examine(&self, whole: bool) -> Outcome<Vec<LaneReport>> {
        let directories = self.lanes()?;
        if is_in_use(&self.directory) {
            note(
                "tidemill: a server runs on this directory; what it is writing may look unfinished or damaged",
            );
        }
        let env = local_env()?;
        let read = |directory: &PathBuf| {
            let report = env.block_on(async {
                if whole { verify(&env, directory).await } else { inspect(&env, directory).await }
            });
            report.map_err(|error| CommandError::new(Exit::Failure, chain(&error)))
        };
        directories.iter().map(read).collect()
    }

    /// The directories of the lanes, in their order.
    fn lanes(&self) -> Outcome<Vec<PathBuf>> {
        let entries = std::fs::read_dir(&self.directory)
            .map_err(|error| CommandError::at_path(&self.directory, &error))?;
        let mut lanes: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_lane(path)).collect();
        lanes.sort();
        if is_lane(&self.directory) {
            lanes = vec![self.directory.clone()];
        }
        let absent =
            |what: String| CommandError::new(Exit::NotFound, format!("{}: {what}", self.directory.display()));
        if lanes.is_empty() {
            return Err(absent("is no data directory: there is no lane-* in it".to_owned()));
        }
        if let Some(wanted) = self.lane {
            lanes.retain(|path| lane_number(path) == Some(wanted));
            if lanes.is_empty() {
                return Err(absent(format!("has no lane {wanted}")));
            }
        }
        Ok(lanes)
    }
}

fn local_env() -> Outcome<LocalEnv> {
    LocalEnv::new().map_err(|error| CommandError::because(Exit::Failure, "io_uring", &error))
}

fn is_lane(path: &Path) -> bool {
    path.is_dir() && lane_number(path).is_some()
}

fn lane_number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("lane-")?.parse().ok()
}

/// Whether a server holds the directory's lock.
fn is_in_use(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join("LOCK")) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
}
