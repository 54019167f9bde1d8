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
