//! Redis Streams through the `redis` crate: a batch is a pipeline of XADD on a multiplexed connection.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline};

use super::{NAME, records};
use crate::Fault;
use crate::arguments::Plan;
use crate::drive::Slot;

pub(crate) struct Appender {
    connection: MultiplexedConnection,
    batch: Pipeline,
}

pub(crate) async fn connect(plan: &Plan) -> Result<Vec<Appender>, Fault> {
    let client = Client::open(format!("redis://{}/", plan.address))?;
    let batch = records(plan).iter().fold(Pipeline::new(), |mut batch, record| {
        batch.cmd("XADD").arg(NAME).arg("*").arg("data").arg(&record[..]);
        batch
    });
    let mut slots = Vec::new();
    for _ in 0..plan.connections {
        // A saturated server may answer later than the client's half second.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        if slots.is_empty() {
            redis::cmd("DEL").arg(NAME).exec_async(&mut connection).await?;
        }
        slots.extend(
            (0..plan.in_flight).map(|_| Appender { connection: connection.clone(), batch: batch.clone() }),
        );
    }
    Ok(slots)
}

impl Slot for Appender {
    async fn append(&mut self) -> Result<(), Fault> {
        // Fails if any of its commands does.
        Ok(self.batch.exec_async(&mut self.connection).await?)
    }
}
