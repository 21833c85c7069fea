//! What can be said of a queue on the command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use tidemill_client::{Allow, QueueChange, QueueName, Redrive, Scope, ThroughputLimit};

use crate::failure::{CommandError, Outcome};
use crate::quantity::{parse_bytes, parse_span};

/// The arguments of [`Changes`], of which a change needs one at least.
pub(super) const NAMES: [&str; 11] = [
    "delay",
    "message_size",
    "retention",
    "wait",
    "visibility",
    "dead_letters",
    "allow",
    "content_deduplication",
    "scope",
    "limit",
    "policy",
];

/// What can be chosen for a queue; what is left out stays, or is the default.
#[derive(Clone, Debug, Args)]
pub(super) struct Changes {
    /// How long a message is hidden after it was sent, up to 15m.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    delay: Option<u32>,
    /// Largest message, body and attributes, from 1KiB to 1MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    message_size: Option<u32>,
    /// How long a message is kept, from 1m to 14d; 4d by default.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    retention: Option<u32>,
    /// How long a receive waits for a message if it does not say so itself, up to 20s.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    wait: Option<u32>,
    /// How long a message is hidden after it was received, up to 12h; 30s by default.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    visibility: Option<u32>,
    /// The queue that takes messages which were received so many times in vain, as in `failed:5`; or `none`.
    #[arg(long, value_name = "QUEUE:TIMES", value_parser = parse_redrive)]
    dead_letters: Option<DeadLetters>,
    /// Which queues may send their dead letters here: `all`, `none`, or up to ten names with commas.
    #[arg(long, value_name = "QUEUES", value_parser = parse_allow)]
    allow: Option<Allow>,
    /// Whether a message without a deduplication id gets the hash of its body; FIFO queues only.
    #[arg(long, value_name = "BOOL")]
    content_deduplication: Option<bool>,
    /// Among which messages a deduplication id tells the same; FIFO queues only.
    #[arg(long, value_name = "WHAT")]
    scope: Option<QueueOrGroup>,
    /// What the rate is counted for; `group` needs `--scope group`. FIFO queues only; one that is created so is spread over all lanes.
    #[arg(long, value_name = "WHAT")]
    limit: Option<QueueOrGroup>,
    /// File with the policy (JSON), or `none`.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Where dead letters go, if anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DeadLetters(Option<Redrive>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum QueueOrGroup {
    /// The whole queue.
    Queue,
    /// Each message group.
    Group,
}

pub(super) fn parse_seconds(text: &str) -> Result<u32, String> {
    let span = parse_span(text)?;
    match u32::try_from(span.as_secs()) {
        Ok(seconds) if span.subsec_nanos() == 0 => Ok(seconds),
        _ => Err(format!("{text:?} is no number of whole seconds below 2^32")),
    }
}

fn parse_size(text: &str) -> Result<u32, String> {
    u32::try_from(parse_bytes(text)?).map_err(|_| format!("{text:?} is not below 4GiB"))
}

fn parse_redrive(text: &str) -> Result<DeadLetters, String> {
    if text == "none" {
        return Ok(DeadLetters(None));
    }
    let (target, receives) =
        text.split_once(':').ok_or_else(|| format!("{text:?} is neither QUEUE:TIMES nor none"))?;
    let target = QueueName::from_str(target).map_err(|error| error.to_string())?;
    match receives.parse() {
        Ok(receives_max @ 1..) => Ok(DeadLetters(Some(Redrive { target, receives_max }))),
        _ => Err(format!("{receives:?} is no number of times, at least 1")),
    }
}

fn parse_allow(text: &str) -> Result<Allow, String> {
    match text {
        "all" => Ok(Allow::All),
        "none" => Ok(Allow::None),
        names => {
            let names = names.split(',').map(|name| QueueName::from_str(name.trim()));
            names.collect::<Result<_, _>>().map(Allow::By).map_err(|error| error.to_string())
        }
    }
}

impl TryFrom<Changes> for QueueChange {
    type Error = CommandError;

    fn try_from(changes: Changes) -> Outcome<Self> {
        Ok(Self {
            delay_s: changes.delay,
            message_bytes_max: changes.message_size,
            retention_s: changes.retention,
            wait_s: changes.wait,
            visibility_s: changes.visibility,
            redrive: changes.dead_letters.map(|DeadLetters(redrive)| redrive),
            redrive_allow: changes.allow,
            content_deduplication: changes.content_deduplication,
            scope: changes.scope.map(|scope| match scope {
                QueueOrGroup::Queue => Scope::Queue,
                QueueOrGroup::Group => Scope::Group,
            }),
            limit: changes.limit.map(|limit| match limit {
                QueueOrGroup::Queue => ThroughputLimit::Queue,
                QueueOrGroup::Group => ThroughputLimit::Group,
            }),
            policy: changes.policy.as_deref().map(read_policy).transpose()?,
        })
    }
}

fn read_policy(path: &Path) -> Outcome<Option<String>> {
    if path == Path::new("none") {
        return Ok(None);
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| CommandError::at_path(path, &error))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        changes: Changes,
    }

    fn parse(line: &str) -> Result<QueueChange, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        QueueChange::try_from(line.changes).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_said_is_what_changes() {
        assert_eq!(parse(""), Ok(QueueChange::default()));
        let target: QueueName = "failed".parse().expect("a name");
        let line = "--delay 2m --message-size 256KiB --retention 14d --wait 20s --visibility 1h30m --dead-letters failed:5 \
                    --allow a,b.fifo --content-deduplication true --scope group --limit queue";
        let expected = QueueChange {
            delay_s: Some(120),
            message_bytes_max: Some(262_144),
            retention_s: Some(1_209_600),
            wait_s: Some(20),
            visibility_s: Some(5_400),
            redrive: Some(Some(Redrive { target, receives_max: 5 })),
            redrive_allow: Some(Allow::By(["a", "b.fifo"].map(|name| name.parse().expect("a name")).into())),
            content_deduplication: Some(true),
            scope: Some(Scope::Group),
            limit: Some(ThroughputLimit::Queue),
            policy: None,
        };
        assert_eq!(parse(line), Ok(expected));
        let back = parse("--dead-letters none --allow none --policy none").expect("a change");
        assert_eq!(
            (back.redrive, back.redrive_allow, back.policy),
            (Some(None), Some(Allow::None), Some(None))
        );
        assert_eq!(parse("--allow all").map(|change| change.redrive_allow), Ok(Some(Allow::All)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let words =
            ["--delay 1500ms", "--delay x", "--message-size 8GiB", "--dead-letters failed", "--allow a.b"];
        let others =
            ["--dead-letters failed:0", "--dead-letters failed:many", "--dead-letters a.b:1", "--scope all"];
        for line in words.into_iter().chain(others).chain(["--policy /nowhere/at-all"]) {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_argument_is_named() {
        let command = <Line as clap::CommandFactory>::command();
        let names: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        assert_eq!(names, NAMES);
    }
}
