//! The one table of knobs.
//!
//! Every setting of the server is a line here, with its name, type, shape (unit and range), default and doc.
//! The structs of [`Config`], the names in the TOML file, in the environment and on the command line, the
//! printed effective configuration and the table in `docs/OPERATIONS.md` all come from this table and
//! nothing else, so none of them can drift.
//!
//! A name carries its unit last where the value is a bare number; a duration or a size is written with its
//! own unit (`500ms`, `256MiB`).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::knob::{Form, Knob, PATH, Shape, Unit, bytes, count, text, time};
use super::setting::{Authentication, LogFormat, LogLevel, Setting, UnknownOwners};
use super::value::Value;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

macro_rules! knobs {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $( $(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal, $shape:expr; )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $name: $type, )+
            }
        )+

        /// The effective value of every knob.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
        }

        /// Every section with its doc, in the order of the table.
        pub const SECTIONS: &[(&str, &str)] = &[ $( (stringify!($section), concat!($($section_doc),+)), )+ ];

        /// Every knob, in the order of the table.
        pub const KNOBS: &[Knob] = &[ $( $( Knob {
            section: stringify!($section),
            name: stringify!($name),
            shape: $shape,
            default: $default,
            doc: concat!($($doc),+),
        }, )+ )+ ];

        impl Config {
            /// Builds the structs from one value per knob, in the order of [`KNOBS`].
            pub(super) fn from_values(values: &[Value]) -> Self {
                let mut values = values.iter();
                Self { $( $section: $Section { $( $name: take::<$type>(&mut values), )+ }, )+ }
            }

            /// One value per knob, in the order of [`KNOBS`].
            pub(super) fn to_values(&self) -> Vec<Value> {
                vec![ $( $( self.$section.$name.to_value(), )+ )+ ]
            }
        }
    };
}

fn take<T: Setting>(values: &mut std::slice::Iter<'_, Value>) -> T {
    let value = values.next().expect("the table has one value per knob");
    T::from_value(value).expect("the shape of a knob admits only what its type holds")
}

