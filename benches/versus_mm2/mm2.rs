//! MirrorMaker 2, set up by someone who has read its documentation.

use crate::subject::Job;

/// The flags of Kafka's own `connect-mirror-maker.sh`; the heap is its default.
pub const JVM: &[&str] = &[
    "-Xms256M",
    "-Xmx2G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
];

/// The properties file of one flow.
///
/// The tuning follows what operators publish: larger fetches and polls, socket buffers left to the system, large
/// produce batches, an idempotent producer with five requests in flight instead of one, and the source's codec. What
/// would only cost is off: heartbeats, checkpoints and ACLs, for which there is nothing to do here. New topics are
/// looked for every 5 s instead of every 600.
pub fn properties(job: &Job<'_>) -> String {
    let Job { source, target, alias, topics, workload } = job;
    let flow = format!("{alias}->target");
    let isolation = if workload.transactional() { "read_committed" } else { "read_uncommitted" };
    let lines = [
        format!("clusters = {alias}, target"),
        format!("{alias}.bootstrap.servers = {}", source.bootstrap()),
        format!("target.bootstrap.servers = {}", target.bootstrap()),
        format!("{flow}.enabled = true"),
        format!("{flow}.topics = {}", topics.join(",")),
        format!("target->{alias}.enabled = false"),
        "tasks.max = 2".to_owned(),
        "replication.factor = 1".to_owned(),
        "offset-syncs.topic.replication.factor = 1".to_owned(),
        "checkpoints.topic.replication.factor = 1".to_owned(),
        "heartbeats.topic.replication.factor = 1".to_owned(),
        "config.storage.replication.factor = 1".to_owned(),
        "offset.storage.replication.factor = 1".to_owned(),
        "status.storage.replication.factor = 1".to_owned(),
        "emit.heartbeats.enabled = false".to_owned(),
        "emit.checkpoints.enabled = false".to_owned(),
        "sync.topic.acls.enabled = false".to_owned(),
        "refresh.groups.enabled = false".to_owned(),
        "refresh.topics.interval.seconds = 5".to_owned(),
        format!("{alias}.consumer.isolation.level = {isolation}"),
        format!("{alias}.consumer.max.poll.records = 10000"),
        format!("{alias}.consumer.max.partition.fetch.bytes = 8388608"),
        format!("{alias}.consumer.receive.buffer.bytes = -1"),
        format!("target.producer.compression.type = {}", workload.codec()),
        "target.producer.batch.size = 524288".to_owned(),
        "target.producer.buffer.memory = 134217728".to_owned(),
        "target.producer.max.request.size = 8388608".to_owned(),
        "target.producer.send.buffer.bytes = -1".to_owned(),
        "target.producer.enable.idempotence = true".to_owned(),
        "target.producer.max.in.flight.requests.per.connection = 5".to_owned(),
    ];
    lines.join("\n") + "\n"
}
