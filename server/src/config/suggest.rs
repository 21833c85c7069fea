//! The known name that is written most like an unknown one.

/// Longest name that is compared; what is longer is no typing error.
const NAME_BYTES_MAX: usize = 128;

/// The candidate with the fewest edits to `name`, if it is near enough to be what was meant.
pub(super) fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let (edits, candidate) = candidates
        .map(|candidate| (distance(name, &candidate), candidate))
        .min_by_key(|(edits, _)| *edits)?;
    // Up to half of the shorter name may be wrong: names share their section, so less would miss renamed knobs.
    (edits <= name.len().min(candidate.len()) / 2).then_some(candidate)
}

/// Levenshtein distance in bytes, without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        row[0] = before;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            before = substituted.min(diagonal + 1).min(before + 1);
            row[j + 1] = before;
        }
    }
    row[right.len()]
}
