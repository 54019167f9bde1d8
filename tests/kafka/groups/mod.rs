//! Consumer groups that follow their topics: where a consumer goes on, on the other side and back.

mod failback;
mod follow;
mod logs;
mod reader;

/// Groups are looked at often, so that tests needn't wait.
const OFTEN: &str = "groups: { interval: 300ms }";
