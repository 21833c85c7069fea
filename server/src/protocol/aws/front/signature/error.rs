//! Why a request is not believed, in AWS's words.

use super::super::super::Fault;

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum SignatureError {
    /// It is not signed.
    #[error("Missing Authentication Token")]
    Missing,
    /// The signature is not whole. What is missing, a sentence each.
    #[error("{0}")]
    Incomplete(String),
    /// It is made in a way that is not supported here.
    #[error("{0}")]
    Unsupported(String),
    /// There is no such access key.
    #[error("The security token included in the request is invalid.{}", hint(*none))]
    UnknownKey {
        /// There are no access keys at all.
        none: bool,
    },
    /// The session token is not the one that belongs to the access key.
    #[error("The security token included in the request is invalid.")]
    Token,
    /// It was made for another day, region or service.
    #[error("{0}")]
    Scope(String),
    /// It is too old.
    #[error("Signature expired: {time} is now earlier than {earliest} ({now} - {minutes} min.)")]
    Expired {
        /// When it was made.
        time: String,
        /// The earliest that is accepted.
        earliest: String,
        /// The server's time.
        now: String,
        /// Between the two.
        minutes: u64,
    },
    /// It is from the future.
    #[error("Signature not yet current: {time} is still later than {latest} ({now} + {minutes} min.)")]
    Early {
        /// When it was made.
        time: String,
        /// The latest that is accepted.
        latest: String,
        /// The server's time.
        now: String,
        /// Between the two.
        minutes: u64,
    },
    /// A header that has to be signed is not.
    #[error("The header '{0}' must be a 'SignedHeader' in the signature.")]
    Unsigned(String),
    /// It is another one than ours.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl SignatureError {
    /// The refusal.
    pub(in super::super) fn fault(&self) -> Fault {
        let name = match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) | Self::Unsupported(_) => "IncompleteSignatureException",
            Self::UnknownKey { .. } | Self::Token => "UnrecognizedClientException",
            Self::Scope(_)
            | Self::Expired { .. }
            | Self::Early { .. }
            | Self::Unsigned(_)
            | Self::Mismatch => "InvalidSignatureException",
        };
        Fault::of_caller(name, self.to_string())
    }
}

fn hint(none: bool) -> &'static str {
    if none {
        " This server has no access keys: set aws.credentials, or aws.authentication = off."
    } else {
        ""
    }
}
