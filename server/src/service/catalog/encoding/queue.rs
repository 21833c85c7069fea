//! The bytes of a queue.

use tidemill_wire::{LaneId, OwnerId, Timestamp};

use super::{DecodeError, Reader, encode_tags};
use crate::service::queue_definition::{
    Allow, Definition, Fifo, Partition, QueueId, QueueName, QueueSettings, Redrive, Scope, ThroughputLimit,
};

/// Version of the values of queues.
const VERSION: u8 = 1;
/// Stands for no dead-letter queue where receives are counted.
const NO_REDRIVE: u32 = 0;
/// Stands for no policy where its bytes are counted.
const NO_POLICY: u16 = u16::MAX;
/// Bytes of a partition.
const PARTITION_BYTES: usize = 20;

const ALLOW_ALL: u8 = 0;
const ALLOW_NONE: u8 = 1;
const ALLOW_BY: u8 = 2;

const IS_FIFO: u8 = 1;
const DEDUPLICATES_CONTENT: u8 = 2;
const SCOPE_IS_GROUP: u8 = 4;
const LIMIT_IS_GROUP: u8 = 8;
const FIFO_BITS: u8 = IS_FIFO | DEDUPLICATES_CONTENT | SCOPE_IS_GROUP | LIMIT_IS_GROUP;

pub(in super::super) fn encode_queue(queue: &Definition) -> Vec<u8> {
    let settings = &queue.settings;
    let mut out = vec![VERSION];
    for number in [queue.id.0, queue.created.get(), queue.modified.get()] {
        out.extend(number.to_le_bytes());
    }
    for number in [
        settings.delay_s,
        settings.message_bytes_max,
        settings.retention_s,
        settings.wait_s,
        settings.visibility_s,
    ] {
        out.extend(number.to_le_bytes());
    }
    encode_name(&mut out, &queue.name);
    match &settings.redrive {
        Some(redrive) => {
            out.extend(redrive.receives_max.to_le_bytes());
            encode_name(&mut out, &redrive.target);
        }
        None => out.extend(NO_REDRIVE.to_le_bytes()),
    }
    encode_allow(&mut out, &settings.redrive_allow);
    out.push(settings.fifo.map_or(0, fifo_bits));
    let policy = settings.policy.as_deref();
    let length = policy.map_or(NO_POLICY, |policy| {
        u16::try_from(policy.len()).expect("the rules bound a policy to less than 64 KiB")
    });
    out.extend(length.to_le_bytes());
    out.extend(policy.unwrap_or_default().as_bytes());
    let partitions = u32::try_from(queue.partitions.len()).expect("a lane has one partition at most");
    out.extend(partitions.to_le_bytes());
    for partition in &queue.partitions {
        out.extend(partition.lane.get().to_le_bytes());
        out.extend(partition.messages.get().to_le_bytes());
        out.extend(partition.journal.get().to_le_bytes());
    }
    encode_tags(&mut out, &queue.tags);
    out
}

fn encode_name(out: &mut Vec<u8>, name: &QueueName) {
    let name = name.as_str().as_bytes();
    out.push(u8::try_from(name.len()).expect("a queue's name has at most 80 bytes"));
    out.extend(name);
}

fn encode_allow(out: &mut Vec<u8>, allow: &Allow) {
    match allow {
        Allow::All => out.push(ALLOW_ALL),
        Allow::None => out.push(ALLOW_NONE),
        Allow::By(names) => {
            out.push(ALLOW_BY);
            out.push(u8::try_from(names.len()).expect("the rules bound the names to ten"));
            names.iter().for_each(|name| encode_name(out, name));
        }
    }
}

fn fifo_bits(fifo: Fifo) -> u8 {
    let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    IS_FIFO
        | bit(fifo.content_deduplication, DEDUPLICATES_CONTENT)
        | bit(fifo.scope == Scope::Group, SCOPE_IS_GROUP)
        | bit(fifo.limit == ThroughputLimit::Group, LIMIT_IS_GROUP)
}

