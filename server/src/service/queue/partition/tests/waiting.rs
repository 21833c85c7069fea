//! Those who wait at a partition.

use super::*;

#[test]
fn those_who_wait_are_told_in_their_order_and_by_time() {
    let sim = Sim::new(8);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        let at = Duration::from_millis;
        let (mut late, mut early) = (opened.partition.wait(at(2)), opened.partition.wait(at(1)));
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!((early.try_recv(), late.try_recv()), (Ok(None), Ok(None)));
        opened.send(0..1).await;
        env.sleep(at(2)).await;
        assert_eq!((early.try_recv(), late.try_recv()), (Ok(Some(())), Ok(None)));
        assert_eq!(numbers(&opened.receive(1, 10).await), [0]);
        env.sleep(Duration::from_secs(9)).await;
        assert_eq!(late.try_recv(), Ok(None));
        env.sleep(Duration::from_secs(2)).await;
        assert_eq!(late.try_recv(), Ok(Some(())), "the message is back");
        let gone = opened.partition.wait(at(3));
        opened.partition.close();
        assert!(gone.await.is_err(), "the queue was deleted");
        opened.lane.close().await;
    })
    .expect("not stopped");
}

#[test]
fn those_who_have_gone_are_passed_over_and_one_who_got_nothing_keeps_the_place() {
    let sim = Sim::new(12);
    let env = sim.env();
    sim.run(async {
        let opened = open(&env, QueueSettings::default()).await;
        let mut waiting: Vec<_> =
            (0..100).map(|ms| opened.partition.wait(Duration::from_millis(ms))).collect();
        drop(waiting.drain(..90));
        opened.send(0..2).await;
        env.sleep(Duration::from_millis(3)).await;
        let told = |waiting: &mut Vec<futures_channel::oneshot::Receiver<()>>| {
            waiting.iter_mut().map(|one| u32::from(one.try_recv() == Ok(Some(())))).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut waiting), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], "two messages, so two are told");
        assert_eq!(numbers(&opened.receive(10, 30).await), [0, 1], "somebody else was faster");
        let mut again = opened.partition.wait(Duration::from_millis(90));
        opened.send(2..3).await;
        env.sleep(Duration::from_millis(3)).await;
        assert_eq!(again.try_recv(), Ok(Some(())), "it came before the others");
        let mut others = waiting.split_off(2);
        assert_eq!(told(&mut others), [0; 8]);
        opened.lane.close().await;
    })
    .expect("not stopped");
}
