//! Messages that are sent, received and deleted in batches, over a queue with a backlog or without: how many go through, and how long each step takes.

use std::time::Duration;

use tidemill_wire::QueueName;
use tidemill_wire::limits::QUEUE_BATCH_MESSAGES_MAX;
use tidemill_wire::message::{
    CreateQueue, ErrorCode, Failure, QueueChange, QueueDescription, RequestBody, ResponseBody,
};

use super::{Outcome, Scenario, outcome};
use crate::connection::{Control, refusal};
use crate::error::BenchError;
use crate::load::{Flow, Part, PartEnd, Target};
use crate::options::Options;
use crate::watch::Watch;

/// Messages in flight of a queue's partition, at most; slots that have more would wait for each other.
const IN_FLIGHT_MAX: u64 = 120_000;

pub(super) fn run(options: &Options, target: &Target, watch: &mut dyn Watch) -> Result<Outcome, BenchError> {
    check(options)?;
    let (mut control, _) = Control::open(&options.server, options.answer_timeout)?;
    let name = QueueName::new(options.stream.as_str())
        .map_err(|error| BenchError::Answer { request: "create queue", found: error.to_string() })?;
    let (queue, is_own) = open(&mut control, &name)?;
    drop(control);
    let result = fill(options, target, &queue, watch).and_then(|()| {
        let mut part = Part::new("queue", Flow::In, options);
        part.cyclers(options, target, &queue)?;
        part.run(options, target, watch)
    });
    if is_own && !options.keep_stream {
        let (mut control, _) = Control::open(&options.server, options.answer_timeout)?;
        match control.ask("delete queue", RequestBody::DeleteQueue(name))? {
            ResponseBody::Done => {}
            other => return Err(refusal("delete queue", other)),
        }
    }
    Ok(outcome(Scenario::Queue, options, target, vec![result?]))
}

fn check(options: &Options) -> Result<(), BenchError> {
    let within = |option, value: u64, max: u64| {
        let refusal = BenchError::Option { option, value, min: 1, max };
        if (1..=max).contains(&value) { Ok(()) } else { Err(refusal) }
    };
    within("batch", options.batch_records.into(), QUEUE_BATCH_MESSAGES_MAX.into())?;
    let at_once =
        u64::from(options.connections) * u64::from(options.in_flight) * u64::from(options.batch_records);
    within("connections × in-flight × batch", at_once, IN_FLIGHT_MAX)?;
    let defaults = Options::new("", options.stream.clone());
    let needs = "a scenario of streams";
    if options.shards != defaults.shards {
        return Err(BenchError::NoEffect { option: "shards", needs });
    }
    if options.retention_bytes != defaults.retention_bytes {
        return Err(BenchError::NoEffect { option: "retention", needs });
    }
    Ok(())
}

/// The queue, and whether it is this run's own.
fn open(control: &mut Control, name: &QueueName) -> Result<(QueueDescription, bool), BenchError> {
    match control.ask("describe queue", RequestBody::DescribeQueue(name.clone()))? {
        ResponseBody::QueueDescription(queue) => return Ok((queue, false)),
        ResponseBody::Failed(Failure { code: ErrorCode::UnknownQueue, .. }) => {}
        other => return Err(refusal("describe queue", other)),
    }
    let create = CreateQueue { name: name.clone(), settings: QueueChange::default() };
    match control.ask("create queue", RequestBody::CreateQueue(create))? {
        ResponseBody::QueueDescription(queue) => Ok((queue, true)),
        other => Err(refusal("create queue", other)),
    }
}

fn fill(
    options: &Options,
    target: &Target,
    queue: &QueueDescription,
    watch: &mut dyn Watch,
) -> Result<(), BenchError> {
    if options.backlog == 0 {
        return Ok(());
    }
    watch.note(&format!("sending {} messages ahead", options.backlog));
    let bytes = options.backlog.saturating_mul(options.record_bytes.range().1.into());
    let mut part = Part::new("backlog", Flow::In, options);
    (part.warm_up, part.end) = (Duration::ZERO, PartEnd::Bytes(bytes));
    part.fillers(options, target, queue)?;
    part.run(options, target, watch).map(drop)
}
