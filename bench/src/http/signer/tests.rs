//! Dates, and a signature that was made by another implementation (botocore).

use super::{Digest, Service, Signer, date, time};
use crate::options::{HttpOptions, HttpProtocol, Secret};

#[test]
fn days_have_their_names() {
    let check =
        |seconds, expected: &str| assert_eq!(format!("{}T{}Z", date(seconds), time(seconds)), expected);
    check(0, "19700101T000000Z");
    check(951_782_400, "20000229T000000Z");
    check(1_440_938_160, "20150830T123600Z");
    check(1_709_251_199, "20240229T235959Z");
    check(4_107_542_400, "21000301T000000Z");
}

#[test]
fn a_signature_is_the_one_that_botocore_makes() {
    let http = HttpOptions {
        protocol: HttpProtocol::Kinesis,
        endpoint: "127.0.0.1:7690".to_owned(),
        access_key: "AKIDEXAMPLE".to_owned(),
        secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        region: "us-east-1".to_owned(),
    };
    let mut signer = Signer::new(Service::KINESIS, &http, "127.0.0.1:7690".to_owned());
    let head = signer.head("ListStreams", 2, &Digest::of(b"{}"), 1_440_938_160);
    assert!(
        head.contains("Signature=7394f3d2eae5acbd43600e60ec231dfc8f28c277ba946faeb4ea7f97aae5555c\r\n"),
        "{head}"
    );
    assert!(head.ends_with("Content-Length: 2\r\n\r\n"), "{head}");
    // The remembered key signs the same.
    assert_eq!(signer.head("ListStreams", 2, &Digest::of(b"{}"), 1_440_938_160), head);
}
