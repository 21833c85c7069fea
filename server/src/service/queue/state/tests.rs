//! What a partition decides, by examples and by random steps against a replay of its events.

use proptest::prelude::*;

use super::*;
use crate::service::queue::attempts::Attempt;
use crate::service::queue::snapshot::Walk;

fn head(sequence: u64, group: u64) -> Head {
    Head { sequence, due: Timestamp(0), is_out_of_order: false, group, over: Timestamp(u64::MAX) }
}

fn ask(now: u64, until: u64, messages_max: usize) -> Ask {
    Ask { now: Timestamp(now), until: Timestamp(until), messages_max, receives_max: None }
}

fn numbers(taken: &Taken) -> Vec<u64> {
    taken.picked.iter().map(|pick| pick.sequence).collect()
}

#[test]
fn what_is_received_is_hidden_and_comes_back_in_time_but_for_what_was_deleted() {
    let mut state = State::new(false);
    let tail: Vec<Head> = (0..5).map(|sequence| head(sequence, 0)).collect();
    assert_eq!(numbers(&state.receive(&ask(10, 40, 3), &tail)), [0, 1, 2]);
    assert_eq!(
        (state.in_flight(), state.cursor(), state.kept()),
        (3, 3, 3),
        "what waits behind is not kept in mind"
    );
    assert_eq!(numbers(&state.receive(&ask(11, 41, 3), &tail)), [3, 4]);
    assert_eq!(state.receive(&ask(12, 42, 3), &[]), Taken::default());
    assert_eq!(state.standing(1, 1), Standing::InFlight { received: Timestamp(10) });
    state.apply(&Event::Deleted(vec![1]));
    assert_eq!(state.standing(1, 1), Standing::Gone);
    assert_eq!(state.standing(0, 2), Standing::Never);
    assert_eq!(state.standing(5, 1), Standing::Never);

    let again = state.receive(&ask(40, 70, 10), &[]);
    assert_eq!(numbers(&again), [0, 2]);
    assert!(again.picked.iter().all(|pick| (pick.receives, pick.first_received) == (2, Timestamp(10))));
    assert_eq!(state.standing(0, 1), Standing::Lapsed, "an older receipt");
    assert_eq!(state.next_timer(), Some(Timestamp(41)));
    state.apply(&Event::Hidden(vec![(0, Timestamp(40))]));
    assert_eq!(numbers(&state.receive(&ask(40, 70, 10), &[])), [0], "brought back at once");
}

#[test]
fn a_fifo_group_has_one_batch_in_flight_and_keeps_its_order() {
    let mut state = State::new(true);
    let tail: Vec<Head> =
        [1, 1, 2, 1, 2, 3].iter().zip(0..).map(|(group, sequence)| head(sequence, *group)).collect();
    assert_eq!(numbers(&state.receive(&ask(0, 30, 2), &tail)), [0, 1], "as many of one group as there are");
    assert_eq!(numbers(&state.receive(&ask(1, 31, 2), &tail)), [2, 4], "the first one's group is locked");
    state.apply(&Event::Deleted(vec![0]));
    assert_eq!(numbers(&state.receive(&ask(2, 32, 2), &tail)), [5]);
    assert_eq!(numbers(&state.receive(&ask(2, 32, 2), &tail)), [0; 0], "1 is still in flight, so 3 waits");
    assert_eq!(numbers(&state.receive(&ask(30, 60, 9), &tail)), [1, 3], "1 is back, before 3");
    state.apply(&Event::Deleted(vec![2, 4]));
    let late = [head(6, 2)];
    assert_eq!(numbers(&state.receive(&ask(31, 61, 9), &late)), [6]);
}

#[test]
fn a_noisy_group_does_not_hold_up_others() {
    let mut state = State::new(false);
    let noisy = (0..500).map(|sequence| head(sequence, 1));
    let tail: Vec<Head> = noisy.chain([head(500, 2), head(501, 3)]).collect();
    assert_eq!(numbers(&state.receive(&ask(0, 30, 10), &tail[..10])).len(), 10);
    let next = state.receive(&ask(1, 31, 3), &tail);
    assert_eq!(numbers(&next), [500, 501, 10], "those with less in flight come first");
}

