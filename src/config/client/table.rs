//! Kafka's Java client settings and what they mean here.
//!
//! Every setting of the Java consumer, producer and admin client of Kafka 4.x has a row, so that none is dropped
//! without a word; a few of librdkafka's own that have no Java name are taken too.

/// A setting and its meaning.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its Java name, or librdkafka's where Java has none.
    pub name: &'static str,
    /// What becomes of it.
    pub meaning: Meaning,
}

/// What becomes of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning {
    /// It is one of the connection settings that both our clients know.
    Connection,
    /// A time-out or name that both our clients know, and that consumer and producer may have of their own:
    /// librdkafka's names for the consumer and the producer.
    Both(&'static str, &'static str),
    /// librdkafka's name for it, for reading and for writing; empty where it plays no part.
    Records(&'static str, &'static str, Value),
    /// It would break what the mesh promises, unless it has this value: reason and hint.
    Only(&'static [&'static str], &'static str),
    /// It would break what the mesh promises: reason, and where to say it instead.
    Refused(&'static str),
    /// It changes nothing here: why.
    Nothing(&'static str),
}

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number in this range.
    Number(i64, i64),
    /// A socket buffer: bytes, where Java's −1 (left to the system) is librdkafka's 0.
    Buffer,
    /// `true` or `false`.
    Flag,
    /// One of these.
    Word(&'static [&'static str]),
    /// Any text.
    Any,
}

use Meaning::{Both, Connection, Nothing, Only, Records, Refused};
use Value::{Any, Buffer, Flag, Number, Word};

const JAVA_CLASS: &str = "it names a Java class";
const JVM: &str = "it is about the Java runtime";
const NO_GROUP: &str = "the mesh joins no consumer group to read records";
const BYTES: &str = "records are mirrored as bytes";
const PARTITION: &str = "a record keeps the partition it has on the source";
const METRICS: &str = "metrics are under `telemetry`";
const KERBEROS: &str = "Kerberos is not supported";
const OAUTH: &str = "OAUTHBEARER is not supported";
const BUDGET: &str = "memory is bounded for the whole process: set memory.budget";
const POSITIONS: &str =
    "the mesh keeps its own positions; where a new partition starts is the flow's `start`";
const MILLIS: Value = Number(0, i32::MAX as i64);

const fn row(name: &'static str, meaning: Meaning) -> Setting {
    Setting { name, meaning }
}

