//! The query protocol of older AWS clients: an action and its parameters in a form come in, XML goes out.
//!
//! Reads and writes values by the same tables of shapes as the other encodings, with the names that each member has in this one. Whatever the bytes
//! are, reading returns a value or a refusal: nesting is bounded by the shape, and the number of parameters by `limits`. Leaves out what actions
//! mean, and which service an action belongs to.

#[cfg(test)]
mod tests;

use super::Caller;
use super::error::Fault;
use super::message::{Answer, Payload};
use super::parameters::Parameters;
use super::xml;

/// What answers are.
const MEDIA_TYPE: &str = "text/xml";
/// What forms are.
const FORM: &str = "application/x-www-form-urlencoded";
/// What refusals are named in that come from no service.
const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";
/// Names the action.
pub(super) const ACTION: &str = "Action";
/// Names the version of the service that is meant, and by it the service.
pub(super) const VERSION: &str = "Version";

/// Errors that are called otherwise than by leaving out that they are exceptions, each with its status.
const CODES: &[(&str, &str, u16)] = &[
    ("InvalidSignatureException", "SignatureDoesNotMatch", 403),
    ("MissingAuthenticationTokenException", "MissingAuthenticationToken", 403),
    ("MissingRequiredParameterException", "MissingParameter", 400),
    ("SerializationException", "MalformedInput", 400),
    ("UnknownOperationException", "InvalidAction", 400),
    ("UnrecognizedClientException", "InvalidClientTokenId", 403),
];

/// One call in this protocol, its caller known and its parameters read.
#[derive(Clone, Debug)]
pub struct QueryRequest<'a> {
    /// What the caller brings.
    pub parameters: Parameters,
    /// The path that was called: of a queue, or none.
    pub path: &'a str,
    /// Who calls.
    pub caller: &'a Caller,
    /// How the caller has named the server: scheme and host.
    pub origin: &'a str,
    /// The call's name, which answers have in their body too.
    pub id: &'a str,
}

/// Whether a media type is that of forms, parameters aside.
pub(super) fn is_form(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
}

/// Success, with this body.
pub(super) fn success(body: Vec<u8>) -> Answer {
    let payload = Payload::Whole(body.into());
    Answer { status: 200, content_type: MEDIA_TYPE, headers: Vec::new(), payload }
}

/// A refusal that comes from no service: a wrong signature, an action that nobody knows.
pub(super) fn refusal(fault: &Fault, id: &str) -> Answer {
    let (code, status) = code_of(fault);
    refusal_in(NAMESPACE, (code, status), &fault.message, id)
}

/// A refusal of the service with this namespace.
pub(super) fn refusal_in(namespace: &str, (code, status): (&str, u16), message: &str, id: &str) -> Answer {
    let body = xml::write_refusal(namespace, code, status < 500, message, id);
    Answer { status, ..success(body) }
}

/// What an error is called that no service has a name of its own for, and its status.
pub(super) fn code_of(fault: &Fault) -> (&'static str, u16) {
    let known = CODES.iter().find(|(name, ..)| *name == fault.name);
    let stripped = fault.name.strip_suffix("Exception").unwrap_or(fault.name);
    known.map_or((stripped, fault.status), |(_, code, status)| (code, *status))
}