#[test]
fn a_group_is_found_behind_however_many_messages_of_another_and_they_cost_a_run() {
    const NOISY: u64 = 200_000;
    const AT_HAND: usize = 1_000;
    let mut state = State::new(false);
    let tail: Vec<Head> = (0..NOISY).map(|sequence| head(sequence, 1)).chain([head(NOISY, 2)]).collect();
    let (mut events, mut receives) = (Vec::new(), 0);
    loop {
        let from = usize::try_from(state.cursor()).expect("few");
        let taken = state.receive(&ask(receives, 1_000_000, 10), &tail[from..tail.len().min(from + AT_HAND)]);
        receives += 1;
        assert_eq!(taken.picked.len(), 10);
        let is_found = numbers(&taken).contains(&NOISY);
        events.extend(taken.event);
        if is_found {
            break;
        }
        assert!(receives <= NOISY / AT_HAND as u64, "each receive looks at what is at hand");
    }
    assert_eq!((state.kept() as u64, state.runs.len()), (receives * 10, 1), "what waits is one run");
    assert_eq!(state.ready(), NOISY + 1 - receives * 10);
    let mut replayed = State::new(false);
    events.iter().for_each(|event| replayed.apply(event));
    assert_eq!(replayed, state);
    assert_eq!(state.standing(NOISY - 1, 1), Standing::Never, "nobody has received it");
    let longest = events.iter().map(|event| crate::service::queue::format::encode_event(event).len()).max();
    assert!(longest < Some(200), "{longest:?} bytes tell of a thousand");
}

#[test]
fn a_message_without_a_group_does_not_hide_the_groups_behind_it() {
    const NOISY: u64 = 5_000;
    let mut state = State::new(false);
    let noisy = (0..NOISY).map(|sequence| head(sequence, 1));
    let tail: Vec<Head> = noisy.chain([head(NOISY, 0), head(NOISY + 1, 2)]).collect();
    let mut found = BTreeSet::new();
    for time in 0..20 {
        let from = usize::try_from(state.cursor()).expect("few");
        let taken = state.receive(&ask(time, 1_000_000, 10), &tail[from..tail.len().min(from + 1_000)]);
        found.extend(numbers(&taken).into_iter().filter(|sequence| *sequence >= NOISY));
    }
    assert_eq!(found, BTreeSet::from([NOISY, NOISY + 1]), "a twentieth of the others was received");
}

#[test]
fn a_snapshot_ends_however_many_attempts_are_made_meanwhile() {
    let mut state = State::new(true);
    let attempt =
        |number: u64| Attempt { name: format!("{number:08}"), at: Timestamp(1), picked: Vec::new() };
    state.attempts.remember(attempt(0));
    let (mut walk, mut events) = (Walk::new(2), 0);
    while walk.next(&state).is_some() {
        events += 1;
        assert!(events < 10, "names in the order of time are no end of it");
        state.attempts.remember(attempt(events));
    }
}

#[test]
fn very_many_runs_that_are_too_old_are_forgotten_some_at_a_time() {
    let mut state = State::new(false);
    let tail: Vec<Head> = (0..9_000).map(|sequence| head(sequence, 1 + sequence % 2)).collect();
    state.receive(&ask(0, 1_000_000, 4), &tail);
    let mut steps = 0;
    while let Some(below) = state.waiting_below(8_000) {
        let before = state.runs.len();
        state.apply(&Event::Purged { below });
        assert!(before - state.runs.len() <= KEPT_MAX);
        steps += 1;
        assert!(steps < 10, "each of them forgets some");
    }
    assert_eq!((steps, state.ready(), state.oldest()), (4, 1_000, 8_000));
}

#[test]
fn groups_share_a_backlog_in_turn_whatever_is_ahead_of_them() {
    let mut state = State::new(false);
    // Two groups that send much, and one message of each of twenty others far behind.
    let noisy = (0..20_000).map(|sequence| head(sequence, 1 + sequence / 5 % 2));
    let tail: Vec<Head> = noisy.chain((0..20).map(|number| head(20_000 + number, 100 + number))).collect();
    let mut of_others = Vec::new();
    for time in 0..6 {
        let taken =
            state.receive(&ask(time, 1_000, 10), &tail[usize::try_from(state.cursor()).expect("few")..]);
        of_others.push(numbers(&taken).iter().filter(|sequence| **sequence >= 20_000).count());
    }
    assert_eq!(of_others, [8, 10, 2, 0, 0, 0], "those with nothing in flight come first");
    let in_flight = |group| state.groups[&group].in_flight;
    assert!(in_flight(1).abs_diff(in_flight(2)) <= 1, "and those with as much as another by turns");
}

