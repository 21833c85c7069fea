//! What stands at the top of the tree, and that every source file says what it owns.

use std::collections::BTreeSet;

use super::Finding;
use super::tables::{TOP_LEVEL_OPTIONAL, TOP_LEVEL_REQUIRED};
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let present: BTreeSet<&str> = tree.paths.iter().filter_map(|path| path.split('/').next()).collect();
    let unknown = present
        .iter()
        .filter(|name| !TOP_LEVEL_REQUIRED.contains(name) && !TOP_LEVEL_OPTIONAL.contains(name))
        .map(|name| {
            Finding::new(name, 1, "does not belong at the top level: move it into one of the folders there")
        });
    let missing = TOP_LEVEL_REQUIRED
        .iter()
        .filter(|name| !present.contains(*name))
        .map(|name| Finding::new(name, 1, "is missing at the top level: add it"));
    let silent = tree.rust().filter(|file| !file.text.trim_start().starts_with("//!")).map(|file| {
        Finding::new(&file.path, 1, "does not open with `//!`: say what the file owns and promises")
    });
    unknown.chain(missing).chain(silent).collect()
}
