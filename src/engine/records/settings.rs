//! Settings of librdkafka's two clients.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::ExposeSecret;

use crate::config::client::ClientSettings;
use crate::engine::EngineError;
use crate::model::Codec;
use crate::topology::Isolation;

/// Most that librdkafka puts into one batch before compression. A topic that takes Kafka's default of 1,048,588
/// bytes takes every such batch, compressed or not.
pub(super) const BATCH_BYTES: usize = 1_000_000;
/// Longest record librdkafka accepts at all; what a topic accepts is checked by us.
const LONGEST_RECORD_BYTES: u64 = 1_000_000_000;
/// Most of one fetch response for one partition.
const LARGEST_PARTITION_FETCH_BYTES: u64 = 4 << 20;
/// Least that a partition's queue must take so that a batch of a default producer (16 KiB) fits.
const SMALLEST_PARTITION_QUEUE_BYTES: u64 = 16 << 10;
/// What a fetch of one partition should have room for: a compressed batch of a producer that is set to large ones. In
/// an answer only the first partition gets a batch that is larger than it asked for; the others get nothing at all,
/// and two hundred partitions then move one batch a request.
const LARGE_BATCH_BYTES: u64 = 64 << 10;
/// What a fetched byte may become in a queue: batches arrive compressed, and a record costs more than its bytes.
const GROWTH: u64 = 8;
/// A whole response: at 100 ms of round trip 16 MiB are 160 MB/s from one broker.
const LARGEST_FETCH_BYTES: u64 = 16 << 20;
/// What librdkafka keeps per queued record besides its bytes.
const QUEUED_RECORD_BYTES: u64 = 512;

/// What the consumer's settings depend on.
pub(super) struct SourceSettings<'a> {
    pub(super) alias: &'a str,
    pub(super) client: &'a ClientSettings,
    pub(super) group_id: &'a str,
    pub(super) isolation: Isolation,
    /// What librdkafka's queues may hold, for all partitions.
    pub(super) queue_bytes: u64,
    /// Partitions that share it.
    pub(super) partitions: usize,
}

/// Settings of the consumer.
pub(super) fn consumer(spec: &SourceSettings<'_>) -> Result<ClientConfig, EngineError> {
    let partitions = u64::try_from(spec.partitions.max(1)).unwrap_or(u64::MAX);
    let share = spec.queue_bytes / partitions;
    // A queue takes one response more when it is one byte short of full: half is for that.
    let queue = (share / 2).clamp(SMALLEST_PARTITION_QUEUE_BYTES, 16 << 20);
    let partition_fetch = (share / GROWTH)
        .max(share.min(LARGE_BATCH_BYTES))
        .clamp(SMALLEST_PARTITION_QUEUE_BYTES, LARGEST_PARTITION_FETCH_BYTES);
    let fetch = (spec.queue_bytes / 4).clamp(partition_fetch, LARGEST_FETCH_BYTES);
    let isolation = match spec.isolation {
        Isolation::ReadCommitted => "read_committed",
        Isolation::ReadUncommitted => "read_uncommitted",
    };
    let guarded = [
        ("group.id", spec.group_id.to_owned()),
        ("group.protocol", "classic".to_owned()),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        // The default jumps to the end and loses what lies between.
        ("auto.offset.reset", "error".to_owned()),
        ("enable.partition.eof", "true".to_owned()),
        ("check.crcs", "true".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("isolation.level", isolation.to_owned()),
    ];
    let tuned = [
        ("queued.max.messages.kbytes", (queue >> 10).to_string()),
        ("queued.min.messages", (queue / QUEUED_RECORD_BYTES).max(100).to_string()),
        ("fetch.message.max.bytes", partition_fetch.to_string()),
        ("fetch.max.bytes", fetch.to_string()),
        // `fetch.max.bytes` must not be below it; it limits nothing else on a consumer.
        ("message.max.bytes", "1000".to_owned()),
        // A single batch may be larger than any fetch limit.
        ("receive.message.max.bytes", LONGEST_RECORD_BYTES.to_string()),
        // A full queue is looked at again soon: it is drained within milliseconds.
        ("fetch.queue.backoff.ms", "5".to_owned()),
        ("fetch.error.backoff.ms", "200".to_owned()),
        // A partition that joins, or whose queue was full, waits for the running fetch of its broker.
        ("fetch.wait.max.ms", "100".to_owned()),
    ];
    let mut config = common(spec.client);
    set_all(&mut config, &tuned);
    if let Some(rack) = &spec.client.rack {
        config.set("client.rack", rack);
    }
    finish(config, spec.alias, &guarded, &spec.client.rdkafka_consumer)
}

/// What the producer's settings depend on.
pub(super) struct TargetSettings<'a> {
    pub(super) alias: &'a str,
    pub(super) client: &'a ClientSettings,
    pub(super) codec: Codec,
    /// What the process may hold in all: librdkafka's copy of a record is covered by the permit of its batch.
    pub(super) budget_bytes: u64,
    /// Most per batch.
    pub(super) batch_bytes: usize,
}

