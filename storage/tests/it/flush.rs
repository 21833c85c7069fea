//! A flush on demand: what was written before it survives a power cut, whether or not anybody waited for it.

use tidemill_storage::{
    Lane, Retention,
    sim::{Crash, Sim, SimEnv},
};
use tidemill_wire::{OwnerId, message::Ack};

use crate::{record::payload, simulate::plain, workload::config};

const OWNER: OwnerId = OwnerId(1);
/// Enough to roll over several segments.
const RECORDS: u64 = 40;

async fn open(env: &SimEnv) -> Lane<SimEnv> {
    let (lane, _) = Lane::open(env.clone(), config(&plain())).await.expect("opened");
    lane.adopt(OWNER, Retention::FOREVER);
    lane
}

/// Records that are left of those that were written, with or without a flush before the power cut.
fn left(seed: u64, is_flushed: bool) -> u64 {
    let sim = Sim::new(seed);
    let env = sim.env();
    let written = sim.run(async {
        let lane = open(&env).await;
        for n in 0..RECORDS {
            lane.append(OWNER, payload(n, 1_000), 1, Ack::Written).await.expect("written");
        }
        if is_flushed {
            lane.flush().await.expect("the disk is sound");
            let flushes = lane.stats().flushes;
            lane.flush().await.expect("the disk is sound");
            assert_eq!(lane.stats().flushes, flushes, "nothing was left to be flushed");
        }
    });
    assert!(written.is_some());
    sim.crash(Crash::Power);
    let env = sim.env();
    let left = sim.run(async { open(&env).await.bounds(OWNER).expect("known").next });
    left.expect("it opens").get()
}

#[test]
fn what_was_written_before_a_flush_survives_a_power_cut() {
    assert!((0..20).all(|seed| left(seed, true) == RECORDS));
    assert!((0..20).any(|seed| left(seed, false) < RECORDS), "the power cut takes what was not flushed");
}
