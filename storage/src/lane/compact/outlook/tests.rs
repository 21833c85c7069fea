//! However many owners there are, others have their turn after some of them.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use tidemill_wire::{LaneId, message::Ack};

use super::*;
use crate::{
    config::LaneConfig,
    failpoint::interpose,
    lane::{Lane, Retention},
    owner_map::OwnerMap,
    sim::Sim,
};

/// Owners that are all in one part of the lane's map, more than are asked in one step.
fn neighbours() -> Vec<OwnerId> {
    let mut map = OwnerMap::default();
    for owner in (0..100_000).map(OwnerId) {
        map.get_or_insert_with(owner, || ());
    }
    let owners: Vec<OwnerId> = map.part(0).map(|(owner, _)| owner).collect();
    assert!(owners.len() > 2 * UPKEEP_BATCH);
    owners
}

#[test]
fn owners_of_one_part_are_asked_in_several_steps() {
    let owners = neighbours();
    let sim = Sim::new(1);
    sim.run(async {
        let config =
            LaneConfig { compaction_bytes_per_second: 0, ..LaneConfig::test_min("lane".into(), LaneId(1)) };
        let (lane, _) = Lane::open(sim.env(), config).await.expect("opened");
        for owner in &owners {
            lane.adopt(*owner, Retention { age: std::time::Duration::from_secs(60), bytes: None });
            lane.append(*owner, Bytes::from(vec![7; 100]), 1, Ack::Written).await.expect("appended");
        }
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let _interposed = interpose(Work::Outlook, move || {
            counted.set(counted.get() + 1);
            async {}
        });
        let found = outlook(&lane.core).await;
        assert!(!found.over_at.is_empty());
        assert_eq!(turns.get(), owners.len().div_ceil(UPKEEP_BATCH), "{} owners", owners.len());
        lane.close().await;
    })
    .expect("not stopped");
}
