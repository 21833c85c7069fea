//! Disks filled to the last page, with crashes meanwhile: they come back to serving by themselves.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use tidemill_storage::{
    AppendError, Disk, Env, Lane, LaneConfig, Retention, Room,
    sim::{Crash, Faults, Sim, SimEnv},
};
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, message::Ack};

use crate::record::{payload, seen};

const SEGMENT_BYTES: u64 = 32 << 10;
/// Longer than any number of rounds takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// An owner of the test: its records are numbered in the order of the calls, so a number tells what must be there.
#[derive(Clone, Copy)]
struct Client {
    owner: OwnerId,
    retention: Retention,
    payload_bytes_max: u64,
    /// Records that it sends in all; the others go on until it is done.
    wanted: Option<u64>,
    acknowledged: u64,
}

impl Client {
    fn payload(&self, number: u64) -> bytes::Bytes {
        let bytes = 8 + (number * 7919 + self.owner.0) % self.payload_bytes_max;
        payload(self.owner.0 << 32 | number, bytes as usize)
    }
}

/// What a seed does.
struct Plan {
    segments: u64,
    lanes: u64,
    /// Another program takes what is free, for a while.
    rival: bool,
    crashes: u64,
}

/// How often a seed came to what matters.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    refusals: u64,
    compactions: u64,
    crashes: u64,
}

fn config(lane: u64, room: &Room) -> LaneConfig {
    let directory = PathBuf::from(format!("/lane-{lane}"));
    LaneConfig { room: room.clone(), ..LaneConfig::test_min(directory, LaneId(lane as u32)) }
}

/// Owners of a lane on its share of a disk. What they keep takes less than half of it, in one file after the other between what passes.
fn clients(sim: &Sim, plan: &Plan) -> Vec<Client> {
    let share = (plan.segments - 4 * plan.lanes) / plan.lanes;
    let kept_bytes_max = share * 14_000;
    let kept_payload = 1 + sim.draw(300);
    let kept = Client {
        owner: OwnerId(1),
        retention: Retention::FOREVER,
        payload_bytes_max: kept_payload,
        wanted: Some(kept_bytes_max / (80 + kept_payload)),
        acknowledged: 0,
    };
    let mut clients = vec![kept];
    for owner in 0..1 + sim.draw(3) {
        let retention = match sim.draw(2) {
            0 => Retention { age: Duration::MAX, bytes: Some(1 + sim.draw(2000)) },
            _ => Retention { age: Duration::from_millis(100 + sim.draw(1000)), bytes: None },
        };
        let payload_bytes_max = 500 + sim.draw(2000);
        clients.push(Client {
            owner: OwnerId(2 + owner),
            retention,
            payload_bytes_max,
            wanted: None,
            acknowledged: 0,
        });
    }
    clients
}

/// Opens a lane on a disk that may be full, and checks that nothing is missing.
async fn open(env: &SimEnv, config: LaneConfig, clients: &mut [Client]) -> Lane<SimEnv> {
    let (lane, _) =
        Lane::open(env.clone(), config).await.expect("a full disk does not keep a lane from opening");
    for client in clients {
        lane.adopt(client.owner, client.retention);
        let bounds = lane.bounds(client.owner).expect("adopted");
        let next = bounds.next.0;
        assert!(
            (client.acknowledged..=client.acknowledged + 1).contains(&next),
            "{next} {}",
            client.acknowledged
        );
        client.acknowledged = next;
        let mut at = SequenceNumber(0);
        while at < bounds.next {
            let fetched = lane.fetch(client.owner, at, 5000).await.expect("fetched");
            assert!(client.retention != Retention::FOREVER || fetched.from == at, "nothing may expire");
            let mut number = fetched.from.0;
            for entry in seen(client.owner, &fetched) {
                assert_eq!((entry.base.0, entry.payload), (number, client.payload(number)));
                number += 1;
            }
            at = SequenceNumber(number);
        }
    }
    lane
}

