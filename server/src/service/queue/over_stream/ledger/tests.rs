//! Random work on a ledger: events give it again, snapshots too, and each record is in one place.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::service::queue::over_stream::walk::Walk;

const SHARDS: u32 = 2;
const RECEIVES_MAX: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Shard, and how many records are at hand and wanted.
    Receive(u32, u64, usize),
    ReceiveDead(u32, usize),
    /// Of the records that were received, which one is acknowledged.
    Acknowledge(prop::sample::Index),
    Hide(prop::sample::Index, u64),
    Restore(prop::sample::Index),
    Purge(u32, u64),
    Wait(u64),
    /// A snapshot in one row, as older versions wrote it.
    Snapshot,
    /// The next part of one in parts.
    Part,
}

fn any_step() -> impl Strategy<Value = Step> {
    let shard = || 0..SHARDS;
    prop_oneof![
        4 => (shard(), 0..6_u64, 1..5_usize).prop_map(|(shard, behind, max)| Step::Receive(shard, behind, max)),
        2 => (shard(), 1..5_usize).prop_map(|(shard, max)| Step::ReceiveDead(shard, max)),
        2 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        2 => (any::<prop::sample::Index>(), 0..40_u64).prop_map(|(index, ms)| Step::Hide(index, ms)),
        2 => any::<prop::sample::Index>().prop_map(Step::Restore),
        1 => (shard(), 0..4_u64).prop_map(|(shard, more)| Step::Purge(shard, more)),
        4 => (0..60_u64).prop_map(Step::Wait),
        1 => Just(Step::Snapshot),
        8 => Just(Step::Part),
    ]
}

/// A ledger, and all that was written of it.
struct Run {
    ledger: Ledger,
    events: Vec<ShardEvent>,
    now: u64,
    received: Vec<(Side, ShardIndex, u64)>,
    acknowledged: BTreeSet<(u32, u64)>,
    part_max: usize,
    walk: Walk,
    /// What was read of the journal since the snapshot in parts has begun.
    read: Option<Ledger>,
}

/// A ledger as a snapshot in one row.
fn row(ledger: &Ledger) -> Vec<ShardEvent> {
    let of = |shard: ShardIndex, side, state: &State| {
        state
            .snapshot()
            .into_iter()
            .map(move |event| ShardEvent::Of { shard, side, event })
            .collect::<Vec<_>>()
    };
    let of_track = |(shard, track): (&ShardIndex, &Track)| {
        [of(*shard, Side::Live, &track.live), of(*shard, Side::Dead, &track.dead)].concat()
    };
    let parts: Vec<ShardEvent> = ledger.tracks.iter().flat_map(of_track).collect();
    std::iter::once(ShardEvent::Snapshot { parts: parts.len() as u64 }).chain(parts).collect()
}

impl Run {
    fn ask(&self, messages_max: usize) -> Ask {
        let (now, until) = (Timestamp(self.now), Timestamp(self.now + 20));
        Ask { now, until, messages_max, receives_max: Some(RECEIVES_MAX) }
    }

    fn new(part_max: usize) -> Self {
        Self {
            ledger: Ledger::default(),
            events: Vec::new(),
            now: 0,
            received: Vec::new(),
            acknowledged: BTreeSet::new(),
            part_max,
            walk: Walk::new(part_max),
            read: None,
        }
    }

    fn write(&mut self, event: Option<ShardEvent>) {
        if let (Some(read), Some(event)) = (&mut self.read, &event) {
            read.apply(event);
        }
        self.events.extend(event);
    }

    fn part(&mut self) {
        self.read.get_or_insert_default();
        let event = self.walk.next(&self.ledger).expect("it is begun anew when it is over");
        let is_over = event == ShardEvent::Ended;
        self.write(Some(event));
        if is_over {
            let mut read = self.read.take().expect("it has begun");
            read.advance(Timestamp(self.now));
            assert!(read.is_whole() && read == self.ledger, "{read:?} is not {:?}", self.ledger);
            self.walk = Walk::new(self.part_max);
        }
    }

    fn take(&mut self, side: Side, shard: ShardIndex, taken: Taken) {
        for pick in &taken.picked {
            let name = (shard.get(), pick.sequence);
            assert!(!self.acknowledged.contains(&name), "{name:?} was acknowledged and came back");
            assert!(side == Side::Dead || pick.receives <= RECEIVES_MAX, "{pick:?} came too often");
            self.received.push((side, shard, pick.sequence));
        }
        self.write(taken.event);
    }

