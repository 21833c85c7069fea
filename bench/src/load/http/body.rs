//! Bodies of requests that are built before the clock starts.

use bytes::Bytes;
use tidemill_wire::StreamName;
use tidemill_wire::batch::BatchView;

use super::sender::{Prepared, Success};
use crate::error::BenchError;
use crate::http::{Digest, encode};
use crate::load::progress::Gain;
use crate::workload::Batch;

/// A put of the records of a batch: PutRecords, or PutRecord for one.
pub(super) fn of_records(stream: &StreamName, batch: Batch) -> Result<Prepared, BenchError> {
    let unreadable =
        || BenchError::Answer { request: "a batch", found: "what it was not built of".to_owned() };
    let records = BatchView::parse(batch.bytes).map_err(|_| unreadable())?;
    let records = records.into_records().map_err(|_| unreadable())?;
    let (mut entries, mut gain) = (Vec::new(), Gain { requests: 1, ..Gain::default() });
    for record in records {
        gain.bytes += (record.key.len() + record.data.len()) as u64;
        gain.records += 1;
        let key = String::from_utf8_lossy(&record.key);
        entries.push(format!("\"Data\":\"{}\",\"PartitionKey\":\"{key}\"", encode(&record.data)));
    }
    let (operation, success, body) = match &entries[..] {
        [only] => (
            "PutRecord",
            Success::Has("\"SequenceNumber\""),
            format!("{{{only},\"StreamName\":\"{stream}\"}}"),
        ),
        _ => {
            let entries = entries.join("},{");
            let body = format!("{{\"Records\":[{{{entries}}}],\"StreamName\":\"{stream}\"}}");
            ("PutRecords", Success::Has("\"FailedRecordCount\":0"), body)
        }
    };
    Ok(prepare(operation, success, body, "\"Data\":\"", gain, Some(batch.shard)))
}

/// A send of messages with these bodies: SendMessageBatch, or SendMessage for one.
pub(super) fn of_messages(queue: &str, texts: &[String]) -> Prepared {
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let gain = Gain { bytes, records: texts.len() as u64, requests: 1 };
    let (operation, success, body) = match texts {
        [only] => {
            let body = format!("{{\"QueueUrl\":\"{queue}\",\"MessageBody\":\"{only}\"}}");
            ("SendMessage", Success::Has("\"MessageId\""), body)
        }
        _ => {
            let entry =
                |(id, text): (usize, &String)| format!("{{\"Id\":\"{id}\",\"MessageBody\":\"{text}\"}}");
            let entries: Vec<String> = texts.iter().enumerate().map(entry).collect();
            let body = format!("{{\"QueueUrl\":\"{queue}\",\"Entries\":[{}]}}", entries.join(","));
            ("SendMessageBatch", Success::HasNot("\"Failed\":[{"), body)
        }
    };
    prepare(operation, success, body, "\"MessageBody\":\"", gain, None)
}

fn prepare(
    operation: &'static str,
    success: Success,
    body: String,
    text: &str,
    gain: Gain,
    shard: Option<tidemill_wire::ShardIndex>,
) -> Prepared {
    let stamp_at = body.find(text).map_or(0, |at| at + text.len());
    let body = Bytes::from(body);
    Prepared { operation, digest: Digest::of(&body), body, stamp_at, success, gain, shard }
}
