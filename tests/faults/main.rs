//! Tests that break their own clusters: kills, restarts, cut and slow links, lost and re-created logs.

mod acls;
mod brokerless;
mod checkpoints;
#[path = "../common/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness is whole in tests/kafka, which tests it; here a part of it is used"
)]
mod common;
mod groups;
mod kills;
mod leaders;
mod logs;
mod mesh;
mod offsets;
mod old_formats;
mod outages;
mod quotas;
mod releases;
mod replicas;
mod resets;
mod security;
mod signals;

/// Waits for room on this machine, for as many brokers as the test runs, and keeps it as long as it is held.
///
/// Most of a test is waiting, for time-outs of Kafka's above all, so four brokers to a core are served side by side.
async fn seats(brokers: u32) -> tokio::sync::SemaphorePermit<'static> {
    static SEATS: std::sync::LazyLock<tokio::sync::Semaphore> = std::sync::LazyLock::new(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // The largest test has six; with one core it waits for all others.
        tokio::sync::Semaphore::new((4 * cores).max(6))
    });
    SEATS.acquire_many(brokers).await.expect("nobody closes it")
}

/// Waits until the copy has at least `goal` records.
async fn holds(client: &common::KafkaClient, topic: &str, goal: i64) {
    common::await_growth(&format!("{topic} to hold {goal} records"), goal, async || {
        match client.topics().await.contains_key(topic) {
            true => Ok(client.end_offsets(topic).await.iter().sum()),
            false => Err("the topic is not there".to_owned()),
        }
    })
    .await;
}
