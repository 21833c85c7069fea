//! RedrivePolicy and RedriveAllowPolicy: JSON in the values of attributes, with ARNs in place of names.

use serde::Deserialize;
use serde_json::json;

use super::super::{Fault, Identity};
use super::error::{invalid_attribute, invalid_value};
use super::names::{queue_arn, queue_of_arn};
use crate::service::queue::{Allow, QueueName, Redrive};

const REDRIVE: &str = "RedrivePolicy";
const ALLOW: &str = "RedriveAllowPolicy";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: Count,
}

/// A number, which some clients write as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedriveAllowPolicy {
    redrive_permission: String,
    #[serde(default)]
    source_queue_arns: Vec<String>,
}

/// Reads a redrive policy; nothing is none.
pub(super) fn read_redrive(identity: &Identity, text: &str) -> Result<Option<Redrive>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let refuse = |reason: &str| invalid_value(text, REDRIVE, reason);
    let policy: RedrivePolicy = serde_json::from_str(text).map_err(|_| {
        refuse("Redrive policy is not a valid JSON map with deadLetterTargetArn and maxReceiveCount.")
    })?;
    let count = match policy.max_receive_count {
        Count::Number(number) => Some(number),
        Count::Text(text) => text.parse().ok(),
    };
    let count = count.filter(|count| (1..=1_000).contains(count)).and_then(|count| u32::try_from(count).ok());
    let receives_max =
        count.ok_or_else(|| refuse("Invalid value for maxReceiveCount: must be between 1 and 1000."))?;
    let target = queue_of_arn(identity, &policy.dead_letter_target_arn);
    let target = target.and_then(|name| QueueName::new(name).ok());
    let target = target.ok_or_else(|| refuse("Invalid value for deadLetterTargetArn."))?;
    Ok(Some(Redrive { target, receives_max }))
}

/// A redrive policy as clients get it.
pub(super) fn show_redrive(identity: &Identity, redrive: &Redrive) -> String {
    json!({
        "deadLetterTargetArn": queue_arn(identity, redrive.target.as_str()),
        "maxReceiveCount": redrive.receives_max,
    })
    .to_string()
}

/// Reads which queues may send their dead letters; nothing is all of them.
pub(super) fn read_allow(identity: &Identity, text: &str) -> Result<Allow, Fault> {
    if text.is_empty() {
        return Ok(Allow::All);
    }
    let refuse = |reason: &str| invalid_attribute(ALLOW, Some(reason));
    let policy: RedriveAllowPolicy = serde_json::from_str(text)
        .map_err(|_| refuse("It is not a valid JSON map with redrivePermission and sourceQueueArns."))?;
    let names = policy.source_queue_arns.iter().map(|arn| {
        let name = queue_of_arn(identity, arn).and_then(|name| QueueName::new(name).ok());
        name.ok_or_else(|| refuse(&format!("{arn} is no queue of this server.")))
    });
    let names: Vec<QueueName> = names.collect::<Result<_, _>>()?;
    match policy.redrive_permission.as_str() {
        "allowAll" if names.is_empty() => Ok(Allow::All),
        "denyAll" if names.is_empty() => Ok(Allow::None),
        "byQueue" if (1..=10).contains(&names.len()) => Ok(Allow::By(names)),
        "byQueue" => Err(refuse("sourceQueueArns must name from 1 to 10 queues.")),
        "allowAll" | "denyAll" => Err(refuse("sourceQueueArns goes with redrivePermission byQueue alone.")),
        _ => Err(refuse("redrivePermission must be allowAll, denyAll or byQueue.")),
    }
}

/// Which queues may send their dead letters, as clients get it; what is so by default is not said.
pub(super) fn show_allow(identity: &Identity, allow: &Allow) -> Option<String> {
    let policy = match allow {
        Allow::All => return None,
        Allow::None => json!({ "redrivePermission": "denyAll" }),
        Allow::By(names) => {
            let arns: Vec<String> = names.iter().map(|name| queue_arn(identity, name.as_str())).collect();
            json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns })
        }
    };
    Some(policy.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    fn arn(name: &str) -> String {
        queue_arn(&identity(), name)
    }

    #[test]
    fn redrive_policies_are_read_and_shown() {
        let redrive = Redrive { target: QueueName::new("dead").expect("a name"), receives_max: 3 };
        let text = format!("{{\"deadLetterTargetArn\":\"{}\",\"maxReceiveCount\":3}}", arn("dead"));
        assert_eq!(show_redrive(&identity(), &redrive), text);
        let check = |text: &str, expected: Result<Option<&Redrive>, &str>| match (
            read_redrive(&identity(), text),
            expected,
        ) {
            (Ok(read), Ok(expected)) => assert_eq!(read.as_ref(), expected, "{text}"),
            (Err(fault), Err(part)) => assert!(fault.message.contains(part), "{text}: {fault}"),
            (read, _) => panic!("{text}: {read:?}"),
        };
        check(&text, Ok(Some(&redrive)));
        check(&text.replace(":3}", ":\"3\"}"), Ok(Some(&redrive)));
        check("", Ok(None));
        check(&text.replace(":3}", ":0}"), Err("between 1 and 1000"));
        check(&text.replace(":3}", ":1001}"), Err("between 1 and 1000"));
        check(&text.replace(":3}", ":\"x\"}"), Err("between 1 and 1000"));
        check(&text.replace("us-east-1", "eu-west-1"), Err("Invalid value for deadLetterTargetArn."));
        check("{\"deadLetterTargetArn\": \"dummy\", \"maxReceiveCount\": 42}", Err("deadLetterTargetArn."));
        check("[]", Err("not a valid JSON map"));
        check("{\"maxReceiveCount\":3}", Err("not a valid JSON map"));
    }

    #[test]
    fn policies_of_dead_letter_queues_are_read_and_shown() {
        let names = ["a", "b"].map(|name| QueueName::new(name).expect("a name")).to_vec();
        for allow in [Allow::None, Allow::By(names)] {
            let text = show_allow(&identity(), &allow).expect("it is not the default");
            assert_eq!(read_allow(&identity(), &text), Ok(allow));
        }
        assert_eq!(show_allow(&identity(), &Allow::All), None);
        assert_eq!(read_allow(&identity(), "{\"redrivePermission\":\"allowAll\"}"), Ok(Allow::All));
        assert_eq!(read_allow(&identity(), ""), Ok(Allow::All));
        let check = |text: &str, part: &str| {
            let fault = read_allow(&identity(), text).expect_err("it is refused");
            assert!(fault.message.contains(part), "{text}: {fault}");
        };
        check("{\"redrivePermission\":\"some\"}", "must be allowAll");
        check("{\"redrivePermission\":\"byQueue\"}", "from 1 to 10");
        check("{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"x\"]}", "x is no queue");
        let named = format!("{{\"redrivePermission\":\"denyAll\",\"sourceQueueArns\":[\"{}\"]}}", arn("a"));
        check(&named, "byQueue alone");
        check("7", "not a valid JSON map");
    }
}
