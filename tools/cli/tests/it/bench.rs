//! `tidemill bench` against the real server: every scenario runs and counts, and what has no effect is refused.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::{Running, Server, run, tidemill};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn refused(arguments: &[&str], reason: &str) {
    let finished = run(&[&["bench"], arguments].concat());
    assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
    assert!(finished.stderr.contains(reason), "{arguments:?}: {}", finished.stderr);
}

#[test]
fn every_scenario_runs_on_a_server_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &["--set", "server.cores=1"]);
    let bench = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        json(&server.run(&[&["bench", "--json"], &arguments[..]].concat()).ok())
    };
    let above_zero = |value: &Value| assert!(value.as_f64().is_some_and(|number| number > 0.0), "{value}");

    let log = folder.path().join("run.hlog");
    let log = log.display();
    // Longer than a machine may stall: something is sent meanwhile.
    let found = bench(&format!("produce --ack written --warm-up 100ms --duration 3s --histogram {log}"));
    above_zero(&found["parts"][0]["megabytes_per_second"]);
    above_zero(&found["parts"][0]["cpu"]["generator"]["seconds_per_gigabyte"]);
    assert!(found["parts"][0]["cpu"]["server_unknown"].is_null(), "{found}");
    assert!(
        std::fs::read_to_string(log.to_string()).expect("it was written").contains("Tag=produce-requests")
    );

    let found = bench(
        "produce --rate 1k --batch-records 10 --linger 5ms --warm-up 0s --duration 300ms --ack written",
    );
    assert_eq!(found["settings"]["rate"], "1000");
    // 1,000 records a second, of which 6 arrive in 5 ms, the first included.
    assert_eq!(found["parts"][0]["latency_us"][0]["samples"], 50, "{found}");
    above_zero(&found["parts"][0]["latency_us"][0]["p99.9"]);

    let found = bench(
        "produce --keys zipf:1000 --record-bytes 100..1000 --compression lz4 --shards 3 --bytes 1MB --warm-up 0s",
    );
    above_zero(&found["parts"][0]["records_per_second"]);
    let found =
        bench("produce --rate 100..400:2 --batch-records 1 --warm-up 0s --duration 200ms --ack written");
    assert!(found["knee"]["rule"].is_string(), "{found}");
    let found = bench("consume --fill 5MB --warm-up 0s --duration 2s");
    above_zero(&found["parts"][0]["records_per_second"]);
    let found =
        bench("mixed --rate 200 --batch-records 1 --warm-up 0s --duration 500ms --shards 2 --ack written");
    assert_eq!(found["parts"][0]["latency_us"][1]["name"], "end to end");
    assert_eq!(found["parts"][0]["latency_us"][1]["samples"], 100, "{found}");
    let found = bench("replay --fill 5MB --shards 2");
    above_zero(&found["parts"][0]["megabytes_per_second"]);
    let found = bench("connections --connections 200 --rate 20 --warm-up 100ms --duration 2s");
    assert_eq!(found["memory"]["connections"], 200);
    above_zero(&found["parts"][0]["records"]);
    let found = bench("quota --duration 2s");
    assert_eq!(found["quota"][0]["allowed_per_second"], 1_000_000.0);
    assert_eq!(found["quota"][1]["allowed_per_second"], 2_000_000.0);
    let error = found["quota"][0]["error_percent"].as_f64().expect("a number");
    // A machine that stalls offers less for a while, and gets the burst of a second afterwards.
    assert!((-90.0..60.0).contains(&error), "{found}");

    assert_eq!(server.run(&["stream", "list", "--json"]).ok().matches("bench").count(), 0);
    server.stop();
}

#[test]
fn a_server_of_the_runs_own_reads_cold_and_goes_with_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (page, data) = (path("report.html"), path(""));
    let embedded = ["--embedded", "--embedded-data", &data, "--embedded-set", "storage.segment_size=16MiB"];
    let replay = ["bench", "--json", "replay", "--cold", "--fill", "5MB", "--report", &page];
    let found = run(&[&replay[..], &embedded].concat()).ok();
    let names: Vec<Value> =
        json(&found)["parts"].as_array().expect("parts").iter().map(|part| part["name"].clone()).collect();
    assert_eq!(names, ["cold", "warm"]);
    let page = std::fs::read_to_string(page).expect("the report was written");
    assert!(page.contains("<td>cold</td>") && page.contains("Throughput over time"), "{page}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").collect();
    assert_eq!(left.len(), 1, "the server's directory is gone: {left:?}");

    let produce =
        ["bench", "--json", "produce", "--ack", "written", "--warm-up", "0s", "--duration", "200ms"];
    let ceiling = ["bench", "--json", "produce", "--ceiling", "--warm-up", "0s", "--duration", "200ms"];
    let durable = json(&run(&[&ceiling[..], &embedded].concat()).ok());
    for (ceiling, name) in ["socket (writes)", "disk"].into_iter().enumerate() {
        assert_eq!(durable["ceilings"][ceiling]["name"], name);
        assert!(
            durable["ceilings"][ceiling]["share_percent"].as_f64().is_some_and(|share| share > 0.0),
            "{durable}"
        );
    }
    for name in ["a.json", "b.json"] {
        std::fs::write(path(name), run(&[&produce[..], &embedded].concat()).ok()).expect("writable");
    }
    let compared = run(&["bench", "compare", &path("a.json"), &path("b.json")]).ok();
    assert!(compared.contains("server s/GB") && compared.contains("append p99 µs"), "{compared}");
    std::fs::write(path("a.json"), &found).expect("writable");
    let refused = run(&["bench", "compare", &path("a.json"), &path("b.json")]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("cannot be compared"), "{}", refused.stderr);
}

