//! A stream on demand gets the shards that its traffic needs, where the traffic is, and nobody asks for them.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_server::config::Authentication;
use tidemill_server::service::catalog::Catalog;
use tidemill_server::service::peaks::{PEAK_DAYS, Peak, Peaks};

use crate::client::name;
use crate::fixture::{Fixture, now};
use crate::reshard::{ask, catalog, done};

/// The governor looks every ten seconds, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Records of one call, the most that there may be.
const BATCH: u64 = 500;
/// The first of four shards.
const HOT: &str = "shardId-000000000000";

fn server() -> Fixture {
    Fixture::start_with(|config| config.aws.authentication = Authentication::Off)
}

fn create(server: &Fixture, stream: &str) {
    let mode = json!({ "StreamName": stream, "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    done(server, "CreateStream", &mode);
}

fn open_shards(server: &Fixture, stream: &str) -> Vec<Value> {
    let filter = json!({ "StreamName": stream, "ShardFilter": { "Type": "AT_LATEST" } });
    let listed = done(server, "ListShards", &filter);
    listed["Shards"].as_array().expect("shards").clone()
}

#[test]
fn traffic_splits_the_shard_that_it_goes_to() {
    let mut server = server();
    create(&server, "tides");
    assert_eq!(open_shards(&server, "tides").len(), 4);
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
        if open_shards(&server, "tides").len() > 4 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{taken} records split nothing");
        std::thread::sleep(Duration::from_millis(200));
    }
    let shards = open_shards(&server, "tides");
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
    server.stop();
    let catalog = catalog(&server);
    let id = catalog.stream(&name("tides")).expect("it is there").id;
    let peaks: Vec<Peak> = catalog.state().peaks(id).expect("they are kept").iter().copied().collect();
    assert!(peaks.iter().any(|peak| peak.records_per_second > 0), "{peaks:?}");
}

#[test]
fn shards_are_kept_for_the_traffic_of_the_last_thirty_days() {
    let mut server = server();
    let streams = ["a-month-ago", "yesterday"];
    streams.iter().for_each(|stream| create(&server, stream));
    server.stop();
    let today = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs() / 86_400;
    let today = u32::try_from(today).expect("days are few");
    let mut catalog = catalog(&server);
    for (stream, day) in streams.into_iter().zip([today - PEAK_DAYS - 1, today - 1]) {
        let id = catalog.stream(&name(stream)).expect("it is there").id;
        let peak = Peak { day, bytes_per_second: 2_600_000, records_per_second: 1 };
        catalog.note_peaks(id, Peaks::of(vec![peak]).expect("one day")).expect("the disk is sound");
    }
    drop(catalog);
    server.restart_with(|config| config.aws.authentication = Authentication::Off).expect("it starts again");
    let began = now();
    // Twice what there was, of a million bytes each.
    while open_shards(&server, "yesterday").len() < 6 {
        assert!(began.elapsed() < PATIENCE, "{:?}", open_shards(&server, "yesterday"));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(open_shards(&server, "a-month-ago").len(), 4);
}
