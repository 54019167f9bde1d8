//! Tests that break their own clusters: kills, restarts, cut and slow links, lost and re-created logs.

#[path = "../common/mod.rs"]
#[expect(
    dead_code,
    reason = "the harness is whole in tests/kafka, which tests it; here a part of it is used"
)]
mod common;
