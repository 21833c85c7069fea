//! What the configuration accepts, refuses, and prints.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use proptest::prelude::*;

use super::value::{parse_bytes, parse_count, parse_duration, show_bytes, show_duration};
use super::*;

/// Loads a file's text, environment variables and flags together.
fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Effective, ConfigError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("tidemill.toml");
    std::fs::write(&path, file).expect("the file is written");
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Sources { file: Some(path), environment: environment.collect(), flags: flags.collect() }.load()
}

/// A refused configuration's message, with the path of the file left out.
fn check(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)], expected: &str) {
    let message = load(file, environment, flags).expect_err("the configuration is refused").to_string();
    let words = message.split(' ').map(|word| {
        let name = word.trim_end_matches([')', ':']);
        if name.ends_with("tidemill.toml") { word.replace(name, "FILE") } else { word.to_owned() }
    });
    assert_eq!(words.collect::<Vec<_>>().join(" "), expected);
}

fn value_of(effective: &Effective, key: &str) -> (String, String) {
    let entry = effective.entries().into_iter().find(|entry| entry.key == key).expect("a known key");
    (entry.value, entry.origin.to_string())
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = Config::default();
    assert_eq!(config.data.directory.to_str(), Some("data"));
    assert_eq!((config.data.lanes, config.server.cores), (None, None));
    assert!(config.listen.host.is_loopback());
    assert_eq!((config.listen.native_port, config.listen.admin_port), (7_600, 7_680));
    assert_eq!((config.listen.http_port, config.aws.authentication), (7_690, Authentication::Signature));
    assert_eq!((config.aws.credentials.as_ref(), config.http.allow_origin.as_ref()), (None, None));
    assert_eq!((config.aws.region.as_str(), config.aws.partition.as_str()), ("us-east-1", "aws"));
    assert_eq!(config.limits.frame_bytes, u64::from(tidemill_wire::limits::FRAME_BYTES_MAX_DEFAULT));
    assert_eq!(config.storage.segment_size, 256 << 20);
    assert_eq!(config.storage.flush_interval, Duration::from_secs(1));
    assert_eq!(config.retention.default_age, Duration::from_secs(86_400));
    assert_eq!(config.retention.default_bytes, None);
    assert!(config.quota.enabled);
    assert_eq!(config.quota.write_bytes_per_second, 1_000_000);
    assert_eq!(config.quota.write_records_per_second, 1_000);
    assert_eq!(config.quota.read_bytes_per_second, 2_000_000);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(Sources::default().load().expect("defaults go together").config, config);
}

#[test]
fn every_default_reads_and_prints_back() {
    for knob in KNOBS {
        let value =
            knob.shape.parse(knob.default).unwrap_or_else(|fault| panic!("{}: {fault:?}", knob.key()));
        assert_eq!(knob.shape.parse(&knob.shape.show(&value)), Ok(value), "{}", knob.key());
        assert!(
            knob.doc.ends_with('.') && knob.doc.starts_with(' '),
            "{} has a doc in sentences",
            knob.key()
        );
    }
}

#[test]
fn every_bound_fits_its_field() {
    for (index, knob) in KNOBS.iter().enumerate() {
        let bounds = match knob.shape {
            Shape::Count { min, max, .. } | Shape::Bytes { min, max, .. } => {
                vec![Value::Number(min), Value::Number(max)]
            }
            Shape::Time { min, max, .. } => vec![Value::Time(min), Value::Time(max)],
            Shape::Choice(words) => words.iter().map(|word| Value::Text((*word).to_owned())).collect(),
            Shape::Path { .. } | Shape::Address | Shape::Switch => vec![],
            Shape::Text { .. } => vec![Value::Text(knob.default.to_owned())],
        };
        let absent = knob.shape.absent().map(|_| Value::Absent);
        for bound in bounds.into_iter().chain(absent) {
            let mut values = Config::default().to_values();
            values[index] = bound.clone();
            assert_eq!(Config::from_values(&values).to_values()[index], bound, "{}", knob.key());
        }
    }
}

#[test]
fn names_are_unique_and_sections_are_one_word() {
    let keys: BTreeSet<String> = KNOBS.iter().map(Knob::key).collect();
    let variables: BTreeSet<String> = KNOBS.iter().map(Knob::variable).collect();
    assert_eq!((keys.len(), variables.len()), (KNOBS.len(), KNOBS.len()));
    for (section, _) in SECTIONS {
        assert!(!section.contains('_'), "an environment name ends its section at the first underscore");
    }
}