#[test]
fn what_is_gone_is_given_back_in_steps_and_nothing_of_it_is_there() {
    let mut state = State::new(false);
    let tail: Vec<Head> = (0..50_000)
        .map(|sequence| match sequence % 3 {
            0 => Head { due: Timestamp(1_000), is_out_of_order: true, ..head(sequence, 3) },
            other => head(sequence, other),
        })
        .collect();
    state.receive(&ask(0, 1_000, 5_000), &tail);
    let all = state.kept() as u64 + state.ready();
    assert!(all > 30_000, "{all}");
    let below = state.cursor();
    state.apply(&Event::Purged { below });
    assert_eq!((state.kept(), state.ready(), state.in_flight(), state.delayed()), (0, 0, 0, 0));
    assert_eq!(state.next_timer(), None);
    let gone = state.take_gone();
    assert_eq!(gone.len(), 1);
    let mut gone = crate::service::queue::gone::Gone::new(gone.into_iter().next().expect("it is there"));
    let steps = (1..100_000).find(|_| !gone.give_back(1_000)).expect("it ends");
    assert!(steps as u64 > all / 1_000, "{steps} steps of a thousand give back more than {all}");
    assert_eq!(numbers(&state.receive(&ask(1, 1_001, 3), &[head(below, 0)])), [below]);
    state.apply(&Event::Purged { below: below + 1 });
    assert_eq!(state.take_gone().len(), 0, "what is little goes at once");
}

#[test]
fn a_delayed_message_waits_and_holds_up_others_only_where_all_wait_alike() {
    let mut state = State::new(false);
    let mut tail: Vec<Head> = (0..3).map(|sequence| head(sequence, 0)).collect();
    tail[0] = Head { due: Timestamp(50), is_out_of_order: true, ..tail[0] };
    tail[2] = Head { due: Timestamp(60), ..tail[2] };
    assert_eq!(numbers(&state.receive(&ask(0, 30, 10), &tail)), [1]);
    assert_eq!((state.delayed(), state.cursor()), (1, 2));
    assert_eq!(numbers(&state.receive(&ask(50, 80, 10), &tail)), [0, 1]);
    assert_eq!(numbers(&state.receive(&ask(60, 90, 10), &tail)), [2]);
}

#[test]
fn who_was_received_too_often_is_moved_and_not_received() {
    let mut state = State::new(false);
    let tail = [head(0, 0), head(1, 0)];
    let limited = |now, until| Ask { receives_max: Some(2), ..ask(now, until, 1) };
    assert_eq!(numbers(&state.receive(&limited(0, 10), &tail)), [0]);
    assert_eq!(numbers(&state.receive(&limited(10, 20), &tail)), [0]);
    let third = state.receive(&limited(20, 30), &tail);
    assert_eq!((numbers(&third), third.moving), (vec![1], vec![0]));
    assert_eq!(state.in_flight(), 2, "hidden while it is moved");
    assert_eq!(state.standing(0, 2), Standing::Lapsed, "an old receipt is of no use while it is moved");
    let again = state.receive(&limited(60_020, 60_030), &tail);
    assert_eq!(again.moving, [0], "and moved again if that did not come about");
}

#[test]
fn what_is_too_old_is_passed_over() {
    let mut state = State::new(false);
    let tail = [Head { over: Timestamp(0), ..head(0, 0) }, head(1, 0)];
    assert_eq!(numbers(&state.receive(&ask(0, 10, 9), &tail)), [1]);
    state.apply(&Event::Purged { below: 5 });
    assert_eq!((state.kept(), state.cursor(), state.in_flight()), (0, 5, 0));
    assert_eq!(state.standing(1, 1), Standing::Gone);
}

#[test]
fn a_snapshot_that_was_cut_short_is_none() {
    let mut state = State::new(false);
    let tail: Vec<Head> = (0..5_000).map(|sequence| head(sequence, 0)).collect();
    let mut events = Vec::new();
    for time in 0..500 {
        events.extend(state.receive(&ask(time, time + 1_000, 10), &tail).event);
    }
    let snapshot = state.snapshot();
    assert!(snapshot.len() > 2, "it has parts");
    let mut other = State::new(false);
    events.iter().chain(&snapshot[..snapshot.len() - 1]).for_each(|event| other.apply(event));
    assert_eq!(other, state);
    let deleted = Event::Deleted(vec![3]);
    other.apply(&deleted);
    snapshot.iter().for_each(|event| other.apply(event));
    assert_eq!(other, state, "one that is whole replaces what was there");
}

#[test]
fn a_receive_that_follows_one_that_was_not_written_did_not_happen() {
    let mut state = State::new(false);
    let tail: Vec<Head> = (0..4).map(|sequence| head(sequence, 0)).collect();
    let lost = state.receive(&ask(0, 30, 2), &tail).event.expect("it changes something");
    let after = state.receive(&ask(0, 30, 2), &tail).event.expect("it changes something");
    let mut replayed = State::new(false);
    replayed.apply(&after);
    assert_eq!(numbers(&replayed.receive(&ask(1, 31, 9), &tail)), [0, 1, 2, 3], "no message is lost with it");
    let mut whole = State::new(false);
    [lost, after].iter().for_each(|event| whole.apply(event));
    assert_eq!(whole, state);
}

