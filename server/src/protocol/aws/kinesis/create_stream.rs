//! CreateStream: the stream takes records on every core when this answers, so it is never seen as CREATING.

use std::collections::BTreeMap;

use tidemill_wire::StreamName;
use tidemill_wire::message::Settings;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{create_fault, invalid, unsupported};
use super::limits::{RECORD_KIB_DEFAULT, RETENTION_HOURS_MIN};
use super::retention::hours_to_ms;
use crate::service::capacity::Capacity;
use crate::service::catalog::{Aside, NewStream};

/// Creates it with a day of retention and the server's quotas.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    check_options(&input)?;
    let name = input.get_text("StreamName").unwrap_or_default();
    let shards = input.get_integer("ShardCount");
    let shards =
        shards.ok_or_else(|| invalid("ShardCount must be given for a stream in PROVISIONED mode."))?;
    let size = input.get_integer("MaxRecordSizeInKiB").filter(|size| *size != RECORD_KIB_DEFAULT);
    let size = size.map(u32::try_from);
    let new = NewStream {
        name: StreamName::new(name).map_err(|error| invalid(error.to_string()))?,
        shards: u32::try_from(shards).map_err(|error| invalid(error.to_string()))?,
        settings: Settings { retention_ms: Some(hours_to_ms(RETENTION_HOURS_MIN)), ..Settings::default() },
        tags: tags(&input),
        aside: Aside {
            record_kib: size.transpose().map_err(|error| invalid(error.to_string()))?,
            capacity: Capacity::default(),
        },
    };
    let created = call.core().catalog().create(new).await;
    created.map(|_| None).map_err(|error| create_fault(&error, name, call.account()))
}

/// The tags in an input.
pub(super) fn tags(input: &Value) -> BTreeMap<String, String> {
    input.text_pairs("Tags").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Refuses what this server would only pretend to do.
fn check_options(input: &Value) -> Result<(), Fault> {
    let mode = input.get("StreamModeDetails").and_then(|details| details.get_text("StreamMode"));
    if mode == Some("ON_DEMAND") {
        return Err(unsupported("StreamMode ON_DEMAND"));
    }
    if input.get_integer("WarmThroughputMiBps").is_some() {
        return Err(unsupported("WarmThroughputMiBps"));
    }
    if input.get_text("RecordDistributionStrategy") == Some("AUTO") {
        return Err(unsupported("RecordDistributionStrategy AUTO"));
    }
    Ok(())
}
