//! How a server's address is written.

use super::{SERVER_DEFAULT, parse_server};

#[test]
fn an_address_has_the_usual_port_unless_it_names_one() {
    let check = |text: &str, expected: &str| assert_eq!(parse_server(text).as_deref(), Ok(expected));
    check(SERVER_DEFAULT, SERVER_DEFAULT);
    check("127.0.0.1", SERVER_DEFAULT);
    check("logs.example", "logs.example:7600");
    check("logs.example:1", "logs.example:1");
    check("::1", "[::1]:7600");
    check("[::1]", "[::1]:7600");
    check("[::1]:7700", "[::1]:7700");
}

#[test]
fn what_is_no_address_is_refused() {
    for text in ["", ":7600", "host:", "host:0", "host:65536", "host:http", "[]:1", "[::1]7600"] {
        assert!(parse_server(text).is_err(), "{text}");
    }
}
