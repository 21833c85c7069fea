//! CreateStream: the stream takes records on every core when this answers, so it is never seen as CREATING.

use std::collections::BTreeMap;

use tidemill_wire::StreamName;
use tidemill_wire::message::Settings;

use super::super::Fault;
use super::super::value::Value;
use super::call::Call;
use super::error::{capacity_fault, create_fault, invalid};
use super::limits::{RECORD_KIB_DEFAULT, RETENTION_HOURS_MIN};
use super::retention::hours_to_ms;
use super::stream_mode::{distribution_of, mode_of, warm_of};
use crate::service::capacity::{Capacity, CapacityError, Distribution, Mode};
use crate::service::catalog::{Aside, NewStream};

/// Creates it with a day of retention and the server's quotas.
pub(super) async fn answer(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let capacity = capacity(&input)?;
    let name = input.get_text("StreamName").unwrap_or_default();
    let shards = match (input.get_integer("ShardCount"), capacity.mode) {
        (Some(shards), Mode::Provisioned) => shards,
        (None, Mode::Provisioned) => {
            return Err(invalid("ShardCount must be given for a stream in PROVISIONED mode."));
        }
        (None, Mode::OnDemand) => i64::from(capacity.shards_min()),
        (Some(_), Mode::OnDemand) => {
            return Err(Fault::validation("ShardCount must not be given for a stream in ON_DEMAND mode."));
        }
    };
    let size = input.get_integer("MaxRecordSizeInKiB").filter(|size| *size != RECORD_KIB_DEFAULT);
    let size = size.map(u32::try_from);
    let new = NewStream {
        name: StreamName::new(name).map_err(|error| invalid(error.to_string()))?,
        shards: u32::try_from(shards).map_err(|error| invalid(error.to_string()))?,
        settings: Settings { retention_ms: Some(hours_to_ms(RETENTION_HOURS_MIN)), ..Settings::default() },
        tags: tags(&input),
        aside: Aside { record_kib: size.transpose().map_err(|error| invalid(error.to_string()))?, capacity },
    };
    let created = call.core().catalog().create(new).await;
    created.map(|_| None).map_err(|error| create_fault(&error, name, call.account()))
}

/// The tags in an input.
pub(super) fn tags(input: &Value) -> BTreeMap<String, String> {
    input.text_pairs("Tags").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The capacity that an input asks for.
fn capacity(input: &Value) -> Result<Capacity, Fault> {
    let capacity = Capacity {
        mode: mode_of(input).unwrap_or_default(),
        distribution: distribution_of(input),
        warm_mib_per_second: warm_of(input)?.unwrap_or_default(),
        ..Capacity::default()
    };
    let is_plain = capacity.distribution == Distribution::ByKey && capacity.warm_mib_per_second == 0;
    if capacity.mode == Mode::Provisioned && !is_plain {
        return Err(capacity_fault(CapacityError::Provisioned));
    }
    Ok(capacity)
}
