//! Batches: entries with ids of the caller's, each with a fate of its own.

use std::collections::BTreeSet;

use super::super::Fault;
use super::super::value::Value;
use super::error::code_of;
use super::limits::{BATCH_ENTRIES_MAX, BATCH_ID_CHARS_MAX};

/// An entry: its id, and what else is in it.
pub(super) struct Entry {
    /// Names it in the answer.
    pub(super) id: String,
    /// The entry whole.
    pub(super) input: Value,
}

/// The entries of a batch, whose ids are in order. `kind` is what they are called in the model.
pub(super) fn entries(input: &mut Value, kind: &str) -> Result<Vec<Entry>, Fault> {
    let Some(Value::List(items)) = input.take("Entries") else { return Err(empty(kind)) };
    if items.is_empty() {
        return Err(empty(kind));
    }
    if items.len() > BATCH_ENTRIES_MAX {
        let message = format!(
            "Maximum number of entries per request are {BATCH_ENTRIES_MAX}. You have sent {}.",
            items.len()
        );
        return Err(Fault::of_caller("TooManyEntriesInBatchRequest", message));
    }
    let id = |input: &Value| input.get_text("Id").unwrap_or_default().to_owned();
    let entries: Vec<Entry> = items.into_iter().map(|input| Entry { id: id(&input), input }).collect();
    if !entries.iter().all(|entry| is_id(&entry.id)) {
        let message = format!(
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most {BATCH_ID_CHARS_MAX} letters long."
        );
        return Err(Fault::of_caller("InvalidBatchEntryId", message));
    }
    let mut seen = BTreeSet::new();
    if let Some(entry) = entries.iter().find(|entry| !seen.insert(&entry.id)) {
        return Err(Fault::of_caller("BatchEntryIdsNotDistinct", format!("Id {} repeated.", entry.id)));
    }
    Ok(entries)
}

/// Whether a text may be the id of an entry.
pub(super) fn is_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=BATCH_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(fits)
}

fn empty(kind: &str) -> Fault {
    Fault::of_caller("EmptyBatchRequest", format!("There should be at least one {kind} in the request."))
}

/// The answer to a batch: what became of each entry, by its id.
pub(super) fn answer(fates: Vec<(String, Result<Value, Fault>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, fate) in fates {
        match fate {
            Ok(Value::Structure(mut members)) => {
                members.push(("Id", Value::Text(id)));
                successful.push(Value::Structure(members));
            }
            Ok(_) => successful.push(Value::structure([("Id", Value::text(id))])),
            Err(fault) => failed.push(failure(id, &fault)),
        }
    }
    Value::structure([("Successful", Some(Value::List(successful))), ("Failed", Some(Value::List(failed)))])
}

fn failure(id: String, fault: &Fault) -> Value {
    Value::structure([
        ("Id", Value::text(id)),
        ("SenderFault", Some(Value::Boolean(fault.status < 500))),
        ("Code", Value::text(code_of(fault).0)),
        ("Message", Value::text(fault.message.as_ref())),
    ])
}
