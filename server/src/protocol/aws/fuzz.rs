//! The fuzz targets of the AWS protocols, listed once: each takes arbitrary bytes and must neither panic nor run away.
//!
//! The tests run every target for a moment, over mutations of valid bytes; `cargo xtask fuzz` runs them for long.

use super::eventstream::tests::fuzz as eventstream;
use super::front::fuzz as front;
use super::{Encoding, kinesis, sqs};
use crate::fuzzing;

/// A target: its name, what it does with arbitrary bytes, and valid ones to begin with.
type Target = (&'static str, fn(&[u8]), &'static [&'static str]);

/// Every target.
const TARGETS: &[Target] = &[
    ("signature", front::signature, front::SEEDS),
    ("json_input", json_input, JSON_SEEDS),
    ("cbor_input", cbor_input, CBOR_SEEDS),
    ("query_input", sqs::fuzz, QUERY_SEEDS),
    ("eventstream", eventstream_frames, EVENTSTREAM_SEEDS),
];

const JSON_SEEDS: &[&str] = &[
    r#"{"StreamName":"logs","Data":"YWI=","PartitionKey":"k","ExplicitHashKey":"0","SequenceNumberForOrdering":"7"}"#,
    r#"{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/logs","Records":[{"Data":"","PartitionKey":"\u00fc"}]}"#,
    r#"{"StreamName":"logs","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1.5e9},"Tags":{"a":"b"},"TagKeys":["a"]}"#,
];

/// Bytes in hexadecimal, for they are no texts: the same inputs with definite and with indefinite lengths.
const CBOR_SEEDS: &[&str] = &[
    "a36a53747265616d4e616d65646c6f6773644461746142616270506172746974696f6e4b6579616b",
    "bf6a53747265616d4e616d65646c6f6773675265636f7264739fbf644461746142616270506172746974696f6e4b6579616bffffff",
    "a26954696d657374616d70c11b0000018bcfe5683267556e6b6e6f776e828101f6",
];

const QUERY_SEEDS: &[&str] = &[
    "Action=SendMessage&Version=2012-11-05&QueueUrl=%2F1%2Fq&MessageBody=a+b%00&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Binary\
     &MessageAttribute.1.Value.BinaryValue=YWI%3D&DelaySeconds=9",
    "Action=SendMessageBatch&QueueUrl=/1/q&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x\
     &SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageSystemAttribute.1.Name=AWSTraceHeader\
     &SendMessageBatchRequestEntry.2.MessageSystemAttribute.1.Value.StringValue=%C3%BC",
    "Action=CreateQueue&QueueName=q&Attribute.2.Name=VisibilityTimeout&Attribute.2.Value=1&Attribute.10.Name=Policy&Attribute.10.Value=&Tag.1.Key=k\
     &Tag.1.Value=v",
    "Action=ReceiveMessage&QueueUrl=&AttributeName.1=All&MessageAttributeName.1=.%2A&MessageSystemAttributeName.7=SenderId&WaitTimeSeconds=-0",
];

/// Frames in hexadecimal.
const EVENTSTREAM_SEEDS: &[&str] = &[
    "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936",
    "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1",
];

fn json_input(bytes: &[u8]) {
    kinesis::fuzz(Encoding::Json, bytes);
}

fn cbor_input(hex: &[u8]) {
    kinesis::fuzz(Encoding::Cbor, &unhex(hex));
}

fn eventstream_frames(hex: &[u8]) {
    eventstream(&unhex(hex));
}

/// The bytes that a text in hexadecimal means; those of a text that means none are themselves.
fn unhex(hex: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = hex.iter().map(digit).collect();
    let pairs = |digits: Vec<u8>| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    digits.map_or_else(|| hex.to_vec(), pairs)
}

#[test]
fn fuzz_smoke() {
    for (name, target, seeds) in TARGETS {
        let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
        fuzzing::run(name, *target, &seeds);
    }
}
