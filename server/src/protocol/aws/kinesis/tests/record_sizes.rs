//! How large a stream's records may be.

use serde_json::{Value, json};

use super::served::{ACCOUNT, Served, base64};

const KIB: usize = 1 << 10;

fn record(bytes: usize) -> Value {
    // The key is one byte of the record.
    json!({ "StreamName": "logs", "PartitionKey": "k", "Data": base64(&vec![b'x'; bytes - 1]) })
}

fn update(kib: u32) -> Value {
    let arn = format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/logs");
    json!({ "StreamARN": arn, "MaxRecordSizeInKiB": kib })
}

fn shown(served: &Served) -> Value {
    let summary = served.ask("DescribeStreamSummary", &json!({ "StreamName": "logs" }));
    summary["StreamDescriptionSummary"]["MaxRecordSizeInKiB"].clone()
}

#[test]
fn puts_are_measured_by_the_size_of_the_stream() {
    let served = Served::start();
    served.create("logs", 1);
    let refused = |operation, input: &Value, part| {
        served.expect(operation, input, "InvalidArgumentException", part);
    };
    served.ask("PutRecord", &record(1_024 * KIB));
    refused("PutRecord", &record(1_024 * KIB + 1), "the most that this stream takes is 1048576");
    served.ask("UpdateMaxRecordSize", &update(2_048));
    assert_eq!(shown(&served), 2_048);
    served.ask("PutRecord", &record(2_048 * KIB));
    refused("PutRecord", &record(2_048 * KIB + 1), "the most that this stream takes is 2097152");
    let mut one = record(2_048 * KIB);
    one.as_object_mut().expect("an object").remove("StreamName");
    let many = served.ask("PutRecords", &json!({ "StreamName": "logs", "Records": [one] }));
    assert_eq!(many["FailedRecordCount"], 0);
    // Larger than the segments of this server take, and told so.
    served.ask("UpdateMaxRecordSize", &update(10_240));
    refused("PutRecord", &record(5 * 1_024 * KIB), "entry");
    served.ask("UpdateMaxRecordSize", &update(1_024));
    refused("PutRecord", &record(1_024 * KIB + 1), "1048576");
    let read = served.get(&served.iterator("logs", &json!({ "ShardIteratorType": "TRIM_HORIZON" })));
    assert_eq!(read["Records"].as_array().map(Vec::len), Some(3), "what is there stays");
}

#[test]
fn a_stream_is_created_with_a_size_and_sizes_have_a_range() {
    let served = Served::start();
    served
        .ask("CreateStream", &json!({ "StreamName": "logs", "ShardCount": 1, "MaxRecordSizeInKiB": 1_500 }));
    assert_eq!(shown(&served), 1_500);
    served.ask("PutRecord", &record(1_500 * KIB));
    for (size, part) in [(1_023, "greater than or equal to 1024"), (10_241, "less than or equal to 10240")] {
        served.expect("UpdateMaxRecordSize", &update(size), "ValidationException", part);
    }
    let unknown = json!({ "StreamARN": format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/none"), "MaxRecordSizeInKiB": 2_048 });
    served.expect("UpdateMaxRecordSize", &unknown, "ResourceNotFoundException", "none");
    assert_eq!(shown(&served), 1_500);
}
