//! FIFO queues: what is sent twice, and attempts that are made again.

use super::*;

#[test]
fn sent_twice_is_sent_once_also_after_a_restart_and_a_deletion() {
    let sim = Sim::new(6);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, fifo()).await;
        let first = opened.send_grouped(0, "a", "x").await.expect("sent");
        let (second, third) =
            futures_util::future::join(opened.send_grouped(1, "a", "y"), opened.send_grouped(2, "a", "y"))
                .await;
        assert_eq!(second, third, "two at once are one");
        assert_eq!(opened.send_grouped(3, "b", "x").await, Ok(first), "groups do not matter");
        let received = opened.receive(10, 30).await;
        assert_eq!(numbers(&received), [0, 1]);
        opened.delete(&received).await;
        opened.lane.close().await;
        let opened = open(&env, fifo()).await;
        assert_eq!(opened.send_grouped(4, "a", "x").await, Ok(first));
        assert_eq!(opened.receive(10, 30).await, []);
        env.sleep(Duration::from_secs(301)).await;
        assert_ne!(opened.send_grouped(5, "a", "x").await, Ok(first), "five minutes are over");
        assert_eq!(numbers(&opened.receive(10, 30).await), [5]);
        let none = Message { sent: opened.lane.now(), ..message(6) };
        assert_eq!(opened.partition.send(vec![none]).await, [Err(SendError::NoDeduplication)]);
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn the_same_attempt_gets_the_same_messages() {
    let sim = Sim::new(7);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, fifo()).await;
        for number in 0..4 {
            opened.send_grouped(number, "a", &number.to_string()).await.expect("sent");
        }
        let attempt = Want { attempt: Some("one".to_owned()), ..want(2, 30) };
        let receive = || async { opened.partition.receive(&attempt).await.expect("received").received };
        let first = receive().await;
        assert_eq!(numbers(&first), [0, 1]);
        assert_eq!(receive().await, first);
        assert_eq!(opened.receive(10, 30).await, [], "its group is locked");
        opened.delete(&first[..1]).await;
        assert_eq!(
            receive().await,
            [],
            "one of them is gone, so it is another attempt, and the group is locked"
        );
        opened.lane.close().await;
    })
    .expect("not stopped");
}
