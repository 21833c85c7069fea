//! AWS's own clients on the real socket: boto3 and the aws CLI, unmodified, with nothing but an endpoint and an access key.
//!
//! They are installed once from PyPI into a virtual environment of the target directory. Where that is not possible the tests fail and
//! say why: a server that was never met by a real client is not known to work.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Finished, PATIENCE, Server, finish};

const KEYS: &str = r#"
[[key]]
access_key_id = "AKIDTOUR"
secret_access_key = "tour/secret"
account = "123456789012"
name = "tour"

[[key]]
access_key_id = "ASIATOUR"
secret_access_key = "temporary/secret"
session_token = "to/ken+="
account = "123456789012"
"#;

/// The programs of the virtual environment, made by the first test that asks.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let installed = install("aws-clients", "requirements.txt");
        installed.unwrap_or_else(|reason| panic!("boto3 and the aws CLI: {reason}"))
    })
}

/// The folder of the programs in JavaScript, with what they need beside them, made by the first test that asks.
pub(crate) fn javascript() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let installed = install_javascript();
        installed.unwrap_or_else(|reason| panic!("the AWS SDK for JavaScript: {reason}"))
    })
}

/// Copies the programs to where npm may put its packages beside them.
fn install_javascript() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aws-javascript");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in ["package.json", "package-lock.json", "jobs.js", "tour.js"] {
        let copied = std::fs::copy(source("javascript").join(name), folder.join(name));
        copied.map_err(|error| format!("{name}: {error}"))?;
    }
    let wanted =
        std::fs::read_to_string(folder.join("package-lock.json")).map_err(|error| error.to_string())?;
    // Written last, so that what was interrupted is done again.
    let done = folder.join("installed.json");
    if std::fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    let node = Command::new("node").arg("--version").output();
    node.map_err(|error| format!("node (Debian: nodejs, npm) is needed and cannot be run: {error}"))?;
    let mut npm = Command::new("npm");
    step("installing from npm", npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    std::fs::write(&done, wanted).map_err(|error| error.to_string())?;
    Ok(folder)
}

/// One step of an installation.
fn step(what: &str, command: &mut Command) -> Result<(), String> {
    let finished = finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    match finished.code {
        Some(0) => Ok(()),
        _ => Err(format!("{what} failed: {}{}", finished.stdout, finished.stderr)),
    }
}

/// Installs programs into a virtual environment of their own.
pub(crate) fn install(folder: &str, requirements: &str) -> Result<PathBuf, String> {
    let requirements = source(requirements);
    let wanted = std::fs::read_to_string(&requirements).map_err(|error| error.to_string())?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    // Written last, so that what was interrupted is done again.
    let (done, programs) = (folder.join("installed.txt"), folder.join("bin"));
    if std::fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
        return Ok(programs);
    }
    let python = Command::new("python3").arg("--version").output();
    python.map_err(|error| format!("python3 is needed and cannot be run: {error}"))?;
    let mut venv = Command::new("python3");
    step("python3 -m venv (Debian: python3-venv)", venv.args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(programs.join("pip"));
    let quiet = ["install", "--quiet", "--disable-pip-version-check", "--requirement"];
    step("installing from PyPI", pip.args(quiet).arg(&requirements))?;
    std::fs::write(&done, wanted).map_err(|error| error.to_string())?;
    Ok(programs)
}

/// A file beside the tests.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws").join(name)
}

/// A server with access keys.
pub(crate) fn start(folder: &Path, flags: &[&str]) -> Server {
    use std::os::unix::fs::PermissionsExt;
    let keys = folder.join("keys.toml");
    std::fs::write(&keys, KEYS).expect("the directory is writable");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
    let (keys, account) = (format!("aws.credentials={}", keys.display()), "aws.account=123456789012");
    let mut all = vec!["--set", &keys, "--set", account, "--set", "quota.enabled=false"];
    all.extend(flags);
    Server::start(&folder.join("data"), &all)
}