    fn chosen(&self, index: prop::sample::Index) -> Option<(Side, ShardIndex, u64)> {
        (!self.received.is_empty()).then(|| self.received[index.index(self.received.len())])
    }

    fn step(&mut self, step: &Step) {
        self.ledger.advance(Timestamp(self.now));
        match *step {
            Step::Receive(shard, behind, max) => {
                let shard = ShardIndex(shard);
                if !self.ledger.knows(shard) {
                    let begun = self.ledger.begin(shard, 0);
                    self.write(Some(begun));
                }
                let cursor = self.ledger.cursor(shard).expect("it was begun");
                let head = |sequence| Head {
                    sequence,
                    due: Timestamp(0),
                    is_out_of_order: false,
                    group: 0,
                    over: Timestamp(u64::MAX),
                };
                let heads: Vec<Head> = (cursor..cursor + behind).map(head).collect();
                let taken = self.ledger.receive(shard, &self.ask(max), &heads);
                self.take(Side::Live, shard, taken);
            }
            Step::ReceiveDead(shard, max) => {
                let shard = ShardIndex(shard);
                let buried = self.ledger.bury(shard, Timestamp(self.now), RECEIVES_MAX, max);
                self.write(buried);
                let taken = self.ledger.receive_dead(shard, &self.ask(max));
                self.take(Side::Dead, shard, taken);
            }
            Step::Acknowledge(index) => {
                let Some((side, shard, sequence)) = self.chosen(index) else { return };
                if self.ledger.tracks[&shard].clone().side(side).keeps(sequence) {
                    self.acknowledged.insert((shard.get(), sequence));
                }
                self.apply(ShardEvent::Of { shard, side, event: Event::Deleted(vec![sequence]) });
            }
            Step::Hide(index, ms) => {
                let Some((side, shard, sequence)) = self.chosen(index) else { return };
                let until = Timestamp(self.now + ms);
                self.apply(ShardEvent::Of { shard, side, event: Event::Hidden(vec![(sequence, until)]) });
            }
            Step::Restore(index) => {
                let Some((_, shard, sequence)) = self.chosen(index) else { return };
                self.apply(ShardEvent::Restored { shard, records: vec![sequence] });
            }
            Step::Purge(shard, more) => {
                let shard = ShardIndex(shard);
                let below = self.ledger.oldest(shard).unwrap_or(0) + more;
                self.apply(Ledger::begun(shard, below));
            }
            Step::Wait(ms) => self.now += ms,
            Step::Snapshot => {
                // The one in parts that it interrupts is none.
                (self.events, self.walk, self.read) = (row(&self.ledger), Walk::new(self.part_max), None);
            }
            Step::Part => self.part(),
        }
    }

    fn apply(&mut self, event: ShardEvent) {
        self.ledger.apply(&event);
        self.ledger.advance(Timestamp(self.now));
        self.write(Some(event));
    }

    fn check(&mut self) {
        let mut again = Ledger::default();
        self.events.iter().for_each(|event| again.apply(event));
        again.advance(Timestamp(self.now));
        self.ledger.advance(Timestamp(self.now));
        assert!(again == self.ledger, "replay gives another ledger: {again:?} of {:?}", self.ledger);
        for (shard, track) in &self.ledger.tracks {
            for sequence in 0..track.live.cursor() {
                assert!(!(track.live.keeps(sequence) && track.dead.keeps(sequence)), "{shard}/{sequence}");
            }
        }
    }
}

proptest! {
    #[test]
    fn replay_gives_the_same_ledger(part_max in 1..6_usize, steps in proptest::collection::vec(any_step(), 1..160)) {
        let mut run = Run::new(part_max);
        for step in steps {
            run.step(&step);
        }
        run.check();
    }
}

fn receive(ledger: &mut Ledger, now: u64, heads: &[Head]) -> Vec<(u64, u32)> {
    let (now, until) = (Timestamp(now), Timestamp(now + 10));
    let ask = Ask { now, until, messages_max: 10, receives_max: Some(2) };
    let taken = ledger.receive(ShardIndex(0), &ask, heads);
    taken.picked.iter().map(|pick| (pick.sequence, pick.receives)).collect()
}

fn receive_dead(ledger: &mut Ledger, now: u64) -> Vec<(u64, u32)> {
    let (now, until) = (Timestamp(now), Timestamp(now + 10));
    ledger.advance(now);
    ledger.bury(ShardIndex(0), now, 2, 10);
    let ask = Ask { now, until, messages_max: 10, receives_max: None };
    let taken = ledger.receive_dead(ShardIndex(0), &ask);
    taken.picked.iter().map(|pick| (pick.sequence, pick.receives)).collect()
}

