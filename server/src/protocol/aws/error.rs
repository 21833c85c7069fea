//! A refusal in AWS's words: the name of the error, a status and a text.

use std::borrow::Cow;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct Fault {
    /// The error's shape, as the service's model names it: `ResourceNotFoundException`.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// For people.
    pub message: Cow<'static, str>,
}

impl Fault {
    /// The caller is at fault.
    #[must_use]
    pub fn of_caller(name: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { name, status: 400, message: message.into() }
    }

    /// The body cannot be read, or its values are of the wrong types.
    #[must_use]
    pub fn serialization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of_caller("SerializationException", message)
    }

    /// Values break what the model says about them.
    #[must_use]
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of_caller("ValidationException", message)
    }

    /// There is no such operation.
    #[must_use]
    pub fn unknown_operation() -> Self {
        Self::of_caller("UnknownOperationException", "")
    }

    /// The server is at fault; the text says nothing of its insides, its log does.
    #[must_use]
    pub fn internal() -> Self {
        let message = "the request could not be processed because of an internal failure".into();
        Self { name: "InternalFailureException", status: 500, message }
    }

    /// The server is going down, or is not able to do this now.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self { name: "ServiceUnavailableException", status: 503, message: message.into() }
    }
}