#[test]
fn storage_defaults_are_those_of_the_engine() {
    let knobs = Config::default().storage;
    let lane = tidemill_storage::LaneConfig::production("lane".into(), tidemill_wire::LaneId(0));
    assert_eq!((knobs.segment_size, knobs.group_bytes), (lane.segment_bytes, lane.group_bytes_max));
    assert_eq!(knobs.flush_interval, lane.flush_interval);
    assert_eq!(knobs.upkeep_interval, lane.upkeep_interval);
    assert_eq!(knobs.spare_segments as usize, lane.recycled_segments_max);
    assert_eq!(knobs.compaction_bytes_per_second, lane.compaction_bytes_per_second);
    assert_eq!(knobs.cold_read_bytes_per_second_min, tidemill_storage::limits::COLD_BYTES_PER_SECOND_MIN);
    assert_eq!(
        knobs.batch_bytes_max() + tidemill_wire::entry::ENTRY_HEADER_BYTES as u64,
        lane.entry_bytes_max
    );
}

#[test]
fn a_segment_is_whole_pages_and_bounds_a_batch() {
    let error =
        load("", &[], &[("storage.segment_size", "4194305")]).expect_err("it is no multiple of a page");
    assert!(matches!(error, ConfigError::OutOfRange { .. }), "{error}");
    let small = load("", &[], &[("storage.segment_size", "4MiB")]).expect("the least size").config.storage;
    assert_eq!(small.batch_bytes_max(), (1 << 20) - 64);
}

#[test]
fn later_sources_win() {
    let file = "[listen]\nnative_port = 8000\nadmin_port = 8900\n[storage]\nsegment_size = \"64MiB\"";
    let environment =
        [("TIDEMILL_LISTEN_NATIVE_PORT", "8100"), ("TIDEMILL_LOG_FORMAT", "json"), ("HOME", "/root")];
    let effective = load(file, &environment, &[("listen.native_port", "8200")]).expect("all is known");
    assert_eq!(value_of(&effective, "listen.native_port"), ("8200".into(), "flag listen.native_port".into()));
    assert_eq!(value_of(&effective, "log.format"), ("json".into(), "environment TIDEMILL_LOG_FORMAT".into()));
    let (value, origin) = value_of(&effective, "listen.admin_port");
    assert_eq!(value, "8900");
    assert!(origin.starts_with("file /") && origin.ends_with("tidemill.toml"), "{origin}");
    assert_eq!(value_of(&effective, "shutdown.timeout"), ("30s".into(), "default".into()));
    assert_eq!(effective.config.storage.segment_size, 64 << 20);
}

#[test]
fn absent_values_have_their_word_and_zero() {
    for text in ["none", "0"] {
        let effective = load("", &[], &[("retention.default_bytes", text)]).expect("a word for no bound");
        assert_eq!(effective.config.retention.default_bytes, None);
    }
    let effective = load("[data]\nlanes = 4\n[server]\ncores = \"auto\"", &[], &[]).expect("both forms");
    assert_eq!((effective.config.data.lanes, effective.config.server.cores), (Some(4), None));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    check(
        "[storage]\nsegment_sise = 1",
        &[],
        &[],
        "unknown configuration key storage.segment_sise (file FILE): did you mean storage.segment_size?",
    );
    check("[storag]", &[], &[], "unknown configuration key [storag] (file FILE): did you mean [storage]?");
    check("lanes = 1", &[], &[], "unknown configuration key lanes (file FILE)");
    check("storage = 1", &[], &[], "unknown configuration key storage (file FILE): did you mean [storage]?");
    check(
        "",
        &[("TIDEMILL_LIMITS_FRAMEBYTES", "1MiB")],
        &[],
        "unknown configuration key TIDEMILL_LIMITS_FRAMEBYTES (environment TIDEMILL_LIMITS_FRAMEBYTES): \
         did you mean TIDEMILL_LIMITS_FRAME_BYTES?",
    );
    check(
        "",
        &[],
        &[("data.lane", "1")],
        "unknown configuration key data.lane (flag data.lane): did you mean data.lanes?",
    );
    check("", &[], &[("zz", "1")], "unknown configuration key zz (flag zz)");
}

#[test]
fn other_variables_are_nobody_s_business() {
    let environment =
        [("TIDEMILL_CONFIG", "x"), ("TIDEMILL_ADDRESS", "y"), ("TIDEMILL_LOG", "z"), ("PATH", "/bin")];
    assert!(load("", &environment, &[]).is_ok());
}

#[test]
fn values_out_of_range_are_refused_with_range_and_origin() {
    check(
        "[storage]\nsegment_size = \"1MiB\"",
        &[],
        &[],
        "storage.segment_size = 1MiB (file FILE) is out of range: expected 4MiB to 4GiB in steps of 4KiB",
    );
    check(
        "",
        &[("TIDEMILL_DATA_LANES", "257")],
        &[],
        "data.lanes = 257 (environment TIDEMILL_DATA_LANES) is out of range: \
         expected 1 to 256 lanes, or auto (one per core)",
    );
    check(
        "",
        &[],
        &[("retention.default_age", "59s")],
        "retention.default_age = 59s (flag retention.default_age) is out of range: expected 1m to 365d",
    );
}

