//! Connections: opened, shared, matched, given up.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidemill_client::{
    Client, ClientError, ClientOptions, ProducerOptions, Record, RetryPolicy, SendError, ShardIndex,
};

use crate::fake::{Fake, Kind, Step, name};

#[tokio::test]
async fn answers_in_another_order_reach_their_requests() {
    let fake = Fake::start(1).await;
    for index in 0..8 {
        fake.model().create(&name(&format!("t{index}")), index + 1);
    }
    let admin = fake.client().await.admin();
    let pauses = (0..8).map(|index| Step::Delay(Duration::from_millis(400 - index * 50)));
    fake.script(Kind::Describe, pauses);
    let names: Vec<_> = (0..8).map(|index| name(&format!("t{index}"))).collect();
    let start = Instant::now();
    let described = join_all(names.iter().map(|name| admin.describe_stream(name))).await;
    assert!(start.elapsed() < Duration::from_millis(1_500), "they are in flight together");
    for (index, stream) in (1..).zip(described) {
        assert_eq!(stream.expect("described").shards.len(), index);
    }
    assert_eq!(fake.model().greetings, 1, "one connection carries them all");
}

#[tokio::test]
async fn nobody_listens_is_an_error_at_once() {
    let fake = Fake::start(1).await;
    fake.stop_listening(0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = Client::connect(fake.address(), ClientOptions::default()).await.expect_err("refused");
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot connect to {}", fake.address())), "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_gives_the_connection_up() {
    let fake = Fake::start(1).await;
    let short = |options: &mut ClientOptions| {
        options.request_timeout = Duration::from_millis(50);
        options.retry = RetryPolicy::NEVER;
    };
    let admin = fake.client_with(short).await.admin();
    fake.script(Kind::Ping, [Step::Silence]);
    let error = admin.ping().await.expect_err("silence");
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    admin.ping().await.expect("a new connection");
    assert_eq!(fake.model().greetings, 2);
}

#[tokio::test]
async fn a_silent_server_is_noticed_without_a_request() {
    let fake = Fake::start(1).await;
    let short = |options: &mut ClientOptions| {
        options.request_timeout = Duration::from_millis(60);
        options.keep_alive = Duration::from_millis(20);
    };
    let client = fake.client_with(short).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.admin().ping().await.expect("pings are answered, so the connection lives");
    assert_eq!(fake.model().greetings, 1);
    fake.script(Kind::Ping, std::iter::repeat_n(Step::Silence, 20));
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.admin().describe_stream(&name("s")).await.expect("a new connection");
    assert_eq!(fake.model().greetings, 2);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_a_typed_error() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    fake.script(Kind::Ping, [Step::Garbage]);
    let error = client.admin().ping().await.expect_err("garbage");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    client.admin().ping().await.expect("a new connection");
}

#[tokio::test]
async fn another_node_at_the_same_address_is_refused() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    fake.model().node = 8;
    fake.cut_connections();
    let mut error = client.admin().ping().await.expect_err("another node");
    if matches!(error, ClientError::Disconnected { .. }) {
        error = client.admin().ping().await.expect_err("another node");
    }
    assert!(matches!(error, ClientError::OtherNode { expected: 7, found: 8, .. }), "{error}");
}

#[tokio::test]
async fn each_lane_is_served_at_its_own_port() {
    let fake = Fake::with_lanes(4, 2).await;
    let spread = |fake: &Fake| fake.model().appends_at.clone();
    let client = fake.client().await;
    send_to_each(&client).await;
    let ports = fake.model().lane_ports.clone();
    assert_eq!(spread(&fake), [(ports[0], 2), (ports[1], 2)].into_iter().collect());

    let client = fake.client_with(|options| options.use_lane_ports = false).await;
    send_to_each(&client).await;
    assert_eq!(spread(&fake)[&fake.address().port()], 4);
}

#[tokio::test]
async fn a_lane_port_out_of_reach_is_gone_around() {
    let fake = Fake::with_lanes(4, 2).await;
    fake.stop_listening(1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    send_to_each(&fake.client().await).await;
    let ports = fake.model().lane_ports.clone();
    let expected = [(fake.address().port(), 2), (ports[1], 2)].into_iter().collect();
    assert_eq!(fake.model().appends_at, expected);
}

#[tokio::test]
async fn requests_beyond_the_servers_bound_wait_their_turn() {
    let fake = Fake::start(1).await;
    fake.model().in_flight_max = 2;
    let admin = fake.client().await.admin();
    fake.script(Kind::Ping, std::iter::repeat_n(Step::Delay(Duration::from_millis(30)), 8));
    let start = Instant::now();
    for ping in join_all((0..8).map(|_| admin.ping())).await {
        ping.expect("answered");
    }
    assert!(start.elapsed() >= Duration::from_millis(4 * 30), "two at a time");
}

#[tokio::test]
async fn a_record_over_the_servers_frame_is_refused_before_it_is_sent() {
    let fake = Fake::start(1).await;
    fake.model().frame_bytes_max = 600;
    let client = fake.client().await;
    let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
    let error = producer.send(Record::new(&[0; 600])).await.expect_err("too large for the server");
    assert!(matches!(error, SendError::FrameTooLarge { limit: 600, .. }), "{error}");
}

async fn send_to_each(client: &Client) {
    let producer = client.producer(&name("s"), ProducerOptions::default()).await.expect("a producer");
    for shard in 0..4 {
        drop(producer.send_to_shard(ShardIndex(shard), Record::new(b"x")).await.expect("taken"));
    }
    producer.close().await.expect("stored");
}
