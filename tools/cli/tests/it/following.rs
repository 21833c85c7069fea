//! Ingests that go on: across rotation, after a signal, after a kill.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{PATIENCE, Running, Server};

struct Scene {
    folder: TempDir,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(&folder.path().join("data"), &[]);
        server.run(&["stream", "create", "logs", "--quota", "off"]).ok();
        Self { folder, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ingest(&self, flags: &[&str]) -> Running {
        let (log, state) = (self.path("app.log"), self.path("state"));
        let log = log.display().to_string();
        let fixed = ["ingest", "logs", &log, "--key", "file", "--checkpoint", &state.display().to_string()];
        Running::start(self.server.command(&fixed).args(flags).stdout(Stdio::null()))
    }

    fn lines(&self) -> Vec<String> {
        self.server.run(&["replay", "logs"]).ok().lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn expect(&self, lines: &[String]) {
        let deadline = Instant::now() + PATIENCE;
        let mut found = self.lines();
        while found.len() < lines.len() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            found = self.lines();
        }
        assert!(found == lines, "{} lines, expected {}", found.len(), lines.len());
    }
}

fn append(path: &Path, lines: &[String]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the folder is writable");
    file.write_all((lines.join("\n") + "\n").as_bytes()).expect("the folder is writable");
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("line {number} {}", "x".repeat(100))).collect()
}

#[test]
fn following_crosses_rotation_and_a_restart() {
    let scene = Scene::new();
    let log = scene.path("app.log");
    append(&log, &numbered(0..100));
    let mut ingest = scene.ingest(&["--follow"]);
    scene.expect(&numbered(0..100));
    append(&log, &numbered(100..200));
    fs::rename(&log, scene.path("app.log.1")).expect("it is there");
    append(&log, &numbered(200..300));
    scene.expect(&numbered(0..300));
    ingest.signal(Signal::TERM);
    assert_eq!(ingest.wait().code(), Some(0));

    // Rotated while nobody followed: the rest of the old file comes first, and nothing comes again.
    append(&log, &numbered(300..400));
    fs::rename(&log, scene.path("app.log.2")).expect("it is there");
    append(&log, &numbered(400..500));
    let mut ingest = scene.ingest(&["--follow"]);
    scene.expect(&numbered(0..500));
    ingest.signal(Signal::INT);
    assert_eq!(ingest.wait().code(), Some(0));
    scene.server.stop();
}

#[test]
fn an_interrupted_ingest_goes_on_without_loss_or_repetition() {
    let scene = Scene::new();
    let lines = numbered(0..20_000);
    append(&scene.path("app.log"), &lines);
    for _ in 0..3 {
        let mut ingest = scene.ingest(&["--rate", "10000"]);
        std::thread::sleep(Duration::from_millis(400));
        ingest.signal(Signal::INT);
        let code = ingest.wait().code();
        assert!(matches!(code, Some(130 | 0)), "{code:?}");
    }
    let stored = scene.lines();
    assert!(!stored.is_empty() && stored.len() < lines.len(), "{} lines", stored.len());
    assert!(stored == lines[..stored.len()], "what is stored is the beginning of the input");
    assert_eq!(scene.ingest(&[]).wait().code(), Some(0));
    scene.expect(&lines);
    // Once more there is nothing to do.
    assert_eq!(scene.ingest(&[]).wait().code(), Some(0));
    scene.expect(&lines);
    scene.server.stop();
}

#[test]
fn a_killed_ingest_goes_on_without_loss() {
    let scene = Scene::new();
    let lines = numbered(0..20_000);
    append(&scene.path("app.log"), &lines);
    let mut ingest = scene.ingest(&["--rate", "10000"]);
    std::thread::sleep(Duration::from_millis(1_200));
    ingest.signal(Signal::KILL);
    ingest.wait();
    let before = scene.lines().len();
    assert!(before > 0 && before < lines.len(), "{before} lines");
    assert_eq!(scene.ingest(&[]).wait().code(), Some(0));

    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for line in scene.lines() {
        *counts.entry(line).or_default() += 1;
    }
    assert!(lines.iter().all(|line| counts.contains_key(line)), "no line is lost");
    assert_eq!(counts.len(), lines.len());
    let repeated = counts.values().filter(|count| **count > 1).count();
    // Those of the last checkpoint's interval, at 10,000 lines a second, and a slow machine's share.
    assert!(repeated < 10_000, "{repeated} lines are there twice");
    scene.server.stop();
}

#[test]
fn standard_input_is_read_as_it_comes() {
    let scene = Scene::new();
    let mut ingest = Running::start(
        scene.server.command(&["ingest", "logs", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()),
    );
    let mut input = ingest.child.stdin.take().expect("standard input is piped");
    input.write_all(b"first\nsec").expect("it reads");
    scene.expect(&["first".to_owned()]);
    input.write_all(b"ond\r\nlast").expect("it reads");
    drop(input);
    assert_eq!(ingest.wait().code(), Some(0));
    scene.expect(&["first".to_owned(), "second".to_owned(), "last".to_owned()]);
    scene.server.stop();
}

#[test]
fn tail_prints_what_comes() {
    let scene = Scene::new();
    append(&scene.path("app.log"), &numbered(0..5));
    assert_eq!(scene.ingest(&[]).wait().code(), Some(0));
    let mut tail = Running::start(
        scene.server.command(&["tail", "logs", "-n", "2", "--count", "3"]).stdout(Stdio::piped()),
    );
    let stdout = tail.child.stdout.take().expect("standard output is piped");
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(stdout)) {
            // The test may have failed meanwhile.
            _ = sender.send(line.expect("the output is text"));
        }
    });
    let next = || lines.recv_timeout(PATIENCE).expect("a line comes");
    assert_eq!([next(), next()], numbered(3..5)[..]);
    append(&scene.path("app.log"), &numbered(5..6));
    assert_eq!(scene.ingest(&[]).wait().code(), Some(0));
    assert_eq!(next(), numbered(5..6)[0]);
    assert_eq!(tail.wait().code(), Some(0));
    scene.server.stop();
}
