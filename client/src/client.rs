//! The entry point: knows the server and makes the rest.

use std::fmt::Display;

use tidemill_wire::StreamName;
use tidemill_wire::message::Welcome;

use crate::{Admin, ClientError, ClientOptions, Consumer, ConsumerOptions, Producer, ProducerOptions};

/// A server that is connected to. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {}

impl Client {
    /// Connects to `address` (`host:port`) and learns which port leads to which lane. The address is looked up again
    /// with each new connection. Needs a tokio runtime with I/O and time.
    pub async fn connect(address: impl Display, options: ClientOptions) -> Result<Self, ClientError> {
        let _ = (address.to_string(), options);
        unimplemented!()
    }

    /// What the server said when it was last greeted: version, bounds, lanes.
    #[must_use]
    pub fn server(&self) -> Welcome {
        unimplemented!()
    }

    /// Creates, describes, lists, changes and deletes streams.
    #[must_use]
    pub fn admin(&self) -> Admin {
        unimplemented!()
    }

    /// A producer for a stream, which must exist.
    pub async fn producer(
        &self,
        stream: &StreamName,
        options: ProducerOptions,
    ) -> Result<Producer, ClientError> {
        let _ = (stream, options);
        unimplemented!()
    }

    /// A consumer of a stream, which must exist. "Now", for [`Start::Newest`](crate::Start::Newest) and
    /// [`Until::end`](crate::Until::end), is when this is called.
    pub async fn consumer(
        &self,
        stream: &StreamName,
        options: ConsumerOptions,
    ) -> Result<Consumer, ClientError> {
        let _ = (stream, options);
        unimplemented!()
    }
}
