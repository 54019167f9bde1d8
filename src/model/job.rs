//! What a flow does again and again, as `/status` shows it.

use serde::{Deserialize, Serialize};

/// How a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// No round has ended yet.
    #[default]
    Waiting,
    /// The last round did what there was to do.
    Fine,
    /// A cluster refuses it a right; `reason` says which. It is tried again every minute.
    Refused,
    /// The last round did not get done; `reason` says why. The next one tries again.
    Failing,
    /// It failed and is started again.
    Restarting,
}

/// Which of several processes that share a flow runs a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsIn {
    /// The one that holds the flow's claim: what the job writes is of the whole flow.
    FlowOwner,
    /// Each, for the partitions that it mirrors.
    EachProcess,
}

/// One job of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: JobState,
    /// Why, when it isn't `fine`.
    pub reason: Option<String>,
    /// Which of several processes runs it.
    pub runs_in: RunsIn,
    /// From the start of one round to the start of the next, in milliseconds.
    pub interval_ms: u64,
    /// When the last round ended, milliseconds since the epoch.
    pub last_ms: Option<i64>,
}