/// All rows.
pub(crate) static SETTINGS: &[Setting] = &[
    // Connection and security: the same for every client of a cluster.
    row("bootstrap.servers", Refused("it stands above: set `bootstrap` of the cluster")),
    row("security.protocol", Connection),
    row("ssl.truststore.type", Connection),
    row("ssl.truststore.location", Connection),
    row("ssl.truststore.certificates", Connection),
    row("ssl.truststore.password", Nothing("PEM trust stores have no password")),
    row("ssl.keystore.type", Connection),
    row("ssl.keystore.location", Connection),
    row("ssl.keystore.key", Connection),
    row("ssl.keystore.certificate.chain", Connection),
    row("ssl.keystore.password", Nothing("PEM key stores have no password of their own")),
    row("ssl.key.password", Connection),
    row("ssl.endpoint.identification.algorithm", Connection),
    row("sasl.mechanism", Connection),
    row("sasl.jaas.config", Connection),
    row("sasl.username", Connection),
    row("sasl.password", Connection),
    row("ssl.protocol", Nothing("TLS 1.3 is used, and 1.2 where the broker has no newer")),
    row("ssl.enabled.protocols", Nothing("TLS 1.3 is used, and 1.2 where the broker has no newer")),
    row("ssl.cipher.suites", Nothing("only cipher suites of today are offered")),
    row("ssl.provider", Nothing(JVM)),
    row("ssl.keymanager.algorithm", Nothing(JVM)),
    row("ssl.trustmanager.algorithm", Nothing(JVM)),
    row("ssl.secure.random.implementation", Nothing(JVM)),
    row("ssl.engine.factory.class", Nothing(JAVA_CLASS)),
    row("security.providers", Nothing(JAVA_CLASS)),
    row("sasl.client.callback.handler.class", Nothing(JAVA_CLASS)),
    row("sasl.login.callback.handler.class", Nothing(JAVA_CLASS)),
    row("sasl.login.class", Nothing(JAVA_CLASS)),
    row("sasl.kerberos.service.name", Nothing(KERBEROS)),
    row("sasl.kerberos.kinit.cmd", Nothing(KERBEROS)),
    row("sasl.kerberos.min.time.before.relogin", Nothing(KERBEROS)),
    row("sasl.kerberos.ticket.renew.jitter", Nothing(KERBEROS)),
    row("sasl.kerberos.ticket.renew.window.factor", Nothing(KERBEROS)),
    row("sasl.login.connect.timeout.ms", Nothing(OAUTH)),
    row("sasl.login.read.timeout.ms", Nothing(OAUTH)),
    row("sasl.login.refresh.buffer.seconds", Nothing(OAUTH)),
    row("sasl.login.refresh.min.period.seconds", Nothing(OAUTH)),
    row("sasl.login.refresh.window.factor", Nothing(OAUTH)),
    row("sasl.login.refresh.window.jitter", Nothing(OAUTH)),
    row("sasl.login.retry.backoff.max.ms", Nothing(OAUTH)),
    row("sasl.login.retry.backoff.ms", Nothing(OAUTH)),
    row("sasl.oauthbearer.token.endpoint.url", Nothing(OAUTH)),
    row("sasl.oauthbearer.jwks.endpoint.url", Nothing(OAUTH)),
    row("sasl.oauthbearer.scope.claim.name", Nothing(OAUTH)),
    row("sasl.oauthbearer.sub.claim.name", Nothing(OAUTH)),
    row("sasl.oauthbearer.client.credentials.client.id", Nothing(OAUTH)),
    row("sasl.oauthbearer.client.credentials.client.secret", Nothing(OAUTH)),
    row("sasl.oauthbearer.expected.audience", Nothing(OAUTH)),
    row("sasl.oauthbearer.expected.issuer", Nothing(OAUTH)),
    row("sasl.oauthbearer.scope", Nothing(OAUTH)),
    row("sasl.oauthbearer.clock.skew.seconds", Nothing(OAUTH)),
    row("sasl.oauthbearer.header.urlencode", Nothing(OAUTH)),
    // Names and times that every client has.
    row("client.id", Both("client.id", "client.id")),
    row("client.rack", Both("client.rack", "")),
    row("request.timeout.ms", Both("socket.timeout.ms", "request.timeout.ms")),
    row(
        "socket.connection.setup.timeout.ms",
        Both("socket.connection.setup.timeout.ms", "socket.connection.setup.timeout.ms"),
    ),
    row(
        "socket.connection.setup.timeout.max.ms",
        Nothing("the time to connect is the same at every attempt"),
    ),
    row("reconnect.backoff.ms", Both("reconnect.backoff.ms", "reconnect.backoff.ms")),
    row("reconnect.backoff.max.ms", Both("reconnect.backoff.max.ms", "reconnect.backoff.max.ms")),
    row("retry.backoff.ms", Records("retry.backoff.ms", "retry.backoff.ms", Number(1, 300_000))),
    row("retry.backoff.max.ms", Records("retry.backoff.max.ms", "retry.backoff.max.ms", Number(1, 300_000))),
    row("connections.max.idle.ms", Records("connections.max.idle.ms", "connections.max.idle.ms", MILLIS)),
    row(
        "receive.buffer.bytes",
        Records("socket.receive.buffer.bytes", "socket.receive.buffer.bytes", Buffer),
    ),
    row("send.buffer.bytes", Records("socket.send.buffer.bytes", "socket.send.buffer.bytes", Buffer)),
    row(
        "client.dns.lookup",
        Records(
            "client.dns.lookup",
            "client.dns.lookup",
            Word(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]),
        ),
    ),
    row("metadata.max.age.ms", Nothing("catalogues are refreshed every discovery.interval")),
    row("metadata.max.idle.ms", Nothing("catalogues are refreshed every discovery.interval")),
    row(
        "metadata.recovery.strategy",
        Nothing("a cluster that is away is looked for at its bootstrap servers"),
    ),
    row(
        "metadata.recovery.rebootstrap.trigger.ms",
        Nothing("a cluster that is away is looked for at its bootstrap servers"),
    ),
    row("bootstrap.controllers", Nothing("brokers are asked, not controllers")),
    row("default.api.timeout.ms", Nothing("request.timeout.ms bounds each request")),
    row("enable.metrics.push", Nothing(METRICS)),
    row("metric.reporters", Nothing(METRICS)),
    row("metrics.num.samples", Nothing(METRICS)),
    row("metrics.recording.level", Nothing(METRICS)),
    row("metrics.sample.window.ms", Nothing(METRICS)),
    row("auto.include.jmx.reporter", Nothing(METRICS)),
    row("interceptor.classes", Nothing(JAVA_CLASS)),
    row(
        "config.providers",
        Nothing("${env:NAME}, ${file:path:key} and ${dir:path:key} are always filled in"),
    ),
    // Reading.
    row("fetch.min.bytes", Records("fetch.min.bytes", "", Number(1, 100_000_000))),
    row("fetch.max.wait.ms", Records("fetch.wait.max.ms", "", Number(0, 300_000))),
    row("max.partition.fetch.bytes", Records("max.partition.fetch.bytes", "", Number(1, 1_000_000_000))),
    row("fetch.max.bytes", Refused(BUDGET)),
    row("check.crcs", Only(&["true"], "damaged records must be found, not mirrored")),
    row("isolation.level", Refused("it is chosen per flow: set `isolation` of the flow")),
    row("auto.offset.reset", Refused(POSITIONS)),
    row("enable.auto.commit", Only(&["false"], POSITIONS)),
    row("auto.commit.interval.ms", Nothing(POSITIONS)),
    row("allow.auto.create.topics", Only(&["false"], "reading must not create topics on a source")),
    row("group.id", Refused(NO_GROUP)),
    row("group.instance.id", Nothing(NO_GROUP)),
    row("group.protocol", Nothing(NO_GROUP)),
    row("group.remote.assignor", Nothing(NO_GROUP)),
    row("heartbeat.interval.ms", Nothing(NO_GROUP)),
    row("session.timeout.ms", Nothing(NO_GROUP)),
    row("max.poll.interval.ms", Nothing(NO_GROUP)),
    row("max.poll.records", Nothing("records travel in batches bounded by bytes")),
    row("partition.assignment.strategy", Nothing(NO_GROUP)),
    row("exclude.internal.topics", Nothing("internal topics are never mirrored")),
    row("key.deserializer", Nothing(BYTES)),
    row("value.deserializer", Nothing(BYTES)),
    // Writing.
    row("batch.size", Records("", "batch.size", Number(1, i32::MAX as i64))),
    row("linger.ms", Records("", "linger.ms", Number(0, 900_000))),
    row("max.request.size", Records("", "message.max.bytes", Number(1000, 1_000_000_000))),
    row(
        "max.in.flight.requests.per.connection",
        Records("", "max.in.flight.requests.per.connection", Number(1, 5)),
    ),
    row("compression.gzip.level", Records("", "compression.level", Number(-1, 9))),
    row("compression.lz4.level", Records("", "compression.level", Number(-1, 12))),
    row("compression.zstd.level", Records("", "compression.level", Number(-1, 12))),
    row("acks", Only(&["all", "-1"], "a record counts as mirrored only when all in-sync replicas have it")),
    row("enable.idempotence", Only(&["true"], "without it a retry can write records twice or out of order")),
    row(
        "retries",
        Only(&["2147483647"], "a batch is tried until it is written; giving up would leave a hole"),
    ),
    row("delivery.timeout.ms", Refused("a batch is tried until it is written; giving up would leave a hole")),
    row("compression.type", Refused("it is chosen per flow: set `codec` of the flow")),
    row("buffer.memory", Refused(BUDGET)),
    row(
        "transactional.id",
        Refused("the mesh writes outside transactions; its own positions prevent duplicates"),
    ),
    row("transaction.timeout.ms", Nothing("the mesh writes outside transactions")),
    row("transaction.two.phase.commit.enable", Nothing("the mesh writes outside transactions")),
    row("max.block.ms", Nothing("writing never blocks a thread")),
    row("partitioner.class", Nothing(PARTITION)),
    row("partitioner.ignore.keys", Nothing(PARTITION)),
    row("partitioner.adaptive.partitioning.enable", Nothing(PARTITION)),
    row("partitioner.availability.timeout.ms", Nothing(PARTITION)),
    row("partitioner.rack.aware", Nothing(PARTITION)),
    row("key.serializer", Nothing(BYTES)),
    row("value.serializer", Nothing(BYTES)),
    // librdkafka's own names.
    row("sasl.mechanisms", Refused("Kafka's name for it is sasl.mechanism")),
    row(
        "ssl.ca.location",
        Refused("Kafka's names for it are ssl.truststore.type=PEM and ssl.truststore.location"),
    ),
    row(
        "ssl.certificate.location",
        Refused("Kafka's names for it are ssl.keystore.type=PEM and ssl.keystore.location"),
    ),
    row(
        "ssl.key.location",
        Refused("Kafka's names for it are ssl.keystore.type=PEM and ssl.keystore.location"),
    ),
    row(
        "enable.ssl.certificate.verification",
        Only(&["true"], "a server that is not verified may be anybody"),
    ),
    row("message.timeout.ms", Refused("a batch is tried until it is written; giving up would leave a hole")),
    row("enable.gapless.guarantee", Only(&["true"], "without it a failed batch would leave a hole")),
    row("queued.max.messages.kbytes", Refused(BUDGET)),
    row("queue.buffering.max.kbytes", Refused(BUDGET)),
    row("queue.buffering.max.messages", Refused(BUDGET)),
    row("statistics.interval.ms", Nothing(METRICS)),
    row(
        "broker.address.family",
        Records("broker.address.family", "broker.address.family", Word(&["any", "v4", "v6"])),
    ),
    row("socket.keepalive.enable", Records("socket.keepalive.enable", "socket.keepalive.enable", Flag)),
    row("socket.nagle.disable", Records("socket.nagle.disable", "socket.nagle.disable", Flag)),
    row("debug", Records("debug", "debug", Any)),
    row("fetch.error.backoff.ms", Records("fetch.error.backoff.ms", "", Number(0, 300_000))),
    row("fetch.queue.backoff.ms", Records("fetch.queue.backoff.ms", "", Number(0, 300_000))),
    row("queued.min.messages", Records("queued.min.messages", "", Number(1, 10_000_000))),
    row("batch.num.messages", Records("", "batch.num.messages", Number(1, 1_000_000))),
];

/// The row of a setting.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The names of all settings.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name)
}

/// Whether a setting's value must not be shown: secrets, names we don't know, which may be misspelt secrets, and
/// whatever is PEM, where a key may have slipped in.
pub(crate) fn is_secret(name: &str) -> bool {
    find(name).is_none()
        || ["password", "secret", "jaas", "certificate"].iter().any(|word| name.contains(word))
        || name == "ssl.keystore.key"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_has_one_row() {
        let unique: BTreeSet<_> = names().collect();
        assert_eq!(unique.len(), SETTINGS.len());
    }

    #[test]
    fn secrets_and_unknown_names_are_hidden() {
        for name in
            ["sasl.password", "sasl.jaas.config", "ssl.key.password", "ssl.keystore.key", "sasl.pasword"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["client.id", "sasl.username", "ssl.truststore.location", "sasl.mechanism"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
