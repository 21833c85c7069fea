//! Flags become knobs.

use super::{SettingsArguments, split_address};

#[test]
fn addresses_are_split() {
    let check = |text, host, port| assert_eq!(split_address(text), (host, port), "{text}");
    check("127.0.0.1:7600", "127.0.0.1", Some("7600"));
    check("127.0.0.1", "127.0.0.1", None);
    check(":0", "0.0.0.0", Some("0"));
    check("::1", "::1", None);
    check("[::1]:7600", "::1", Some("7600"));
    check("[::]", "::", None);
}

#[test]
fn flags_set_knobs_and_the_explicit_one_wins() {
    let arguments = SettingsArguments {
        data: Some("/tmp/d".into()),
        listen: Some("0.0.0.0:0".to_owned()),
        http_port: Some(0),
        admin_port: Some(0),
        set: vec![
            ("storage.segment_size".to_owned(), "8MiB".to_owned()),
            ("listen.admin_port".to_owned(), "9".to_owned()),
        ],
        ..SettingsArguments::default()
    };
    let config = arguments.load().expect("all values are in range").config;
    assert_eq!(config.data.directory, std::path::Path::new("/tmp/d"));
    let listen = &config.listen;
    assert_eq!((listen.native_port, listen.http_port, listen.admin_port), (0, 0, 9));
    assert_eq!(config.storage.segment_size, 8 << 20);
}

#[test]
fn unknown_keys_are_a_mistake_of_the_caller() {
    let set = vec![("storage.segmentsize".to_owned(), "8MiB".to_owned())];
    let error =
        SettingsArguments { set, ..SettingsArguments::default() }.load().expect_err("there is no such knob");
    assert_eq!(error.code(), 2);
    assert!(error.to_string().contains("storage.segment_size"), "{error}");
}
