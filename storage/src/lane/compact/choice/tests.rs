//! The rule on plain numbers.

use super::*;

const MIB: u64 = 1 << 20;

fn candidate(live_mib: u64, last_time: u64) -> Candidate {
    Candidate {
        file_bytes: 16 * MIB,
        live_bytes: live_mib * MIB,
        spans: 3,
        first_time: Timestamp(last_time),
        last_time: Timestamp(last_time),
        over_at: Timestamp(u64::MAX),
        is_overstaying: false,
        interleaved: false,
        is_replaced: false,
        is_late: false,
        avoided: false,
    }
}

fn rules() -> Rules {
    Rules {
        now: Timestamp(100_000),
        output_bytes_max: 18 * MIB,
        grouping_age: Duration::from_secs(10),
        upkeep_interval: Duration::from_secs(1),
        bytes_per_second: 4 * MIB,
        pressed: false,
    }
}

fn check(candidates: &[Candidate], rules: Rules, expected: Option<(Range<usize>, Motive)>) {
    let expected = expected.map(|(victims, motive)| Choice { victims, motive });
    assert_eq!(choose(candidates, &rules), expected);
}

#[test]
fn nothing_is_rewritten_before_enough_is_dead_unless_the_disk_is_full() {
    let all: Vec<_> = (0..10).map(|n| candidate(if n == 3 { 8 } else { 15 }, n)).collect();
    check(&all, rules(), None);
    check(&all, Rules { pressed: true, ..rules() }, Some((3..4, Motive::Garbage)));
}

#[test]
fn what_is_emptier_and_what_is_older_goes_first() {
    check(&[candidate(8, 0), candidate(2, 0), candidate(8, 0)], rules(), Some((1..2, Motive::Garbage)));
    check(&[candidate(8, 0), candidate(8, 90_000)], rules(), Some((0..1, Motive::Garbage)));
    check(&[candidate(12, 0), candidate(2, 0), candidate(3, 0)], rules(), Some((1..3, Motive::Garbage)));
}

#[test]
fn neighbours_go_together_as_far_as_they_fit_and_pay() {
    let all = [candidate(1, 0), candidate(1, 0), candidate(1, 0)];
    check(&all, rules(), Some((0..3, Motive::Garbage)));
    check(&vec![candidate(5, 0); 5], rules(), Some((2..5, Motive::Garbage)));
    let mut avoided = all.to_vec();
    avoided[1].avoided = true;
    let Some(choice) = choose(&avoided, &rules()) else { panic!("the others are left") };
    assert!(!choice.victims.contains(&1) && choice.victims.len() == 1);
}

#[test]
fn points_could_not_count_the_time_of_a_wider_run() {
    let mut all = [candidate(1, 0), candidate(1, u64::from(u32::MAX) + 1)];
    all[1].first_time = all[1].last_time;
    let choice = choose(&all, &Rules { now: Timestamp(1 << 40), ..rules() });
    assert_eq!(choice.map(|choice| choice.victims.len()), Some(1));
}

#[test]
fn many_small_files_become_one() {
    let small = Candidate { file_bytes: 2 * MIB, ..candidate(1, 0) };
    let small = Candidate { live_bytes: 2 * MIB - 100_000, ..small };
    check(&vec![small.clone(); 7], rules(), None);
    check(&vec![small; 12], rules(), Some((0..9, Motive::Number)));
}

#[test]
fn interleaved_owners_are_grouped_when_they_are_old_enough() {
    let interleaved = |time| Candidate { interleaved: true, ..candidate(15, time) };
    let all = [candidate(15, 0), interleaved(0), interleaved(95_000)];
    check(&all, rules(), Some((1..2, Motive::Grouping)));
    check(&all[2..], rules(), None);
}

/// `candidate`, and when all of it will be over.
fn passing(live_mib: u64, last_time: u64, over_at: u64) -> Candidate {
    Candidate { over_at: Timestamp(over_at), ..candidate(live_mib, last_time) }
}

#[test]
fn what_will_be_over_within_minutes_waits_for_that_as_long_as_disk_use_allows() {
    let now = rules().now.0;
    let soon = now + u64::try_from(EXPIRY_WAIT.as_millis()).expect("minutes");
    // Between one part in five and two in nine are dead, and all of it in one segment.
    let parts = |all: &[Candidate]| {
        let files: u64 = all.iter().map(|one| one.file_bytes).sum();
        let freed: u64 = all.iter().map(|one| one.file_bytes - one.output_bytes()).sum();
        (freed * 5 > files, freed * 9 > files * 2)
    };
    let few = |rest: Candidate| [vec![rest], vec![candidate(15, 0); 3]].concat();
    let soonest = few(passing(5, 0, soon));
    assert_eq!(parts(&soonest), (true, false));
    check(&soonest, rules(), None);
    check(&few(passing(5, 0, soon + 1)), rules(), Some((0..1, Motive::Garbage)));
    // On a full disk nothing waits.
    check(&soonest, Rules { pressed: true, ..rules() }, Some((0..1, Motive::Garbage)));
    let pressing = few(passing(4, 0, soon));
    assert_eq!(parts(&pressing), (true, true));
    check(&pressing, rules(), Some((0..1, Motive::Garbage)));
}

#[test]
fn what_is_over_before_a_copy_of_it_would_be_worth_anything_waits_while_the_disk_has_room() {
    // Four MiB a second, and a look each second: four MiB are copied for one second, and gone after the look that follows.
    let now = rules().now.0;
    let few = |over_at| [vec![passing(4, 0, over_at)], vec![candidate(15, 0); 3]].concat();
    check(&few(now + 2_000), rules(), None);
    check(&few(now + 2_001), rules(), Some((0..1, Motive::Garbage)));
    check(&few(now + 2_000), Rules { pressed: true, ..rules() }, Some((0..1, Motive::Garbage)));
}

#[test]
fn what_was_to_go_by_itself_and_did_not_is_waited_for_no_longer() {
    // One MiB is copied in a quarter of a second, and two looks of a second each are allowed for.
    let now = rules().now;
    let mut all = [vec![passing(1, 0, 0)], vec![candidate(15, 0); 3]].concat();
    assert_eq!(all[0].waited_for_until(&rules()), Some(Timestamp(now.0 + 2_250)));
    assert_eq!(passing(1, 0, now.0 + 1_000).waited_for_until(&rules()), Some(Timestamp(now.0 + 3_250)));
    assert_eq!(passing(1, 0, now.0 + 1_251).waited_for_until(&rules()), None);
    check(&all, rules(), None);
    all[0].is_overstaying = true;
    // A neighbour is nearly as good a choice: what frees space only until it goes counts for little.
    check(&all, rules(), Some((0..2, Motive::Garbage)));
}

#[test]
fn what_lasts_longer_goes_first() {
    let all = [passing(4, 0, 100_100), candidate(15, 0), candidate(5, 0)];
    check(&all, rules(), Some((2..3, Motive::Garbage)));
}

#[test]
fn nothing_is_merged_or_grouped_that_goes_by_itself() {
    let small = Candidate { file_bytes: 2 * MIB, ..passing(1, 0, 100_100) };
    let small = Candidate { live_bytes: 2 * MIB - 100_000, ..small };
    check(&vec![small; 12], rules(), None);
    check(&[Candidate { interleaved: true, ..passing(15, 0, 100_100) }], rules(), None);
}
