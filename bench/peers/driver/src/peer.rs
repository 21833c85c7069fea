//! The servers' clients: a file each, with the same function `connect` that gives all slots of a run.

pub(crate) mod nats;
pub(crate) mod rabbitmq;
pub(crate) mod redis;
pub(crate) mod tidemill;

use bytes::Bytes;

use crate::arguments::Plan;

/// What streams, topics and subjects are called.
const NAME: &str = "peers";

/// The records of a batch: bytes that cannot be compressed, the same in each run.
fn records(plan: &Plan) -> Vec<Bytes> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..plan.batch_records).map(|_| (0..plan.record_bytes).map(|_| noise()).collect()).collect()
}