/// Appends until the first client has sent what it wants, and every now and then what it was refused again.
async fn append_all(
    env: &SimEnv,
    lane: &Lane<SimEnv>,
    clients: &RefCell<Vec<Client>>,
    reached: &RefCell<Reached>,
) {
    let count = clients.borrow().len() as u64;
    loop {
        let first = clients.borrow()[0];
        if first.wanted.is_some_and(|wanted| first.acknowledged >= wanted) {
            return;
        }
        let index = if env.random_u64().is_multiple_of(6) { 0 } else { env.random_u64() % count } as usize;
        let client = clients.borrow()[index];
        let begun = env.monotonic();
        while let Err(error) =
            lane.append(client.owner, client.payload(client.acknowledged), 1, Ack::Durable).await
        {
            assert_eq!(error, AppendError::DiskFull { needed: SEGMENT_BYTES });
            reached.borrow_mut().refusals += 1;
            let waited = env.monotonic() - begun;
            assert!(waited < PATIENCE, "the disk stays full: {:?}", lane.stats());
            env.sleep(Duration::from_millis(50)).await;
        }
        clients.borrow_mut()[index].acknowledged += 1;
    }
}

/// Takes all that is free every now and then, and gives it back after a while.
async fn rival(env: SimEnv) {
    loop {
        env.sleep(Duration::from_millis(env.random_u64() % 3000)).await;
        let mut taken = Vec::new();
        while taken.len() < 40 {
            let path = PathBuf::from(format!("/rival/{}", taken.len()));
            if env.disk().create(path.clone(), 4096 << (env.random_u64() % 3)).await.is_err() {
                break;
            }
            taken.push(path);
        }
        env.sleep(Duration::from_millis(env.random_u64() % 2000)).await;
        for path in taken {
            env.disk().remove(path).await.expect("removed");
        }
    }
}

fn run(seed: u64, plan: &Plan, reached: &mut Reached) {
    let sim = Sim::new(seed);
    let all: Vec<_> = (0..plan.lanes).map(|_| Rc::new(RefCell::new(clients(&sim, plan)))).collect();
    sim.set_faults(Faults { capacity_bytes: Some(plan.segments * SEGMENT_BYTES), ..Faults::default() });
    let shared = Rc::new(RefCell::new(std::mem::take(reached)));
    for life in 0..=plan.crashes {
        let env = sim.env();
        let room = Room::default();
        if life < plan.crashes {
            sim.stop_after(10 + sim.draw(if sim.draw(2) == 0 { 500 } else { 6000 }));
        }
        let ended = sim.run(async {
            // What the rival of the life before has left.
            for name in env.disk().list("/rival".as_ref()).expect("a list") {
                env.disk().remove(PathBuf::from("/rival").join(name)).await.expect("removed");
            }
            let mut lanes = Vec::new();
            for (number, clients) in (0..).zip(&all) {
                let mut copy = clients.borrow().clone();
                lanes.push(open(&env, config(number, &room), &mut copy).await);
                clients.replace(copy);
            }
            if plan.rival {
                env.spawn(rival(env.clone()));
            }
            let work = lanes.iter().zip(&all).map(|(lane, clients)| append_all(&env, lane, clients, &shared));
            futures_util::future::join_all(work).await;
            for lane in lanes {
                shared.borrow_mut().compactions += lane.stats().compactions;
            }
        });
        shared.borrow_mut().crashes += u64::from(ended.is_none());
        sim.crash(if sim.draw(2) == 0 { Crash::Process } else { Crash::Power });
        if ended.is_some() {
            break;
        }
    }
    // What was there before the last crash is there after it.
    let ended = sim.run(async {
        for (number, clients) in (0..).zip(&all) {
            let mut copy = clients.borrow().clone();
            open(&sim.env(), config(number, &Room::default()), &mut copy).await;
        }
    });
    assert!(ended.is_some());
    *reached = *shared.borrow();
}

fn seeds() -> u64 {
    std::env::var("TIDEMILL_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(150)
}

fn check(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan) -> Reached {
    let mut reached = Reached::default();
    for seed in seeds {
        let plan = plan(seed);
        let run = std::panic::AssertUnwindSafe(|| run(seed, &plan, &mut reached));
        std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("seed {seed} fails"));
    }
    reached
}

#[test]
fn a_full_disk_comes_back_to_serving_whatever_crashes_meanwhile() {
    let reached =
        check(0..seeds(), |seed| Plan { segments: 6 + seed % 7, lanes: 1, rival: false, crashes: seed % 10 });
    assert!(reached.refusals > 300 && reached.compactions > 300 && reached.crashes > 100, "{reached:?}");
}

#[test]
fn lanes_that_share_a_full_disk_all_come_back() {
    let reached = check(0..seeds() / 3, |seed| Plan {
        segments: 12 + seed % 7,
        lanes: 2,
        rival: false,
        crashes: seed % 5,
    });
    assert!(reached.refusals > 100 && reached.compactions > 100, "{reached:?}");
}

