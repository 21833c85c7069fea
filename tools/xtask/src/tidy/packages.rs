//! Which package may build on which, and what the manifests and lint files repeat.

use toml::{Table, Value};

use super::Finding;
use super::tables::{OUTSIDERS, PACKAGES};
use super::tree::{File, Tree};

const OURS: &str = "tidemill-";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root_lints =
        tree.files.iter().find(|file| file.path == "clippy.toml").and_then(|file| file.text.parse().ok());
    for file in &tree.files {
        if file.path == "Cargo.toml" {
            findings.extend(check_outsiders(file));
        } else if let Some(folder) = file.path.strip_suffix("/Cargo.toml") {
            if !OUTSIDERS.contains(&folder) {
                findings.extend(check_manifest(folder, file));
            }
        } else if let (Some(root), true) = (&root_lints, file.path.ends_with("/clippy.toml")) {
            findings.extend(check_lints(root, file));
        }
    }
    findings
}

/// The list of the workspace and the list here are one.
fn check_outsiders(root: &File) -> Vec<Finding> {
    let manifest: Table = match root.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(&root.path, 1, format!("is not TOML: {error}"))],
    };
    let workspace = manifest.get("workspace").and_then(|workspace| workspace.get("exclude"));
    let excluded: Vec<&str> =
        workspace.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if excluded == OUTSIDERS {
        return Vec::new();
    }
    let message =
        format!("excludes {excluded:?} from the workspace, OUTSIDERS lists {OUTSIDERS:?}: make them one");
    vec![Finding::new(&root.path, line_of(&root.text, "exclude"), message)]
}

fn check_manifest(folder: &str, file: &File) -> Vec<Finding> {
    let Some((_, allowed)) = PACKAGES.iter().find(|(listed, _)| *listed == folder) else {
        return vec![Finding::new(
            &file.path,
            1,
            "is not listed in PACKAGES: write down what it may build on",
        )];
    };
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(&file.path, 1, format!("is not TOML: {error}"))],
    };
    let mut findings = Vec::new();
    for (kind, name, value) in dependencies(&manifest) {
        let line = line_of(&file.text, name);
        let is_dev = kind == "dev-dependencies";
        if name.starts_with(OURS) && !is_dev && !allowed.contains(&name) {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("may not depend on `{name}`, see PACKAGES: pass values, or move the code"),
            ));
        }
        if value.get("workspace").and_then(Value::as_bool) != Some(true) {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("`{name}` brings its own version: name it in the workspace and inherit it"),
            ));
        }
    }
    findings
}

fn dependencies(manifest: &Table) -> Vec<(&str, &str, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let scopes = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let kinds = scopes.flat_map(|scope| {
        ["dependencies", "dev-dependencies", "build-dependencies"]
            .into_iter()
            .filter_map(move |kind| Some((kind, scope.get(kind)?.as_table()?)))
    });
    kinds
        .flat_map(|(kind, table)| table.iter().map(move |(name, value)| (kind, name.as_str(), value)))
        .collect()
}

/// A package's lint file replaces the one at the root, so it has to repeat what that refuses.
fn check_lints(root: &Table, file: &File) -> Vec<Finding> {
    let own: Table = match file.text.parse() {
        Ok(own) => own,
        Err(error) => return vec![Finding::new(&file.path, 1, format!("is not TOML: {error}"))],
    };
    let entries =
        |table: &Table, list: &str| table.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    root.keys()
        .flat_map(|list| entries(root, list).into_iter().map(move |entry| (list, entry)))
        .filter(|(list, entry)| !entries(&own, list).contains(entry))
        .map(|(list, entry)| {
            Finding::new(
                &file.path,
                1,
                format!("replaces clippy.toml at the root and lacks its line `{entry}` in {list}: repeat it"),
            )
        })
        .collect()
}

fn line_of(text: &str, name: &str) -> usize {
    text.lines().position(|line| line.trim_start().starts_with(name)).map_or(1, |index| index + 1)
}