#[test]
fn what_is_received_too_often_is_a_dead_letter_until_it_is_restored() {
    let mut ledger = Ledger::default();
    let head = |sequence| Head {
        sequence,
        due: Timestamp(0),
        is_out_of_order: false,
        group: 0,
        over: Timestamp(u64::MAX),
    };
    let shard = ShardIndex(0);
    ledger.begin(shard, 5);
    assert_eq!(receive(&mut ledger, 0, &[head(5)]), [(5, 1)]);
    assert_eq!(receive_dead(&mut ledger, 0), []);
    assert_eq!(receive(&mut ledger, 10, &[]), [(5, 2)]);
    assert_eq!(receive_dead(&mut ledger, 15), [], "it may still be acknowledged");
    assert_eq!(
        ledger.standing(Side::Live, shard, 5, 2, Timestamp(10)),
        Some(Standing::InFlight { received: Timestamp(10) })
    );
    assert_eq!(receive_dead(&mut ledger, 20), [(5, 3)], "nobody has to receive it in vain before");
    assert_eq!(receive(&mut ledger, 40, &[]), []);
    assert_eq!(ledger.standing(Side::Live, shard, 5, 2, Timestamp(10)), None, "it is elsewhere");
    assert_eq!(ledger.standing(Side::Dead, shard, 5, 2, Timestamp(10)), Some(Standing::Lapsed));
    ledger.apply(&ShardEvent::Restored { shard, records: vec![5] });
    assert_eq!(receive(&mut ledger, 50, &[]), [(5, 1)], "it begins anew");
    assert_eq!(ledger.standing(Side::Dead, shard, 5, 3, Timestamp(20)), None);
    ledger.apply(&ShardEvent::Of { shard, side: Side::Live, event: Event::Deleted(vec![5]) });
    assert_eq!(ledger.standing(Side::Live, shard, 5, 1, Timestamp(50)), Some(Standing::Gone));
    assert_eq!((ledger.kept(Side::Live), ledger.kept(Side::Dead)), (0, 0));
}

#[test]
fn a_snapshot_that_was_cut_short_counts_for_nothing() {
    let mut ledger = Ledger::default();
    let event = ledger.begin(ShardIndex(3), 7);
    let parts = row(&ledger);
    let mut again = Ledger::default();
    again.apply(&event);
    parts[..parts.len() - 1].iter().for_each(|part| again.apply(part));
    assert!(!again.is_whole() && again == ledger);
    // Its writer was killed, and another goes on.
    again.apply(&Ledger::begun(ShardIndex(3), 9));
    assert!(!again.is_whole());
    assert_eq!(again.cursor(ShardIndex(3)), Some(9));
    parts.iter().for_each(|part| again.apply(part));
    assert!(again.is_whole() && again == ledger, "a whole one counts for all that was before");
}

#[test]
fn a_record_that_changes_sides_between_the_parts_of_a_snapshot_is_told_of_once() {
    let shard = ShardIndex(0);
    let head = |sequence| Head {
        sequence,
        due: Timestamp(0),
        is_out_of_order: false,
        group: 0,
        over: Timestamp(u64::MAX),
    };
    let mut ledger = Ledger::default();
    ledger.begin(shard, 0);
    let heads: Vec<Head> = (0..6).map(head).collect();
    assert_eq!(receive(&mut ledger, 0, &heads).len(), 6);
    assert_eq!(receive(&mut ledger, 10, &[]).len(), 6);
    // Three of them are dead letters, and one of those is restored between two parts, below what was told of.
    ledger.advance(Timestamp(20));
    assert!(ledger.bury(shard, Timestamp(20), 2, 3).is_some());
    let (mut walk, mut read) = (Walk::new(4), Ledger::default());
    for _ in 0..2 {
        read.apply(&walk.next(&ledger).expect("it has begun"));
    }
    for event in
        [ShardEvent::Restored { shard, records: vec![3] }, ShardEvent::Restored { shard, records: vec![5] }]
    {
        ledger.apply(&event);
        read.apply(&event);
    }
    let buried = ledger.bury(shard, Timestamp(20), 2, 3).expect("others are worn");
    read.apply(&buried);
    while let Some(event) = walk.next(&ledger) {
        read.apply(&event);
    }
    assert!(read.is_whole());
    assert!(read == ledger, "{read:?} is not {ledger:?}");
}
