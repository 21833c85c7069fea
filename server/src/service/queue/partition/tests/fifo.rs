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

#[test]
fn the_same_attempt_gets_the_same_messages_over_a_power_cut_and_snapshots_once_for_each_message() {
    let sim = Sim::new(8);
    let env = sim.env();
    let by = |name: &str| Want { attempt: Some(name.to_owned()), ..want(2, 60) };
    let mut first = Vec::new();
    sim.run(async {
        let opened = open(&env, fifo()).await;
        for number in 0..4 {
            opened.send_grouped(number, "a", &number.to_string()).await.expect("sent");
        }
        first = opened.partition.receive(&by("one")).await.expect("received").received;
        assert_eq!(numbers(&first), [0, 1]);
        sim.crash(Crash::Power);
    });
    sim.run(async {
        let opened = open(&env, fifo()).await;
        let again = opened.partition.receive(&by("one")).await.expect("received").received;
        assert_eq!(again, first, "the answer was lost with the server");
        // Others, until snapshots have taken the place of the event that told of the first.
        for number in 10..60 {
            let group = number.to_string();
            opened.send_grouped(number, &group, &group).await.expect("sent");
            let other = opened.partition.receive(&by(&group)).await.expect("received").received;
            assert_eq!(numbers(&other), [number]);
            opened.delete(&other).await;
        }
        until_trimmed(&env, &opened).await;
        opened.lane.close().await;
        let opened = open(&env, fifo()).await;
        let again = opened.partition.receive(&by("one")).await.expect("received").received;
        assert_eq!(again, first);
        opened.delete(&again).await;
        let rest = opened.partition.receive(&by("one")).await.expect("received").received;
        assert_eq!(numbers(&rest), [2, 3], "what it got is done with, so it is another attempt");
        opened.lane.close().await;
    })
    .expect("not stopped");
}

/// Waits until a snapshot has replaced the journal before it.
async fn until_trimmed(env: &SimEnv, opened: &Open) {
    for _ in 0..100 {
        if opened.lane.bounds(JOURNAL).expect("it is there").oldest.get() > 10 {
            return;
        }
        env.sleep(Duration::from_millis(10)).await;
    }
    panic!("no snapshot has replaced the journal");
}
