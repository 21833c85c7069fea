//! AddPermission and RemovePermission: statements in a queue's policy. The policy is kept and given back; nobody is allowed or refused anything by it.

use serde_json::{Map, Value as Json, json};

use super::super::value::Value;
use super::super::{Fault, Identity};
use super::call::Call;
use super::error::invalid_value;
use super::limits::{POLICY_ACTIONS_MAX, POLICY_EDITS_MAX, POLICY_STATEMENTS_MAX};
use super::queues::update_fault;

/// What can be permitted.
const ACTIONS: &[&str] = &[
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
];
const VERSION: &str = "2008-10-17";
const STATEMENT: &str = "Statement";

/// Adds a statement under a label that there is none under.
pub(super) async fn add(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let queue = call.queue(&input)?;
    let label = input.get_text("Label").unwrap_or_default();
    let statement = statement(call.identity(), label, &call.arn(&queue.name), &input)?;
    edit(call, &input, |statements| {
        if statements.iter().any(|known| known["Sid"] == label) {
            return Err(invalid_value(label, "Label", "Already exists."));
        }
        if statements.len() >= POLICY_STATEMENTS_MAX {
            let message = format!(
                "{} statements were found, maximum allowed is {POLICY_STATEMENTS_MAX}.",
                statements.len() + 1
            );
            return Err(Fault::of_caller("OverLimit", message));
        }
        statements.push(statement.clone());
        Ok(())
    })
    .await
}

/// Takes the statement of a label away, and the policy with the last one.
pub(super) async fn remove(call: Call<'_>, input: Value) -> Result<Option<Value>, Fault> {
    let label = input.get_text("Label").unwrap_or_default();
    edit(call, &input, |statements| {
        let before = statements.len();
        statements.retain(|known| known["Sid"] != label);
        if statements.len() == before {
            return Err(invalid_value(label, "Label", "can't find label."));
        }
        Ok(())
    })
    .await
}

/// Changes the statements as they are now: again, when somebody else has changed the policy since it was read.
async fn edit(
    call: Call<'_>,
    input: &Value,
    change: impl Fn(&mut Vec<Json>) -> Result<(), Fault>,
) -> Result<Option<Value>, Fault> {
    for _ in 0..POLICY_EDITS_MAX {
        let queue = call.queue(input)?;
        let before = queue.settings.policy.clone();
        let mut policy = read(before.as_deref(), &call.arn(&queue.name))?;
        let statements = statements(&mut policy)?;
        change(statements)?;
        let is_empty = statements.is_empty();
        let after = (!is_empty).then(|| Json::Object(policy).to_string());
        let replaced = call.core().catalog().replace_policy(queue.id, before, after).await;
        if replaced.map_err(|error| update_fault(&error))?.is_some() {
            return Ok(None);
        }
    }
    Err(Fault::unavailable("others change the policy all the time"))
}

fn read(policy: Option<&str>, arn: &str) -> Result<Map<String, Json>, Fault> {
    let Some(policy) = policy else {
        let empty = json!({ "Version": VERSION, "Id": format!("{arn}/SQSDefaultPolicy"), STATEMENT: [] });
        return empty.as_object().cloned().ok_or_else(Fault::internal);
    };
    serde_json::from_str(policy).map_err(|error| {
        // It was an object when it was set.
        tracing::error!(%error, "the policy of a queue cannot be read");
        Fault::internal()
    })
}

/// The statements of a policy: one alone may stand without a list around it.
fn statements(policy: &mut Map<String, Json>) -> Result<&mut Vec<Json>, Fault> {
    let statements = policy.entry(STATEMENT).or_insert_with(|| json!([]));
    if statements.is_object() {
        *statements = json!([statements.take()]);
    }
    statements
        .as_array_mut()
        .ok_or_else(|| super::error::invalid("The queue's policy has something else than statements."))
}

fn statement(identity: &Identity, label: &str, arn: &str, input: &Value) -> Result<Json, Fault> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=80).contains(&label.len()) || !label.bytes().all(fits) {
        let reason =
            "It can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(invalid_value(label, "Label", reason));
    }
    let accounts: Vec<&str> = input.texts("AWSAccountIds").collect();
    let is_account =
        |account: &&str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(account) = accounts.iter().find(|account| !is_account(account)) {
        return Err(invalid_value(account, "PrincipalId", "Unable to verify."));
    }
    let actions: Vec<&str> = input.texts("Actions").collect();
    if let Some(action) = actions.iter().find(|action| !ACTIONS.contains(action)) {
        let reason = "Only the queue owner is allowed to invoke this action.";
        return Err(invalid_value(&format!("SQS:{action}"), "ActionName", reason));
    }
    if accounts.is_empty() || actions.is_empty() {
        return Err(super::error::missing(if actions.is_empty() { "Actions" } else { "AWSAccountIds" }));
    }
    if actions.len() > POLICY_ACTIONS_MAX {
        let message =
            format!("{} Actions were found, maximum allowed is {POLICY_ACTIONS_MAX}.", actions.len());
        return Err(Fault::of_caller("OverLimit", message));
    }
    let root = |account: &&str| format!("arn:{}:iam::{account}:root", identity.partition);
    let roots: Vec<String> = accounts.iter().map(root).collect();
    let actions: Vec<String> = actions.iter().map(|action| format!("SQS:{action}")).collect();
    Ok(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": one_or_all(&roots) },
        "Action": one_or_all(&actions),
        "Resource": arn,
    }))
}

fn one_or_all(texts: &[String]) -> Json {
    match texts {
        [one] => json!(one),
        _ => json!(texts),
    }
}
