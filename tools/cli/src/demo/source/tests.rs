//! What is taken for a log, and what a made-up one looks like.

use std::fs;

use super::{generate, text_files};

#[test]
fn binary_files_are_left_out_and_the_size_is_bounded() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write =
        |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("it is writable");
    fs::create_dir(folder.path().join("app")).expect("it is writable");
    write("app/a.log", b"text\n");
    write("b.log.gz", &[0x1f, 0x8b, 8, 0, 0, 0]);
    write("c.log", b"more text\n");
    write("empty.log", b"");
    let names = |bytes_max| {
        let found = text_files(folder.path(), bytes_max).into_iter();
        found
            .map(|(path, bytes)| {
                (path.strip_prefix(folder.path()).map(|p| p.display().to_string()).unwrap_or_default(), bytes)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(100), [("app/a.log".to_owned(), 5), ("c.log".to_owned(), 10)]);
    assert_eq!(names(12), [("app/a.log".to_owned(), 5)]);
}

#[test]
fn made_up_lines_all_differ() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("access.log");
    generate(&path, 100_000).expect("it is writable");
    let text = fs::read_to_string(&path).expect("it was just written");
    assert!((100_000..101_000).contains(&text.len()));
    let lines: std::collections::BTreeSet<&str> = text.lines().collect();
    assert_eq!(lines.len(), text.lines().count());
    assert!(lines.iter().all(|line| line.starts_with("10.") && line.contains(" HTTP/1.1\" ")));
    let visitors: std::collections::BTreeSet<_> =
        text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(visitors.len() > 50, "{}", visitors.len());
}
