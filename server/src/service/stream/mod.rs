//! Streams: records in shards, appended, read and waited for.
//!
//! Owns what one core knows of the streams and does for the shards whose lanes it holds: routing, quotas, appends, fetches.
//! Knows no sockets, no wire messages, no other cores and no catalog: definitions come in, answers go out.

mod append;
mod definition;
mod error;
mod fetch;
mod hold;
mod measure;
mod pace;
mod route;
mod seat;
mod table;
#[cfg(test)]
mod tests;

pub use crate::service::shard_definition::{Shard, ShardEnd};
pub use append::{Append, Charge};
pub use definition::{Attributes, Definition};
pub use error::{AppendError, FeedError, FetchError, HoldError, RouteError, SeatError};
pub use fetch::{Delivery, Fetch, ReadKind};
pub use hold::{Held, HeldEnd};
pub use route::{Part, Routed, route};
pub use seat::{Feed, Place, Turn};
pub use table::{ShardBounds, Stream, Streams};
