//! Which key a line gets.

use super::KeyRule;

fn key(rule: &str, line: &str) -> Option<String> {
    let rule: KeyRule = rule.parse().expect("the rule is well formed");
    rule.key(line.as_bytes(), b"/var/log/syslog").map(|key| String::from_utf8_lossy(key).into_owned())
}

#[test]
fn each_rule_finds_its_key() {
    let check = |rule: &str, line: &str, expected: Option<&str>| {
        assert_eq!(key(rule, line).as_deref(), expected, "{rule} in {line:?}");
    };
    check("field:1", "10.0.0.1 - - GET", Some("10.0.0.1"));
    check("field:2", "  a\t\tb  c", Some("b"));
    check("field:4", "a b c", None);
    check("field:1", "", None);
    check("regex:user=(\\w+)", "login user=ada ok", Some("ada"));
    check("regex:user=(\\w+)", "login", None);
    check("regex:(a)|(b)", "b", None);
    check("regex:\\d+", "line 42 of 50", Some("42"));
    check("regex:(.*)", "", None);
    check("file", "anything", Some("/var/log/syslog"));
    check("none", "anything", None);
    check("field:1", &"x".repeat(1_024), Some(&"x".repeat(1_024)));
    check("field:1", &"x".repeat(1_025), None);
}

#[test]
fn malformed_rules_are_refused() {
    for rule in ["", "field", "field:0", "field:x", "regex:(", "path", "regex"] {
        assert!(rule.parse::<KeyRule>().is_err(), "{rule}");
    }
}
