//! The fuzz target of signatures: whatever a head holds is refused in bounded work, unless it is the one request that was signed.

use futures_lite::future::block_on;

use super::*;
use crate::config::Credential;

/// Signed requests to begin with: path, headers, an empty line, body.
pub(in super::super::super) const SEEDS: &[&str] = &[
    "/\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\nauthorization:AWS4-HMAC-SHA256 \
     Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, \
     Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b\n\n",
    "/a%20b/../c?b=2&a=%31+x\nhost:x\nx-amz-date:20240229T000000Z\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nauthorization:AWS4-HMAC-SHA256 \
     Credential=AKIDEXAMPLE/20240229/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000\n\nbody",
    "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fkinesis%2Faws4_request\
     &X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-amz-target\
     &X-Amz-Signature=38a9b6edd61aa1eade00906343b90885402447fd78a1338898808f5f4d5cbc53\nhost:x\nx-amz-target:A.B\n\n{}",
    "/\nhost:x\nx-amz-date:20240229T000000Z\nx-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nx-amz-decoded-content-length:4\nauthorization:\
     AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240229/us-east-1/service/aws4_request, \
     SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000\n\n\
     4;chunk-signature=0000000000000000000000000000000000000000000000000000000000000000\r\nbody\r\n\
     0;chunk-signature=0000000000000000000000000000000000000000000000000000000000000000\r\n\r\n",
];

/// Bytes of the canonical form for each byte of a request: one that is no UTF-8 becomes three, each encoded as three; and the names once more.
const CANONICAL_BYTES_PER_BYTE: usize = 12;
/// Bytes of it that do not come from the request.
const CANONICAL_BYTES_FIXED: usize = 256;

pub(in super::super::super) fn signature(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (top, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = top.lines();
    let (path, query) =
        lines.next().map(|line| line.split_once('?').unwrap_or((line, ""))).unwrap_or_default();
    let headers: Vec<(&str, &[u8])> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.as_bytes())).collect();
    let head = Head { method: "POST", path, query, headers: &headers };
    let presigned = Presigned::read(query);
    let Ok(claim) = Claim::read(&head, presigned.as_ref()) else { return };
    let mut written = 0;
    Canonical { head, claim: &claim, payload: "" }.write(&mut |piece: &[u8]| written += piece.len());
    assert!(
        written <= input.len() * CANONICAL_BYTES_PER_BYTE + CANONICAL_BYTES_FIXED,
        "{written} bytes are digested"
    );
    let verifier = Verifier::new(AccessKeys::new(vec![Credential {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        session_token: None,
        account: "000000000000".to_owned(),
        name: "example".to_owned(),
    }]));
    let (region, now) = (claim.scope.region, claim.time.seconds);
    let expected = Expected { region, service: None, now, skew_seconds: 900 };
    let Ok(checked) = verifier.check(head, claim, &expected) else { return };
    let chunks = block_on(checked.unchunk(&verifier, Bytes::copy_from_slice(body.as_bytes())));
    assert!(chunks.is_err(), "a chunk that nobody signed is right");
    let digest = Sha256::digest(body).into();
    let verified = checked.verify(&verifier, Bytes::copy_from_slice(body.as_bytes()), Some(&digest));
    let is_right = block_on(verified).is_ok();
    // Other spellings of the signed request are right as well: another order of the headers, or more that are not signed.
    let is_signed = text.contains("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    assert!(is_signed || !is_right, "a signature that nobody made is right");
}
