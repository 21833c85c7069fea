//! Every name, number and exception of the rules, in one place; the rules themselves hold none.

/// What the top level has to hold.
pub(super) const TOP_LEVEL_REQUIRED: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "client",
    "clippy.toml",
    "docs",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "server",
    "storage",
    "tools",
];

/// What the top level may hold besides.
pub(super) const TOP_LEVEL_OPTIONAL: &[&str] = &[
    ".config",
    ".gitattributes",
    ".github",
    ".typos.toml",
    "CHANGELOG.md",
    "NOTICE",
    "deny.toml",
    "typos.toml",
];

/// Files that a program writes: no rule about their size or their unsafe code.
pub(super) const GENERATED: &[&str] = &[
    "client/wire/src/generated.rs",
    "server/src/protocol/aws/kinesis/model.rs",
    "server/src/protocol/aws/sqs/model.rs",
];

pub(super) const FILE_LINES_MAX: usize = 500;
pub(super) const FUNCTION_LINES_MAX: usize = 70;
pub(super) const TEST_FILE_LINES_MAX: usize = 900;
pub(super) const TEST_FUNCTION_LINES_MAX: usize = 120;

/// A file, or a function in it, that is over its limit and by how much. `lines` is exact, so it can only go
/// down.
pub(super) struct Oversize {
    pub(super) path: &'static str,
    /// Empty for the file itself.
    pub(super) function: &'static str,
    pub(super) lines: usize,
}

pub(super) const OVERSIZE: &[Oversize] = &[];

/// The sources that the layers below divide.
pub(super) const SERVER: &str = "server/src/";

/// Modules of the server from left to right: each may name those to its right. The storage and wire packages
/// are to the right of all. `boot` is the composition root, so it names everything.
pub(super) const LAYERS: &[&str] = &["boot", "protocol", "gate", "shard", "service"];

/// Modules that every layer may name and that name no layer, each with the packages of ours that it may name: the
/// wire's words and the engine's plain numbers, never its work.
pub(super) const LEAVES: &[(&str, &[&str])] = &[
    ("config", &["tidemill_storage", "tidemill_wire"]),
    ("fuzzing", &[]),
    ("limits", &["tidemill_wire"]),
    ("metrics", &["tidemill_storage", "tidemill_wire"]),
    ("net", &[]),
];

/// Layers whose folders do not see each other.
pub(super) const WALLED: &[&str] = &["protocol", "service"];

/// Each package's folder, and the packages of ours that it may depend on outside of its tests.
pub(super) const PACKAGES: &[(&str, &[&str])] = &[
    ("client/wire", &[]),
    ("storage", &["tidemill-wire"]),
    ("client", &["tidemill-wire"]),
    ("server", &["tidemill-storage", "tidemill-wire"]),
    ("bench", &["tidemill-client", "tidemill-wire"]),
    (
        "tools/cli",
        &["tidemill-bench", "tidemill-client", "tidemill-server", "tidemill-storage", "tidemill-wire"],
    ),
    ("tools/xtask", &[]),
];

/// Packages outside of the workspace, which the rules of its manifests do not bind. The workspace excludes each of them.
pub(super) const OUTSIDERS: &[&str] = &["bench/peers/driver"];

/// Third-party crates that are named only in files whose path begins with one of these.
pub(super) const CRATE_HOMES: &[(&str, &[&str])] = &[
    ("base64", &["bench/src/http", "server/src/protocol/aws"]),
    ("base64_simd", &["server/src/protocol/aws/base64"]),
    ("clap", &["tools/"]),
    ("clap_complete", &["tools/cli/"]),
    ("comfy_table", &["tools/cli/"]),
    (
        "crc32fast",
        &[
            "client/wire/src/entry",
            "client/wire/src/batch",
            "server/src/protocol/aws/eventstream",
            "storage/src/",
            "tools/xtask/src/codegen",
        ],
    ),
    ("criterion", &["bench/"]),
    ("flatbuffers", &["client/wire/src/message", "client/wire/src/generated.rs"]),
    ("futures_rustls", &["server/src/net"]),
    ("glommio", &["server/src/boot", "server/src/net", "server/src/shard"]),
    ("hdrhistogram", &["bench/"]),
    ("hmac", &["bench/src/http", "server/src/protocol/aws"]),
    ("http_body_util", &["server/src/net"]),
    ("hyper", &["server/src/net", "server/src/protocol/admin", "server/src/protocol/aws/front"]),
    ("indicatif", &["tools/cli/"]),
    (
        "io_uring",
        &["bench/", "server/src/shard/workers", "storage/src/ring", "tools/xtask/src/preconditions"],
    ),
    ("jiff", &["tools/cli/"]),
    ("lz4_flex", &["client/wire/src/batch"]),
    ("md5", &["client/wire/src/digest", "client/wire/src/routing", "server/src/protocol/aws/sqs/digest"]),
    ("memmap2", &["storage/src/disk", "storage/examples/append_paths"]),
    ("mimalloc", &["tools/cli/src/main"]),
    ("minicbor", &["server/src/protocol/aws/cbor", "server/src/service/queue/format"]),
    ("prometheus_client", &["server/src/metrics"]),
    ("rand_chacha", &["bench/", "storage/src/sim", "storage/src/local"]),
    ("redb", &["server/src/service/catalog"]),
    ("rustls", &["server/src/net"]),
    ("sha2", &["bench/src/http", "server/src/protocol/aws", "server/src/service/queue/message"]),
    ("tokio", &["bench/", "client/src", "client/tests", "tools/"]),
    ("toml", &["server/src/config", "tools/"]),
    ("tracing_subscriber", &["tools/cli/"]),
    ("zstd", &["client/wire/src/batch"]),
];

/// Files that may hold unsafe code; clippy asks each block there for its SAFETY comment.
pub(super) const UNSAFE_HOMES: &[&str] = &[
    "bench/src/embedded.rs",
    "bench/src/ring.rs",
    "bench/src/ring/gather.rs",
    "client/wire/src/digest/wide.rs",
    "client/wire/tests/it/allocations.rs",
    "server/src/net/listener.rs",
    "server/src/shard/pump.rs",
    "storage/examples/append_paths.rs",
    "storage/src/disk.rs",
    "storage/src/ring.rs",
];

/// Words that stand for unfinished work. Those in capitals count in capitals only.
pub(super) const BANNED_WORDS: &[&str] = &[
    "TODO",
    "FIXME",
    "XXX",
    "todo!",
    "unimplemented!",
    "dbg!",
    "#[ignore",
    "for now",
    "not yet implemented",
    "placeholder",
];

/// Where those words are the subject.
pub(super) const WORDS_EXEMPT: &[&str] = &["tools/xtask/src/tidy/tables.rs", "tools/xtask/src/tidy/tests.rs"];
