//! From the configuration to what each part is started with.

use std::time::Duration;

use tidemill_storage::{LaneConfig, Retention, Room};
use tidemill_wire::LaneId;
use tidemill_wire::entry::ENTRY_HEADER_BYTES;

use super::directory::DataDirectory;
use super::doors::Doors;
use super::error::StartError;
use crate::config::{Authentication, Config, load_credentials};
use crate::gate::identity::AccessKeys;
use crate::net::Tls;
use crate::protocol::aws::{self, FrontSettings};
use crate::protocol::native;
use crate::service::catalog::{AccountLimits, Catalog, Limits, Node, NodeId, RedbCatalog, StreamDefaults};
use crate::shard::{HostError, Placement, Runtime, check_host, online_cpus};

/// Appends that wait for a lane, in groups: enough to fill the next while one is written, and no more than a moment's worth.
const QUEUE_GROUPS: u64 = 8;

/// The configuration, settled for this machine.
pub(super) struct Plan {
    pub(super) config: Config,
    /// The processor of each core.
    pub(super) cpus: Vec<usize>,
    /// The HTTP port, with the access keys of its clients.
    pub(super) front: FrontSettings,
}

impl Plan {
    pub(super) fn new(config: Config) -> Result<Self, StartError> {
        check_host()?;
        let mut cpus = online_cpus()?;
        if let Some(wanted) = config.server.cores {
            let found = cpus.len();
            if wanted as usize > found {
                return Err(HostError::Cores { wanted, found }.into());
            }
            cpus.truncate(wanted as usize);
        }
        let front = front_settings(&config)?;
        let plan = Self { config, cpus, front };
        plan.config.check_cores(plan.cores())?;
        Ok(plan)
    }

    pub(super) fn cores(&self) -> u32 {
        u32::try_from(self.cpus.len()).expect("processors are counted in 32 bits")
    }

    pub(super) fn placement(&self, lanes: u32) -> Placement {
        Placement { cores: self.cores(), lanes }
    }

    pub(super) fn runtime(&self) -> Runtime {
        let runtime = &self.config.runtime;
        Runtime {
            preempt: Duration::from_micros(runtime.preempt_us),
            spin: Duration::from_micros(runtime.spin_us),
        }
    }

    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.config.runtime.heartbeat_ms)
    }

    pub(super) fn stall(&self) -> Duration {
        Duration::from_millis(self.config.runtime.stall_warn_ms)
    }

    /// The catalog of a data directory, made when the directory is new.
    pub(super) fn open_catalog(&self, directory: &DataDirectory) -> Result<RedbCatalog, StartError> {
        let (config, path) = (&self.config, directory.catalog());
        let limits = Limits {
            shards_per_stream: config.limits.shards_per_stream,
            streams: config.limits.streams,
            queues: config.limits.queues,
            partitions_per_queue: config.queues.partitions,
            is_compacting: config.storage.compaction_bytes_per_second > 0,
            account: self.account_limits(),
        };
        let retention =
            Retention { age: config.retention.default_age, bytes: config.retention.default_bytes };
        let (quota, read_calls_per_second) = (config.quota.rates(), config.quota.read_calls());
        let defaults = StreamDefaults { retention, quota, read_calls_per_second };
        let expected = Node { id: NodeId(directory.node), lanes: directory.lanes };
        let catalog = match RedbCatalog::open(&path, limits, defaults)? {
            Some(catalog) => catalog,
            None => RedbCatalog::create(&path, expected, limits, defaults)?,
        };
        let found = catalog.node();
        if found != expected {
            return Err(StartError::ForeignCatalog {
                expected: expected.id.0,
                expected_lanes: expected.lanes,
                found: found.id.0,
                found_lanes: found.lanes,
            });
        }
        Ok(catalog)
    }

    pub(super) fn lane_configs(
        &self,
        directory: &DataDirectory,
        lanes: impl Iterator<Item = LaneId>,
    ) -> Vec<LaneConfig> {
        let storage = &self.config.storage;
        let largest = storage.batch_bytes_max() + ENTRY_HEADER_BYTES as u64;
        // The lanes of a data directory share a disk.
        let room = Room::default();
        let configs = lanes.map(|lane| LaneConfig {
            segment_bytes: storage.segment_size,
            entry_bytes_max: largest,
            group_bytes_max: storage.group_bytes,
            queue_bytes_max: storage.group_bytes.saturating_mul(QUEUE_GROUPS).max(largest),
            flush_interval: storage.flush_interval,
            upkeep_interval: storage.upkeep_interval,
            recycled_segments_max: storage.spare_segments as usize,
            compaction_bytes_per_second: storage.compaction_bytes_per_second,
            room: room.clone(),
            key_compaction_lag: storage.key_compaction_lag,
            key_table_bytes_max: storage.key_table,
            ..LaneConfig::production(directory.lane(lane), lane)
        });
        configs.collect()
    }

    pub(super) fn native_settings(&self, directory: &DataDirectory, doors: &Doors) -> native::Settings {
        let limits = &self.config.limits;
        let placement = self.placement(directory.lanes);
        let addresses = doors.addresses();
        let port = |lane: LaneId| addresses.cores[placement.core_of(lane) as usize].port();
        native::Settings {
            frame_bytes_max: u32::try_from(limits.frame_bytes).expect("the knob's range ends at 64 MiB"),
            connection_requests_max: limits.connection_inflight_requests,
            connections_max: limits.connections,
            node: directory.node,
            lanes: (0..directory.lanes).map(LaneId).map(|lane| (lane, port(lane))).collect(),
        }
    }

    /// Who this server is to AWS clients.
    pub(super) fn aws_settings(&self, directory: &DataDirectory) -> aws::Settings {
        let aws = &self.config.aws;
        let identity = aws::Identity {
            account: aws.account.clone(),
            region: aws.region.clone(),
            partition: aws.partition.clone(),
        };
        aws::Settings {
            identity,
            secret: directory.secret,
            subscription: aws::SubscriptionTimes::PRODUCTION,
            limits: self.account_limits(),
        }
    }

    fn account_limits(&self) -> AccountLimits {
        let limits = &self.config.limits;
        AccountLimits { shards: limits.shards, on_demand_streams: limits.on_demand_streams }
    }
}

/// The HTTP port, with the access keys of its clients.
fn front_settings(config: &Config) -> Result<FrontSettings, StartError> {
    let Config { http, aws, .. } = config;
    let variable = |name: &str| std::env::var(name).ok();
    let keys = load_credentials(aws.credentials.as_deref(), &aws.account, variable)?;
    match aws.authentication {
        Authentication::Signature if keys.is_empty() => tracing::info!(
            "the HTTP port refuses every call: there are no access keys; set aws.credentials, or TIDEMILL_ACCESS_KEY_ID and \
             TIDEMILL_SECRET_ACCESS_KEY, or aws.authentication = off"
        ),
        Authentication::Signature => {
            tracing::info!(keys = keys.len(), "the HTTP port asks for signatures");
        }
        Authentication::Off | Authentication::OffAnywhere => {
            tracing::warn!("the HTTP port asks for no signatures: whoever reaches it may do everything");
        }
    }
    let tls = match (&http.tls_certificate, &http.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::load(certificate, key)?),
        _ => None,
    };
    Ok(FrontSettings { http: http.clone(), aws: aws.clone(), keys: AccessKeys::new(keys), tls })
}
