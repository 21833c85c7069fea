//! Pauses grow, stay within their bounds and end where the policy says.

use std::sync::Arc;

use super::*;
use tidemill_wire::message::Failure;

fn lost() -> ClientError {
    ClientError::Disconnected { address: Arc::from("a:1"), reason: Arc::from("test"), sent: true }
}

#[test]
fn pauses_double_up_to_their_bound_and_half_of_each_is_chance() {
    let policy = RetryPolicy {
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_millis(450),
        ..RetryPolicy::FOREVER
    };
    let chance = Chance::seeded(7);
    for (failures, full_ms) in [(1, 100), (2, 200), (3, 400), (4, 450), (60, 450)] {
        for _ in 0..50 {
            let pause = backoff(&policy, failures, &chance).as_millis();
            assert!((full_ms / 2..=full_ms).contains(&pause), "failure {failures}: {pause} ms");
        }
    }
}

#[test]
fn attempts_and_deadline_end_the_tries() {
    let chance = Chance::seeded(1);
    let quick = RetryPolicy { backoff_min: Duration::ZERO, ..RetryPolicy::default() };

    let mut three = Retry::new(RetryPolicy { attempts: 3, ..quick });
    assert!(three.failed(&lost(), &chance).is_some());
    assert!(three.failed(&lost(), &chance).is_some());
    assert!(three.failed(&lost(), &chance).is_none());

    let mut brief = Retry::new(RetryPolicy { deadline: Duration::from_millis(10), ..RetryPolicy::default() });
    assert!(brief.failed(&lost(), &chance).is_none(), "the first pause alone is longer than the deadline");

    let mut reset = Retry::new(RetryPolicy { attempts: 2, ..quick });
    assert!(reset.failed(&lost(), &chance).is_some());
    reset.succeeded();
    assert!(reset.failed(&lost(), &chance).is_some());
    assert!(Retry::new(RetryPolicy::NEVER).failed(&lost(), &chance).is_none());
}

#[test]
fn the_server_decides_the_least_pause_and_what_is_final() {
    let chance = Chance::seeded(1);
    let refused = |code| Failure::new(code, "test").with_retry_after(Duration::from_secs(3));
    let mut retry = Retry::new(RetryPolicy::default());
    let pause = retry.failed(&refused(ErrorCode::Overloaded).into(), &chance);
    assert_eq!(pause, Some(Duration::from_secs(3)));
    assert!(retry.failed(&refused(ErrorCode::UnknownStream).into(), &chance).is_none());
}
