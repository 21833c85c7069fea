//! `tidemill stream`: create, list, describe, update, split, merge, scale and delete streams.

mod description;
mod quota;
#[cfg(test)]
mod tests;

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use tidemill_client::{
    Admin, ErrorCode, HashKey, HashKeyRange, KeyCompaction, Settings, ShardIndex, StreamDescription,
    StreamName,
};

use super::block_on;
use crate::connection::{connect, request_failed};
use crate::failure::{CommandError, Exit, Outcome};
use crate::output::{Output, Table};
use crate::quantity::{parse_bytes, parse_span, show_span};
use crate::time::show_time;

use description::Description;
use quota::QuotaRule;

/// Create, list, describe, update, split, merge, scale and delete streams.
#[derive(Debug, Args)]
pub(crate) struct Stream {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a stream.
    #[command(after_help = "Examples:
  tidemill stream create logs --shards 4
  tidemill stream create logs --quota off --retention 7d --retention-bytes 10GiB")]
    Create {
        /// Its name: 1 to 128 letters, digits, '_', '.' and '-'.
        name: StreamName,
        /// How many shards divide the keys. Order is kept within a shard.
        #[arg(long, value_name = "N", default_value_t = 1)]
        shards: u32,
        #[command(flatten)]
        changes: Changes,
        /// Succeed if a stream of this name exists, and leave it as it is.
        #[arg(long)]
        if_missing: bool,
    },
    /// List all streams by name.
    #[command(after_help = "Examples:
  tidemill stream list
  tidemill stream list --json | jq -r '.[].name'")]
    List,
    /// Show a stream's settings, and the sequence numbers, bytes and hash keys of each shard.
    #[command(after_help = "Examples:
  tidemill stream describe logs
  tidemill stream describe logs --json | jq '.shards[].next_sequence'")]
    Describe {
        /// The stream.
        name: StreamName,
    },
    /// Change a stream's settings.
    #[command(group = ArgGroup::new("change").args(["retention", "retention_bytes", "quota", "compact", "tombstone_age"]).multiple(true).required(true))]
    #[command(after_help = "Examples:
  tidemill stream update logs --retention 48h
  tidemill stream update logs --quota write=5MB       other rates stay
  tidemill stream update state --compact keys")]
    Update {
        /// The stream.
        name: StreamName,
        #[command(flatten)]
        changes: Changes,
    },
    /// Split a shard in two. Records of a key keep their order: those in the shard come before those in its children.
    #[command(after_help = "Examples:
  tidemill stream split logs 0
  tidemill stream split logs 0 --at 85070591730234615865843651857942052864")]
    Split {
        /// The stream.
        name: StreamName,
        /// The shard's index.
        shard: u32,
        /// The hash key at which the second half begins; the middle of the shard unless it is given.
        #[arg(long, value_name = "KEY")]
        at: Option<u128>,
    },
    /// Merge two shards whose hash keys follow each other.
    #[command(after_help = "Examples:
  tidemill stream merge logs 0 1")]
    Merge {
        /// The stream.
        name: StreamName,
        /// The index of one shard.
        shard: u32,
        /// The index of the other.
        adjacent: u32,
    },
    /// Divide the keys evenly among another number of shards, half to twice as many as there are.
    #[command(after_help = "Examples:
  tidemill stream scale logs 8")]
    Scale {
        /// The stream.
        name: StreamName,
        /// How many shards it is to have.
        shards: u32,
    },
    /// Delete streams and all their records. There is no way back.
    #[command(after_help = "Examples:
  tidemill stream delete logs
  tidemill stream delete logs old-logs --if-present")]
    Delete {
        /// The streams.
        #[arg(required = true)]
        names: Vec<StreamName>,
        /// Succeed if there is no such stream.
        #[arg(long)]
        if_present: bool,
    },
}

