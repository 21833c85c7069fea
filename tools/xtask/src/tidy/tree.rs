//! The files that a commit would hold: known to git, or new and not ignored.
//!
//! Leaves out everything that is not text, and `target`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::source;

/// One text file.
pub(super) struct File {
    /// From the root, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// For Rust files, the text with comments and literals blanked, byte for byte as long.
    pub(super) code: String,
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> File {
        let code = if path.ends_with(".rs") { source::mask(text) } else { String::new() };
        File { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file holds tests or benchmarks only.
    pub(super) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
    }
}

/// All files of the tree.
pub(super) struct Tree {
    /// Text files, sorted by path.
    pub(super) files: Vec<File>,
    /// Every path, text or not, sorted.
    pub(super) paths: Vec<String>,
}

impl Tree {
    #[cfg(test)]
    pub(super) fn new(mut files: Vec<File>) -> Tree {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Tree { files, paths }
    }

    pub(super) fn read(root: &Path) -> Result<Tree, String> {
        let mut paths = list(root)?;
        paths.sort();
        paths.dedup();
        let mut files = Vec::new();
        let mut present = Vec::new();
        for path in paths {
            // A file deleted but not yet committed is still listed.
            let Ok(bytes) = fs::read(root.join(&path)) else { continue };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File::new(&path, &text));
            }
            present.push(path);
        }
        Ok(Tree { files, paths: present })
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// Whether a path names a file or a folder of the tree.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.paths.iter().any(|present| present == path || present.starts_with(&folder))
    }
}

fn list(root: &Path) -> Result<Vec<String>, String> {
    if !root.join(".git").exists() {
        // An unpacked archive has no index to ask.
        let mut paths = Vec::new();
        walk(root, "", &mut paths).map_err(|error| format!("{}: {error}", root.display()))?;
        return Ok(paths);
    }
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listing = crate::process::capture(Command::new("git").current_dir(root).args(arguments))?;
    Ok(listing.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if !entry.file_type()?.is_dir() {
            paths.push(path);
        } else if path != "target" {
            walk(&entry.path(), &format!("{path}/"), paths)?;
        }
    }
    Ok(())
}
