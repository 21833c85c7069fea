//! The line and the code of a failure.

use std::io;
use std::path::Path;

use super::{CommandError, EXIT_CODES, Exit, chain};

#[derive(Debug, thiserror::Error)]
#[error("cannot read the map")]
struct Outer(#[source] Inner);

#[derive(Debug, thiserror::Error)]
#[error("page 3 is torn: {0}")]
struct Inner(#[source] io::Error);

#[test]
fn causes_are_named_once_and_in_order() {
    let error = Outer(Inner(io::Error::other("checksum")));
    assert_eq!(chain(&error), "cannot read the map: page 3 is torn: checksum");
}

#[test]
fn a_missing_file_has_its_own_code() {
    let error = CommandError::at_path(Path::new("/nowhere"), &io::ErrorKind::NotFound.into());
    assert_eq!(error.code(), Exit::NotFound as u8);
    assert!(error.report().is_some_and(|line| line.starts_with("tidemill: /nowhere: ")));
}

#[test]
fn a_broken_pipe_is_silent_success() {
    let error = CommandError::output(&io::ErrorKind::BrokenPipe.into());
    assert_eq!((error.code(), error.report()), (0, None));
}

#[test]
fn a_report_is_one_line() {
    let error = CommandError::new(Exit::Failure, "line 1\nline 2");
    assert_eq!(error.report().as_deref(), Some("tidemill: line 1 line 2"));
    assert_eq!(error.exit(), Exit::Failure);
}

#[test]
fn the_table_names_every_code() {
    let codes = [
        Exit::Failure,
        Exit::Usage,
        Exit::NotFound,
        Exit::Refused,
        Exit::Damaged,
        Exit::Unreachable,
        Exit::Interrupted,
    ];
    for exit in codes {
        let number = exit as u8;
        assert!(
            EXIT_CODES.lines().any(|line| line.trim_start().starts_with(&format!("{number} "))),
            "{number}"
        );
    }
}
