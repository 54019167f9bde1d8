//! A job for tests, which panics until it is told not to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::job::{Job, Round};
use crate::model::FlowName;
use crate::model::job::RunsIn;

/// The doubles that flows start beside their own jobs, by flow.
static DOUBLES: Mutex<BTreeMap<FlowName, Arc<Plan>>> = Mutex::new(BTreeMap::new());

/// What a double does, over all its lives.
#[derive(Default)]
pub(in crate::mesh) struct Plan {
    recovered: AtomicBool,
    lives: AtomicUsize,
}

impl Plan {
    /// How often it was started.
    pub(in crate::mesh) fn lives(&self) -> usize {
        self.lives.load(Ordering::Relaxed)
    }

    /// Has it panic no more.
    pub(in crate::mesh) fn recover(&self) {
        self.recovered.store(true, Ordering::Relaxed);
    }
}

/// Panics in each round, until it has recovered.
pub(in crate::mesh) struct Double(Arc<Plan>);

impl Double {
    /// Has flows of this name run a double. Each test has its own name.
    pub(in crate::mesh) fn plan(flow: &str) -> Arc<Plan> {
        let plan = Arc::<Plan>::default();
        DOUBLES.lock().insert(flow.into(), plan.clone());
        plan
    }

    /// The next life of a flow's double, if a test wants one.
    pub(in crate::mesh) fn of(flow: &FlowName) -> Option<Self> {
        let plan = DOUBLES.lock().get(flow)?.clone();
        plan.lives.fetch_add(1, Ordering::Relaxed);
        Some(Self(plan))
    }
}

impl Job for Double {
    const NAME: &'static str = "double";
    const RUNS_IN: RunsIn = RunsIn::EachProcess;

    fn interval(&self) -> Duration {
        Duration::from_millis(100)
    }

    async fn run(&mut self) -> Round {
        assert!(self.0.recovered.load(Ordering::Relaxed), "on purpose");
        Round::done()
    }
}
