//! Tidemill's client for tokio: connect, manage streams, append records and read them.
//!
//! ```no_run
//! use tidemill_client::{
//!     Client, ClientOptions, ConsumerOptions, Event, ProducerOptions, Record, Settings, StreamName, Until,
//! };
//!
//! # async fn quickstart() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("127.0.0.1:7600", ClientOptions::default()).await?;
//! let stream: StreamName = "access-log".parse()?;
//! client.admin().create_stream(&stream, 4, Settings::default()).await?;
//!
//! // Records of one key go to one shard, in order.
//! let producer = client.producer(&stream, ProducerOptions::default()).await?;
//! let delivery = producer.send(Record::keyed(b"10.0.0.7", b"GET / 200")).await?;
//! let receipt = delivery.await?;
//! println!("shard {} has it as record {}", receipt.shard, receipt.sequence);
//! producer.close().await?;
//!
//! // Everything that is there now, then the end.
//! let until = Until { end: true, ..Until::default() };
//! let options = ConsumerOptions { until, ..ConsumerOptions::default() };
//! let mut consumer = client.consumer(&stream, options).await?;
//! while let Some(event) = consumer.next().await {
//!     match event? {
//!         Event::Records(batch) => {
//!             for record in batch {
//!                 println!("{}: {}", record.sequence, String::from_utf8_lossy(&record.data));
//!             }
//!         }
//!         Event::Gap(gap) => println!("records {}..{} are no longer retained", gap.from, gap.to),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//! - **Order.** With [`ProducerOptions::ordered`] the records of a key are stored in the order in which they were sent,
//!   through refusals, lost connections and changes of the shard map. A record that fails is left out; later ones
//!   go on.
//! - **Outcome.** Each [`Delivery`] ends in a [`Receipt`], or in a [`SendError`] that tells "not stored" from "stored or
//!   not". Nothing is stored twice unless [`ProducerOptions::resend_unknown`] allows it.
//! - **Reading.** A [`Consumer`] yields each retained record of a shard once and in order, across lost connections. What
//!   retention took first is reported as a [`Gap`].
//! - **Bounds.** A producer holds [`ProducerOptions::buffer_bytes_max`] bytes, a consumer [`Window::prefetch_bytes`] for
//!   each shard, a connection [`ClientOptions::in_flight_max`] requests.
//!
//! All of it works on tokio's current-thread and multi-thread runtimes; background tasks run on the runtime on which
//! the call was made.

mod admin;
mod ask;
mod client;
mod connection;
mod consumer;
mod error;
mod options;
mod pool;
mod producer;
mod queue;
mod retry;
mod route;

pub use admin::{Admin, QueuePage, StreamPage};
pub use client::Client;
pub use consumer::{ConsumedBatch, ConsumedRecord, Consumer, Event, Gap};
pub use error::{ClientError, DamageError, ProtocolError, SendError};
pub use options::{
    ClientOptions, ConsumerOptions, DeliveryMode, ProducerOptions, RetryPolicy, ShardChoice, Start,
    ThrottlePolicy, Until, Window,
};
pub use producer::{Delivery, Producer, Receipt, Record};
pub use queue::{ConsumeOptions, Outgoing, Queue, QueueConsumer, ReceiveOptions, Received, SendOutcome};
pub use tidemill_wire::attributes::{AttributesError, MessageAttribute, MessageAttributeValue};
pub use tidemill_wire::batch::Compression;
pub use tidemill_wire::ids::{QueueNameError, StreamNameError};
pub use tidemill_wire::message::{
    Ack, Allow, ErrorCode, Failure, Fifo, KeyCompaction, MessageCounts, MessageId, MessageReceipt, Move,
    MoveStatus, QueueChange, QueueDescription, QueueSettings, QueueSummary, Quota, Redrive, RefusedItem,
    Scope, SentMessage, Settings, ShardDescription, ShardState, StreamDescription, StreamSummary,
    ThroughputLimit, Welcome,
};
pub use tidemill_wire::routing::{HashKey, HashKeyRange};
pub use tidemill_wire::{
    LaneId, QueueId, QueueName, SequenceNumber, ShardIndex, StreamId, StreamName, Timestamp,
};

/// The program in the README is compiled with the tests, so that it cannot fall behind.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