/// A client that knows the endpoint and a key, and nothing of this machine's owner.
pub(crate) fn client(program: &Path, server: &Server) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_ENDPOINT_URL", format!("http://{}", server.http))
        .env("AWS_ACCESS_KEY_ID", "AKIDTOUR")
        .env("AWS_SECRET_ACCESS_KEY", "tour/secret")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_PAGER", "")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn boto3_works_unmodified() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let finished = finish(client(&programs().join("python"), &server).arg(source("tour.py")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    server.stop();
}

#[test]
fn boto3_meets_every_documented_error() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bounds = ["quota.enabled=true", "limits.shards_per_stream=8", "limits.on_demand_streams=2"];
    let flags: Vec<&str> = bounds.iter().flat_map(|bound| ["--set", bound]).collect();
    let server = start(folder.path(), &flags);
    let mut command = client(&programs().join("python"), &server);
    let finished = finish(command.arg(source("errors.py")).arg(folder.path().join("data/SECRET")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    server.stop();
}

#[test]
#[expect(clippy::print_stdout, reason = "the program tells how long deliveries took, which is not asserted")]
fn boto3_subscribes_to_shards() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let finished = finish(client(&programs().join("python"), &server).arg(source("fan_out.py")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    println!("{}", finished.stdout);
    server.stop();
}

#[test]
fn the_aws_cli_works_unmodified() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let aws = |arguments: &[&str]| -> Finished {
        let mut command = client(&programs().join("aws"), &server);
        finish(command.arg("kinesis").args(arguments))
    };
    let json = |arguments: &[&str]| -> Value {
        let output = aws(arguments).ok();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    };
    aws(&["create-stream", "--stream-name", "orders", "--shard-count", "1"]).ok();
    aws(&["wait", "stream-exists", "--stream-name", "orders"]).ok();
    // Version 1 of the CLI takes the data as it is, and prints it in base64.
    let put = ["put-record", "--stream-name", "orders", "--partition-key", "k", "--data", "hello"];
    let number = json(&put)["SequenceNumber"].as_str().expect("a sequence number").to_owned();
    let summary = json(&["describe-stream-summary", "--stream-name", "orders"]);
    assert_eq!(summary["StreamDescriptionSummary"]["StreamStatus"], "ACTIVE", "{summary}");
    assert_eq!(json(&["list-streams"])["StreamNames"][0], "orders");
    let shard = ["get-shard-iterator", "--stream-name", "orders", "--shard-id", "shardId-000000000000"];
    let mut from_start = shard.to_vec();
    from_start.extend(["--shard-iterator-type", "TRIM_HORIZON"]);
    let iterator = json(&from_start)["ShardIterator"].as_str().expect("an iterator").to_owned();
    let records = json(&["get-records", "--shard-iterator", &iterator]);
    let record = &records["Records"][0];
    assert_eq!(
        (&record["SequenceNumber"], &record["Data"]),
        (&number.into(), &"aGVsbG8=".into()),
        "{records}"
    );
    let missing = aws(&["describe-stream", "--stream-name", "nowhere"]);
    assert!(missing.stderr.contains("(ResourceNotFoundException)"), "{}", missing.stderr);
    aws(&["delete-stream", "--stream-name", "orders"]).ok();
    aws(&["wait", "stream-not-exists", "--stream-name", "orders"]).ok();
    server.stop();
}

#[test]
fn boto3_works_with_queues() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let finished = finish(client(&programs().join("python"), &server).arg(source("queues.py")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    server.stop();
}

#[test]
fn a_client_of_the_query_protocol_works_with_queues() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let installed = install("aws-clients-old", "requirements-old.txt");
    let programs = installed.unwrap_or_else(|reason| panic!("an older botocore: {reason}"));
    let finished = finish(client(&programs.join("python"), &server).arg(source("old_queues.py")));
    assert_eq!(finished.code, Some(0), "{}{}\n{}", finished.stdout, finished.stderr, server.log());
    server.stop();
}

#[test]
fn the_aws_cli_works_with_queues() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = start(folder.path(), &[]);
    let aws = |arguments: &[&str]| -> Finished {
        let mut command = client(&programs().join("aws"), &server);
        // Version 1 of the CLI puts an endpoint of AWS in place of the variable's for this service.
        command.args(["--endpoint-url", &format!("http://{}", server.http), "sqs"]);
        finish(command.args(arguments))
    };
    let json = |arguments: &[&str]| -> Value {
        let output = aws(arguments).ok();
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    };
    let url = json(&["create-queue", "--queue-name", "orders", "--attributes", "VisibilityTimeout=60"]);
    let url = url["QueueUrl"].as_str().expect("a URL").to_owned();
    let sent = json(&["send-message", "--queue-url", &url, "--message-body", "hello"]);
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    let receive =
        ["receive-message", "--queue-url", &url, "--wait-time-seconds", "5", "--attribute-names", "All"];
    let received = json(&receive)["Messages"][0].take();
    assert_eq!((&received["Body"], &received["MessageId"]), (&"hello".into(), &sent["MessageId"]));
    let handle = received["ReceiptHandle"].as_str().expect("a receipt handle");
    aws(&["delete-message", "--queue-url", &url, "--receipt-handle", handle]).ok();
    let attributes = json(&["get-queue-attributes", "--queue-url", &url, "--attribute-names", "All"]);
    assert_eq!(attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"], "0", "{attributes}");
    assert_eq!(json(&["list-queues"])["QueueUrls"][0], url.as_str());
    let missing = aws(&["get-queue-url", "--queue-name", "nowhere"]);
    assert!(missing.stderr.contains("(AWS.SimpleQueueService.NonExistentQueue)"), "{}", missing.stderr);
    aws(&["delete-queue", "--queue-url", &url]).ok();
    server.stop();
}

#[test]
fn a_server_without_signatures_listens_on_loopback_alone() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let flags = ["--set", "aws.authentication=off", "--set", "listen.host=0.0.0.0"];
    let refused = Server::start_fallibly(&folder.path().join("data"), &flags);
    let log = refused.err().expect("the configuration is refused");
    assert!(log.contains("aws.authentication = off does not go with listen.host = 0.0.0.0"), "{log}");
}