/// Settings of a producer.
pub(super) fn producer(spec: &TargetSettings<'_>) -> Result<ClientConfig, EngineError> {
    let guarded = [
        ("enable.idempotence", "true".to_owned()),
        // Without it a failed batch is left out and what follows it is written.
        ("enable.gapless.guarantee", "true".to_owned()),
        ("acks", "all".to_owned()),
        ("max.in.flight.requests.per.connection", "5".to_owned()),
        ("retries", i32::MAX.to_string()),
        // The default gives records up after five minutes, and then delivers what follows them.
        ("message.timeout.ms", "0".to_owned()),
        ("delivery.report.only.error", "false".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("message.max.bytes", LONGEST_RECORD_BYTES.to_string()),
        ("batch.size", spec.batch_bytes.to_string()),
        ("compression.codec", spec.codec.as_str().to_owned()),
        ("transactional.id", String::new()),
    ];
    let tuned = [
        // The budget bounds what is queued. One lane can't hold all of it, so a stuck partition never fills the
        // queue that the others share; the slack is for a batch that overdraws.
        ("queue.buffering.max.kbytes", ((spec.budget_bytes >> 10) * 2).clamp(1024, 1 << 30).to_string()),
        // The budget counts records too, by what they cost beside their bytes.
        ("queue.buffering.max.messages", "0".to_owned()),
        ("linger.ms", "2".to_owned()),
        // A batch of 100-byte records fills `batch.size`.
        ("batch.num.messages", "10000".to_owned()),
        ("request.timeout.ms", spec.client.request_timeout.as_millis().clamp(1, 900_000).to_string()),
    ];
    let mut config = common(spec.client);
    set_all(&mut config, &tuned);
    finish(config, spec.alias, &guarded, &spec.client.rdkafka_producer)
}

fn common(client: &ClientSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let ms =
        |duration: Duration, least: u128, most: u128| duration.as_millis().clamp(least, most).to_string();
    set_all(
        &mut config,
        &[
            ("bootstrap.servers", client.bootstrap.join(",")),
            ("client.id", client.client_id.clone()),
            ("socket.timeout.ms", ms(client.request_timeout, 10, 300_000)),
            ("socket.connection.setup.timeout.ms", ms(client.connect_timeout, 1000, 300_000)),
            ("reconnect.backoff.ms", ms(client.reconnect_backoff, 0, 3_600_000)),
            ("reconnect.backoff.max.ms", ms(client.reconnect_backoff_max, 0, 3_600_000)),
            ("socket.keepalive.enable", "true".to_owned()),
            ("socket.nagle.disable", "true".to_owned()),
            ("statistics.interval.ms", "0".to_owned()),
            // Leaders that moved without an error are found within a minute.
            ("topic.metadata.refresh.interval.ms", "60000".to_owned()),
            // How long a topic may be missing before its records are answered with an error.
            ("topic.metadata.propagation.max.ms", "10000".to_owned()),
            ("retry.backoff.ms", "100".to_owned()),
            ("log.connection.close", "false".to_owned()),
        ],
    );
    config.set_log_level(RDKafkaLogLevel::Info);
    security(&mut config, client);
    config
}

fn security(config: &mut ClientConfig, client: &ClientSettings) {
    let protocol = match (&client.tls, &client.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &client.tls {
        match &tls.ca_pem {
            Some(pem) => config.set("ssl.ca.pem", pem),
            // The OpenSSL built in knows no directory: librdkafka looks in the places that systems use.
            None => config.set("ssl.ca.location", "probe"),
        };
        if let Some(pem) = &tls.certificate_pem {
            config.set("ssl.certificate.pem", pem);
        }
        if let Some(pem) = &tls.key_pem {
            config.set("ssl.key.pem", pem.expose_secret());
        }
        if let Some(password) = &tls.key_password {
            config.set("ssl.key.password", password.expose_secret());
        }
        config.set("enable.ssl.certificate.verification", "true");
        let identification = if tls.verify_hostname { "https" } else { "none" };
        config.set("ssl.endpoint.identification.algorithm", identification);
    }
    if let Some(sasl) = &client.sasl {
        config.set("sasl.mechanisms", &sasl.mechanism);
        config.set("sasl.username", &sasl.username);
        config.set("sasl.password", sasl.password.expose_secret());
    }
}

/// Names under which librdkafka takes the same setting.
const SYNONYMS: [(&str, &str); 7] = [
    ("request.required.acks", "acks"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.send.max.retries", "retries"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("compression.type", "compression.codec"),
    ("max.request.size", "message.max.bytes"),
    ("auto.commit.enable", "enable.auto.commit"),
];

/// Applies the user's settings, then those that keep records from being lost, doubled or reordered.
fn finish(
    mut config: ClientConfig,
    alias: &str,
    guarded: &[(&str, String)],
    own: &[(String, String)],
) -> Result<ClientConfig, EngineError> {
    for (key, value) in own {
        let name = SYNONYMS.iter().find(|(synonym, _)| synonym == key).map_or(key.as_str(), |(_, name)| name);
        if let Some((_, fixed)) = guarded.iter().find(|(guarded, _)| *guarded == name) {
            if fixed == value {
                continue;
            }
            return Err(EngineError::Settings {
                cluster: alias.to_owned(),
                detail: format!(
                    "{key} can't be set to {value:?}: mirroring without loss and duplicates depends on its value; \
                     remove it"
                ),
            });
        }
        config.set(key, value);
    }
    for (key, value) in guarded.iter().filter(|(_, value)| !value.is_empty()) {
        config.set(*key, value);
    }
    Ok(config)
}

fn set_all(config: &mut ClientConfig, settings: &[(&str, String)]) {
    for (key, value) in settings {
        config.set(*key, value);
    }
}

#[cfg(test)]
mod tests;
