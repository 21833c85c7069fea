//! A queue as it is printed.

use std::time::Duration;

use serde::Serialize;
use tidemill_client::{Allow, QueueDescription, Scope, ThroughputLimit};

use crate::quantity::{show_count, show_span};
use crate::time::show_time;

/// The JSON form.
#[derive(Serialize)]
pub(super) struct Description {
    name: String,
    id: u64,
    created: String,
    modified: String,
    delay_s: u32,
    message_bytes_max: u32,
    retention_s: u32,
    wait_s: u32,
    visibility_s: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<DeadLetters>,
    /// `all`, `none`, or names.
    allow: Allowed,
    #[serde(skip_serializing_if = "Option::is_none")]
    fifo: Option<Fifo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// One for each partition.
    lanes: Vec<u32>,
}

#[derive(Serialize)]
struct DeadLetters {
    queue: String,
    receives_max: u32,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Allowed {
    Word(&'static str),
    Names(Vec<String>),
}

#[derive(Serialize)]
struct Fifo {
    content_deduplication: bool,
    scope: &'static str,
    limit: &'static str,
}

impl From<&QueueDescription> for Description {
    fn from(queue: &QueueDescription) -> Self {
        let settings = &queue.settings;
        Self {
            name: queue.name.to_string(),
            id: queue.id.get(),
            created: show_time(queue.created),
            modified: show_time(queue.modified),
            delay_s: settings.delay_s,
            message_bytes_max: settings.message_bytes_max,
            retention_s: settings.retention_s,
            wait_s: settings.wait_s,
            visibility_s: settings.visibility_s,
            dead_letters: settings.redrive.as_ref().map(|redrive| DeadLetters {
                queue: redrive.target.to_string(),
                receives_max: redrive.receives_max,
            }),
            allow: match &settings.redrive_allow {
                Allow::All => Allowed::Word("all"),
                Allow::None => Allowed::Word("none"),
                Allow::By(names) => Allowed::Names(names.iter().map(ToString::to_string).collect()),
            },
            fifo: settings.fifo.map(|fifo| Fifo {
                content_deduplication: fifo.content_deduplication,
                scope: match fifo.scope {
                    Scope::Queue => "queue",
                    Scope::Group => "group",
                },
                limit: match fifo.limit {
                    ThroughputLimit::Queue => "queue",
                    ThroughputLimit::Group => "group",
                },
            }),
            policy: settings.policy.clone(),
            lanes: queue.lanes.iter().map(|lane| lane.get()).collect(),
        }
    }
}

impl Description {
    /// For people.
    pub(super) fn text(&self) -> String {
        let span = |seconds: u32| show_span(Duration::from_secs(u64::from(seconds)));
        let kind = if self.fifo.is_some() { "FIFO queue" } else { "queue" };
        let lanes: Vec<_> = self.lanes.iter().map(ToString::to_string).collect();
        let mut lines = vec![
            format!(
                "{kind} {} (id {}), created {}, changed {}",
                self.name, self.id, self.created, self.modified
            ),
            format!(
                "messages: up to {} bytes, kept for {}, hidden for {} when sent and {} when received",
                show_count(u64::from(self.message_bytes_max)),
                span(self.retention_s),
                span(self.delay_s),
                span(self.visibility_s)
            ),
            format!("a receive waits for {}", span(self.wait_s)),
        ];
        lines.push(match &self.dead_letters {
            Some(DeadLetters { queue, receives_max }) => {
                format!("dead letters: to {queue} after {receives_max} receives")
            }
            None => "dead letters: none".to_owned(),
        });
        let senders = match &self.allow {
            Allowed::Word("all") => "all queues".to_owned(),
            Allowed::Word(_) => "no queue".to_owned(),
            Allowed::Names(names) => names.join(", "),
        };
        lines.push(format!("may send their dead letters here: {senders}"));
        if let Some(Fifo { content_deduplication, scope, limit }) = &self.fifo {
            let content = if *content_deduplication { "by content too" } else { "by id alone" };
            lines.push(format!(
                "deduplication: within each {scope}, {content}; rate counted for each {limit}"
            ));
        }
        lines.push(format!("policy: {}", self.policy.as_deref().unwrap_or("none")));
        lines.push(format!("lanes: {}", lanes.join(" ")));
        lines.join("\n")
    }
}