/// What can be chosen for a stream; what is left out stays, or is the server's default.
#[derive(Clone, Debug, Args)]
struct Changes {
    /// How long records are kept at least, as in 24h or 7d; with --compact keys also `forever`, which a new stream has then.
    #[arg(long, value_name = "SPAN", value_parser = parse_retention)]
    retention: Option<Duration>,
    /// How many bytes each shard keeps, as in 10GiB; 0 for no bound.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    retention_bytes: Option<u64>,
    /// Rates of each shard a second: `off`, or parts as in `write=1MB,records=1000,read=2MB,calls=5`, of which the last is for GetRecords of AWS clients. A part that is left out
    /// stays as it is; of a new stream it is off.
    #[arg(long, value_name = "RATES")]
    quota: Option<QuotaRule>,
    /// `keys` keeps the last record of each key and removes those before it some time after; records without a key stay, and one
    /// without data removes its key in the end. `off` keeps all records for their time.
    #[arg(long, value_name = "WHAT")]
    compact: Option<Compact>,
    /// How long a record without data is kept before its key is gone, so that readers learn of it; 24h by default.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    tombstone_age: Option<Duration>,
}

/// What is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Compact {
    Keys,
    Off,
}

/// A tombstone's time when it is not given.
const TOMBSTONE_AGE: Duration = Duration::from_secs(24 * 3_600);

/// A span of time, or none: 0 stands for no bound.
fn parse_retention(text: &str) -> Result<Duration, String> {
    if text.trim() == "forever" { Ok(Duration::ZERO) } else { parse_span(text) }
}

impl Changes {
    /// What is asked for, with the present description for what a part of a setting leaves out.
    fn key_compaction(&self, present: Option<&StreamDescription>) -> Outcome<Option<KeyCompaction>> {
        let before = present.map_or(KeyCompaction::Off, |stream| stream.key_compaction);
        let is_on = match self.compact {
            Some(compact) => compact == Compact::Keys,
            None => before != KeyCompaction::Off,
        };
        match (is_on, self.tombstone_age, self.compact) {
            (false, Some(_), _) => {
                Err(CommandError::new(Exit::Usage, "--tombstone-age needs --compact keys"))
            }
            (_, None, None) => Ok(None),
            (false, None, Some(_)) => Ok(Some(KeyCompaction::Off)),
            (true, age, _) => {
                let present = match before {
                    KeyCompaction::On { tombstone_ms } => tombstone_ms,
                    KeyCompaction::Off => milliseconds(TOMBSTONE_AGE),
                };
                let tombstone_ms = age.map_or(present, milliseconds);
                Ok(Some(KeyCompaction::On { tombstone_ms }))
            }
        }
    }
}

/// A line of the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    id: u64,
    shards: u32,
    retention_ms: u64,
    created: String,
}

impl Stream {
    pub(crate) fn run(self, server: &str, output: Output) -> Outcome {
        block_on(async move {
            let admin = connect(server).await?.admin();
            match self.action {
                Action::Create { name, shards, changes, if_missing } => {
                    create(&admin, &name, shards, &changes, if_missing, output).await
                }
                Action::List => list(&admin, output).await,
                Action::Describe { name } => {
                    show(&admin.describe_stream(&name).await.map_err(|error| request_failed(&error))?, output)
                }
                Action::Update { name, changes } => update(&admin, &name, &changes, output).await,
                Action::Split { name, shard, at } => {
                    split(&admin, &name, ShardIndex(shard), at, output).await
                }
                Action::Merge { name, shard, adjacent } => {
                    let merged = admin.merge_shards(&name, ShardIndex(shard), ShardIndex(adjacent)).await;
                    show(&merged.map_err(|error| request_failed(&error))?, output)
                }
                Action::Scale { name, shards } => {
                    let scaled = admin.scale_stream(&name, shards).await;
                    show(&scaled.map_err(|error| request_failed(&error))?, output)
                }
                Action::Delete { names, if_present } => delete(&admin, &names, if_present, output).await,
            }
        })
    }
}

