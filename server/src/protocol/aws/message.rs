//! What comes in and goes out, whatever carries it: no HTTP types, so that the front can change without the services.

use std::pin::Pin;

use bytes::Bytes;
use futures_lite::Stream;

use super::error::Fault;
use super::{cbor, json};
use crate::gate::budget::Permit;
use crate::gate::identity::Caller;

/// One call, its caller known and its body whole.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Service and operation, as in the header `X-Amz-Target`: `Kinesis_20131202.PutRecord`.
    pub target: &'a str,
    /// How the body is written, and the answer is to be.
    pub encoding: Encoding,
    /// The operation's input.
    pub body: Bytes,
    /// Who calls.
    pub caller: &'a Caller,
    /// How the caller has named the server: scheme and host.
    pub origin: &'a str,
}

/// The answer to a call. The front adds the request's id in `x-amzn-RequestId`.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the payload.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub payload: Payload,
}

/// The body of an answer.
pub enum Payload {
    /// All of it.
    Whole(Bytes),
    /// Pieces, each made when the one before was taken.
    Pieces(Pieces),
}

/// A body in pieces.
pub type Pieces = Pin<Box<dyn Stream<Item = Piece>>>;

/// A piece of a body.
pub struct Piece {
    /// Its bytes.
    pub bytes: Bytes,
    /// The room that they take until they are written.
    pub room: Option<Permit>,
}

/// How bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// AWS JSON 1.1, or 1.0, which differs in its media type.
    Json,
    /// AWS CBOR 1.1: the same protocol in CBOR.
    Cbor,
}

/// The media type of AWS JSON 1.0.
pub(super) const JSON_1_0: &str = "application/x-amz-json-1.0";

impl Encoding {
    /// The encoding of a media type, parameters aside.
    #[must_use]
    pub fn of_media_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let known = [Self::Json, Self::Cbor].map(|known| (known.media_type(), known));
        let known = known.into_iter().chain([(JSON_1_0, Self::Json)]);
        known.into_iter().find(|(name, _)| essence.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding)
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

impl Answer {
    /// Success, with this output.
    #[must_use]
    pub fn success(encoding: Encoding, body: impl Into<Bytes>) -> Self {
        let payload = Payload::Whole(body.into());
        Self { status: 200, content_type: encoding.media_type(), headers: Vec::new(), payload }
    }

    /// Success, with a body of this media type in pieces.
    #[must_use]
    pub fn pieces(content_type: &'static str, pieces: Pieces) -> Self {
        Self { status: 200, content_type, headers: Vec::new(), payload: Payload::Pieces(pieces) }
    }

    /// A refusal in AWS's form. The front uses it too, for what never gets to a service: a wrong signature, a body that is too large.
    #[must_use]
    pub fn refusal(encoding: Encoding, fault: &Fault) -> Self {
        let body = match encoding {
            Encoding::Json => json::encode_fault(fault),
            Encoding::Cbor => cbor::encode_fault(fault),
        };
        Self { status: fault.status, ..Self::success(encoding, body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart_whatever_their_case_and_parameters() {
        let check = |text, expected| assert_eq!(Encoding::of_media_type(text), expected, "{text}");
        check("application/x-amz-json-1.1", Some(Encoding::Json));
        check("application/X-Amz-JSON-1.1; charset=utf-8", Some(Encoding::Json));
        check("application/x-amz-json-1.0", Some(Encoding::Json));
        check("application/x-amz-cbor-1.1", Some(Encoding::Cbor));
        check("application/json", None);
        check("", None);
    }
}
