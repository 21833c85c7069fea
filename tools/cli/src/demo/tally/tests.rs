//! Every kind of damage shows.

use super::{Difference, Tally};

fn tally(lines: &[(&str, &str)]) -> Tally {
    let mut tally = Tally::default();
    for (key, line) in lines {
        tally.add(key.as_bytes(), line.as_bytes());
    }
    tally
}

#[test]
fn damage_shows_and_mixing_of_keys_does_not() {
    let sent = tally(&[("a", "1"), ("b", "2"), ("a", "3"), ("", "x"), ("", "y")]);
    let check = |received: &[(&str, &str)], miscounted, misordered| {
        let expected = (miscounted + misordered > 0).then_some(Difference { miscounted, misordered });
        assert_eq!(sent.difference(&tally(received)), expected, "{received:?}");
    };
    check(&[("b", "2"), ("", "y"), ("a", "1"), ("", "x"), ("a", "3")], 0, 0);
    check(&[("a", "3"), ("b", "2"), ("a", "1"), ("", "x"), ("", "y")], 0, 1);
    check(&[("a", "1"), ("b", "2"), ("", "x"), ("", "y")], 1, 0);
    check(&[("a", "1"), ("b", "2"), ("a", "3"), ("a", "3"), ("", "x"), ("", "y")], 1, 0);
    check(&[("a", "1"), ("b", "two"), ("a", "3"), ("", "x"), ("", "y")], 0, 1);
    check(&[("a", "1"), ("c", "2"), ("a", "3"), ("", "x"), ("", "y")], 2, 0);
    check(&[("a", "1"), ("b", "2"), ("a", "3"), ("", "x"), ("", "x")], 0, 1);
    assert_eq!((sent.lines(), sent.bytes(), sent.keys()), (5, 5, 3));
}
