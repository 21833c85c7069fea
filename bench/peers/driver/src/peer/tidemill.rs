//! Tidemill through `tidemill-client`: a batch is what its records make, and is one append.

use bytes::Bytes;
use tidemill_client::{
    Ack, Client, ClientOptions, Producer, ProducerOptions, Quota, Record, Settings, StreamName,
};

use super::{NAME, records};
use crate::Fault;
use crate::arguments::Plan;
use crate::drive::Slot;

/// What the stream keeps, so that the log soon writes into recycled segments, as one that has run for a while does.
const RETENTION_BYTES: u64 = 256 << 20;

pub(crate) struct Appender {
    producer: Producer,
    batch: Vec<Bytes>,
}

pub(crate) async fn connect(plan: &Plan) -> Result<Vec<Appender>, Fault> {
    let stream: StreamName = NAME.parse()?;
    let batch = records(plan);
    let options = ProducerOptions {
        batch_bytes_max: 12 << 20,
        batch_records_max: u32::try_from(plan.batch_records)?,
        // As with the others, several batches are on their way at a time.
        ordered: false,
        in_flight_per_shard: plan.in_flight,
        ack: if plan.is_durable { Ack::Durable } else { Ack::Written },
        ..ProducerOptions::default()
    };
    let mut slots = Vec::new();
    for _ in 0..plan.connections {
        let client = Client::connect(&plan.address, ClientOptions::default()).await?;
        if slots.is_empty() {
            // What a measurement before has left.
            _ = client.admin().delete_stream(&stream).await;
            let settings = Settings {
                quota: Some(Quota::OFF),
                retention_bytes: Some(RETENTION_BYTES),
                ..Settings::default()
            };
            client.admin().create_stream(&stream, 1, settings).await?;
        }
        let producer = client.producer(&stream, options.clone()).await?;
        slots.extend(
            (0..plan.in_flight).map(|_| Appender { producer: producer.clone(), batch: batch.clone() }),
        );
    }
    Ok(slots)
}

impl Slot for Appender {
    async fn append(&mut self) -> Result<(), Fault> {
        let mut deliveries = Vec::with_capacity(self.batch.len());
        for record in &self.batch {
            deliveries.push(self.producer.send(Record::new(record)).await?);
        }
        for delivery in deliveries {
            delivery.await?;
        }
        Ok(())
    }
}
