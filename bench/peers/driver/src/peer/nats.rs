//! NATS JetStream through `async-nats`: a batch is that many publications, whose acknowledgements are awaited together.

use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{Context, stream};
use bytes::Bytes;

use super::{NAME, records};
use crate::Fault;
use crate::arguments::Plan;
use crate::drive::Slot;

/// A saturated server may acknowledge later than the client's five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Appender {
    context: Context,
    batch: Vec<Bytes>,
}

pub(crate) async fn connect(plan: &Plan) -> Result<Vec<Appender>, Fault> {
    let batch = records(plan);
    let mut slots = Vec::new();
    for _ in 0..plan.connections {
        let client = async_nats::connect(&plan.address).await?;
        // The client's own bound of unacknowledged messages is not to be lower than the workload's.
        let in_flight = plan.batch_records * plan.in_flight;
        let context = ContextBuilder::new().timeout(PATIENCE).max_ack_inflight(in_flight).build(client);
        if slots.is_empty() {
            // What a measurement before has left.
            _ = context.delete_stream(NAME).await;
            let config = stream::Config {
                name: NAME.to_owned(),
                subjects: vec![NAME.to_owned()],
                storage: stream::StorageType::File,
                ..stream::Config::default()
            };
            context.create_stream(config).await?;
        }
        slots
            .extend((0..plan.in_flight).map(|_| Appender { context: context.clone(), batch: batch.clone() }));
    }
    Ok(slots)
}

impl Slot for Appender {
    async fn append(&mut self) -> Result<(), Fault> {
        let mut acknowledgements = Vec::with_capacity(self.batch.len());
        for record in &self.batch {
            acknowledgements.push(self.context.publish(NAME, record.clone()).await?);
        }
        for acknowledgement in acknowledgements {
            acknowledgement.await?;
        }
        Ok(())
    }
}
