//! How the AWS protocols are spoken, where they are, and who calls.

use std::fmt;

/// A protocol over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpProtocol {
    /// Kinesis Data Streams, in JSON.
    Kinesis,
    /// Simple Queue Service, in JSON.
    Sqs,
}

impl HttpProtocol {
    /// Its name on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::Sqs => "sqs",
        }
    }

    /// The most records that a request may have.
    #[must_use]
    pub fn batch_records_max(self) -> u32 {
        match self {
            Self::Kinesis => 500,
            Self::Sqs => 10,
        }
    }
}

/// A key that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How the generator speaks to the HTTP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// In which protocol.
    pub protocol: HttpProtocol,
    /// Host and port of the server's HTTP port; a server of the run's own has one.
    pub endpoint: String,
    /// The access key that signs; a server of the run's own has one.
    pub access_key: String,
    /// Its secret.
    pub secret: Secret,
    /// The region that is signed for.
    pub region: String,
}
