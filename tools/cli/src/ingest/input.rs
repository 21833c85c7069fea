//! Which files an ingest reads: paths, patterns of paths, and standard input.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{CommandError, Exit, Outcome};

/// One argument of the command line.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// `-`
    Stdin,
    /// A path, also one that has the characters of a pattern but exists.
    Path(PathBuf),
    /// `*`, `?` and `[…]` stand for parts of a name, `**` for any folders.
    Pattern(glob::Pattern),
}

impl Input {
    /// Reads the arguments; none at all stands for standard input.
    pub(crate) fn parse(arguments: &[String]) -> Outcome<Vec<Self>> {
        if arguments.is_empty() {
            return Ok(vec![Self::Stdin]);
        }
        arguments.iter().map(|argument| Self::parse_one(argument)).collect()
    }

    fn parse_one(argument: &str) -> Outcome<Self> {
        if argument == "-" {
            return Ok(Self::Stdin);
        }
        if !argument.contains(['*', '?', '[']) || Path::new(argument).exists() {
            return Ok(Self::Path(argument.into()));
        }
        let pattern = glob::Pattern::new(argument);
        pattern.map(Self::Pattern).map_err(|error| CommandError::because(Exit::Usage, argument, &error))
    }

    /// Whether a path is among those that the argument stands for.
    pub(crate) fn names(&self, path: &Path) -> bool {
        match self {
            Self::Stdin => false,
            Self::Path(own) => own == path,
            Self::Pattern(pattern) => pattern.matches_path_with(path, MATCHING),
        }
    }

    /// The files that are there now, patterns in order of the names. Folders that a pattern matches are left out.
    pub(crate) fn files(&self) -> io::Result<Vec<PathBuf>> {
        match self {
            Self::Stdin => Ok(Vec::new()),
            Self::Path(path) => Ok(vec![path.clone()]),
            Self::Pattern(pattern) => {
                let found = glob::glob_with(pattern.as_str(), MATCHING).map_err(io::Error::other)?;
                // A folder that cannot be read hides what is in it, as it does from a shell.
                Ok(found.filter_map(Result::ok).filter(|path| !path.is_dir()).collect())
            }
        }
    }
}

/// As shells do: `*` ends at a `/` and does not match a leading dot.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};
