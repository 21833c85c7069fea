//! `tidemill bench` over the HTTP port: what it says it did, the server has done; every call is signed.
//!
//! Runs end with an amount and not with a time, or offer a fixed number of requests, so that a machine that stalls changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::process::{Server, finish, run};

const KEY: [(&str, &str); 2] =
    [("TIDEMILL_ACCESS_KEY_ID", "AKIDBENCH"), ("TIDEMILL_SECRET_ACCESS_KEY", "a-secret-of-the-test")];
const CREDENTIALS: &str =
    "[[key]]\naccess_key_id = \"AKIDBENCH\"\nsecret_access_key = \"a-secret-of-the-test\"\n";

fn bench(arguments: &str) -> Value {
    let arguments: Vec<&str> =
        ["bench", "--json"].into_iter().chain(arguments.split(' ')).chain(["--embedded"]).collect();
    let stdout = run(&arguments).ok();
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{stdout}: {error}"))
}

#[track_caller]
fn at_least(value: &Value, least: f64) {
    assert!(value.as_f64().is_some_and(|number| number >= least), "{value}");
}

#[test]
fn records_are_put_and_got_through_kinesis() {
    for batch in [1, 7, 500] {
        let found = bench(&format!(
            "produce --protocol kinesis --batch-records {batch} --shards 2 --connections 3 --warm-up 0s --bytes 50000"
        ));
        assert_eq!(found["protocol"], "kinesis");
        let part = &found["parts"][0];
        at_least(&part["bytes"], 50_000.0);
        assert_eq!(
            part["records"].as_u64(),
            part["requests"].as_u64().map(|requests| requests * batch),
            "{part}"
        );
    }
    let found = bench(
        "consume --protocol kinesis --fill 3MB --fetch-bytes 100000 --connections 2 --warm-up 0s --bytes 5MB",
    );
    let part = &found["parts"][0];
    at_least(&part["bytes"], 5_000_000.0);
    // As many records of 1,000 bytes as were asked for, and the keys.
    at_least(&part["records"], 4_900.0);
}

#[test]
fn a_run_is_shown_as_a_share_of_what_http_alone_does() {
    for arguments in [
        "produce --protocol kinesis --connections 2 --warm-up 0s --bytes 50000 --ceiling",
        "consume --protocol kinesis --fill 2MB --connections 2 --warm-up 0s --bytes 100KB --ceiling",
    ] {
        let found = bench(arguments);
        assert_eq!(found["ceilings"].as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!(found["ceilings"][0]["name"], "HTTP");
    }
}

#[test]
fn every_record_that_was_put_is_pushed_to_a_subscriber_of_kinesis() {
    let found = bench(
        "mixed --protocol kinesis --rate 200 --batch-records 1 --shards 2 --connections 2 --warm-up 0s --duration 500ms",
    );
    let latencies = &found["parts"][0]["latency_us"];
    assert_eq!(latencies[1]["name"], "end to end");
    // The run fails where one of them is missing.
    assert_eq!(latencies[1]["samples"], 100, "{found}");
    let found =
        bench("connections --protocol kinesis --shards 2 --connections 40 --warm-up 0s --duration 200ms");
    assert_eq!(found["memory"]["connections"], 40);
}

#[test]
fn messages_are_sent_received_and_deleted_through_sqs() {
    for batch in [1, 10] {
        let found = bench(&format!(
            "produce --protocol sqs --batch-records {batch} --connections 3 --warm-up 0s --bytes 50000"
        ));
        at_least(&found["parts"][0]["records"], 50.0);
    }
    let found = bench("consume --protocol sqs --fill 2MB --connections 2 --warm-up 0s --bytes 500KB");
    at_least(&found["parts"][0]["records"], 500.0);
    let found = bench(
        "mixed --protocol sqs --rate 100 --batch-records 1 --connections 2 --warm-up 0s --duration 500ms",
    );
    let latencies = &found["parts"][0]["latency_us"];
    assert_eq!((&latencies[0]["samples"], &latencies[1]["samples"]), (&50.into(), &50.into()), "{found}");
    assert_eq!(latencies[1]["name"], "end to end");
}

#[test]
fn a_running_server_is_called_with_the_key_of_the_environment() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let keys = folder.path().join("credentials.toml");
    std::fs::write(&keys, CREDENTIALS).expect("a file");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
    let setting = format!("aws.credentials={}", keys.display());
    let server = Server::start(&folder.path().join("data"), &["--set", "server.cores=1", "--set", &setting]);
    let called = |key: &[(&str, &str)]| {
        let mut command =
            server.command(&["bench", "produce", "--protocol", "sqs", "--endpoint", &server.http]);
        command.args(["--warm-up", "0s", "--bytes", "20000"]).envs(key.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(&mut command)
    };
    called(&KEY).ok();
    let refused = called(&[KEY[0], ("TIDEMILL_SECRET_ACCESS_KEY", "another")]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("InvalidSignatureException"),
        "{}",
        refused.stderr
    );
    server.stop();
}

#[test]
fn what_is_not_spoken_over_http_is_refused() {
    let refused = |arguments: &str, reason: &str| {
        let arguments: Vec<&str> = ["bench"].into_iter().chain(arguments.split(' ')).collect();
        let finished = run(&arguments);
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(reason), "{arguments:?}: {}", finished.stderr);
    };
    refused("produce --protocol kinesis --in-flight 2", "in-flight has no effect without --protocol native");
    refused("produce --protocol kinesis --ack written", "ack has no effect without --protocol native");
    refused("produce --protocol sqs --batch-records 11", "batch-records is 11, must be 1 to 10");
    refused("produce --protocol kinesis --batch-records 501", "batch-records is 501, must be 1 to 500");
    refused("quota --protocol kinesis", "protocol has no effect without");
    refused("consume --protocol sqs --ceiling", "ceiling has no effect without a load that can be repeated");
    refused("connections --protocol kinesis --rate 10 --record-bytes 4", "record-bytes is 4, must be");
    refused("replay --protocol sqs", "protocol has no effect without");
}
