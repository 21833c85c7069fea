//! Streams are created, described, listed, changed and deleted.

use std::time::Duration;

use tidemill_client::{ClientError, ErrorCode, Failure, Quota, Settings};

use crate::fake::{Fake, Kind, Step, name};

#[tokio::test]
async fn a_stream_lives_from_create_to_delete() {
    let fake = Fake::start(1).await;
    let admin = fake.client().await.admin();
    let created = admin.create_stream(&name("logs"), 4, Settings::default()).await.expect("created");
    assert_eq!(created.shards.len(), 4);
    assert_eq!(admin.describe_stream(&name("logs")).await.expect("there"), created);
    let again = admin.create_stream(&name("logs"), 4, Settings::default()).await;
    assert_eq!(again.expect_err("exists").code(), Some(ErrorCode::StreamExists));

    let quota = Quota { write_bytes_per_second: 5, ..Quota::OFF };
    let settings = Settings { quota: Some(quota), ..Settings::default() };
    assert_eq!(admin.update_stream(&name("logs"), settings).await.expect("updated").quota, quota);

    admin.delete_stream(&name("logs")).await.expect("deleted");
    let gone = admin.describe_stream(&name("logs")).await.expect_err("gone");
    assert_eq!(gone.code(), Some(ErrorCode::UnknownStream));
    assert!(admin.ping().await.expect("a round trip") < Duration::from_secs(5));
}

#[tokio::test]
async fn a_list_goes_over_all_pages_in_order() {
    let fake = Fake::start(1).await;
    for index in 0..10 {
        fake.model().create(&name(&format!("t{index}")), 1);
    }
    let listed = fake.client().await.admin().list_streams().await.expect("listed");
    let names: Vec<_> = listed.iter().map(|stream| stream.name.to_string()).collect();
    let expected = ["s", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn what_is_harmless_is_repeated_and_what_is_not_is_left_alone() {
    let fake = Fake::start(1).await;
    let client = fake.client().await;
    let busy = Failure::new(ErrorCode::Overloaded, "busy");
    fake.script(Kind::Describe, [Step::Cut, Step::LoseAnswer, Step::Refuse(busy), Step::Serve]);
    client.admin().describe_stream(&name("s")).await.expect("the fourth try");

    fake.script(Kind::Describe, [Step::Refuse(Failure::new(ErrorCode::Internal, "broken"))]);
    let refused = client.admin().describe_stream(&name("s")).await;
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
}
