//! What a credentials file may hold, and that no message tells a secret.

use std::os::unix::fs::PermissionsExt;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Vec<Credential>, CredentialsError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("keys.toml");
    std::fs::write(&path, file).expect("the file is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
    let variable = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    load_credentials(Some(&path), "000000000000", variable)
}

#[track_caller]
fn check(file: &str, environment: &[(&str, &str)], expected: &str) {
    let error = load(file, environment).expect_err("the keys are refused");
    let (message, debug) = (error.to_string(), format!("{error:?}"));
    assert!(message.contains(expected), "{message}");
    assert!(!message.contains(SECRET) && !debug.contains(SECRET), "a secret is told: {debug}");
}

#[test]
fn keys_come_from_the_file_and_the_environment() {
    let file = format!(
        "[[key]]\naccess_key_id = \"AKIDEXAMPLE\"\nsecret_access_key = \"{SECRET}\"\n\
         [[key]]\naccess_key_id = \"ASIA1\"\nsecret_access_key = \"s\"\nsession_token = \"t\"\n\
         account = \"123456789012\"\nname = \"alice\"\n"
    );
    let environment = [("TIDEMILL_ACCESS_KEY_ID", "AKIDENV"), ("TIDEMILL_SECRET_ACCESS_KEY", SECRET)];
    let keys = load(&file, &environment).expect("the keys are sound");
    let shown: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    assert_eq!(
        shown,
        [
            "Credential(AKIDEXAMPLE of AKIDEXAMPLE in 000000000000)",
            "Credential(ASIA1 of alice in 123456789012)",
            "Credential(AKIDENV of environment in 000000000000)",
        ]
    );
    assert_eq!(keys[1].session_token.as_deref(), Some("t"));
    assert_eq!(load_credentials(None, "000000000000", |_| None).expect("no keys are no mistake"), []);
}

#[test]
fn what_is_wrong_is_told_without_secrets() {
    let key = |id: &str, rest: &str| {
        format!("[[key]]\naccess_key_id = \"{id}\"\nsecret_access_key = \"{SECRET}\"\n{rest}\n")
    };
    check(&format!("[[key]]\naccess_key_id = \"A\"\nsecret_access_key = {SECRET}"), &[], "line 3");
    check(&key("A", "acount = \"1\""), &[], "unknown field `acount`");
    check(&key("A/B", ""), &[], "letters, digits, '-' and '_'");
    check(&key("A", "account = \"12\""), &[], "is not 12 digits");
    check(&key("A", "name = \"\""), &[], "a name has 1 to 128");
    check(&key("A", "session_token = \"\""), &[], "a session token has");
    check(&(key("A", "") + &key("A", "")), &[], "it is there twice");
    check("[[key]]\naccess_key_id = \"A\"\nsecret_access_key = \"\"", &[], "a secret has 1 to 512");
    check("", &[("TIDEMILL_ACCESS_KEY_ID", "A")], "TIDEMILL_SECRET_ACCESS_KEY is not");
    check("", &[("TIDEMILL_SECRET_ACCESS_KEY", SECRET)], "TIDEMILL_ACCESS_KEY_ID is not");
}

#[test]
fn a_file_that_everybody_may_read_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("keys.toml");
    std::fs::write(&path, "").expect("the file is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("the file is ours");
    let error = load_credentials(Some(&path), "000000000000", |_| None).expect_err("it is exposed");
    assert!(error.to_string().contains("(mode 644): `chmod 600"), "{error}");
    let missing = load_credentials(Some(&directory.path().join("none")), "000000000000", |_| None);
    assert!(matches!(missing, Err(CredentialsError::Unreadable { .. })));
}
