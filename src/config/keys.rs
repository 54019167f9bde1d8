//! Every key there is: its place, what it takes, what it is by default, and what it is for.
//!
//! The table drives reading, the messages about mistakes, `config --schema` and `config --show`.

use std::time::Duration;

use crate::topology::{DEFAULT_CONFIG_EXCLUDE, DEFAULT_EXCLUDE, DEFAULT_GROUPS_EXCLUDE};

/// A key and what stands below it.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// Its value when nobody sets it.
    pub default: Option<&'static str>,
    /// What it is for, in a sentence or two.
    pub about: &'static str,
}

/// What stands under a key.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Keys that are known by name.
    Section(&'static [Key]),
    /// Names chosen by the user, each with these keys.
    Named(&'static [Key]),
    /// Kafka client settings under their Java names.
    Settings,
    /// A value.
    Value(Kind),
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// One `host:port` or several.
    Servers,
    /// One Java regular expression or several.
    Patterns,
    /// `true` or `false`.
    Flag,
    /// `500ms`, `5s`, `1m 30s`, at least this long.
    Duration(Duration),
    /// `64KiB`, `96MiB`, at least this many bytes.
    Size(u64),
    /// A whole number in this range.
    Integer(i64, i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `earliest`, `latest` or a moment.
    Start,
    /// A number, `source` or `default`.
    ReplicationFactor,
    /// `host:port` to listen on, or `off`.
    Listen,
}

/// A new topic is to be mirrored within 5 s of its creation; two rounds fit.
const DISCOVERY_INTERVAL: &str = "2s";
/// What a crash leaves to be matched on the target: a second of records.
const POSITIONS_INTERVAL: &str = "1s";
/// Keeps a 100 ms link of 1 Gb/s full with room to spare, and fits a small container.
const MEMORY_BUDGET: &str = "96MiB";
/// Below this a handful of batches of 1 MiB would stop everything else.
const SMALLEST_BUDGET_BYTES: u64 = 16 * 1024 * 1024;
/// Kubernetes kills 30 s after it asked; ten are left for closing connections.
const SHUTDOWN_TIMEOUT: &str = "20s";
/// Status and metrics carry topic names and have no login: only this host sees them until someone says otherwise.
const HTTP_LISTEN: &str = "127.0.0.1:8080";
/// Long enough for any sensible chain, short enough to end a loop that nothing else noticed.
const MAX_HOPS: &str = "8";
/// One describe per cluster and minute is cheap; configuration rarely changes.
const TOPIC_CONFIGS_INTERVAL: &str = "60s";
/// As in MirrorMaker 2.
const HEARTBEATS_INTERVAL: &str = "1s";
/// What a failover re-reads at most because of it; the requests of a round are few.
const GROUPS_INTERVAL: &str = "5s";
/// OpenTelemetry's own default for pushed metrics is 60 s; lag that old is of little use.
const OTLP_INTERVAL: &str = "15s";
/// Some twenty million gaps; an ordinary partition, which has none, takes a few hundred bytes.
const OFFSETS_MEMORY: &str = "128MiB";
/// Below this the maps of a few compacted topics would already give up what lagging groups need.
const SMALLEST_OFFSETS_MEMORY_BYTES: u64 = 1024 * 1024;
/// Shorter rounds than this only load the brokers.
const SHORTEST_ROUND: Duration = Duration::from_millis(100);
/// For rounds that describe every topic, and for time-outs.
const ONE_SECOND: Duration = Duration::from_secs(1);

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, shape: Shape::Value(kind), default, about }
}

const fn section(name: &'static str, keys: &'static [Key], about: &'static str) -> Key {
    Key { name, shape: Shape::Section(keys), default: None, about }
}

const fn settings(name: &'static str, about: &'static str) -> Key {
    Key { name, shape: Shape::Settings, default: None, about }
}