#[derive(Clone, Debug)]
enum Step {
    Send { group: u64, delay: u64, own: bool },
    Receive { max: usize, hidden: u64, attempt: Option<u8> },
    Delete { of: prop::sample::Index },
    Hide { of: prop::sample::Index, hidden: u64 },
    Purge,
    Wait { ms: u64 },
    Snapshot,
    Part,
}

/// A snapshot in parts, what was read of the journal from its beginning on, and whether it has begun.
struct InParts {
    walk: Walk,
    read: State,
    has_begun: bool,
}

impl InParts {
    fn new(is_fifo: bool) -> Self {
        Self { walk: Walk::new(2), read: State::new(is_fifo), has_begun: false }
    }

    fn take(&mut self, event: &Event) {
        if self.has_begun {
            self.read.apply(event);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u64, 0..20_u64, any::<bool>()).prop_map(|(group, delay, own)| Step::Send { group, delay, own }),
        6 => (1..11_usize, 0..40_u64, prop::option::of(0..3_u8))
            .prop_map(|(max, hidden, attempt)| Step::Receive { max, hidden, attempt }),
        4 => any::<prop::sample::Index>().prop_map(|of| Step::Delete { of }),
        2 => (any::<prop::sample::Index>(), 0..40_u64).prop_map(|(of, hidden)| Step::Hide { of, hidden }),
        1 => Just(Step::Purge),
        4 => (1..30_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Snapshot),
        6 => Just(Step::Part),
    ]
}

/// Holds what is counted against what is there.
fn check_counts(state: &State) {
    let waiting: u64 = state.runs.values().map(|run| run.count).sum();
    assert_eq!(state.ready() + state.delayed() + state.in_flight(), state.kept() as u64 + waiting);
    assert_eq!(state.idle, state.heads.iter().filter(|head| head.0 == 0).count());
}