#[test]
fn options_without_effect_are_refused() {
    refused(&["consume", "--ack", "durable"], "unexpected argument '--ack'");
    refused(&["consume", "--linger", "5ms"], "unexpected argument '--linger'");
    refused(&["produce", "--fetch-bytes", "5"], "unexpected argument '--fetch-bytes'");
    refused(&["produce", "--linger", "5ms"], "--rate");
    refused(&["produce", "--compressible", "20"], "--compression");
    refused(&["produce", "--bytes", "1MB", "--rate", "5"], "cannot be used with");
    refused(&["replay", "--cold"], "--embedded");
    refused(&["mixed", "--ceiling"], "unexpected argument '--ceiling'");
    refused(&["produce", "--ceiling-directory", "x"], "--ceiling");
    refused(&["produce", "--embedded-data", "x"], "--embedded");
    refused(&["produce", "--embedded", "--keep-stream"], "cannot be used with");
    refused(&["replay", "--duration", "5s"], "unexpected argument '--duration'");
    refused(&["mixed", "--compression", "lz4"], "unexpected argument '--compression'");
    refused(&["produce", "--protocol", "mqtt"], "possible values: native, kinesis, sqs");
    refused(&["produce", "--rate", "fast"], "is not a rate");
    refused(&["produce", "--rate", "9..3"], "must be 10 to");
    refused(&["produce", "--histogram", "latencies.txt"], ".hgrm");
    refused(&["produce", "--keys", "many"], "names no keys");
}

/// The server of a run with `--embedded`: the process that it has started.
fn server_of(run: &Running) -> Pid {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        // The thread that starts it is the first one.
        let children = format!("/proc/{0}/task/{0}/children", run.child.id());
        let children = std::fs::read_to_string(children).expect("this run is there");
        if let Some(server) = children.split_whitespace().next() {
            return Pid::from_raw(server.parse().expect("a process id")).expect("a process id");
        }
        assert!(Instant::now() < deadline, "the run starts no server");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_that_ends_during_a_run_is_told_of_with_its_last_words() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().display().to_string();
    let expectations = [
        (Signal::KILL, "killed by signal 9, which this run did not send"),
        (Signal::TERM, "told to end signal=\"SIGTERM\""),
    ];
    for (signal, expected) in expectations {
        let arguments = [
            "bench",
            "produce",
            "--embedded",
            "--embedded-data",
            &data,
            // Other tests want the disk as well.
            "--embedded-set",
            "storage.segment_size=16MiB",
            "--ack",
            "written",
            "--duration",
            "10m",
        ];
        let mut command = tidemill(&arguments);
        let mut running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        let server = server_of(&running);
        let log = || {
            let folders = std::fs::read_dir(folder.path()).expect("readable").flatten();
            folders
                .filter_map(|entry| std::fs::read_to_string(entry.path().join("server.log")).ok())
                .collect::<String>()
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !log().contains("stream created") {
            assert!(Instant::now() < deadline, "the run does not begin: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(server, signal).expect("the server runs");
        let status = running.wait();
        let mut said = String::new();
        let mut errors = running.child.stderr.take().expect("it is piped");
        errors.read_to_string(&mut said).expect("it writes text");
        assert_eq!(status.code(), Some(1), "{said}");
        for part in ["the embedded server has ended by itself", expected, "its log ends with"] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").collect();
    assert!(left.is_empty(), "the servers' directories are gone: {left:?}");
}

#[test]
fn a_server_of_somebody_else_that_ends_during_a_run_is_named() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &["--set", "server.cores=1"]);
    let mut command = server.command(&["bench", "produce", "--ack", "written", "--duration", "10m"]);
    let mut running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let deadline = Instant::now() + Duration::from_secs(60);
    // Before that the run has not begun, and what it meets has another name.
    let received = || {
        let metrics = server.admin_text("/metrics");
        let count = metrics
            .lines()
            .find_map(|line| line.strip_prefix("tidemill_received_records_total{core=\"0\"} "));
        count.is_some_and(|count| count != "0")
    };
    while !received() {
        assert!(Instant::now() < deadline, "the run does not begin: {}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let expected = format!("the server's process {} has ended during the run", server.process.child.id());
    server.kill();
    let status = running.wait();
    let mut said = String::new();
    running.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it writes text");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&expected), "{said}");
}