/// The top of the file.
pub(crate) static ROOT: &[Key] = &[
    key("mesh", Kind::Text, Some("mesh"), "Name of the mesh; shown, not interpreted."),
    Key {
        name: "clusters",
        shape: Shape::Named(CLUSTER),
        default: None,
        about: "The clusters by alias. The alias is also the prefix of topics mirrored from the cluster.",
    },
    Key {
        name: "flows",
        shape: Shape::Named(FLOW),
        default: None,
        about: "The flows by name: one direction between two clusters each.",
    },
    section(
        "defaults",
        FLOW_COMMON,
        "What flows do unless they say otherwise; every key of a flow but from and to.",
    ),
    section(
        "discovery",
        &[key(
            "interval",
            Kind::Duration(SHORTEST_ROUND),
            Some(DISCOVERY_INTERVAL),
            "How often each cluster is asked for new topics, partitions and leaders.",
        )],
        "How changes on the clusters are found.",
    ),
    section(
        "positions",
        &[key(
            "interval",
            Kind::Duration(SHORTEST_ROUND),
            Some(POSITIONS_INTERVAL),
            "How often the positions of a flow are saved at most.",
        )],
        "How progress is saved.",
    ),
    section(
        "offsets",
        &[key(
            "memory",
            Kind::Size(SMALLEST_OFFSETS_MEMORY_BYTES),
            Some(OFFSETS_MEMORY),
            "Bytes that the offset maps of this process may hold; beyond it they give up their oldest parts.",
        )],
        "How offsets are translated.",
    ),
    section(
        "memory",
        &[key(
            "budget",
            Kind::Size(SMALLEST_BUDGET_BYTES),
            Some(MEMORY_BUDGET),
            "Bytes that fetched and not yet acknowledged batches may hold in this process.",
        )],
        "Bounds of memory.",
    ),
    section(
        "shutdown",
        &[key(
            "timeout",
            Kind::Duration(ONE_SECOND),
            Some(SHUTDOWN_TIMEOUT),
            "How long a shutdown waits for acknowledgements.",
        )],
        "What happens on SIGTERM.",
    ),
    section(
        "http",
        &[key(
            "listen",
            Kind::Listen,
            Some(HTTP_LISTEN),
            "Where /metrics, /status, /healthz and /readyz are served.",
        )],
        "The HTTP side.",
    ),
    section("telemetry", TELEMETRY, "Logs, metrics, traces."),
];

static TELEMETRY: &[Key] = &[
    section(
        "log",
        &[
            key("format", Kind::Choice(&["text", "json"]), Some("text"), "How log lines look."),
            key(
                "filter",
                Kind::Text,
                Some("info"),
                "What is logged, in tracing's directives, e.g. `info,mirrormesh::wire=debug`.",
            ),
        ],
        "Log lines.",
    ),
    key(
        "per_partition",
        Kind::Flag,
        Some("false"),
        "Metrics for each partition too; many series on big meshes.",
    ),
    section(
        "otlp",
        &[
            key(
                "endpoint",
                Kind::Text,
                None,
                "Base address of an OpenTelemetry collector (OTLP over HTTP), e.g. `http://collector:4318`. None, no export.",
            ),
            key("interval", Kind::Duration(ONE_SECOND), Some(OTLP_INTERVAL), "How often metrics are pushed."),
        ],
        "Export to an OpenTelemetry collector.",
    ),
];

static CLUSTER: &[Key] = &[
    key("bootstrap", Kind::Servers, None, "Bootstrap servers, `host:port`."),
    key("region", Kind::Text, None, "Where the cluster is; shown, not interpreted."),
    settings(
        "client",
        "Kafka client settings under their Java names, for everything that talks to this cluster.",
    ),
    settings("consumer", "The same, only for reading records from this cluster."),
    settings("producer", "The same, only for writing records to this cluster."),
    settings("admin", "The same, only for administration and our own bookkeeping."),
];

const TO: Key = key("to", Kind::Text, None, "Alias of the target.");
const FROM: Key = key("from", Kind::Text, None, "Alias of the source.");
const TOPICS: Key = key(
    "topics",
    Kind::Patterns,
    Some(".*"),
    "Topics to mirror: Java regular expressions that match the whole name.",
);
const EXCLUDE: Key = key(
    "exclude",
    Kind::Patterns,
    None,
    "Topics to leave although `topics` matches. Our own, MirrorMaker 2's and Kafka's internal topics are never mirrored.",
);
const NAMING: Key = key(
    "naming",
    Kind::Choice(&["prefix", "identity"]),
    Some("prefix"),
    "What remote topics are called: `us.orders`, or `orders` as on the source.",
);
const SEPARATOR: Key = key("separator", Kind::Text, Some("."), "Stands between alias and topic.");
const START: Key = key(
    "start",
    Kind::Start,
    Some("earliest"),
    "Where a partition without a saved position starts: earliest, latest, or a moment.",
);
const ISOLATION: Key = key(
    "isolation",
    Kind::Choice(&["read_committed", "read_uncommitted"]),
    Some("read_committed"),
    "Whether records of open and aborted transactions are mirrored too (read_uncommitted).",
);
const REPLICATION_FACTOR: Key = key(
    "replication_factor",
    Kind::ReplicationFactor,
    Some("default"),
    "Replicas of remote topics: a number, `source` as on the source, or `default` for the target's own default.",
);
const MAX_HOPS_KEY: Key =
    key("max_hops", Kind::Integer(1, 64), Some(MAX_HOPS), "Longest chain of mirrors a topic may take.");
