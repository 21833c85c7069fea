//! Spans come back as they were put in, and take no more memory than they need.

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

#[test]
fn spans_come_back_as_they_were_put_in() {
    let mut spans = spans(20);
    let widest = Span {
        next: SequenceNumber(200 + u64::from(u32::MAX)),
        last_time: Timestamp(7_000 + u64::from(u32::MAX)),
        ..span(20)
    };
    spans.push_back(&widest);
    assert_eq!((spans.front(), spans.back(), spans.len()), (Some(span(0)), Some(widest), 21));
    assert!(spans.iter().take(20).eq((0..20).map(span)));
    spans.set_back(&span(20));
    assert_eq!(spans.back(), Some(span(20)));
}

#[test]
fn a_number_or_a_time_leads_to_its_span() {
    let spans = spans(5);
    let segment = |span: Option<Span>| span.map(|span| span.segment);
    assert_eq!(segment(spans.at(SequenceNumber(0))), Some(100));
    assert_eq!(segment(spans.at(SequenceNumber(19))), Some(101));
    assert_eq!(segment(spans.at(SequenceNumber(20))), Some(102));
    assert_eq!(segment(spans.at(SequenceNumber(50))), None);
    assert_eq!(segment(spans.at_time(Timestamp(0))), Some(100));
    assert_eq!(segment(spans.at_time(Timestamp(5_051))), Some(101));
    assert_eq!(segment(spans.at_time(Timestamp(5_451))), None);
}

#[test]
fn one_span_takes_the_place_of_several() {
    let mut spans = spans(6);
    spans.set_points(104, 8, 9);
    let joined = Span { segment: 7, next: SequenceNumber(40), ..span(1) };
    assert_eq!(spans.replace(1..4, &joined), vec![span(1), span(2), span(3)]);
    let points = Span { first_point: 8, point_count: 9, ..span(4) };
    assert_eq!(spans.iter().collect::<Vec<_>>(), vec![span(0), joined, points, span(5)]);
}

#[test]
fn memory_that_is_not_used_is_given_back() {
    let mut few = spans(6);
    assert_eq!(few.0.capacity(), 6);
    while few.pop_front().is_some() {
        assert!(few.0.capacity() <= few.len() + 1);
    }
    let mut many = spans(1_000);
    assert!(many.0.capacity() <= 1_000 + 1_000 / 8 + 1);
    assert!((0..900).all(|_| many.pop_front().is_some()));
    assert!(many.0.capacity() <= 130, "{} for 100", many.0.capacity());
    let joined = Span { next: SequenceNumber(10_000), ..span(900) };
    many.replace(0..100, &joined);
    assert_eq!((many.0.capacity(), many.len()), (1, 1));
}