pub(in super::super) fn decode_queue(bytes: &[u8]) -> Result<Definition, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let id = QueueId(reader.u64("queue id")?);
    let created = Timestamp(reader.u64("created")?);
    let modified = Timestamp(reader.u64("modified")?);
    let delay_s = reader.u32("delay")?;
    let message_bytes_max = reader.u32("message bytes")?;
    let retention_s = reader.u32("retention")?;
    let wait_s = reader.u32("wait")?;
    let visibility_s = reader.u32("visibility")?;
    let name = decode_name(&mut reader, "queue name")?;
    let redrive = match reader.u32("receives")? {
        NO_REDRIVE => None,
        receives_max => {
            Some(Redrive { target: decode_name(&mut reader, "dead-letter queue")?, receives_max })
        }
    };
    let redrive_allow = decode_allow(&mut reader)?;
    let fifo = decode_fifo(&mut reader)?;
    let policy = match reader.u16("policy")? {
        NO_POLICY => None,
        length => Some(reader.text_of("policy", usize::from(length))?),
    };
    let partitions = decode_partitions(&mut reader)?;
    let tags = reader.tags(0)?;
    let settings = QueueSettings {
        delay_s,
        message_bytes_max,
        retention_s,
        wait_s,
        visibility_s,
        redrive,
        redrive_allow,
        fifo,
        policy,
    };
    reader.end(Definition { id, name, created, modified, settings, tags, partitions })
}

fn decode_name(reader: &mut Reader<'_>, field: &'static str) -> Result<QueueName, DecodeError> {
    let length = usize::from(reader.u8(field)?);
    let text = reader.text_of(field, length)?;
    QueueName::new(&text).map_err(|error| impossible(field, format!("{:?}", error.text)))
}

fn decode_allow(reader: &mut Reader<'_>) -> Result<Allow, DecodeError> {
    match reader.u8("redrive allow")? {
        ALLOW_ALL => Ok(Allow::All),
        ALLOW_NONE => Ok(Allow::None),
        ALLOW_BY => {
            let count = reader.u8("allowed queues")?;
            let names = (0..count).map(|_| decode_name(reader, "allowed queue"));
            names.collect::<Result<_, _>>().map(Allow::By)
        }
        found => Err(impossible("redrive allow", found.to_string())),
    }
}

fn decode_fifo(reader: &mut Reader<'_>) -> Result<Option<Fifo>, DecodeError> {
    let bits = reader.u8("fifo")?;
    let has = |bit: u8| bits & bit != 0;
    match bits {
        0 => Ok(None),
        _ if has(!FIFO_BITS) || !has(IS_FIFO) => Err(impossible("fifo", bits.to_string())),
        _ => Ok(Some(Fifo {
            content_deduplication: has(DEDUPLICATES_CONTENT),
            scope: if has(SCOPE_IS_GROUP) { Scope::Group } else { Scope::Queue },
            limit: if has(LIMIT_IS_GROUP) { ThroughputLimit::Group } else { ThroughputLimit::Queue },
        })),
    }
}

fn decode_partitions(reader: &mut Reader<'_>) -> Result<Vec<Partition>, DecodeError> {
    let count = reader.u32("partition count")?;
    // What cannot be there is not allocated for.
    let left = reader.rest.len() / PARTITION_BYTES;
    let mut partitions = Vec::with_capacity(left.min(usize::try_from(count).unwrap_or(left)));
    for _ in 0..count {
        partitions.push(Partition {
            lane: LaneId(reader.u32("partition lane")?),
            messages: OwnerId(reader.u64("owner of messages")?),
            journal: OwnerId(reader.u64("owner of the journal")?),
        });
    }
    Ok(partitions)
}

fn impossible(field: &'static str, value: String) -> DecodeError {
    DecodeError::Impossible { field, value }
}

#[cfg(test)]
mod tests;
