//! `tidemill queue receive`: prints messages, and deletes them once they are printed if it is asked to.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tidemill_client::{MessageAttributeValue, MessageReceipt, Queue, QueueName, ReceiveOptions, Received};

use crate::connection::request_failed;
use crate::failure::{CommandError, Exit, Outcome, exit_of};
use crate::output::record::text_or_base64;
use crate::output::{Output, buffered};
use crate::quantity::parse_span;
use crate::signal::Signals;
use crate::time::show_time;

/// Messages of one request.
const BATCH_MESSAGES: u64 = 10;

/// How long one request waits at most.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) const EXAMPLES: &str = "\
Examples:
  tidemill queue receive work                      one, which comes back later
  tidemill queue receive work --max 100 --delete   up to 100, for good
  tidemill queue receive work --wait 20s --max 1000 --delete --json | jq .body
  tidemill queue receive orders.fifo --attempt 7f3a   the same if asked twice

Ends when it has so many, or when none has come for as long as --wait says; it is no failure if there were none. With --delete \
a message is deleted after it was printed, so one that is printed may come again if the command is interrupted, and none is lost.";

/// What is received, and what becomes of it.
#[derive(Debug, Args)]
pub(super) struct Receive {
    /// The queue.
    name: QueueName,
    /// So many messages at most.
    #[arg(long, value_name = "N", default_value_t = 1)]
    max: u64,
    /// How long to wait for a message when there is none.
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = parse_span)]
    wait: Duration,
    /// How long the messages are hidden from others, up to 12h; what the queue says if it is left out.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    visibility: Option<Duration>,
    /// Names the attempt, of a FIFO queue: the same one within five minutes gets the same messages again, ten at most.
    #[arg(long, value_name = "ID", value_parser = attempt_id)]
    attempt: Option<String>,
    /// Delete what was printed.
    #[arg(long, visible_alias = "ack")]
    delete: bool,
}

/// A message as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    id: String,
    sent: String,
    receives: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplication: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_source: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl Receive {
    pub(super) fn name(&self) -> &QueueName {
        &self.name
    }

    pub(super) async fn run(self, queue: &Queue, output: Output) -> Outcome {
        self.check()?;
        let signals = Signals::catch()?;
        tokio::select! {
            received = self.receive(queue, output) => received,
            () = signals.received(1) => {
                Err(CommandError::new(Exit::Interrupted, "interrupted: what was not deleted comes back"))
            }
        }
    }

    async fn receive(&self, queue: &Queue, output: Output) -> Outcome {
        let (mut left, mut waited) = (self.max, Duration::ZERO);
        while left > 0 {
            // The server waits a minute at a time.
            let wait = self.wait.saturating_sub(waited).min(WAIT_MAX);
            let options = ReceiveOptions {
                messages_max: u32::try_from(left.min(BATCH_MESSAGES)).unwrap_or(1),
                wait,
                visibility: self.visibility,
                attempt: self.attempt.clone(),
            };
            let received = queue.receive(options).await.map_err(|error| request_failed(&error))?;
            if received.is_empty() {
                waited += wait;
                if waited >= self.wait {
                    return Ok(());
                }
                continue;
            }
            waited = Duration::ZERO;
            left = left.saturating_sub(received.len() as u64);
            print(&received, output)?;
            if self.delete {
                let receipts: Vec<MessageReceipt> = received.iter().map(|message| message.receipt).collect();
                let refused = queue.delete(&receipts).await.map_err(|error| request_failed(&error))?;
                if let Some(refused) = refused.first() {
                    let text = format!("a message was not deleted and may come again: {refused}");
                    return Err(CommandError::new(exit_of(refused.code), text));
                }
            }
            if self.attempt.is_some() {
                // Another request by this name is the same attempt.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Refuses more messages than an attempt gets.
    fn check(&self) -> Outcome {
        if self.attempt.is_some() && self.max > BATCH_MESSAGES {
            let text = format!(
                "--max {} with --attempt is over {BATCH_MESSAGES}: an attempt is one request",
                self.max
            );
            return Err(CommandError::new(Exit::Usage, text));
        }
        Ok(())
    }
}

/// The name of an attempt, as the server takes it.
fn attempt_id(text: &str) -> Result<String, String> {
    match text {
        _ if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => Err("1 to 128 printable ASCII characters name an attempt".to_owned()),
    }
}

fn print(received: &[Received], output: Output) -> Outcome {
    let mut out = buffered();
    let mut write = || {
        for message in received {
            if output.is_json() {
                serde_json::to_writer(&mut out, &Printed::from(message))?;
            } else {
                out.write_all(&message.body)?;
            }
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    write().map_err(|error| CommandError::output(&error))
}

impl<'a> From<&'a Received> for Printed<'a> {
    fn from(message: &'a Received) -> Self {
        let (body, body_base64) = text_or_base64(&message.body);
        let attributes = message.attributes.iter().map(|attribute| {
            let (value, value_base64) = match &attribute.value {
                MessageAttributeValue::Text(text) => (Some(text.as_str()), None),
                MessageAttributeValue::Binary(bytes) => text_or_base64(bytes),
            };
            let shown = Attribute { r#type: &attribute.data_type, value, value_base64 };
            (attribute.name.as_str(), shown)
        });
        Self {
            id: format!("{:032x}", message.id.0),
            sent: show_time(message.sent),
            receives: message.receipt.receives,
            group: message.group.as_deref(),
            deduplication: message.deduplication.as_deref(),
            dead_letter_source: message.dead_letter_source.as_deref(),
            attributes: attributes.collect(),
            body,
            body_base64,
        }
    }
}