knobs! {
    /// Where the data lives.
    data: Data {
        /// Directory of the lanes and the catalog; made when it does not exist.
        directory: PathBuf = "data", PATH;
        /// Lanes of a new data directory; an existing directory keeps the number it was created with.
        lanes: Option<u32> = "auto", count("lanes", 1, 256).or("auto", "one per core");
        /// Shards in the log that the catalog has never known, as when it is older than the log: `refuse` to start, or `forget` them and what they hold.
        unknown_owners: UnknownOwners = "refuse", Shape::Choice(UnknownOwners::NAMES);
    }
    /// The executors.
    server: Server {
        /// Cores to use, one pinned executor each.
        cores: Option<u32> = "auto", count("cores", 1, 256).or("auto", "all that the process may run on");
    }
    /// Addresses to listen on.
    listen: Listen {
        /// Address of all ports, as an IP address: `0.0.0.0` or `::` for every interface.
        host: IpAddr = "127.0.0.1", Shape::Address;
        /// Shared port of the native protocol; core number `i` also has `native_port + 1 + i`. 0 takes any free ports.
        native_port: u16 = "7600", count("port", 0, 65_535);
        /// Port of the AWS APIs over HTTP, shared by all cores. 0 takes any free port.
        http_port: u16 = "7690", count("port", 0, 65_535);
        /// Port of metrics and health checks. 0 takes any free port.
        admin_port: u16 = "7680", count("port", 0, 65_535);
    }
    /// Bounds of the HTTP port.
    http: Http {
        /// Certificate chain (PEM); with it and the key the port speaks TLS alone. Both files are looked at every two seconds, and new ones are taken up without a restart.
        tls_certificate: Option<PathBuf> = "none", PATH.or("none", "no TLS");
        /// Private key of the certificate (PEM).
        tls_key: Option<PathBuf> = "none", PATH.or("none", "no TLS");
        /// Open connections per core; further ones are closed at once. One of HTTP/2 may hold 256 KiB that are not counted in `limits.inflight_bytes`.
        connections: u32 = "10000", count("connections", 1, 1_000_000);
        /// Bytes of a request's head.
        head_bytes: u64 = "32KiB", bytes(8 * KIB, MIB);
        /// Bytes of a request's body: ten MiB of records in base64, and what is written around them.
        body_bytes: u64 = "16MiB", bytes(MIB, 16 * MIB);
        /// Requests of one HTTP/2 connection at a time.
        streams: u32 = "128", count("streams", 1, 10_000);
        /// Time that a request's head may take.
        head_time: Duration = "10s", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(3_600));
        /// Time that a request's body may take.
        body_time: Duration = "1m", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(3_600));
        /// Time that a connection without a request is kept.
        idle_time: Duration = "2m", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(86_400));
        /// Time after which a peer that takes nothing of its answer is given up.
        write_time: Duration = "30s", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(3_600));
        /// Time that a request waits for room in `limits.inflight_bytes` before it is refused with 503.
        room_time: Duration = "2s", time(Unit::Millisecond, Duration::from_millis(1), Duration::from_secs(60));
        /// Web pages of this origin may use the AWS APIs (CORS).
        allow_origin: Option<String> = "none", text(Form::Origin).or("none", "no page of another origin may");
    }
    /// Who the AWS APIs say that this server is, and whom they serve.
    aws: Aws {
        /// `signature` asks for Signature Version 4 of a known access key; `off` asks for nothing and is refused unless `listen.host` is a loopback address; `off-anywhere` asks for nothing whatever the address.
        authentication: Authentication = "signature", Shape::Choice(Authentication::NAMES);
        /// File of the access keys (TOML), readable by its owner alone. One more key may come from the variables `TIDEMILL_ACCESS_KEY_ID` and `TIDEMILL_SECRET_ACCESS_KEY`.
        credentials: Option<PathBuf> = "none", PATH.or("none", "no file");
        /// Farthest that the time of a signature may be from the server's.
        clock_skew: Duration = "15m", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(86_400));
        /// Account that owns what is here, in ARNs and for keys that name none.
        account: String = "000000000000", text(Form::Account);
        /// Region that clients sign for, and that ARNs name.
        region: String = "us-east-1", text(Form::Label);
        /// Partition in ARNs.
        partition: String = "aws", text(Form::Label);
        /// Scheme and host with which clients reach the HTTP port, for the URLs of queues; behind a proxy or under several names.
        public_url: Option<String> = "none", text(Form::Server).or("none", "as each caller has named the server");
    }
    /// Bounds that keep the server alive whatever its peers do.
    limits: Limits {
        /// Open connections per core; further ones are closed at once.
        connections: u32 = "10000", count("connections", 1, 1_000_000);
        /// Bytes per core of requests in flight; a connection over it is not read from until there is room. Events of subscriptions have a quarter as much for themselves.
        inflight_bytes: u64 = "256MiB", bytes(MIB, TIB);
        /// Largest frame of the native protocol. A record batch must fit into one.
        frame_bytes: u64 = "16MiB", bytes(64 * KIB, tidemill_wire::limits::FRAME_BYTES_MAX as u64);
        /// Requests of one connection in flight; further ones are not read until one is answered.
        connection_inflight_requests: u32 = "1024", count("requests", 1, 65_536);
        /// Fetches and subscriptions that wait for data on the core that owns their shard.
        waiting_fetches: u32 = "100000", count("waiters", 1, 10_000_000);
        /// Deduplication ids of the last five minutes that a core remembers for FIFO queues, at 90 to 180 bytes each. While there are so many, messages with other ids are refused until the first are five minutes old.
        deduplication_ids: u32 = "2000000", count("ids", 1_000, 100_000_000);
        /// Open shards of one stream.
        shards_per_stream: u32 = "1024", count("shards", 1, 4_096);
        /// Open shards of all streams together.
        shards: u32 = "1000000", count("shards", 1, 1_000_000);
        /// Streams on demand.
        on_demand_streams: u32 = "1000000", count("streams", 1, 1_000_000);
        /// Streams in the catalog.
        streams: u32 = "10000", count("streams", 1, 1_000_000);
        /// Queues in the catalog.
        queues: u32 = "200000", count("queues", 1, 10_000_000);
    }
    /// The lane log.
    storage: Storage {
        /// Size of a new segment file, the unit of preallocation and of retention. A record batch is at most a quarter of it.
        segment_size: u64 = "256MiB", bytes(4 * MIB, 4 * GIB).in_steps_of(4 * KIB);
        /// Longest time that `written` records stay in memory only.
        flush_interval: Duration = "1s", time(Unit::Millisecond, Duration::from_millis(10), Duration::from_secs(3_600));
        /// Bytes of one write; what is queued beyond them goes with the next. A larger batch is a write of its own.
        group_bytes: u64 = "8MiB", bytes(64 * KIB, 256 * MIB);
        /// Retired segments per lane that are kept to be used again at most; of these, as many as the last upkeep interval used up.
        spare_segments: u32 = "4", count("segments", 0, 1_024);
        /// Time between two looks for what retention may drop.
        upkeep_interval: Duration = "10s", time(Unit::Millisecond, Duration::from_millis(100), Duration::from_secs(3_600));
        /// Bytes per second and lane that compaction may write to rewrite segments of which a part is dead; 0 leaves them until they are wholly dead.
        compaction_bytes_per_second: u64 = "64MiB", bytes(0, TIB);
        /// Bytes per second and core that reads of data that is on the disk only get at least while appends are made durable, whatever that does to these; when none are, they take what the disk gives.
        cold_read_bytes_per_second_min: u64 = "16MiB", bytes(MIB, TIB);
        /// Longest time that a record stays in a full segment of a stream that is compacted by key when a later one of its key has come, whatever it costs to remove it; where that is cheap it goes sooner.
        key_compaction_lag: Duration = "24h", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(365 * 86_400));
        /// Memory per lane for the keys that key compaction looks through at a time; a shard with more keys is read several times.
        key_table: u64 = "32MiB", bytes(MIB, 4 * GIB);
    }
    /// How long the records of a new stream are kept, unless its creator says otherwise.
    retention: Retention {
        /// Age at which a record may be dropped.
        default_age: Duration = "24h", time(Unit::Second, Duration::from_secs(60), Duration::from_secs(365 * 86_400));
        /// Bytes per shard beyond which the oldest records may be dropped.
        default_bytes: Option<u64> = "none", bytes(MIB, 1 << 60).or("none", "no bound");
    }
    /// Rates per shard of a new stream, unless its creator says otherwise.
    quota: Quota {
        /// Whether new streams have a quota.
        enabled: bool = "true", Shape::Switch;
        /// Bytes per second that a shard takes in; 0 for no limit.
        write_bytes_per_second: u64 = "1MB", bytes(0, TIB);
        /// Records per second that a shard takes in; 0 for no limit.
        write_records_per_second: u64 = "1000", count("records/s", 0, 1_000_000_000);
        /// Bytes per second that a shard gives out; 0 for no limit.
        read_bytes_per_second: u64 = "2MB", bytes(0, TIB);
        /// GetRecords per second that a shard answers; 0 for no limit. Native clients are not counted.
        read_calls_per_second: u64 = "5", count("calls/s", 0, 1_000_000_000);
    }
    /// Queues.
    queues: Queues {
        /// Lanes that a new queue is spread over; 0 for all of them. A FIFO queue has one, or as many when its rate is counted for each message group; a queue keeps what it was made with.
        partitions: u32 = "0", count("lanes", 0, 256);
        /// Time after the end of a queue in which no other gets its name. A restart frees all names.
        name_hold: Duration = "1m", time(Unit::Second, Duration::ZERO, Duration::from_secs(3_600));
    }
    /// How an executor divides its core.
    runtime: Runtime {
        /// Longest run of one task queue while others wait.
        preempt_us: u64 = "500", count("µs", 50, 100_000);
        /// Period of the timer that bounds a lost wake-up while there is work.
        heartbeat_ms: u64 = "1", count("ms", 1, 1_000);
        /// Time that an idle executor spins before it sleeps; saves wake-ups and burns the core.
        spin_us: u64 = "0", count("µs", 0, 1_000_000);
        /// An executor that was away for longer is logged as stalled.
        stall_warn_ms: u64 = "100", count("ms", 1, 60_000);
    }
    /// What the server says about itself.
    log: Log {
        /// Form of a log line.
        format: LogFormat = "text", Shape::Choice(LogFormat::NAMES);
        /// Least severe lines that are written.
        level: LogLevel = "info", Shape::Choice(LogLevel::NAMES);
    }
    /// The end.
    shutdown: Shutdown {
        /// Time that requests in flight and flushes have after SIGTERM.
        timeout: Duration = "30s", time(Unit::Second, Duration::from_secs(1), Duration::from_secs(3_600));
    }
}

impl Storage {
    /// Bytes of the largest record batch that a segment of this size takes: as in `docs/format/lane-log.md`, a
    /// quarter of a segment, header included; never more than the wire carries.
    pub fn batch_bytes_max(&self) -> u64 {
        let header = tidemill_wire::entry::ENTRY_HEADER_BYTES as u64;
        (self.segment_size / 4 - header).min(u64::from(tidemill_wire::limits::BATCH_BYTES_MAX))
    }
}

impl Quota {
    /// The rates of a new stream, all off when quotas are not enabled.
    pub fn rates(&self) -> tidemill_wire::message::Quota {
        if !self.enabled {
            return tidemill_wire::message::Quota::OFF;
        }
        tidemill_wire::message::Quota {
            write_bytes_per_second: self.write_bytes_per_second,
            write_records_per_second: self.write_records_per_second,
            read_bytes_per_second: self.read_bytes_per_second,
        }
    }

    /// How often a shard of a new stream may be read by calls that are counted, 0 when quotas are not enabled.
    pub fn read_calls(&self) -> u64 {
        if self.enabled { self.read_calls_per_second } else { 0 }
    }
}
