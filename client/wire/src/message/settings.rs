//! Small values shared by requests and answers.

use super::DecodeReason;
use crate::generated::tidemill::native as fb;
use crate::ids::{SequenceNumber, Timestamp};

/// When an append is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ack {
    /// After the flush that covers it: survives a power cut.
    #[default]
    Durable,
    /// After the bytes are in the page cache: survives a crash of the process.
    Written,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// At this record.
    Sequence(SequenceNumber),
    /// At the first record appended at or after this time.
    Timestamp(Timestamp),
    /// At the oldest retained record.
    Oldest,
    /// After the newest record.
    Newest,
}

/// Rates of one shard; 0 turns a limit off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Bytes of keys and data appended each second.
    pub write_bytes_per_second: u64,
    /// Records appended each second.
    pub write_records_per_second: u64,
    /// Bytes of keys and data fetched each second.
    pub read_bytes_per_second: u64,
}

impl Quota {
    /// No limits.
    pub const OFF: Self =
        Self { write_bytes_per_second: 0, write_records_per_second: 0, read_bytes_per_second: 0 };
}

/// Whether a stream keeps the last record of each partition key and no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyCompaction {
    /// It keeps all records for their time.
    #[default]
    Off,
    /// Records that a later one of their key has replaced go, some time after.
    On {
        /// Milliseconds that a tombstone, a record without data, is kept after it was appended.
        tombstone_ms: u64,
    },
}

/// What can be chosen for a stream; `None` leaves the server's default or the present value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How long records are kept, in milliseconds; 0 for no bound, with key compaction only.
    pub retention_ms: Option<u64>,
    /// How many bytes a shard keeps; 0 for no bound.
    pub retention_bytes: Option<u64>,
    /// Rates of each shard.
    pub quota: Option<Quota>,
    /// Whether the last record of each key is kept and no other. A new stream that says so keeps it without a bound by age, unless it says that too.
    pub key_compaction: Option<KeyCompaction>,
    /// How often each shard may be read by calls that are counted, those of AWS's GetRecords; 0 for no limit.
    pub read_calls_per_second: Option<u64>,
}

/// Whether a shard takes appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShardState {
    /// It does.
    #[default]
    Open,
    /// It is readable to its end and takes no more.
    Closed,
}

impl Ack {
    pub(super) fn encode(self) -> fb::Ack {
        match self {
            Self::Durable => fb::Ack::Durable,
            Self::Written => fb::Ack::Written,
        }
    }

    pub(super) fn decode(ack: fb::Ack) -> Result<Self, DecodeReason> {
        match ack {
            fb::Ack::Durable => Ok(Self::Durable),
            fb::Ack::Written => Ok(Self::Written),
            other => Err(DecodeReason::UnknownValue { field: "ack", value: other.0.into() }),
        }
    }
}

impl Position {
    pub(super) fn encode(self) -> (fb::Position, u64) {
        match self {
            Self::Sequence(sequence) => (fb::Position::Sequence, sequence.0),
            Self::Timestamp(time) => (fb::Position::Timestamp, time.0),
            Self::Oldest => (fb::Position::Oldest, 0),
            Self::Newest => (fb::Position::Newest, 0),
        }
    }

    pub(super) fn decode(position: fb::Position, value: u64) -> Result<Self, DecodeReason> {
        match position {
            fb::Position::Sequence => Ok(Self::Sequence(SequenceNumber(value))),
            fb::Position::Timestamp => Ok(Self::Timestamp(Timestamp(value))),
            fb::Position::Oldest => Ok(Self::Oldest),
            fb::Position::Newest => Ok(Self::Newest),
            other => Err(DecodeReason::UnknownValue { field: "position", value: other.0.into() }),
        }
    }
}

impl Quota {
    pub(super) fn encode(self) -> fb::Quota {
        fb::Quota::new(self.write_bytes_per_second, self.write_records_per_second, self.read_bytes_per_second)
    }

    pub(super) fn decode(quota: &fb::Quota) -> Self {
        Self {
            write_bytes_per_second: quota.write_bytes_per_second(),
            write_records_per_second: quota.write_records_per_second(),
            read_bytes_per_second: quota.read_bytes_per_second(),
        }
    }
}

impl Settings {
    pub(super) fn encode<'b>(
        &self,
        builder: &mut flatbuffers::FlatBufferBuilder<'b>,
    ) -> flatbuffers::WIPOffset<fb::Settings<'b>> {
        let quota = self.quota.map(Quota::encode);
        let args = fb::SettingsArgs {
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            quota: quota.as_ref(),
            compact_keys: self.key_compaction.map(|keys| keys != KeyCompaction::Off),
            tombstone_ms: match self.key_compaction {
                Some(KeyCompaction::On { tombstone_ms }) => tombstone_ms,
                Some(KeyCompaction::Off) | None => TOMBSTONE_MS_DEFAULT,
            },
            read_calls_per_second: self.read_calls_per_second,
        };
        fb::Settings::create(builder, &args)
    }

    pub(super) fn decode(settings: Option<fb::Settings<'_>>) -> Self {
        settings.map_or_else(Self::default, |settings| Self {
            retention_ms: settings.retention_ms(),
            retention_bytes: settings.retention_bytes(),
            quota: settings.quota().map(Quota::decode),
            key_compaction: settings
                .compact_keys()
                .map(|is_on| KeyCompaction::decode(is_on, settings.tombstone_ms())),
            read_calls_per_second: settings.read_calls_per_second(),
        })
    }
}

/// What the schema has for a tombstone's time that is not given.
const TOMBSTONE_MS_DEFAULT: u64 = 86_400_000;

impl KeyCompaction {
    pub(super) fn decode(is_on: bool, tombstone_ms: u64) -> Self {
        if is_on { Self::On { tombstone_ms } } else { Self::Off }
    }
}

impl ShardState {
    pub(super) fn encode(self) -> fb::ShardState {
        match self {
            Self::Open => fb::ShardState::Open,
            Self::Closed => fb::ShardState::Closed,
        }
    }

    pub(super) fn decode(state: fb::ShardState) -> Result<Self, DecodeReason> {
        match state {
            fb::ShardState::Open => Ok(Self::Open),
            fb::ShardState::Closed => Ok(Self::Closed),
            other => Err(DecodeReason::UnknownValue { field: "shard state", value: other.0.into() }),
        }
    }
}
