//! Patterns of what is left alone unless someone says otherwise.

/// Topics: MirrorMaker 2's list since 4.0, and the three topics of a Connect cluster under their usual names, because a
/// copy of them corrupts a Connect that uses it.
pub const DEFAULT_EXCLUDE: [&str; 4] =
    [r"mm2.*\.internal", r".*\.replica", r"__.*", r"connect-(configs|offsets|status)"];

/// Topic configuration: MirrorMaker 2's list, then what no target takes from outside (an obsolete entry, and everything
/// about tiered storage).
pub const DEFAULT_CONFIG_EXCLUDE: [&str; 11] = [
    r"follower\.replication\.throttled\.replicas",
    r"leader\.replication\.throttled\.replicas",
    r"message\.timestamp\.difference\.max\.ms",
    r"log\.message\.timestamp\.before\.max\.ms",
    r"log\.message\.timestamp\.after\.max\.ms",
    r"message\.timestamp\.type",
    r"unclean\.leader\.election\.enable",
    r"min\.insync\.replicas",
    r"message\.format\.version",
    r"remote\..*",
    r"local\.retention\..*",
];

/// Consumer groups: MirrorMaker 2's list.
pub const DEFAULT_GROUPS_EXCLUDE: [&str; 3] = [r"console-consumer-.*", r"connect-.*", r"__.*"];
