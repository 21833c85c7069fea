//! Relative links of the README and the docs lead to files of the tree.
//!
//! Leaves out other sites, which no test can depend on, and headings within a page.

use super::Finding;
use super::tree::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let is_page = |path: &str| path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'));
    tree.files.iter().filter(|file| is_page(&file.path)).flat_map(|file| check_page(tree, file)).collect()
}

fn check_page(tree: &Tree, page: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_fence = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        for target in targets(line) {
            let path = target.split('#').next().unwrap_or_default();
            let is_elsewhere = path.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !is_elsewhere
                && !resolve(&page.path, path).is_some_and(|path| path.is_empty() || tree.has(&path))
            {
                findings.push(Finding::new(
                    &page.path,
                    index + 1,
                    format!("the link to `{target}` leads nowhere: mend or remove it"),
                ));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` and of `[label]: target`, code spans left out.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.extend(target.split_whitespace().next());
    }
    let mut position = 0;
    // The parts with odd numbers are inside a code span.
    for (number, part) in line.split('`').enumerate() {
        if number % 2 == 0 {
            let starts = part.match_indices("](").map(|(start, _)| &line[position + start + 2..]);
            found.extend(starts.filter_map(|rest| rest.split([')', ' ']).next()));
        }
        position += part.len() + 1;
    }
    found
}

/// A link's path from the root of the tree, if it does not leave it.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { page.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}
