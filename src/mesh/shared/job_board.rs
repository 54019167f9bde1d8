//! The status board of a flow's jobs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::job::{JobState, JobStatus, RunsIn};
use crate::telemetry::clock;

/// The board of one flow's jobs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct JobBoard {
    jobs: Arc<Mutex<BTreeMap<&'static str, JobStatus>>>,
}

impl JobBoard {
    /// Puts a job on the board, or notes that it was started again: what is known of its last round stays.
    pub fn add(&self, name: &'static str, runs_in: RunsIn, interval: Duration) {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let mut jobs = self.jobs.lock();
        let status = jobs.entry(name).or_insert_with(|| JobStatus {
            name: name.to_owned(),
            state: JobState::default(),
            reason: None,
            runs_in,
            interval_ms,
            last_ms: None,
        });
        status.interval_ms = interval_ms;
    }

    /// Notes what a round came to.
    pub fn ended(&self, name: &'static str, state: JobState, reason: Option<String>) {
        if let Some(status) = self.jobs.lock().get_mut(name) {
            status.state = state;
            status.reason = reason;
            status.last_ms = Some(clock::now_ms());
        }
    }

    /// Takes all jobs off the board: the flow does not run.
    pub fn clear(&self) {
        self.jobs.lock().clear();
    }

    /// A copy of everything, by name.
    pub fn snapshot(&self) -> Vec<JobStatus> {
        self.jobs.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_started_again_keeps_what_is_known_of_it() {
        let board = JobBoard::default();
        let every = Duration::from_secs(5);
        board.add("b", RunsIn::FlowOwner, every);
        board.add("a", RunsIn::EachProcess, every);
        board.ended("b", JobState::Restarting, Some("failed".to_owned()));
        board.ended("nobody", JobState::Fine, None);
        board.add("b", RunsIn::FlowOwner, 2 * every);
        let [a, b] = board.snapshot().try_into().expect("two jobs");
        assert_eq!((a.name.as_str(), a.state, a.last_ms), ("a", JobState::Waiting, None));
        assert_eq!((b.state, b.reason.as_deref()), (JobState::Restarting, Some("failed")));
        assert!(b.last_ms.is_some() && b.interval_ms == 10_000);
        board.clear();
        assert!(board.snapshot().is_empty());
    }
}
