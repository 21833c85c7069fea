//! Signature Version 4 of requests that are all alike: a POST to `/` with a target and a body.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use crate::options::HttpOptions;

const SECONDS_PER_DAY: u64 = 86_400;
/// What is signed of every request.
const SIGNED_HEADERS: &str = "content-type;host;x-amz-date;x-amz-target";

/// A service as its requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// In scopes.
    pub(crate) name: &'static str,
    /// What targets begin with.
    pub(crate) target: &'static str,
    /// Of bodies.
    pub(crate) media_type: &'static str,
}

impl Service {
    pub(crate) const KINESIS: Self =
        Self { name: "kinesis", target: "Kinesis_20131202", media_type: "application/x-amz-json-1.1" };
    pub(crate) const SQS: Self =
        Self { name: "sqs", target: "AmazonSQS", media_type: "application/x-amz-json-1.0" };
}

/// A body's digest in hexadecimal: what its signature is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(hex(&Sha256::digest(body)))
    }
}

/// Writes the heads of signed requests.
#[derive(Clone)]
pub(crate) struct Signer {
    service: Service,
    access_key: String,
    secret: String,
    region: String,
    host: String,
    /// The last day's key, ready to sign.
    day: Option<(u64, Hmac<Sha256>)>,
}

impl Signer {
    /// Signs for a service of the host, as `http` says.
    pub(crate) fn new(service: Service, http: &HttpOptions, host: String) -> Self {
        let (access_key, secret) = (http.access_key.clone(), http.secret.reveal().to_owned());
        Self { service, access_key, secret, region: http.region.clone(), host, day: None }
    }

    /// Appends the head of a request that is made now, up to its body.
    pub(crate) fn put_head(
        &mut self,
        operation: &str,
        body_bytes: usize,
        digest: &Digest,
        out: &mut Vec<u8>,
    ) {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        out.extend_from_slice(self.head(operation, body_bytes, digest, now_s).as_bytes());
    }

    fn head(&mut self, operation: &str, body_bytes: usize, digest: &Digest, now_s: u64) -> String {
        let Service { name, target, media_type } = self.service;
        let (date, time) = (date(now_s), time(now_s));
        let host = &self.host;
        let canonical = format!(
            "POST\n/\n\ncontent-type:{media_type}\nhost:{host}\nx-amz-date:{date}T{time}Z\nx-amz-target:{target}.{operation}\n\n{SIGNED_HEADERS}\n{}",
            digest.0
        );
        let scope = format!("{date}/{}/{name}/aws4_request", self.region);
        let mut mac = self.key(now_s / SECONDS_PER_DAY, &date);
        mac.update(
            format!("AWS4-HMAC-SHA256\n{date}T{time}Z\n{scope}\n{}", hex(&Sha256::digest(canonical)))
                .as_bytes(),
        );
        let signature = hex(&mac.finalize().into_bytes());
        let (host, access_key) = (&self.host, &self.access_key);
        format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media_type}\r\nX-Amz-Target: {target}.{operation}\r\nX-Amz-Date: {date}T{time}Z\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}\r\n\
             Content-Length: {body_bytes}\r\n\r\n"
        )
    }

    fn key(&mut self, day: u64, date: &str) -> Hmac<Sha256> {
        if let Some((known, key)) = &self.day
            && *known == day
        {
            return key.clone();
        }
        let mut key = keyed(format!("AWS4{}", self.secret).as_bytes());
        for part in [date, &self.region, self.service.name, "aws4_request"] {
            key.update(part.as_bytes());
            key = keyed(&key.finalize().into_bytes());
        }
        self.day = Some((day, key.clone()));
        key
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key may have any length")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

/// `20150830`, in the calendar that all of 1970 and later has.
fn date(now_s: u64) -> String {
    // Days since 0000-03-01, so that a leap day ends its year.
    let days = now_s / SECONDS_PER_DAY + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}")
}

/// `123600`.
fn time(now_s: u64) -> String {
    let rest = now_s % SECONDS_PER_DAY;
    format!("{:02}{:02}{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests;
