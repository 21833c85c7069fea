//! What is asked for on the command line.

use std::time::Duration;

/// Whose client is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Redis,
    Nats,
    RabbitMq,
    Tidemill,
}

/// A workload and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) system: System,
    /// Host and port.
    pub(crate) address: String,
    /// Records that are measured.
    pub(crate) records: u64,
    /// The measured part ends after this time if its records are not done by then.
    pub(crate) time_max: Duration,
    /// Records before the measured part, unless a quarter of `time_max` is over first.
    pub(crate) warm_up: u64,
    pub(crate) record_bytes: usize,
    /// Records that are handed over together and waited for together.
    pub(crate) batch_records: usize,
    pub(crate) connections: usize,
    /// Batches of a connection that wait for their acknowledgement.
    pub(crate) in_flight: usize,
    /// Tidemill: whether it acknowledges after the flush. The others are told by their configuration.
    pub(crate) is_durable: bool,
    /// Processes whose time is counted, with their children.
    pub(crate) servers: Vec<u32>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("usage: tidemill-peers redis|nats|rabbitmq|tidemill HOST:PORT [--NAME VALUE]…")]
    Usage,
    #[error("there is no option {name}")]
    Unknown { name: String },
    #[error("{name} takes a number above zero, not {value:?}")]
    Value { name: String, value: String },
}

impl Plan {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, PlanError> {
        let system = match arguments.next().as_deref() {
            Some("redis") => System::Redis,
            Some("nats") => System::Nats,
            Some("rabbitmq") => System::RabbitMq,
            Some("tidemill") => System::Tidemill,
            _ => return Err(PlanError::Usage),
        };
        let mut plan = Self {
            system,
            address: arguments.next().ok_or(PlanError::Usage)?,
            records: 1_000_000,
            time_max: Duration::from_secs(10),
            warm_up: 100_000,
            record_bytes: 1_000,
            batch_records: 1_000,
            connections: 1,
            in_flight: 8,
            is_durable: false,
            servers: Vec::new(),
        };
        while let Some(name) = arguments.next() {
            if name == "--durable" {
                plan.is_durable = true;
                continue;
            }
            let value = arguments.next().unwrap_or_default();
            plan.set(&name, value)?;
        }
        Ok(plan)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), PlanError> {
        let number = match value.parse::<u32>() {
            Ok(number) if number > 0 => number,
            _ => return Err(PlanError::Value { name: name.to_owned(), value }),
        };
        match name {
            "--records" => self.records = number.into(),
            "--seconds-max" => self.time_max = Duration::from_secs(number.into()),
            "--warm-up" => self.warm_up = number.into(),
            "--record-bytes" => self.record_bytes = number as usize,
            "--batch-records" => self.batch_records = number as usize,
            "--connections" => self.connections = number as usize,
            "--in-flight" => self.in_flight = number as usize,
            "--server-pid" => self.servers.push(number),
            _ => return Err(PlanError::Unknown { name: name.to_owned() }),
        }
        Ok(())
    }
}
