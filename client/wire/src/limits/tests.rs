//! Tests of `limits`: what the protocol's page says is what the code has.

use super::*;

macro_rules! named {
    ($($name:ident,)*) => { [$((stringify!($name), u64::from_le_bytes(wide(&$name.to_le_bytes())))),*] };
}

fn wide(bytes: &[u8]) -> [u8; 8] {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    wide
}

/// Each limit's name, and the first sentence of its documentation.
fn documented() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut words = Vec::new();
    for line in include_str!("../limits.rs").lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            words.push(doc);
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            found.push((rest.split(':').next().unwrap_or_default(), words.join(" ")));
            words.clear();
        }
    }
    found
}

#[test]
fn documented_limits_are_those_of_the_code() {
    let values = named![
        PROTOCOL_VERSION,
        PROTOCOL_VERSION_MIN,
        FRAME_BYTES_MAX_DEFAULT,
        FRAME_BYTES_MAX,
        MESSAGE_BYTES_MAX,
        MESSAGE_DEPTH_MAX,
        MESSAGE_TABLES_MAX,
        STREAM_NAME_BYTES_MAX,
        QUEUE_NAME_BYTES_MAX,
        KEY_BYTES_MAX,
        BATCH_RECORDS_MAX,
        BATCH_BYTES_MAX,
        RECORD_BYTES_MAX,
        BATCH_DATA_RAW_BYTES_MAX,
        LIST_STREAMS_MAX,
        LIST_QUEUES_MAX,
        QUEUE_BATCH_MESSAGES_MAX,
        RECEIVE_MESSAGES_SURE,
        RECEIVE_WAIT_MS_MAX,
        MESSAGE_ATTRIBUTES_MAX,
        MESSAGE_ATTRIBUTE_NAME_BYTES_MAX,
        MESSAGE_GROUP_BYTES_MAX,
        QUEUE_MOVES_MAX,
        FETCH_WAIT_MS_MAX,
        PEER_NAME_BYTES_MAX,
        STREAM_SHARDS_MAX,
        FAILURE_TEXT_BYTES_MAX,
    ];
    let documented = documented();
    let names: Vec<_> = documented.iter().map(|(name, _)| *name).collect();
    assert_eq!(values.map(|(name, _)| name).to_vec(), names, "this test has to list every limit, in order");
    let rows = values
        .iter()
        .zip(&documented)
        .map(|((name, value), (_, doc))| format!("| `{name}` | {value} | {doc} |\n"));
    let table = format!("| limit | value | what it bounds |\n|---|---|---|\n{}", rows.collect::<String>());
    let page = include_str!("../../../../docs/protocol/native.md");
    let found = page.split_once("<!-- limits -->").and_then(|(_, rest)| rest.split_once("<!-- end -->"));
    let found = found.map_or("", |(table, _)| table).trim_start();
    assert_eq!(found, table, "docs/protocol/native.md has to hold this table:\n{table}");
}
