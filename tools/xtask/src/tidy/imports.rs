//! Which part of the server may name which: layers look right, leaves look nowhere, neighbours do not see
//! each other.
//!
//! A file belongs to the innermost folder that holds it. Inside a walled layer it may name that folder, the
//! folders around it and the folders within it, and no folder beside them; so two protocols, or two services,
//! share only what their common ancestor offers.

use super::Finding;
use super::homes::mentions;
use super::source::{Token, tokens};
use super::tables::{LAYERS, LEAVES, SERVER, WALLED};
use super::tree::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let server = tree.rust().filter(|file| file.path.starts_with(SERVER));
    server.flat_map(|file| check_file(tree, file)).collect()
}

fn check_file(tree: &Tree, file: &File) -> Vec<Finding> {
    let module = module(&file.path);
    let Some(own) = module.first() else { return Vec::new() };
    let leaf = LEAVES.iter().find(|(leaf, _)| leaf == own);
    if leaf.is_none() && !LAYERS.contains(own) {
        let message = format!(
            "`{own}` is no layer and no leaf of the server: move it into one, or name it in LAYERS or LEAVES"
        );
        return vec![Finding::new(&file.path, 1, message)];
    }
    let tokens = tokens(&file.code);
    let mut findings: Vec<Finding> = paths(&tokens, &module)
        .into_iter()
        .filter_map(|(line, target)| Some(Finding::new(&file.path, line, judge(tree, &module, &target)?)))
        .collect();
    if let Some((_, packages)) = leaf {
        let ours =
            mentions(&tokens).filter(|(name, _)| name.starts_with("tidemill_") && !packages.contains(name));
        findings.extend(ours.map(|(name, line)| {
            let message = format!("`{own}` is a leaf and may not name `{name}`: take plain values instead");
            Finding::new(&file.path, line, message)
        }));
    }
    findings
}

/// Why `module` may not name `target`, both as segments below the crate's root.
fn judge(tree: &Tree, module: &[&str], target: &[&str]) -> Option<String> {
    let (own, other) = (*module.first()?, *target.first()?);
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    if own == other {
        return WALLED.contains(&own).then(|| judge_neighbours(tree, module, target)).flatten();
    }
    let other_rank = rank(other)?;
    let named = target.join("::");
    match rank(own) {
        None => {
            Some(format!("`{own}` is a leaf and may not name the layer `{named}`: pass in what it needs"))
        }
        Some(own_rank) if own_rank > other_rank => Some(format!(
            "`{own}` may not name `{named}`, which is to its left in {}: return a value, or move what both need to the right",
            LAYERS.join(" > ")
        )),
        Some(_) => None,
    }
}

fn judge_neighbours(tree: &Tree, module: &[&str], target: &[&str]) -> Option<String> {
    let (from, to) = (folder(tree, module), folder(tree, target));
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    if shared == from.len() || shared == to.len() {
        return None;
    }
    let (from, to, ancestor) = (from.join("::"), to.join("::"), from[..shared].join("::"));
    Some(format!(
        "`{from}` may not name its neighbour `{to}`: let `{ancestor}` hold what both need, or a layer to the left join them"
    ))
}

/// The innermost folder on a module's path. A folder that holds a file's tests alone is not one.
fn folder<'a, 'b>(tree: &Tree, module: &'a [&'b str]) -> &'a [&'b str] {
    let is_folder = |length: &usize| {
        let prefix = format!("{SERVER}{}/", module[..*length].join("/"));
        tree.rust().any(|file| file.path.starts_with(&prefix) && !file.is_test())
    };
    let length = (1..=module.len()).rev().find(is_folder).unwrap_or(0);
    &module[..length]
}

/// The module that a file of the server holds, as segments below the crate's root.
fn module(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix(SERVER).unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut segments: Vec<&str> = inner.split('/').collect();
    if matches!(segments.as_slice(), ["lib"] | [.., "mod"]) {
        segments.pop();
    }
    segments
}

/// Every path that starts at `crate`, `super` or `self`, with its line, as segments below the crate's root.
fn paths<'a>(tokens: &[Token<'a>], module: &[&'a str]) -> Vec<(usize, Vec<&'a str>)> {
    let mut found = Vec::new();
    let mut scope = module.to_vec();
    let mut inline_modules = Vec::new();
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map_or("", |before| tokens[before].text);
        let next = |ahead: usize| tokens.get(index + ahead).map_or("", |token| token.text);
        match token.text {
            "mod" if next(2) == "{" => {
                scope.push(next(1));
                inline_modules.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline_modules.last() == Some(&depth) {
                    inline_modules.pop();
                    scope.pop();
                }
            }
            "crate" | "super" | "self" if before != "::" && next(1) == "::" => {
                let start = if token.text == "crate" { Vec::new() } else { scope.clone() };
                let first = if token.text == "crate" { index + 2 } else { index };
                expand(tokens, first, &start, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Follows one path, and each branch of a group, from the segment at `index`; returns where it ends.
fn expand<'a>(
    tokens: &[Token<'a>],
    mut index: usize,
    start: &[&'a str],
    found: &mut Vec<(usize, Vec<&'a str>)>,
) -> usize {
    let mut path = start.to_vec();
    let mut line = tokens.get(index).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(index) {
        match token.text {
            "{" => {
                index += 1;
                while let Some(token) = tokens.get(index).filter(|token| token.text != "}") {
                    index = match token.text {
                        "," => index + 1,
                        "as" => index + 2,
                        _ => expand(tokens, index, &path, found).max(index + 1),
                    };
                }
                return index + 1;
            }
            "super" => drop(path.pop()),
            "self" => {}
            word if word.starts_with(|first: char| first == '_' || first.is_alphabetic()) => path.push(word),
            _ => break,
        }
        line = token.line;
        index += 1;
        if tokens.get(index).is_none_or(|token| token.text != "::") {
            break;
        }
        index += 1;
    }
    found.push((line, path));
    index
}
