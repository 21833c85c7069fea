//! A stream on demand gets the shards that its traffic needs, where the traffic is, and nobody asks for them.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_server::config::Authentication;

use crate::fixture::{Fixture, now};
use crate::reshard::{ask, done};

/// The governor looks every ten seconds, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Records of one call, the most that there may be.
const BATCH: u64 = 500;
/// The first of four shards.
const HOT: &str = "shardId-000000000000";

fn open_shards(server: &Fixture) -> Vec<Value> {
    let listed =
        done(server, "ListShards", &json!({ "StreamName": "tides", "ShardFilter": { "Type": "AT_LATEST" } }));
    listed["Shards"].as_array().expect("shards").clone()
}

#[test]
fn traffic_splits_the_shard_that_it_goes_to() {
    let server = Fixture::start_with(|config| config.aws.authentication = Authentication::Off);
    let mode = json!({ "StreamName": "tides", "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    done(&server, "CreateStream", &mode);
    assert_eq!(open_shards(&server).len(), 4);
    let (began, mut taken) = (now(), 0);
    for number in 0_u64.. {
        // Keys all over the first quarter, and more records than a shard is meant to take.
        let hash = |record: u64| {
            (u128::from((number * BATCH + record).wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 62).to_string()
        };
        let records: Vec<Value> = (0..BATCH)
            .map(|record| json!({ "PartitionKey": "k", "ExplicitHashKey": hash(record), "Data": "dGlkZQ==" }))
            .collect();
        let (status, answer) =
            ask(&server, "PutRecords", &json!({ "StreamName": "tides", "Records": records }));
        assert_eq!(status, 200, "{answer}");
        taken += BATCH - answer["FailedRecordCount"].as_u64().expect("a count");
        if open_shards(&server).len() > 4 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{taken} records split nothing");
        std::thread::sleep(Duration::from_millis(200));
    }
    let shards = open_shards(&server);
    let (children, others): (Vec<_>, Vec<_>) =
        shards.iter().partition(|shard| shard["ParentShardId"].is_string());
    assert_eq!((children.len(), others.len()), (2, 3), "{shards:?}");
    assert!(children.iter().all(|shard| shard["ParentShardId"] == HOT), "{children:?}");
    // The border lies where half of the traffic is on either side: in the middle, as the keys are everywhere.
    let quarter = 1_u128 << 126;
    let ends =
        children.iter().filter_map(|shard| shard["HashKeyRange"]["EndingHashKey"].as_str()?.parse().ok());
    let border: u128 = ends.min().expect("a border");
    assert!((quarter / 3..2 * (quarter / 3)).contains(&border), "{border:x}");
}