/// Runs steps against a state, and against what its events say.
fn run(is_fifo: bool, steps: &[Step]) {
    let mut state = State::new(is_fifo);
    let mut replayed = State::new(is_fifo);
    let mut in_parts = InParts::new(is_fifo);
    let (mut log, mut now) = (Vec::<Head>::new(), 1_u64);
    let (mut received, mut deleted) = (BTreeMap::<u64, u32>::new(), BTreeSet::new());
    let mut until: BTreeMap<u64, u64> = BTreeMap::new();
    for step in steps {
        let of = |index: &prop::sample::Index| {
            let live: Vec<(u64, u32)> =
                received.iter().map(|(sequence, receives)| (*sequence, *receives)).collect();
            (!live.is_empty()).then(|| live[index.index(live.len())])
        };
        let event = match step {
            Step::Send { group, delay, own } => {
                let due = if is_fifo || !own { Timestamp(0) } else { Timestamp(now + delay) };
                let group = if is_fifo { group + 1 } else { *group };
                let sequence = log.len() as u64;
                log.push(Head { sequence, due, is_out_of_order: true, group, over: Timestamp(u64::MAX) });
                None
            }
            Step::Receive { max, hidden, attempt } => {
                let from = usize::try_from(state.cursor()).expect("few");
                let mut taken = state.receive(&ask(now, now + hidden, *max), &log[from..]);
                if let Some(attempt) = attempt {
                    state.receive_by(attempt.to_string(), &mut taken);
                    let again = state.received_by(&attempt.to_string(), Timestamp(now));
                    assert!(taken.picked.is_empty() || again.as_ref() == Some(&taken.picked));
                }
                for pick in &taken.picked {
                    assert!(!deleted.contains(&pick.sequence), "a deleted message never comes back");
                    assert!(until.get(&pick.sequence).is_none_or(|until| *until <= now), "hidden is hidden");
                    assert!(log[usize::try_from(pick.sequence).expect("few")].due.0 <= now);
                    until.insert(pick.sequence, now + hidden);
                    let receives = received.entry(pick.sequence).or_default();
                    *receives += 1;
                    assert_eq!(pick.receives, *receives);
                    if is_fifo {
                        let group = |sequence: u64| log[usize::try_from(sequence).expect("few")].group;
                        let of_group = |other: &u64| group(*other) == group(pick.sequence);
                        let waiting =
                            (0..pick.sequence).filter(of_group).filter(|other| !deleted.contains(other));
                        let batch: Vec<u64> = numbers(&taken);
                        assert!(
                            { waiting }.all(|other| batch.contains(&other)),
                            "earlier ones of a group come first"
                        );
                    }
                }
                taken.event
            }
            Step::Delete { of: index } => of(index).and_then(|(sequence, receives)| {
                let standing = state.standing(sequence, receives);
                assert!(!matches!(standing, Standing::Never), "it was received so");
                deleted.insert(sequence).then(|| Event::Deleted(vec![sequence]))
            }),
            Step::Hide { of: index, hidden } => of(index).and_then(|(sequence, receives)| {
                let is_in_flight = matches!(state.standing(sequence, receives), Standing::InFlight { .. });
                is_in_flight.then(|| {
                    until.insert(sequence, now + hidden);
                    Event::Hidden(vec![(sequence, Timestamp(now + hidden))])
                })
            }),
            Step::Purge => {
                deleted.extend(0..log.len() as u64);
                Some(Event::Purged { below: log.len() as u64 })
            }
            Step::Wait { ms } => {
                now += ms;
                None
            }
            // Older versions, which write them in one row, know of no messages that wait.
            Step::Snapshot if !state.runs.is_empty() => None,
            Step::Snapshot => {
                // The one in parts that it interrupts is none.
                in_parts = InParts::new(is_fifo);
                state.snapshot().iter().for_each(|event| replayed.apply(event));
                // Older versions, which write them in one row, know of no attempts.
                replayed.attempts = state.attempts.clone();
                None
            }
            Step::Part => {
                let event = in_parts.walk.next(&state).expect("it is begun anew when it is over");
                in_parts.has_begun = true;
                in_parts.read.apply(&event);
                replayed.apply(&event);
                if event == Event::Ended {
                    in_parts.read.advance(Timestamp(now));
                    assert_eq!(in_parts.read, state, "what it tells, with what came between its parts");
                    assert!(in_parts.read.is_whole());
                    in_parts = InParts::new(is_fifo);
                }
                None
            }
        };
        if let Some(event) = event {
            in_parts.take(&event);
            replayed.apply(&event);
            if !matches!(step, Step::Receive { .. }) {
                state.apply(&event);
            }
        }
        state.advance(Timestamp(now));
        replayed.advance(Timestamp(now));
        assert_eq!(state, replayed, "after {step:?}");
        check_counts(&state);
    }
    // Nothing is lost: with time, everything that was not deleted is received and can be deleted.
    let mut left: BTreeSet<u64> =
        (0..log.len() as u64).filter(|sequence| !deleted.contains(sequence)).collect();
    for _ in 0..=log.len() {
        now += 100;
        let from = usize::try_from(state.cursor()).expect("few");
        let taken = state.receive(&ask(now, now + 1, 10), &log[from..]);
        let numbers = numbers(&taken);
        numbers.iter().for_each(|sequence| assert!(left.remove(sequence), "{sequence} once"));
        state.apply(&Event::Deleted(numbers));
    }
    assert!(left.is_empty(), "{left:?} never came");
}

proptest! {
    #[test]
    fn replay_gives_the_same_state(steps in prop::collection::vec(step(), 1..120)) {
        run(false, &steps);
    }

    #[test]
    fn replay_gives_the_same_fifo_state(steps in prop::collection::vec(step(), 1..120)) {
        run(true, &steps);
    }
}

proptest! {
    #[test]
    fn what_is_taken_in_one_step_is_what_a_look_and_a_pick_would_give(
        heads in prop::collection::vec((0_u8..12, 0_u64..30), 0..40),
        asks in prop::collection::vec((1_usize..12, 0_u64..9), 1..8),
    ) {
        let tail: Vec<Head> = heads.iter().zip(0..).map(|((kind, time), sequence)| match kind {
            0 => head(sequence, 1 + time % 2),
            1 => Head { due: Timestamp(*time), is_out_of_order: true, ..head(sequence, 0) },
            2 => Head { due: Timestamp(*time), ..head(sequence, 0) },
            3 => Head { over: Timestamp(*time), ..head(sequence, 0) },
            _ => head(sequence, 0),
        }).collect();
        let (mut quick, mut slow) = (State::new(false), State::new(false));
        let mut now = 0;
        for (max, later) in asks {
            now += later;
            let ask = ask(now, now + 5, max);
            slow.advance(ask.now);
            let cursor = slow.cursor();
            let expected = slow.receive_rest(&ask, &tail, cursor, Vec::new(), Vec::new());
            prop_assert_eq!(quick.receive(&ask, &tail), expected);
            prop_assert_eq!(&quick, &slow);
        }
    }
}