async fn create(
    admin: &Admin,
    name: &StreamName,
    shards: u32,
    changes: &Changes,
    if_missing: bool,
    output: Output,
) -> Outcome {
    let settings = Settings {
        retention_ms: changes.retention.map(milliseconds),
        retention_bytes: changes.retention_bytes,
        quota: changes.quota.map(|rule| rule.over(tidemill_client::Quota::OFF)),
        key_compaction: changes.key_compaction(None)?,
        read_calls_per_second: changes.quota.map(|rule| rule.calls().unwrap_or(0)),
    };
    let created = match admin.create_stream(name, shards, settings).await {
        Err(error) if if_missing && error.code() == Some(ErrorCode::StreamExists) => {
            admin.describe_stream(name).await
        }
        created => created,
    };
    let created = created.map_err(|error| request_failed(&error))?;
    output.print(&Description::from(&created), |description| description.summary())
}

async fn update(admin: &Admin, name: &StreamName, changes: &Changes, output: Output) -> Outcome {
    let mut settings = Settings {
        retention_ms: changes.retention.map(milliseconds),
        retention_bytes: changes.retention_bytes,
        read_calls_per_second: changes.quota.and_then(QuotaRule::calls),
        ..Settings::default()
    };
    if changes.quota.is_some() || changes.compact.is_some() || changes.tombstone_age.is_some() {
        let present = admin.describe_stream(name).await.map_err(|error| request_failed(&error))?;
        settings.quota = changes.quota.map(|rule| rule.over(present.quota));
        settings.key_compaction = changes.key_compaction(Some(&present))?;
    }
    let updated = admin.update_stream(name, settings).await.map_err(|error| request_failed(&error))?;
    output.print(&Description::from(&updated), |description| description.summary())
}

async fn split(
    admin: &Admin,
    name: &StreamName,
    shard: ShardIndex,
    at: Option<u128>,
    output: Output,
) -> Outcome {
    let at = match at {
        Some(at) => HashKey(at),
        None => {
            let present = admin.describe_stream(name).await.map_err(|error| request_failed(&error))?;
            let range = present.shards.iter().find(|known| known.index == shard).map(|known| known.range);
            // The server tells what is wrong with a shard that is not there.
            range.map_or(HashKey(0), |HashKeyRange { start, end }| {
                HashKey(start.0 + (end.0 - start.0).div_ceil(2))
            })
        }
    };
    let changed = admin.split_shard(name, shard, at).await.map_err(|error| request_failed(&error))?;
    show(&changed, output)
}

/// A stream with its shards, as `describe` shows it.
fn show(stream: &StreamDescription, output: Output) -> Outcome {
    output.print(&Description::from(stream), Description::text)
}

async fn list(admin: &Admin, output: Output) -> Outcome {
    let streams = admin.list_streams().await.map_err(|error| request_failed(&error))?;
    let listed: Vec<Listed> = streams
        .iter()
        .map(|stream| Listed {
            name: stream.name.to_string(),
            id: stream.id.get(),
            shards: stream.shards,
            retention_ms: stream.retention_ms,
            created: show_time(stream.created),
        })
        .collect();
    output.print(&listed, |listed| {
        let mut table = Table::new(["NAME", ">SHARDS", ">RETENTION", "CREATED"]);
        for stream in listed {
            let retention = show_retention(stream.retention_ms);
            table.row([stream.name.clone(), stream.shards.to_string(), retention, stream.created.clone()]);
        }
        table.render()
    })
}

async fn delete(admin: &Admin, names: &[StreamName], if_present: bool, output: Output) -> Outcome {
    let mut deleted = Vec::new();
    let mut outcome = Ok(());
    for name in names {
        match admin.delete_stream(name).await {
            Ok(()) => deleted.push(name.as_str()),
            Err(error) if if_present && error.code() == Some(ErrorCode::UnknownStream) => {}
            Err(error) => {
                outcome = Err(request_failed(&error));
                break;
            }
        }
    }
    // What is gone is told also when another one could not be deleted.
    let text = if deleted.is_empty() { String::new() } else { format!("deleted {}", deleted.join(" ")) };
    outcome.and(output.print(&serde_json::json!({ "deleted": deleted }), |_| text))
}

/// A retention by age, where 0 stands for no bound.
fn show_retention(retention_ms: u64) -> String {
    if retention_ms == 0 { "forever".to_owned() } else { show_span(Duration::from_millis(retention_ms)) }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
