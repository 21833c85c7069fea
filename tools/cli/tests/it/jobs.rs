//! Job queues that people run on SQS, unmodified: workers are killed in the middle of their jobs, and no job is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::aws::{client, install, javascript, source, start};
use crate::process::{Finished, PATIENCE, Server, finish};

const JOBS: usize = 300;
/// Times that a worker is killed.
const KILLS: usize = 3;

/// The jobs that were done. One that is noted just now may lack its end.
fn done(notes: &Path) -> BTreeSet<usize> {
    let text = std::fs::read_to_string(notes).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| line.parse().expect("a job's number")).collect()
}

/// Hands jobs out and has workers do them, of which all but the last are killed.
fn work(server: &Server, folder: &Path, program: impl Fn() -> Command) {
    let notes = folder.join("notes");
    let hand_out = finish(program().arg("hand-out").arg(&notes).arg(JOBS.to_string()));
    hand_out.ok();
    for kill in 0..=KILLS {
        let mut worker = program();
        let log = std::fs::File::create(folder.join(format!("worker-{kill}.log"))).expect("room for a log");
        worker.stdout(log.try_clone().expect("a file like any other")).stderr(log);
        let mut worker = worker.arg("work").spawn().expect("the worker runs");
        let wanted = JOBS * (kill + 1) / (KILLS + 1);
        let deadline = Instant::now() + PATIENCE;
        while done(&notes).len() < wanted && Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        worker.kill().expect("it is ours");
        worker.wait().expect("it has ended");
        let said = std::fs::read_to_string(folder.join(format!("worker-{kill}.log"))).unwrap_or_default();
        let missing = JOBS - done(&notes).len();
        assert!(done(&notes).len() >= wanted, "{missing} jobs are missing: {said}\n{}", server.log());
    }
    assert_eq!(done(&notes), (0..JOBS).collect(), "no job but those that were handed out");
}

#[test]
fn celery_loses_no_job_when_workers_are_killed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let installed = install("aws-jobs", "requirements-jobs.txt");
    let python = installed.unwrap_or_else(|reason| panic!("celery: {reason}")).join("python");
    work(&server, folder.path(), || {
        let mut command = client(&python, &server);
        command.arg(source("celery_jobs.py"));
        command
    });
    server.stop();
}

#[test]
fn sqs_consumer_loses_no_job_when_workers_are_killed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    work(&server, folder.path(), || {
        let mut command = client(Path::new("node"), &server);
        command.arg(javascript().join("jobs.js"));
        command
    });
    server.stop();
}

#[test]
fn the_sdk_for_javascript_works_unmodified() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let finished: Finished = finish(client(Path::new("node"), &server).arg(javascript().join("tour.js")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    server.stop();
}
