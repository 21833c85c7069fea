//! RabbitMQ streams through `rabbitmq-stream-client`: a batch is handed to the producer at once, and each message of it is confirmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rabbitmq_stream_client::types::Message;
use rabbitmq_stream_client::{Environment, NoDedup, Producer};
use tokio::sync::Notify;

use super::{NAME, records};
use crate::Fault;
use crate::arguments::Plan;
use crate::drive::Slot;

/// Messages that the client publishes in one frame: half a megabyte of the larger ones, and the largest frame has one. A batch is a multiple of it.
const MESSAGES_OF_FRAME: usize = 500;
/// When the client publishes what does not fill a frame.
const DELAY: Duration = Duration::from_millis(1);

pub(crate) struct Appender {
    producer: Producer<NoDedup>,
    batch: Vec<Message>,
    confirmed: Arc<Confirmed>,
}

/// What has come of a batch.
#[derive(Default)]
struct Confirmed {
    count: AtomicUsize,
    has_failed: AtomicBool,
    changed: Notify,
}

pub(crate) async fn connect(plan: &Plan) -> Result<Vec<Appender>, Fault> {
    let (host, port) = plan.address.rsplit_once(':').ok_or("the address has no port")?;
    let environment = Environment::builder().host(host).port(port.parse()?).build().await?;
    // What a measurement before has left.
    _ = environment.delete_stream(NAME).await;
    environment.stream_creator().create(NAME).await?;
    let batch: Vec<Message> =
        records(plan).iter().map(|record| Message::builder().body(record.to_vec()).build()).collect();
    let mut slots = Vec::new();
    for _ in 0..plan.connections {
        let batch_size = plan.batch_records.min(MESSAGES_OF_FRAME);
        let producer = environment.producer().batch_size(batch_size).batch_delay(DELAY).build(NAME).await?;
        slots.extend((0..plan.in_flight).map(|_| Appender {
            producer: producer.clone(),
            batch: batch.clone(),
            confirmed: Arc::default(),
        }));
    }
    Ok(slots)
}

impl Slot for Appender {
    async fn append(&mut self) -> Result<(), Fault> {
        self.confirmed.count.store(0, Ordering::Relaxed);
        let (confirmed, whole) = (Arc::clone(&self.confirmed), self.batch.len());
        self.producer
            .batch_send(self.batch.clone(), move |status| {
                if !status.is_ok_and(|status| status.confirmed()) {
                    confirmed.has_failed.store(true, Ordering::Relaxed);
                }
                if confirmed.count.fetch_add(1, Ordering::Relaxed) + 1 == whole {
                    confirmed.changed.notify_one();
                }
                std::future::ready(())
            })
            .await?;
        self.confirmed.changed.notified().await;
        let has_failed = self.confirmed.has_failed.load(Ordering::Relaxed);
        if has_failed { Err("the server did not confirm a message".into()) } else { Ok(()) }
    }
}
