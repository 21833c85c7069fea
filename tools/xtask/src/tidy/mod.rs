//! `cargo xtask tidy`: the conventions of the tree that no compiler and no linter knows.
//!
//! Owns the walk over the tree and the list of rules; every name, number and exception is in `tables`. A rule
//! reads text or tokens, not types: it is meant to catch honest slips, and to say what to do about each. The
//! same check runs as a unit test, so `cargo test` alone catches them too.

mod homes;
mod imports;
mod layout;
mod links;
mod packages;
mod scripts;
mod sizes;
mod source;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

use tree::Tree;

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    layout::check,
    sizes::check,
    imports::check,
    packages::check,
    scripts::check,
    homes::check_crates,
    homes::check_unsafe,
    words::check,
    links::check,
];

/// Checks the tree and prints what it finds.
///
/// # Errors
/// The number of findings, or why the tree could not be read.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files keep the rules", tree.files.len());
        Ok(())
    } else {
        Err(format!("tidy: {} findings", findings.len()))
    }
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}