#[test]
fn room_that_others_took_and_gave_back_is_used_again() {
    let reached = check(0..seeds() / 3, |seed| Plan {
        segments: 8 + seed % 7,
        lanes: 1,
        rival: true,
        crashes: seed % 5,
    });
    assert!(reached.refusals > 100 && reached.compactions > 100, "{reached:?}");
}

#[test]
fn a_lane_begins_on_a_disk_with_room_for_one_segment() {
    let sim = Sim::new(7);
    let capacity = |bytes| sim.set_faults(Faults { capacity_bytes: Some(bytes), ..Faults::default() });
    capacity(SEGMENT_BYTES + 8192);
    let env = sim.env();
    let done = sim.run(async {
        let (lane, _) =
            Lane::open(env.clone(), config(0, &Room::default())).await.expect("room for one segment");
        lane.adopt(OwnerId(1), Retention::FOREVER);
        lane.append(OwnerId(1), payload(1, 100), 1, Ack::Durable).await.expect("appended");
        assert_eq!(lane.stats().reserve_bytes, 0);
        capacity(3 * SEGMENT_BYTES);
        env.sleep(Duration::from_secs(2)).await;
        let stats = lane.stats();
        assert_eq!((stats.reserve_bytes, stats.segments_spare), (SEGMENT_BYTES, 1));
    });
    assert!(done.is_some());
}

/// A lane whose reserve is not whole, and one that wants a segment. What becomes free is too little for both.
#[test]
fn a_reserve_comes_before_the_segment_of_another_lane() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let capacity = |bytes| sim.set_faults(Faults { capacity_bytes: Some(bytes), ..Faults::default() });
        let (env, room) = (sim.env(), Room::default());
        let done = sim.run(async {
            let (rich, _) = Lane::open(env.clone(), config(0, &room)).await.expect("opened");
            rich.adopt(OwnerId(1), Retention::FOREVER);
            env.sleep(Duration::from_secs(1)).await;
            let used = rich.stats().disk_bytes;
            assert_eq!(used, 3 * SEGMENT_BYTES, "a segment, a spare and the reserve");
            capacity(used + SEGMENT_BYTES * 3 / 2);
            let (poor, _) = Lane::open(env.clone(), config(1, &room)).await.expect("room for a segment");
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(poor.stats().reserve_bytes, SEGMENT_BYTES / 2);
            for label in 0..30 {
                rich.append(OwnerId(1), payload(label, 1000), 1, Ack::Durable).await.expect("appended");
            }
            env.sleep(Duration::from_millis(300 + seed * 7)).await;
            assert_eq!(rich.stats().segments_spare, 0, "there is no room for another one");
            capacity(used + SEGMENT_BYTES * 5 / 2);
            env.sleep(Duration::from_secs(2)).await;
            assert_eq!(
                poor.stats().reserve_bytes,
                SEGMENT_BYTES,
                "seed {seed}: the other lane took its room"
            );
            capacity(used + SEGMENT_BYTES * 4);
            env.sleep(Duration::from_secs(2)).await;
            assert_eq!((rich.stats().segments_spare, poor.stats().segments_spare), (1, 1));
        });
        assert!(done.is_some());
    }
}

/// Takes whatever is free at any moment.
async fn squat(env: SimEnv, taken: Rc<RefCell<u64>>) {
    for number in 0.. {
        let path = PathBuf::from(format!("/squat/{number}"));
        if env.disk().create(path, 4096).await.is_ok() {
            *taken.borrow_mut() += 1;
        }
    }
}

#[test]
fn a_start_never_gives_the_room_of_the_reserve_away() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let env = sim.env();
        let open = || Lane::open(env.clone(), config(0, &Room::default()));
        let used = sim.run(async {
            let (lane, _) = open().await.expect("opened");
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(lane.stats().reserve_bytes, SEGMENT_BYTES);
            lane.stats().disk_bytes
        });
        sim.crash(Crash::Process);
        let capacity_bytes = Some(used.expect("no crash was asked for"));
        sim.set_faults(Faults { capacity_bytes, ..Faults::default() });
        let taken = Rc::<RefCell<u64>>::default();
        let done = sim.run(async {
            env.spawn(squat(env.clone(), Rc::clone(&taken)));
            let (lane, _) = open().await.expect("opened");
            assert_eq!(lane.stats().reserve_bytes, SEGMENT_BYTES, "seed {seed}");
        });
        assert!(done.is_some());
        assert_eq!(*taken.borrow(), 0, "seed {seed}: others took room while the lane started");
    }
}
