//! The types that fields of the configuration have, and their way from and to a [`Value`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::value::Value;

/// A type that a field of the configuration may have.
pub(super) trait Setting: Sized {
    /// The field for a value, or `None` when the type cannot hold it.
    fn from_value(value: &Value) -> Option<Self>;
    /// The value of a field.
    fn to_value(&self) -> Value;
}

macro_rules! words {
    ($(#[doc = $type_doc:literal])+ $Type:ident { $( $(#[doc = $doc:literal])+ $Variant:ident = $word:literal, )+ }) => {
        $(#[doc = $type_doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Type { $( $(#[doc = $doc])+ $Variant, )+ }

        impl $Type {
            /// The words of the configuration, in the order of the variants.
            pub const NAMES: &[&str] = &[ $($word),+ ];

            /// The word of the configuration.
            pub fn name(self) -> &'static str {
                match self { $( Self::$Variant => $word, )+ }
            }
        }

        impl Setting for $Type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $( Value::Text(text) if text == $word => Some(Self::$Variant), )+
                    _ => None,
                }
            }

            fn to_value(&self) -> Value {
                Value::Text(self.name().to_owned())
            }
        }
    };
}

words! {
    /// Form of a log line.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line, for machines.
        Json = "json",
    }
}

words! {
    /// What becomes of shards in the log that the catalog has never known.
    UnknownOwners {
        /// The server does not start, and nothing is changed.
        Refuse = "refuse",
        /// What they hold is deleted.
        Forget = "forget",
    }
}

words! {
    /// Whether clients of the AWS protocols have to prove who they are.
    Authentication {
        /// Each request carries a signature of a known access key.
        Signature = "signature",
        /// Nothing is asked for; only for addresses that this machine alone reaches.
        Off = "off",
        /// Nothing is asked for, whoever reaches the port.
        OffAnywhere = "off-anywhere",
    }
}

words! {
    /// Least severe lines that are written.
    LogLevel {
        /// Only what failed.
        Error = "error",
        /// And what may fail soon.
        Warn = "warn",
        /// And what an operator may want to know.
        Info = "info",
        /// And what a developer may want to know.
        Debug = "debug",
        /// And everything else.
        Trace = "trace",
    }
}

macro_rules! numbers {
    ($($Type:ty),+) => { $(
        impl Setting for $Type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Number(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
            }

            fn to_value(&self) -> Value {
                Value::Number(u64::from(*self))
            }
        }
    )+ };
}

numbers!(u16, u32, u64);

impl Setting for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Switch(on) => Some(*on),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::Switch(*self)
    }
}

impl Setting for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Time(span) => Some(*span),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::Time(*self)
    }
}

impl Setting for PathBuf {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::from(text)),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.to_string_lossy().into_owned())
    }
}

impl Setting for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

macro_rules! optional {
    ($($Type:ty),+) => { $(
        impl Setting for Option<$Type> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Absent => Some(None),
                    value => <$Type>::from_value(value).map(Some),
                }
            }

            fn to_value(&self) -> Value {
                self.as_ref().map_or(Value::Absent, Setting::to_value)
            }
        }
    )+ };
}

optional!(u16, u32, u64, String, PathBuf);

impl Setting for IpAddr {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }
}
