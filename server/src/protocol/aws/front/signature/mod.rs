//! Signature Version 4: whether a request was signed with an access key that we know.
//!
//! Checks come in two steps: [`Claim::read`] and [`Verifier::check`] look at the head alone, so that a wrong request is refused before its body is
//! read; [`Checked::verify`] has the body and its digest. Follows AWS's public description, and its published examples are among the tests.
//! Promises that signatures and tokens are compared in constant time, that what it remembers is bounded, and that no bytes make it panic. Leaves
//! out HTTP, clocks and where keys come from, and forms whose body has trailers: no client of these services sends them.

mod canonical;
mod chunked;
mod claim;
mod error;
#[cfg(test)]
pub(in super::super) mod fuzz;
mod keys;
#[cfg(test)]
mod tests;
mod time;

use bytes::Bytes;
use hmac::Mac;
use sha2::{Digest, Sha256};

use self::canonical::Canonical;
use self::claim::PayloadHash;
pub(super) use self::claim::{Claim, Presigned};
pub(super) use self::error::SignatureError;
use self::keys::{Signer, SigningKeys};
use self::time::Moment;
use crate::gate::identity::{AccessKey, AccessKeys};

/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What every scope ends with.
const TERMINATOR: &str = "aws4_request";
/// What HTTP/2 calls the host, and some SDKs sign it by.
pub(super) const AUTHORITY: &str = ":authority";
/// Bytes of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// A digest of SHA-256.
pub(super) type Sha256Digest = [u8; DIGEST_BYTES];

/// A request's head, as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    /// Before any decoding.
    pub(super) path: &'a str,
    /// Before any decoding, without the question mark.
    pub(super) query: &'a str,
    /// Names in lower case; several of one name in the order in which they came. HTTP/2 has its authority among them, as [`AUTHORITY`] and as `host`.
    pub(super) headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> Head<'a> {
    /// The values of a header.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The first value of a header, if it is text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }
}

/// What a signature has to be made for.
#[derive(Clone, Debug)]
pub(super) struct Expected<'a> {
    pub(super) region: &'a str,
    /// The name of the service that is called, if the call names one that there is.
    pub(super) service: Option<&'a str>,
    /// Now, in seconds since 1970.
    pub(super) now: u64,
    /// Farthest that the signature's time may be from it.
    pub(super) skew_seconds: u64,
}

/// Checks signatures on one core.
pub(super) struct Verifier {
    keys: AccessKeys,
    signing: SigningKeys,
}

/// A request whose head is in order; only the body's digest is missing.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    head: Head<'a>,
    claim: Claim<'a>,
    pub(super) key: &'a AccessKey,
}

impl Verifier {
    pub(super) fn new(keys: AccessKeys) -> Self {
        Self { keys, signing: SigningKeys::default() }
    }

    /// Checks everything that does not need the body.
    pub(super) fn check<'a>(
        &'a self,
        head: Head<'a>,
        claim: Claim<'a>,
        expected: &Expected<'_>,
    ) -> Result<Checked<'a>, SignatureError> {
        let Some(key) = self.keys.find(claim.access_key) else {
            return Err(SignatureError::UnknownKey { none: self.keys.count() == 0 });
        };
        claim.scope.check(expected)?;
        claim.check_time(expected)?;
        let token = claim.token.unwrap_or_default();
        let wanted = key.session_token.as_ref().map_or("", |token| token.reveal());
        if !equal_in_constant_time(token.as_bytes(), wanted.as_bytes()) {
            return Err(SignatureError::Token);
        }
        claim.check_signed_headers(&head)?;
        Ok(Checked { head, claim, key })
    }
}

impl Checked<'_> {
    /// The service that it was signed for.
    pub(super) fn service(&self) -> &str {
        self.claim.scope.service
    }

    /// Whether the signature has the digest of the whole body in it.
    pub(super) fn needs_digest(&self) -> bool {
        self.claim.payload == PayloadHash::Body
    }

    /// What was sent as this body, if the signature is right for it. The digest is the body's, if one is needed.
    pub(super) async fn verify(
        &self,
        verifier: &Verifier,
        body: Bytes,
        digest: Option<&Sha256Digest>,
    ) -> Result<Bytes, SignatureError> {
        let hex = digest.map(Hex::of);
        let payload = match (self.claim.payload, &hex) {
            (PayloadHash::Body, Some(hex)) => hex.text(),
            (PayloadHash::Body, None) => return Err(SignatureError::Mismatch),
            (PayloadHash::Unsigned, _) => claim::UNSIGNED_PAYLOAD,
            (PayloadHash::Chunks, _) => claim::SIGNED_CHUNKS,
        };
        let mut canonical = Sha256::new();
        Canonical { head: self.head, claim: &self.claim, payload }
            .write(&mut |piece| canonical.update(piece));
        let mut mac = self.begin_text(verifier, ALGORITHM);
        mac.update(Hex::of(&canonical.finalize().into()).text().as_bytes());
        // In constant time.
        mac.verify_slice(&self.claim.signature).map_err(|_| SignatureError::Mismatch)?;
        match self.claim.payload {
            PayloadHash::Body | PayloadHash::Unsigned => Ok(body),
            PayloadHash::Chunks => self.unchunk(verifier, body).await,
        }
    }

    /// What every text that is signed begins with.
    fn begin_text(&self, verifier: &Verifier, algorithm: &str) -> Signer {
        let scope = &self.claim.scope;
        let mut mac = verifier.signing.of(self.key, scope);
        let Moment { text: time, .. } = &self.claim.time;
        let pieces = [
            algorithm,
            "\n",
            time,
            "\n",
            scope.date,
            "/",
            scope.region,
            "/",
            scope.service,
            "/",
            TERMINATOR,
            "\n",
        ];
        for piece in pieces {
            mac.update(piece.as_bytes());
        }
        mac
    }
}

/// Takes as long for texts that differ early as for those that differ late. That their lengths differ may be seen.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    // Most keys have no token: then there is nothing to find out.
    if left.is_empty() && right.is_empty() {
        return true;
    }
    // The comparison of `hmac` is one, and a digest hides what the optimiser could make of our own.
    let digest = |text: &[u8]| Sha256::digest(text);
    let differs = digest(left).iter().zip(digest(right)).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differs) == 0
}

/// A digest in hexadecimal.
struct Hex([u8; DIGEST_BYTES * 2]);

impl Hex {
    fn of(digest: &Sha256Digest) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; DIGEST_BYTES * 2];
        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Self(text)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

/// Reads a digest in lower-case hexadecimal.
fn parse_hex(text: &str) -> Option<Sha256Digest> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; DIGEST_BYTES];
    if text.len() != DIGEST_BYTES * 2 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(digest)
}
