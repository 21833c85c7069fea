//! Tests of `ids`: stream names and the end of the number space.

use super::*;

fn check_name(text: &str, expected: Result<(), StreamNameError>) {
    let found = StreamName::new(text);
    assert_eq!(found.as_ref().map(StreamName::as_str).map_err(Clone::clone), expected.map(|()| text));
    assert_eq!(text.parse::<StreamName>(), found);
}

#[test]
fn name_has_letters_digits_and_three_marks() {
    check_name("a", Ok(()));
    check_name("Az09_.-", Ok(()));
    check_name(&"n".repeat(128), Ok(()));
}

#[test]
fn name_of_wrong_length_is_refused() {
    check_name("", Err(StreamNameError::Length { length: 0 }));
    check_name(&"n".repeat(129), Err(StreamNameError::Length { length: 129 }));
}

#[test]
fn name_with_a_foreign_character_tells_which() {
    let foreign = |character, position| Err(StreamNameError::Character { character, position });
    check_name("a b", foreign(' ', 1));
    check_name("é", foreign('é', 0));
    check_name("a/b", foreign('/', 1));
    check_name("log\n", foreign('\n', 3));
    check_name("\0", foreign('\0', 0));
}

#[test]
fn sequence_numbers_end() {
    assert_eq!(SequenceNumber(1).checked_add(2), Some(SequenceNumber(3)));
    assert_eq!(SequenceNumber(u64::MAX).checked_add(1), None);
    assert_eq!(SequenceNumber(5).since(SequenceNumber(2)), 3);
    assert_eq!(SequenceNumber(2).since(SequenceNumber(5)), 0);
}

#[test]
fn names_of_queues_end_in_fifo_or_have_no_dot() {
    let longest = format!("{}.fifo", "x".repeat(75));
    for (text, is_fifo) in
        [("a", false), ("A_b-9", false), ("a.fifo", true), ("fifo", false), (&longest, true)]
    {
        let name = QueueName::new(text).expect(text);
        assert_eq!((name.as_str(), name.is_fifo()), (text, is_fifo));
        assert_eq!(text.parse(), Ok(name));
    }
    let too_long = format!("{}.fifo", "x".repeat(76));
    for text in ["", ".fifo", "a.b", "a.fifo.fifo", "a b", "ä", "a.FIFO", &"x".repeat(81), &too_long] {
        assert_eq!(QueueName::new(text), Err(QueueNameError { text: text.to_owned() }));
    }
}
