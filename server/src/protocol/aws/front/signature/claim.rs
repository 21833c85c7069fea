//! What a request says about its signature, in the `Authorization` header or, presigned, in its query.

use super::canonical::decode;
use super::time::{Moment, format};
use super::{ALGORITHM, AUTHORITY, Expected, Head, Sha256Digest, SignatureError, TERMINATOR, parse_hex};

/// The query's parameter that is no part of what is signed.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
/// Stands for the digest of a body that is not signed.
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Stands for the digest of a body that is cut into signed chunks.
pub(super) const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
/// Begins the names of all forms whose bodies are cut into chunks.
const STREAMING: &str = "STREAMING-";
/// Longest that a presigned request may be good for: seven days.
const EXPIRES_SECONDS_MAX: u64 = 7 * 86_400;

/// A claim to be who one says.
#[derive(Debug)]
pub(in super::super) struct Claim<'a> {
    pub(super) access_key: &'a str,
    pub(super) scope: Scope<'a>,
    /// As they are written: in order, with semicolons between.
    pub(super) signed_headers: &'a str,
    pub(super) signature: Sha256Digest,
    pub(super) time: Moment<'a>,
    pub(super) token: Option<&'a str>,
    pub(super) payload: PayloadHash,
    /// Seconds for which a presigned request is good.
    expires_seconds: Option<u64>,
}

/// What a signature is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// What stands for the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PayloadHash {
    /// Its digest.
    Body,
    /// Nothing; the signer has said so, and signed that.
    Unsigned,
    /// Nothing; each chunk of it is signed.
    Chunks,
}

/// The values of a claim before they are looked at.
#[derive(Default)]
struct Raw<'a> {
    credential: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
    time: Option<&'a str>,
    token: Option<&'a str>,
    expires: Option<&'a str>,
}

/// Query parameters of a presigned request, decoded; a claim borrows from them.
pub(in super::super) struct Presigned(Vec<(String, String)>);

impl Presigned {
    /// The parameters of a query, if one of them belongs to a signature.
    pub(in super::super) fn read(query: &str) -> Option<Self> {
        // Clients write the names in this case, and sign them so.
        if !query.contains("X-Amz-") {
            return None;
        }
        let text = |text: &str| String::from_utf8_lossy(&decode(text)).into_owned();
        let parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
        let ours = parameters.filter(|(name, _)| name.starts_with("X-Amz-"));
        Some(Self(ours.map(|(name, value)| (name.to_owned(), text(value))).collect()))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<'a> Claim<'a> {
    /// Reads the claim of a request, which is in one of two places.
    pub(in super::super) fn read(
        head: &Head<'a>,
        presigned: Option<&'a Presigned>,
    ) -> Result<Self, SignatureError> {
        match (head.text("authorization"), presigned) {
            (Some(header), None) => Self::read_header(head, header),
            (None, Some(query)) => Self::read_query(head, query),
            (None, None) => Err(SignatureError::Missing),
            (Some(_), Some(_)) => {
                Err(incomplete("A request is signed in its header or in its query, not in both."))
            }
        }
    }

    fn read_header(head: &Head<'a>, header: &'a str) -> Result<Self, SignatureError> {
        let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
        check_algorithm(algorithm)?;
        let mut raw =
            Raw { time: head.text("x-amz-date"), token: head.text("x-amz-security-token"), ..Raw::default() };
        for pair in rest.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(SignatureError::Incomplete(format!(
                    "'{pair}' not a valid key=value pair (missing equal-sign) in Authorization header."
                )));
            };
            match name {
                "Credential" => raw.credential = Some(value),
                "SignedHeaders" => raw.signed_headers = Some(value),
                "Signature" => raw.signature = Some(value),
                _ => {}
            }
        }
        let wanted = [
            (raw.credential, "Authorization header requires 'Credential' parameter."),
            (raw.signature, "Authorization header requires 'Signature' parameter."),
            (raw.signed_headers, "Authorization header requires 'SignedHeaders' parameter."),
            (raw.time, "Authorization header requires existence of an 'X-Amz-Date' header."),
        ];
        complain(&wanted)?;
        Self::from_raw(head, &raw)
    }

    fn read_query(head: &Head<'a>, query: &'a Presigned) -> Result<Self, SignatureError> {
        if let Some(algorithm) = query.value("X-Amz-Algorithm") {
            check_algorithm(algorithm)?;
        }
        let raw = Raw {
            credential: query.value("X-Amz-Credential"),
            signed_headers: query.value("X-Amz-SignedHeaders"),
            signature: query.value(SIGNATURE_PARAMETER),
            time: query.value("X-Amz-Date"),
            token: query.value("X-Amz-Security-Token"),
            expires: query.value("X-Amz-Expires"),
        };
        let wanted = [
            (query.value("X-Amz-Algorithm"), "AWS query-string parameters must include 'X-Amz-Algorithm'."),
            (raw.credential, "AWS query-string parameters must include 'X-Amz-Credential'."),
            (raw.signature, "AWS query-string parameters must include 'X-Amz-Signature'."),
            (raw.signed_headers, "AWS query-string parameters must include 'X-Amz-SignedHeaders'."),
            (raw.time, "AWS query-string parameters must include 'X-Amz-Date'."),
            (raw.expires, "AWS query-string parameters must include 'X-Amz-Expires'."),
        ];
        complain(&wanted)?;
        Self::from_raw(head, &raw)
    }

