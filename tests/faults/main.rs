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

/// One test at a time: each has clusters of its own, and two cores have to run them, the mirror and the test.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
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
