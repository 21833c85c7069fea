//! Tidemill's client for tokio: connect, manage streams, append records and read them.

mod admin;
mod client;
mod consumer;
mod error;
mod options;
mod producer;

pub use admin::{Admin, StreamPage};
pub use client::Client;
pub use consumer::{ConsumedBatch, ConsumedRecord, Consumer, Event, Gap};
pub use error::{ClientError, DamageError, ProtocolError, SendError};
pub use options::{
    ClientOptions, ConsumerOptions, DeliveryMode, ProducerOptions, RetryPolicy, ShardChoice, Start,
    ThrottlePolicy, Until, Window,
};
pub use producer::{Delivery, Producer, Receipt, Record};
pub use tidemill_wire::batch::Compression;
pub use tidemill_wire::ids::StreamNameError;
pub use tidemill_wire::message::{
    Ack, ErrorCode, Failure, Quota, Settings, ShardDescription, ShardState, StreamDescription, StreamSummary,
    Welcome,
};
pub use tidemill_wire::{LaneId, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp};