    fn from_raw(head: &Head<'a>, raw: &Raw<'a>) -> Result<Self, SignatureError> {
        let (access_key, scope) = Scope::parse(raw.credential.unwrap_or_default())?;
        let signature = parse_hex(raw.signature.unwrap_or_default()).ok_or(SignatureError::Mismatch)?;
        let time = Moment::parse(raw.time.unwrap_or_default())
            .ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format': yyyyMMdd'T'HHmmss'Z'."))?;
        let expires = |text: &str| {
            let seconds = text.parse().ok().filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds));
            seconds.ok_or_else(|| incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800."))
        };
        let expires_seconds = raw.expires.map(expires).transpose()?;
        let payload = match head.text("x-amz-content-sha256") {
            Some(UNSIGNED_PAYLOAD) => PayloadHash::Unsigned,
            Some(SIGNED_CHUNKS) => PayloadHash::Chunks,
            Some(form) if form.starts_with(STREAMING) => {
                let message = format!(
                    "x-amz-content-sha256 '{form}' is not supported: send the body whole, or as {SIGNED_CHUNKS}."
                );
                return Err(SignatureError::Unsupported(message));
            }
            // A digest that is sent along is that of the body, or the signature is wrong.
            Some(_) | None => PayloadHash::Body,
        };
        let signed_headers = raw.signed_headers.unwrap_or_default();
        // In order and each once, as the description wants it: so what is digested is no more than what was sent.
        if !signed_headers.split(';').is_sorted_by(|a, b| a < b) {
            return Err(incomplete("SignedHeaders must be in order and each of them once."));
        }
        Ok(Self {
            access_key,
            scope,
            signed_headers,
            signature,
            time,
            token: raw.token,
            payload,
            expires_seconds,
        })
    }

    /// Whether it is time for the signature.
    pub(super) fn check_time(&self, expected: &Expected<'_>) -> Result<(), SignatureError> {
        if self.time.date() != self.scope.date {
            return Err(SignatureError::Scope(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{}'.",
                self.scope.date,
                self.time.date(),
                self.time.text
            )));
        }
        let Expected { now, skew_seconds, .. } = *expected;
        let (time, good_seconds) = (self.time.text.to_owned(), self.expires_seconds.unwrap_or(skew_seconds));
        if self.time.seconds > now.saturating_add(skew_seconds) {
            let (latest, minutes) = (format(now.saturating_add(skew_seconds)), skew_seconds / 60);
            return Err(SignatureError::Early { time, latest, now: format(now), minutes });
        }
        if self.time.seconds.saturating_add(good_seconds) < now {
            let (earliest, minutes) = (format(now.saturating_sub(good_seconds)), good_seconds / 60);
            return Err(SignatureError::Expired { time, earliest, now: format(now), minutes });
        }
        Ok(())
    }

    /// Whether what has to be signed is: the host, and whatever says what is asked for.
    pub(super) fn check_signed_headers(&self, head: &Head<'_>) -> Result<(), SignatureError> {
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let ours = head.headers.iter().map(|(name, _)| *name).filter(|name| {
            // Some SDKs leave out the one that says nothing.
            name.starts_with("x-amz-") && *name != "x-amz-user-agent"
        });
        let is_host_signed = is_signed(AUTHORITY) && head.values(AUTHORITY).next().is_some();
        let host = (!is_host_signed).then_some("host");
        match ours.chain(host).find(|name| !is_signed(name)) {
            Some(name) => Err(SignatureError::Unsigned(name.to_owned())),
            None => Ok(()),
        }
    }
}

impl<'a> Scope<'a> {
    /// Reads `KEY/20150830/us-east-1/kinesis/aws4_request`.
    fn parse(credential: &'a str) -> Result<(&'a str, Self), SignatureError> {
        let mut parts = credential.split('/');
        let five = [(); 5].map(|()| parts.next());
        match (five, parts.next()) {
            ([Some(key), Some(date), Some(region), Some(service), Some(TERMINATOR)], None) => {
                Ok((key, Self { date, region, service }))
            }
            _ => Err(SignatureError::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/{TERMINATOR}, got '{credential}'"
            ))),
        }
    }

    pub(super) fn check(&self, expected: &Expected<'_>) -> Result<(), SignatureError> {
        if self.region != expected.region {
            return Err(SignatureError::Scope(format!(
                "Credential should be scoped to a valid region, not '{}'. This server is '{}'.",
                self.region, expected.region
            )));
        }
        match expected.service {
            Some(service) if service != self.service => Err(SignatureError::Scope(format!(
                "Credential should be scoped to correct service: '{service}'."
            ))),
            _ => Ok(()),
        }
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), SignatureError> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(SignatureError::Unsupported(format!(
        "Unsupported AWS 'algorithm': '{algorithm}', use '{ALGORITHM}'."
    )))
}

/// Tells all that is missing.
fn complain(wanted: &[(Option<&str>, &str)]) -> Result<(), SignatureError> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(value, _)| value.is_none()).map(|(_, complaint)| *complaint).collect();
    if missing.is_empty() { Ok(()) } else { Err(SignatureError::Incomplete(missing.join(" "))) }
}

fn incomplete(message: &str) -> SignatureError {
    SignatureError::Incomplete(message.to_owned())
}
