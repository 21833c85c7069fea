//! What a shard's quota costs an append, admitted and refused.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tidemill_server::service::quota::ShardQuota;
use tidemill_wire::message::Quota;

use crate::{Digest, group};

/// As in Kinesis's provisioned mode.
const RATES: Quota = Quota {
    write_bytes_per_second: 1_000_000,
    write_records_per_second: 1_000,
    read_bytes_per_second: 2_000_000,
};
/// In this time one record and a thousand bytes flow in.
const STEP_NS: u64 = 1_000_000;

pub(crate) fn quotas(criterion: &mut Criterion, digest: &mut Digest) {
    let mut group = group(criterion, "quota", Throughput::Elements(1));
    let (mut quota, mut now_ns) = (ShardQuota::new(RATES), 0);
    group.bench_function("admit", |bencher| {
        bencher.iter(|| {
            now_ns += STEP_NS;
            quota
                .admit_write(black_box(now_ns), black_box(1_000), 1)
                .expect("what has flowed in is admitted");
        });
    });
    let mut empty = ShardQuota::new(RATES);
    empty.admit_write(STEP_NS, 1_000_000, 1_000).expect("a bucket begins full");
    group.bench_function("refuse", |bencher| {
        bencher.iter(|| {
            empty.admit_write(black_box(STEP_NS), black_box(1_000), 1).expect_err("nothing has flowed in")
        });
    });
    let wait = empty.admit_write(STEP_NS, 1_000, 1).expect_err("nothing has flowed in");
    digest.add(&wait.ns.to_le_bytes());
    group.finish();
}
