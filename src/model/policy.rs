//! What to do when a log is not the one we knew.

use serde::{Deserialize, Serialize};

/// What to do when the source's log is not the one we knew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetPolicy {
    /// Go on from the first record that is there.
    #[default]
    Continue,
    /// Fault the partition until a person decides.
    Fail,
}

/// What to do when the target's topic is not the one we knew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetResetPolicy {
    /// Mirror again from the first record of the source.
    #[default]
    Restart,
    /// Go on with the next record of the source.
    Continue,
    /// Fault the partition until a person decides.
    Fail,
}
