//! Words that stand for unfinished work, in any text of the tree.

use super::Finding;
use super::tables::{BANNED_WORDS, WORDS_EXEMPT};
use super::tree::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.files.iter().filter(|file| !WORDS_EXEMPT.contains(&file.path.as_str()));
    files.flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let found = BANNED_WORDS.iter().filter(|word| contains(line, word));
        findings.extend(found.map(|word| {
            let message = format!(
                "`{word}` reads like unfinished work: finish it, or refuse clearly and say so in the docs"
            );
            Finding::new(&file.path, index + 1, message)
        }));
    }
    findings
}

/// Whether a line holds the word by itself. Words in capitals count only in capitals.
fn contains(line: &str, word: &str) -> bool {
    let is_shout = word.chars().all(|letter| letter.is_ascii_uppercase());
    let line = if is_shout { line.to_owned() } else { line.to_ascii_lowercase() };
    let is_letter =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        let ends_in_letter = word.ends_with(|letter: char| letter.is_alphanumeric());
        let runs_on =
            is_letter(before.chars().next_back()) || (ends_in_letter && is_letter(after.chars().next()));
        !runs_on
    })
}