#[test]
fn tls_works_and_a_new_certificate_is_taken_up() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["old", "new"] {
        std::fs::create_dir(at(name)).expect("the directory is writable");
        let mut make = Command::new(programs().join("python"));
        make.args(["-m", "trustme", "--quiet", "--dir", &at(name), "--identities", "localhost", "127.0.0.1"]);
        finish(make.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).ok();
    }
    let put_in_place = |name: &str| {
        for file in ["server.pem", "server.key"] {
            std::fs::copy(at(&format!("{name}/{file}")), at(&format!("{file}.next"))).expect("there is room");
            std::fs::rename(at(&format!("{file}.next")), at(file)).expect("the directory is writable");
        }
    };
    put_in_place("old");
    let certificate = format!("http.tls_certificate={}", at("server.pem"));
    let key = format!("http.tls_key={}", at("server.key"));
    let server = start(folder.path(), &["--set", &certificate, "--set", &key]);
    let port = server.http.rsplit(':').next().expect("an address has a port");
    let call = |trusted: &str| {
        let mut command = client(&programs().join("python"), &server);
        command.env("AWS_ENDPOINT_URL", format!("https://localhost:{port}"));
        command.env("AWS_CA_BUNDLE", at(&format!("{trusted}/client.pem")));
        finish(command.arg(source("tls.py")))
    };
    call("old").ok();
    assert_ne!(call("new").code, Some(0), "a certificate that is not trusted is not talked to");
    std::fs::write(at("server.key"), "no key").expect("the directory is writable");
    std::thread::sleep(Duration::from_secs(5));
    call("old").ok();
    put_in_place("new");
    let deadline = Instant::now() + PATIENCE;
    while call("new").code != Some(0) {
        assert!(Instant::now() < deadline, "the new certificate is not taken up: {}", server.log());
    }
    assert_ne!(call("old").code, Some(0));
    assert!(server.log().contains("the old one stays"), "{}", server.log());
    server.stop();
}
