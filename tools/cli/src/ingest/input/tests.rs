//! What arguments stand for.

use std::fs;
use std::path::Path;

use super::Input;

#[test]
fn no_argument_is_standard_input() {
    assert!(matches!(Input::parse(&[]).expect("nothing to refuse")[..], [Input::Stdin]));
    assert!(matches!(Input::parse(&["-".to_owned()]).expect("a dash is allowed")[..], [Input::Stdin]));
    assert!(Input::parse(&["a[".to_owned()]).is_err());
}

#[test]
fn patterns_match_files_in_order_and_no_folders() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for name in ["b.log", "a.log", ".hidden.log", "c.txt"] {
        fs::write(folder.path().join(name), name).expect("the directory is writable");
    }
    fs::create_dir(folder.path().join("d.log")).expect("the directory is writable");
    let pattern = folder.path().join("*.log").display().to_string();
    let inputs = Input::parse(&[pattern]).expect("the pattern is well formed");
    let files = inputs[0].files().expect("the directory is readable");
    assert_eq!(files, [folder.path().join("a.log"), folder.path().join("b.log")]);
    assert!(inputs[0].names(&folder.path().join("late.log")));
    assert!(!inputs[0].names(Path::new("/elsewhere.log")));
}

#[test]
fn a_file_with_a_star_in_its_name_is_a_file() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let odd = folder.path().join("*.log");
    fs::write(&odd, "").expect("the directory is writable");
    fs::write(folder.path().join("a.log"), "").expect("the directory is writable");
    let inputs = Input::parse(&[odd.display().to_string()]).expect("a path is allowed");
    assert_eq!(inputs[0].files().expect("a path needs no reading"), [odd]);
}