#[test]
fn values_of_another_shape_are_refused() {
    let refused = [
        ("storage.segment_size", "256M"),
        ("storage.segment_size", "1.5GiB"),
        ("storage.segment_size", ""),
        ("storage.flush_interval", "1 fortnight"),
        ("storage.flush_interval", "-1s"),
        ("quota.enabled", "yes"),
        ("log.format", "xml"),
        ("listen.host", "localhost"),
        ("listen.native_port", "0x1"),
        ("data.directory", " "),
        ("aws.account", "12345678901x"),
        ("aws.region", "us east"),
        ("aws.authentication", "none"),
        ("http.allow_origin", "example.org"),
        ("http.allow_origin", "https://example.org/page"),
        ("limits.streams", "99999999999999999999999"),
    ];
    for (key, value) in refused {
        let error = load("", &[], &[(key, value)]).expect_err(key);
        assert!(matches!(error, ConfigError::Malformed { .. }), "{key} = {value:?}: {error}");
    }
    for line in ["[storage]\nsegment_size = 1.5", "[storage]\nsegment_size = [1]", "[quota.enabled]\nx = 1"] {
        let error = load(line, &[], &[]).expect_err(line);
        assert!(matches!(error, ConfigError::Malformed { .. }), "{line}: {error}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_refused() {
    let missing = Sources { file: Some("/nonexistent/tidemill.toml".into()), ..Sources::default() };
    let message = missing.load().expect_err("there is no such file").to_string();
    assert!(message.starts_with("cannot read configuration file /nonexistent/tidemill.toml: "), "{message}");
    let message = load("[storage\n", &[], &[]).expect_err("no TOML").to_string();
    assert!(message.contains("is not valid TOML") && message.contains("line 1"), "{message}");
    assert!(load("[log]\nlevel = \"info\"\nlevel = \"warn\"", &[], &[]).is_err(), "a key twice is no TOML");
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    check(
        "",
        &[],
        &[("limits.inflight_bytes", "16MiB")],
        "limits.inflight_bytes = 16MiB does not go with limits.frame_bytes = 16MiB: \
         a request and an answer of one frame each must fit; raise inflight_bytes or lower frame_bytes",
    );
    check(
        "",
        &[],
        &[("server.cores", "80")],
        "listen.admin_port = 7680 does not go with listen.native_port = 7600: \
         80 cores take the ports 7600 to 7680; choose an admin_port outside them",
    );
    check(
        "",
        &[],
        &[("listen.native_port", "65535"), ("server.cores", "1")],
        "listen.native_port = 65535 does not go with server.cores = 1: \
         1 cores need the ports 65535 to 65536; choose a lower native_port or 0",
    );
    check(
        "",
        &[],
        &[("listen.http_port", "7601")],
        "listen.http_port = 7601 does not go with listen.native_port = 7600: \
         1 cores take the ports 7600 to 7601; choose an http_port outside them",
    );
    check(
        "",
        &[],
        &[("listen.http_port", "7680")],
        "listen.http_port = 7680 does not go with listen.admin_port = 7680: each needs a port of its own",
    );
    check(
        "",
        &[],
        &[("limits.frame_bytes", "1MiB"), ("limits.inflight_bytes", "31MiB")],
        "limits.inflight_bytes = 31MiB does not go with http.body_bytes = 16MiB: \
         a body and what it is decoded into must fit; raise inflight_bytes or lower body_bytes",
    );
    check(
        "",
        &[],
        &[("aws.authentication", "off"), ("listen.host", "0.0.0.0")],
        "aws.authentication = off does not go with listen.host = 0.0.0.0: whoever reaches the port could do everything; \
         leave signatures on, listen on a loopback address, or say off-anywhere if that is meant",
    );
    check(
        "",
        &[],
        &[("http.tls_key", "key.pem")],
        "http.tls_certificate = none does not go with http.tls_key = key.pem: TLS needs both",
    );
    assert!(load("", &[], &[("aws.authentication", "off-anywhere"), ("listen.host", "0.0.0.0")]).is_ok());
    assert!(load("", &[], &[("aws.authentication", "off"), ("listen.host", "::1")]).is_ok());
    let anywhere = [
        ("listen.native_port", "0"),
        ("listen.admin_port", "0"),
        ("listen.http_port", "0"),
        ("server.cores", "256"),
    ];
    assert!(load("", &[], &anywhere).is_ok());
}

#[test]
fn the_printed_configuration_loads_to_the_same_values() {
    let flags = [
        ("storage.segment_size", "33558528"),
        ("storage.flush_interval", "1500ms"),
        ("data.directory", "/srv/a \"quoted\" \\ name"),
        ("listen.host", "::1"),
        ("retention.default_bytes", "3GB"),
        ("quota.enabled", "false"),
        ("data.lanes", "3"),
        ("aws.credentials", "/etc/tidemill/keys.toml"),
        ("http.allow_origin", "http://localhost:3000"),
    ];
    let effective = load("", &[], &flags).expect("all is known");
    let printed = effective.to_toml();
    let again = load(&printed, &[], &[]).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again.config, effective.config);
    assert!(
        printed.contains("\n# Largest frame of the native protocol. A record batch must fit into one.\n")
    );
    assert!(
        printed.contains("flush_interval = \"1500ms\" # from flag storage.flush_interval\n"),
        "{printed}"
    );
    assert!(printed.contains("native_port = 7600 # from default\n"), "{printed}");
}

#[test]
fn the_reference_has_a_row_for_each_knob() {
    let table = reference();
    assert_eq!(table.lines().count(), KNOBS.len() + 2);
    assert!(table.lines().all(|line| line.matches('|').count() == 5), "{table}");
    assert!(
        table.contains("| `storage.segment_size` | `256MiB` | 4MiB to 4GiB in steps of 4KiB | "),
        "{table}"
    );
}

#[test]
fn numbers_with_units_read_as_people_mean_them() {
    assert_eq!(parse_bytes("256MiB"), Some(256 << 20));
    assert_eq!(parse_bytes("1MB"), Some(1_000_000));
    assert_eq!(parse_bytes("64 kib"), Some(64 << 10));
    assert_eq!(parse_bytes("4096"), Some(4_096));
    assert_eq!(parse_bytes("99999999TiB"), None);
    assert_eq!(parse_duration("500ms", Unit::Second), Some(Duration::from_millis(500)));
    assert_eq!(parse_duration("24h", Unit::Second), Some(Duration::from_secs(86_400)));
    assert_eq!(parse_duration("7d", Unit::Millisecond), Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(parse_duration("30", Unit::Second), Some(Duration::from_secs(30)));
    assert_eq!(parse_duration("30", Unit::Millisecond), Some(Duration::from_millis(30)));
    assert_eq!(parse_count("10_000"), Some(10_000));
    for text in ["", "_1", "1_", "1__0", "+1", "-1", " 1", "١"] {
        assert_eq!(parse_count(text), None, "{text:?}");
    }
    assert_eq!(show_duration(Duration::from_secs(86_400)), "24h");
    assert_eq!(show_duration(Duration::from_secs(2 * 86_400)), "2d");
    assert_eq!(show_bytes(1_000_000), "1MB");
    assert_eq!(show_bytes(0), "0B");
}

#[test]
fn a_path_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let environment = vec![(OsString::from("TIDEMILL_DATA_DIRECTORY"), OsString::from_vec(vec![b'/', 0xFF]))];
    let error = Sources { environment, ..Sources::default() }.load().expect_err("the value is not UTF-8");
    assert!(matches!(error, ConfigError::Malformed { .. }), "{error}");
}

#[test]
fn a_quota_that_is_off_has_no_rates() {
    let on = Config::default().quota.rates();
    assert_eq!((on.write_bytes_per_second, on.write_records_per_second), (1_000_000, 1_000));
    let off = load("", &[], &[("quota.enabled", "false")]).expect("a switch").config.quota.rates();
    assert_eq!(off, tidemill_wire::message::Quota::OFF);
}

proptest! {
    #[test]
    fn sizes_print_back(bytes: u64) {
        prop_assert_eq!(parse_bytes(&show_bytes(bytes)), Some(bytes));
    }

    #[test]
    fn durations_print_back(micros: u64) {
        let span = Duration::from_micros(micros);
        prop_assert_eq!(parse_duration(&show_duration(span), Unit::Second), Some(span));
    }

    #[test]
    fn any_text_is_read_without_panic(text: String, key in "[a-z_]{0,12}[.]?[a-z_]{0,20}") {
        for knob in KNOBS {
            let _ = knob.shape.parse(&text);
        }
        let _ = Sources { flags: vec![(key, text)], ..Sources::default() }.load();
    }
}

#[test]
fn the_operations_guide_shows_every_knob_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md");
    let guide = std::fs::read_to_string(path).expect("the guide is part of the tree");
    let (before, rest) =
        guide.split_once("by a test -->\n").expect("the guide marks where the settings begin");
    let (table, after) =
        rest.split_once("<!-- /settings -->").expect("the guide marks where the settings end");
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{before}by a test -->\n{}<!-- /settings -->{after}", reference());
        std::fs::write(path, blessed).expect("the guide can be written");
        return;
    }
    assert_eq!(table, reference(), "run this test with BLESS=1 to renew the table in docs/OPERATIONS.md");
}
