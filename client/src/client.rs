//! The entry point: knows the server and makes the rest.

use std::fmt::Display;
use std::sync::Arc;

use tidemill_wire::message::Welcome;
use tidemill_wire::{QueueName, StreamName};

use crate::pool::Pool;
use crate::{Admin, ClientError, ClientOptions, Consumer, ConsumerOptions, Producer, ProducerOptions, Queue};

/// A server that is connected to. Cheap to clone; all clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// Connects to `address` (`host:port`) and learns which port leads to which lane. One try: a server that is not
    /// there is an error at once. The address is looked up again with each new connection. Needs a tokio runtime
    /// with I/O and time.
    pub async fn connect(address: impl Display, options: ClientOptions) -> Result<Self, ClientError> {
        let address: Arc<str> = Arc::from(address.to_string());
        Ok(Self { pool: Arc::new(Pool::open(address, options).await?) })
    }

    /// What the server said when it was last greeted: version, bounds, lanes.
    #[must_use]
    pub fn server(&self) -> Welcome {
        self.pool.welcome()
    }

    /// Creates, describes, lists, changes and deletes streams.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.pool))
    }

    /// A queue, which must exist: to send to and receive from.
    pub async fn queue(&self, name: &QueueName) -> Result<Queue, ClientError> {
        let description = self.admin().describe_queue(name).await?;
        Ok(Queue::new(Arc::clone(&self.pool), description))
    }

    /// A producer for a stream, which must exist.
    pub async fn producer(
        &self,
        stream: &StreamName,
        options: ProducerOptions,
    ) -> Result<Producer, ClientError> {
        let description = self.admin().describe_stream(stream).await?;
        Producer::new(Arc::clone(&self.pool), description, options)
    }

    /// A consumer of a stream, which must exist. "Now", for [`Start::Newest`](crate::Start::Newest) and
    /// [`Until::end`](crate::Until::end), is when this is called.
    pub async fn consumer(
        &self,
        stream: &StreamName,
        options: ConsumerOptions,
    ) -> Result<Consumer, ClientError> {
        let description = self.admin().describe_stream(stream).await?;
        Consumer::new(Arc::clone(&self.pool), description, options)
    }
}
