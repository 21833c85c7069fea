//! Default quotas: what is admitted over some seconds is the rate, no more than one burst above and no less than 1 % below.

use std::time::{Duration, Instant};

use tidemill_client::{
    Client, ClientOptions, ConsumerOptions, Event, ProducerOptions, Quota, Record, Settings, StreamName,
    Window,
};

use crate::process::{Server, size_from};

/// Of the server's default quota: a shard takes 1 MB and gives 2 MB a second, with one second of burst.
const WRITE_RATE: u64 = 1_000_000;
const READ_RATE: u64 = 2_000_000;

fn seconds() -> u64 {
    size_from("TIDEMILL_TEST_QUOTA_SECONDS", 5)
}

fn run<T>(test: impl AsyncFnOnce(Client) -> T) -> T {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(&folder.path().join("data"), &[]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        let client =
            Client::connect(&server.address, ClientOptions::default()).await.expect("the server answers");
        test(client).await
    });
    server.stop();
    outcome
}

#[track_caller]
fn check(what: &str, bytes: u64, rate: u64, elapsed: Duration) {
    let fair = rate as f64 * elapsed.as_secs_f64();
    assert!(
        bytes as f64 <= fair + rate as f64,
        "{what}: {bytes} bytes in {elapsed:?} are more than {rate} a second and a burst"
    );
    assert!(
        bytes as f64 >= fair * 0.99,
        "{what}: {bytes} bytes in {elapsed:?} are less than 99 % of {rate} a second"
    );
}

#[test]
fn a_producer_without_limit_is_admitted_at_the_rate() {
    let (bytes, elapsed) = run(async |client: Client| {
        let name = StreamName::new("logs").expect("the name is allowed");
        client.admin().create_stream(&name, 1, Settings::default()).await.expect("a new stream");
        // Records of 2 kB, so that the bytes and not the records are what is short. A key that a whole batch has in common
        // is stored and counted once, so it is a single byte here and left out of the count.
        let options = ProducerOptions {
            batch_bytes_max: 20_000,
            buffer_bytes_max: 1 << 20,
            ..ProducerOptions::default()
        };
        let producer = client.producer(&name, options).await.expect("the stream exists");
        // Before the first byte can be asked for, or the window would be too short for what was admitted.
        let started = Instant::now();
        let (sender, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
        let sending = tokio::spawn(async move {
            let data = [b'x'; 2_000];
            while let Ok(delivery) = producer.send(Record::keyed(b"k", &data)).await {
                if sender.send(delivery).is_err() {
                    break;
                }
            }
        });
        let deadline = tokio::time::sleep(Duration::from_secs(seconds()));
        tokio::pin!(deadline);
        let mut bytes = 0;
        loop {
            tokio::select! {
                () = &mut deadline => break,
                delivery = deliveries.recv() => {
                    let delivery = delivery.expect("the producer goes on");
                    tokio::select! {
                        () = &mut deadline => break,
                        receipt = delivery => {
                            receipt.expect("a throttled record is sent again");
                            bytes += 2_000;
                        }
                    }
                }
            }
        }
        sending.abort();
        (bytes, started.elapsed())
    });
    check("producer", bytes, WRITE_RATE, elapsed);
}

#[test]
fn a_reader_without_limit_is_served_at_the_rate() {
    let (bytes, elapsed) = run(async |client: Client| {
        let name = StreamName::new("logs").expect("the name is allowed");
        let quota = Quota { read_bytes_per_second: READ_RATE, ..Quota::OFF };
        let settings = Settings { quota: Some(quota), ..Settings::default() };
        client.admin().create_stream(&name, 1, settings).await.expect("a new stream");
        let options = ProducerOptions { batch_bytes_max: 20_000, ..ProducerOptions::default() };
        let producer = client.producer(&name, options).await.expect("the stream exists");
        for _ in 0..READ_RATE * (seconds() + 3) / 2_000 {
            // Whether each is stored shows at the flush.
            drop(producer.send(Record::keyed(b"k", &[b'x'; 2_000])).await.expect("the producer goes on"));
        }
        producer.flush().await.expect("writing is not limited");

        let started = Instant::now();
        let window = Window { fetch_bytes: 100_000, prefetch_bytes: 100_000, ..Window::default() };
        let mut consumer = client
            .consumer(&name, ConsumerOptions { window, ..ConsumerOptions::default() })
            .await
            .expect("the stream exists");
        let mut bytes = 0;
        while started.elapsed() < Duration::from_secs(seconds()) {
            let event = consumer
                .next()
                .await
                .expect("the stream has no end")
                .expect("a throttled fetch is sent again");
            let Event::Records(batch) = event else { panic!("nothing has expired") };
            bytes += batch.map(|record| record.data.len() as u64).sum::<u64>();
        }
        (bytes, started.elapsed())
    });
    check("reader", bytes, READ_RATE, elapsed);
}
