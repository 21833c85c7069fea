//! `tidemill queue send`: messages from the command line, or from the lines of standard input.

use std::io::{self, BufRead};

use clap::Args;
use serde::Serialize;
use tidemill_client::{MessageAttribute, MessageAttributeValue, Outgoing, Queue, QueueName};
use tokio::sync::mpsc;

use super::change::parse_seconds;
use crate::connection::request_failed;
use crate::failure::{CommandError, Exit, Outcome, exit_of};
use crate::output::Output;

/// Messages of one request.
const BATCH_MESSAGES: usize = 100;
/// Bytes of the messages of one request, about.
const BATCH_BYTES: usize = 1 << 20;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidemill queue send work 'resize 17.png' 'resize 18.png'
  tail -f jobs | tidemill queue send work
  tidemill queue send orders.fifo --group c7 --deduplication 4711 '{\"item\": 3}'

Each line is a message without its end; they are sent as they come, and are durable when the command ends.";

/// What is sent, and how.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// The queue.
    name: QueueName,
    /// The messages. Without any, each line of standard input is one.
    messages: Vec<String>,
    /// The group whose order the messages keep; FIFO queues want one.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// What tells a message that is sent twice, of FIFO queues; for one message.
    #[arg(long, value_name = "ID", requires = "messages")]
    deduplication: Option<String>,
    /// How long nobody receives them, up to 15m; what the queue says if it is left out.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    delay: Option<u32>,
    /// A text beside the body, as in kind=invoice. Can be given more than once.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = parse_attribute)]
    attributes: Vec<MessageAttribute>,
}

#[derive(Serialize)]
struct Told {
    sent: u64,
}

impl Send {
    pub(super) fn name(&self) -> &QueueName {
        &self.name
    }

    pub(super) async fn run(mut self, queue: &Queue, output: Output) -> Outcome {
        if self.deduplication.is_some() && self.messages.len() > 1 {
            let text = "--deduplication is for one message: the others would be taken for the same";
            return Err(CommandError::new(Exit::Usage, text));
        }
        let (mut tried, mut sent) = (0, 0);
        let given = std::mem::take(&mut self.messages);
        let outcome = if given.is_empty() {
            self.send_lines(queue, &mut tried, &mut sent).await
        } else {
            let bodies: Vec<Vec<u8>> = given.into_iter().map(String::into_bytes).collect();
            self.send_all(queue, bodies, &mut tried, &mut sent).await
        };
        match outcome {
            Ok(()) => output.print(&Told { sent }, |told| format!("sent {}", counted(told.sent))),
            Err(error) if sent > 0 => Err(error.while_doing(format_args!("after {} sent", counted(sent)))),
            Err(error) => Err(error),
        }
    }

    /// Sends lines as they come: those that are there together, together.
    async fn send_lines(&self, queue: &Queue, tried: &mut u64, sent: &mut u64) -> Outcome {
        let (lines, mut read) = mpsc::channel(BATCH_MESSAGES);
        // A thread of its own: who reads a terminal cannot be interrupted.
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                let mut bytes = Vec::new();
                let line = match input.read_until(b'\n', &mut bytes) {
                    Ok(0) => return,
                    Ok(_) => Ok(without_end(bytes)),
                    Err(error) => Err(error),
                };
                let is_last = line.is_err();
                if lines.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        });
        let refused =
            |error: io::Error| CommandError::because(Exit::Failure, "cannot read standard input", &error);
        let mut batch = Vec::new();
        while let Some(line) = read.recv().await {
            batch.push(line.map_err(refused)?);
            let mut bytes = 0;
            while batch.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
                let Ok(line) = read.try_recv() else { break };
                let line = line.map_err(refused)?;
                bytes += line.len();
                batch.push(line);
            }
            self.send_all(queue, std::mem::take(&mut batch), tried, sent).await?;
        }
        Ok(())
    }

    async fn send_all(
        &self,
        queue: &Queue,
        bodies: Vec<Vec<u8>>,
        tried: &mut u64,
        sent: &mut u64,
    ) -> Outcome {
        let messages: Vec<Outgoing> = bodies.into_iter().map(|body| self.message(body)).collect();
        for some in messages.chunks(BATCH_MESSAGES) {
            let outcomes = queue.send(some).await.map_err(|error| request_failed(&error))?;
            // Those behind one that was refused were taken all the same.
            let first = *tried + 1;
            *tried += some.len() as u64;
            *sent += outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
            if let Some(refused) = outcomes.into_iter().find_map(Result::err) {
                let text = format!("message {}: {refused}", first + u64::from(refused.index));
                return Err(CommandError::new(exit_of(refused.code), text));
            }
        }
        Ok(())
    }

    fn message(&self, body: Vec<u8>) -> Outgoing {
        Outgoing {
            body: body.into(),
            attributes: self.attributes.clone(),
            group: self.group.clone(),
            deduplication: self.deduplication.clone(),
            delay_s: self.delay,
        }
    }
}

pub(super) fn counted(messages: u64) -> String {
    if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") }
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    line
}

fn parse_attribute(text: &str) -> Result<MessageAttribute, String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is no attribute: expected NAME=VALUE"))?;
    Ok(MessageAttribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: MessageAttributeValue::Text(value.to_owned()),
    })
}