const ON_SOURCE_RESET: Key = key(
    "on_source_reset",
    Kind::Choice(&["continue", "fail"]),
    Some("continue"),
    "What to do when the source topic was re-created, truncated or overtaken by retention.",
);
const ON_TARGET_RESET: Key = key(
    "on_target_reset",
    Kind::Choice(&["restart", "continue", "fail"]),
    Some("restart"),
    "What to do when the remote topic was re-created.",
);
const ENGINE: Key = key(
    "engine",
    Kind::Choice(&["auto", "passthrough", "records"]),
    Some("auto"),
    "How batches are moved: unopened (passthrough), decoded and encoded again (records), or unopened where possible.",
);
const CODEC: Key = key(
    "codec",
    Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
    Some("lz4"),
    "Compression of what is written. Setting it makes `engine: auto` open every batch; unset, batches stay as they are.",
);
const TOPIC_CONFIGS: Key = section(
    "topic_configs",
    &[
        key("enabled", Kind::Flag, Some("true"), "Whether changes of topic configuration are followed."),
        key(
            "interval",
            Kind::Duration(ONE_SECOND),
            Some(TOPIC_CONFIGS_INTERVAL),
            "How often they are compared.",
        ),
        key(
            "exclude",
            Kind::Patterns,
            None,
            "Configuration entries that are left alone: Java regular expressions.",
        ),
        key(
            "use_defaults_from",
            Kind::Choice(&["target", "source"]),
            Some("target"),
            "For entries the source leaves at default: the target's default applies, or the source's is set there.",
        ),
    ],
    "Topic configuration.",
);
const HEARTBEATS: Key = section(
    "heartbeats",
    &[
        key(
            "enabled",
            Kind::Flag,
            Some("true"),
            "Whether heartbeats are written to the source and mirrored.",
        ),
        key(
            "interval",
            Kind::Duration(SHORTEST_ROUND),
            Some(HEARTBEATS_INTERVAL),
            "How often one is written.",
        ),
    ],
    "Heartbeats, which show every cluster who reaches it and how late.",
);
const GROUPS: Key = section(
    "groups",
    &[
        key(
            "enabled",
            Kind::Flag,
            Some("true"),
            "Whether committed offsets of consumer groups are translated.",
        ),
        key(
            "include",
            Kind::Patterns,
            Some(".*"),
            "Groups to follow: Java regular expressions that match the whole name.",
        ),
        key("exclude", Kind::Patterns, None, "Groups to leave although `include` matches."),
        key("interval", Kind::Duration(SHORTEST_ROUND), Some(GROUPS_INTERVAL), "How often offsets are read."),
        key(
            "sync",
            Kind::Flag,
            Some("true"),
            "Whether translated offsets are committed for groups without active members; backwards too where the mesh has the opposite flow.",
        ),
    ],
    "Consumer groups, which follow their topics.",
);

const OFFSET_SYNCS: Key = key(
    "offset_syncs",
    Kind::Choice(&["target", "source", "off"]),
    Some("target"),
    "On which cluster MirrorMaker 2's offset syncs are written, for its own clients and connectors.",
);

static FLOW: &[Key] = &[
    FROM,
    TO,
    TOPICS,
    EXCLUDE,
    NAMING,
    SEPARATOR,
    START,
    ISOLATION,
    REPLICATION_FACTOR,
    MAX_HOPS_KEY,
    ON_SOURCE_RESET,
    ON_TARGET_RESET,
    ENGINE,
    CODEC,
    TOPIC_CONFIGS,
    HEARTBEATS,
    GROUPS,
    OFFSET_SYNCS,
];

static FLOW_COMMON: &[Key] = &[
    TOPICS,
    EXCLUDE,
    NAMING,
    SEPARATOR,
    START,
    ISOLATION,
    REPLICATION_FACTOR,
    MAX_HOPS_KEY,
    ON_SOURCE_RESET,
    ON_TARGET_RESET,
    ENGINE,
    CODEC,
    TOPIC_CONFIGS,
    HEARTBEATS,
    GROUPS,
    OFFSET_SYNCS,
];

impl Key {
    /// The built-in value of a key, as one text or several.
    pub(crate) fn built_in(&self, parent: &str) -> Option<Vec<&'static str>> {
        match (self.name, parent) {
            ("exclude", "topic_configs") => Some(DEFAULT_CONFIG_EXCLUDE.to_vec()),
            ("exclude", "groups") => Some(DEFAULT_GROUPS_EXCLUDE.to_vec()),
            ("exclude", _) => Some(DEFAULT_EXCLUDE.to_vec()),
            _ => self.default.map(|text| vec![text]),
        }
    }
}

/// The key called `name` among `keys`.
pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}
