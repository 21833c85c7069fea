//! Spans come back as they were put in, those between the oldest and the newest are left to their segments, and no memory is taken for them.

use super::*;

fn span(number: u64) -> Span {
    Span {
        segment: 100 + number,
        first: SequenceNumber(number * 10),
        next: SequenceNumber(number * 10 + 10),
        first_time: Timestamp(5_000 + number * 100),
        last_time: Timestamp(5_050 + number * 100),
        payload_bytes: 1 << 34,
        first_point: u32::MAX,
        point_count: 3,
    }
}

fn spans(count: u64) -> Spans {
    let mut spans = Spans::default();
    (0..count).for_each(|number| spans.push_back(&span(number)));
    spans
}

fn kept(spans: &Spans) -> Vec<SegmentId> {
    spans.iter().map(|span| span.segment).collect()
}

#[test]
fn spans_come_back_as_they_were_put_in() {
    let mut spans = spans(3);
    assert_eq!(spans.iter().collect::<Vec<_>>(), [span(0), span(1), span(2)]);
    assert_eq!(spans.gap(), None);
    let widest = Span {
        next: SequenceNumber(30 + u64::from(u32::MAX)),
        last_time: Timestamp(5_300 + u64::from(u32::MAX)),
        ..span(3)
    };
    spans.push_back(&widest);
    assert_eq!((spans.front(), spans.back()), (Some(span(0)), Some(widest)));
    spans.set_back(&span(3));
    assert_eq!(spans.back(), Some(span(3)));
}

#[test]
fn only_the_oldest_and_the_newest_are_kept() {
    let mut many = spans(1_000);
    assert_eq!(kept(&many), [100, 1_097, 1_098, 1_099]);
    assert_eq!(many.gap(), Some(Gap { before: span(0), after: span(997) }));
    assert!(many.0.capacity() <= 2 * SPANS_KEPT, "{}", many.0.capacity());
    // What comes behind the oldest has to be known before it goes.
    assert_eq!(many.pop_front(), None);
    assert_eq!(many.advance(&span(1)), Some(span(0)));
    assert_eq!(kept(&many), [101, 1_097, 1_098, 1_099]);
    assert_eq!(many.advance(&span(996)), Some(span(1)));
    assert_eq!((many.gap(), many.pop_front()), (None, Some(span(996))));
    assert_eq!(kept(&many), [1_097, 1_098, 1_099]);
}

#[test]
fn spans_without_a_footer_are_kept() {
    let mut spans = spans(2);
    let open = |number| Span { first_point: 0, point_count: 0, ..span(number) };
    (2..8).for_each(|number| spans.push_back(&open(number)));
    assert_eq!(kept(&spans), (100..108).collect::<Vec<_>>());
    (102..107).for_each(|segment| spans.set_points(segment, 8, 9));
    spans.push_back(&open(8));
    assert_eq!(kept(&spans), [100, 106, 107, 108]);
    assert_eq!(spans.gap().map(|gap| (gap.after.first_point, gap.after.point_count)), Some((8, 9)));
}

#[test]
fn a_number_or_a_time_leads_to_its_span() {
    let few = spans(4);
    assert_eq!(few.at(SequenceNumber(0)), Some(Found::Here(span(0))));
    assert_eq!(few.at(SequenceNumber(19)), Some(Found::Here(span(1))));
    assert_eq!(few.at(SequenceNumber(40)), None);
    assert_eq!(few.at_time(Timestamp(0)), Some(Found::Here(span(0))));
    assert_eq!(few.at_time(Timestamp(5_051)), Some(Found::Here(span(1))));
    assert_eq!(few.at_time(Timestamp(5_351)), None);
    let many = spans(20);
    let between = Some(Found::Between(Gap { before: span(0), after: span(17) }));
    assert_eq!(many.at(SequenceNumber(9)), Some(Found::Here(span(0))));
    assert_eq!((many.at(SequenceNumber(10)), many.at(SequenceNumber(169))), (between, between));
    assert_eq!(many.at(SequenceNumber(170)), Some(Found::Here(span(17))));
    assert_eq!(many.at_time(Timestamp(5_050)), Some(Found::Here(span(0))));
    assert_eq!((many.at_time(Timestamp(5_051)), many.at_time(Timestamp(6_700))), (between, between));
    assert_eq!(many.at_time(Timestamp(6_701)), Some(Found::Here(span(17))));
}

#[test]
fn one_span_takes_the_place_of_several() {
    let joined = |from: u64, to: u64| Span { segment: 7, next: SequenceNumber(to * 10), ..span(from) };
    let within = |segments: std::ops::Range<u64>| move |id| segments.contains(&id);
    let mut few = spans(4);
    few.replace(within(101..103), &joined(1, 3));
    assert_eq!(few.iter().collect::<Vec<_>>(), [span(0), joined(1, 3), span(3)]);
    let mut many = spans(20);
    // All of them between.
    many.replace(within(105..110), &joined(5, 10));
    assert_eq!(kept(&many), [100, 117, 118, 119]);
    // With the one behind the gap, and then with the oldest.
    many.replace(within(110..118), &joined(10, 18));
    assert_eq!(many.gap(), Some(Gap { before: span(0), after: joined(10, 18) }));
    many.replace(|id| id == 7 || id == 100, &Span { segment: 8, ..joined(0, 18) });
    assert_eq!((kept(&many), many.gap()), (vec![8, 118, 119], None));
}
