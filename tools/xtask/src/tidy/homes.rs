//! Where a third-party crate may be named, and where unsafe code may stand. Everything else sees our own
//! types.

use super::Finding;
use super::source::{Token, tokens};
use super::tables::{CRATE_HOMES, GENERATED, UNSAFE_HOMES};
use super::tree::{File, Tree};

pub(super) fn check_crates(tree: &Tree) -> Vec<Finding> {
    tree.rust().flat_map(check_crates_in).collect()
}

fn check_crates_in(file: &File) -> Vec<Finding> {
    let tokens = tokens(&file.code);
    mentions(&tokens)
        .filter_map(|(name, line)| {
            let (_, homes) = CRATE_HOMES.iter().find(|(listed, _)| *listed == name)?;
            let at_home = homes.iter().any(|home| file.path.starts_with(home));
            let message = format!(
                "`{name}` is named outside its homes ({}): use our types from there",
                homes.join(", ")
            );
            (!at_home).then(|| Finding::new(&file.path, line, message))
        })
        .collect()
}

pub(super) fn check_unsafe(tree: &Tree) -> Vec<Finding> {
    check_unsafe_against(tree, UNSAFE_HOMES)
}

pub(super) fn check_unsafe_against(tree: &Tree, homes: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = vec![false; homes.len()];
    for file in tree.rust().filter(|file| !GENERATED.contains(&file.path.as_str())) {
        let tokens = tokens(&file.code);
        let Some(first) = tokens.iter().find(|token| token.text == "unsafe") else { continue };
        match homes.iter().position(|home| *home == file.path) {
            Some(index) => used[index] = true,
            None => findings.push(Finding::new(
                &file.path,
                first.line,
                "holds unsafe code and is not listed in UNSAFE_HOMES: use a safe call, or the home that has this one",
            )),
        }
    }
    let stale = homes.iter().zip(used).filter(|(_, used)| !used);
    findings.extend(stale.map(|(home, _)| {
        Finding::new(home, 1, "is listed in UNSAFE_HOMES and holds no unsafe code: take its line out")
    }));
    findings
}

/// The words that begin a path, or that are imported or declared by themselves: every mention of a crate is
/// among them.
pub(super) fn mentions<'a>(tokens: &[Token<'a>]) -> impl Iterator<Item = (&'a str, usize)> {
    tokens.iter().enumerate().filter_map(|(index, token)| {
        let before = index.checked_sub(1).map_or("", |before| tokens[before].text);
        let after = tokens.get(index + 1).map_or("", |after| after.text);
        let begins = before != "::" && (after == "::" || matches!(before, "use" | "crate"));
        begins.then_some((token.text, token.line))
    })
}
