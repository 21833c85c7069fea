//! The commands that need no server, and the one that brings its own.

use crate::process::{Server, run};

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).ok().contains("tidemill"), "{shell}");
    }
}

#[test]
fn the_configuration_prints_and_loads_to_itself() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("tidemill.toml");
    let printed = run(&["config", "--set", "storage.segment_size=64MiB"]).ok();
    std::fs::write(&file, &printed).expect("the folder is writable");
    let file = file.display().to_string();
    let json = run(&["config", "--config", &file, "--json"]).ok();
    let entries: serde_json::Value = serde_json::from_str(&json).expect("the entries are JSON");
    let entries = entries.as_array().expect("a list of entries");
    let entry =
        entries.iter().find(|entry| entry["key"] == "storage.segment_size").expect("the knob is there");
    assert_eq!(entry["value"], "64MiB");
    assert!(entry["origin"].as_str().is_some_and(|origin| origin.contains(&file)), "{entry}");
    assert!(entries.iter().all(|entry| entry["doc"].as_str().is_some_and(|doc| !doc.is_empty())));
}

#[test]
fn mistakes_on_the_command_line_exit_with_2() {
    for arguments in [
        &["config", "--set", "storage.segmentsize=1"][..],
        &["config", "--set", "storage.segment_size=1"],
        &["serve", "--listen", "nonsense"],
        &["replay"],
        &["replay", "logs", "--from", "yesterday"],
        &["ingest", "logs", "--key", "field:0"],
        &["ingest", "logs", "--follow"],
        &["stream", "create", "a b"],
    ] {
        let finished = run(arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_doctor_examines_this_machine() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data = folder.path().display().to_string();
    let finished = run(&["doctor", "--data", &data, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("the report is JSON");
    let findings = report["findings"].as_array().expect("a list of findings");
    for what in
        ["kernel", "io_uring", "locked memory", "cores", "data directory", "free space", "durable write"]
    {
        assert!(findings.iter().any(|finding| finding["what"] == what), "{what} is missing: {report}");
    }
    assert_eq!(finished.code, Some(if report["can_start"] == true { 0 } else { 1 }), "{report}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("it exists").count(), 0, "nothing is left behind");
}

#[test]
fn help_tells_the_exit_codes() {
    let help = run(&["--help"]).ok();
    assert!(help.contains("Exit codes:") && help.contains("130"), "{help}");
}

#[test]
fn the_demo_checks_every_line_and_ends() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let log = folder.path().join("app.log");
    let lines: String = (0..20_000).map(|number| format!("host{} request {number}\n", number % 17)).collect();
    std::fs::write(&log, &lines).expect("the folder is writable");
    let log = log.display().to_string();
    let data = folder.path().join("data").display().to_string();
    for round in 1..=2 {
        let report = run(&["demo", &log, "--key", "field:1", "--exit", "--json", "--data", &data]).ok();
        let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
        assert_eq!(report["is_complete"], true, "{report}");
        assert_eq!((report["lines"].as_u64(), report["keys"].as_u64()), (Some(20_000), Some(17)));
        assert_eq!(report["stream"], if round == 1 { "demo" } else { "demo-2" }, "a former demo's data stay");
    }
    // One after the other: each takes the usual ports if they are free.
    let told = run(&["demo", &log, "--exit"]).ok();
    assert!(told.contains("every line came back once"), "{told}");
    let report = run(&["demo", "--exit", "--size", "3MB", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    assert_eq!(report["is_complete"], true, "{report}");
}

#[test]
fn compaction_of_a_running_server_is_shown_paused_and_resumed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &["--set", "data.lanes=2"]);
    let compaction = |action: &str| run(&["compaction", action, "--admin", &server.admin, "--json"]);
    let states = || {
        let lanes: serde_json::Value =
            serde_json::from_str(&compaction("status").ok()).expect("the lanes are JSON");
        let lanes = lanes.as_array().expect("a list of lanes");
        lanes.iter().map(|lane| lane["is_paused"].as_bool()).collect::<Vec<_>>()
    };
    assert_eq!(states(), [Some(false); 2]);
    assert!(compaction("pause").ok().contains("paused"));
    assert_eq!(states(), [Some(true); 2]);
    let table = run(&["compaction", "status", "--admin", &server.admin]).ok();
    assert!(table.contains("AMPLIFICATION") && table.contains("paused"), "{table}");
    assert!(compaction("resume").ok().contains("running"));
    assert_eq!(states(), [Some(false); 2]);
    // The native port speaks no HTTP.
    assert_ne!(run(&["compaction", "pause", "--admin", &server.address]).code, Some(0));
    server.stop();
    assert_eq!(run(&["compaction", "status", "--admin", "127.0.0.1:1"]).code, Some(6));
}
