//! How a flow comes to run: both clusters there, the flow claimed, what is stored read.

use std::time::Duration;

use super::io::{BothClusters, ClusterFacts, FlowOutput, Note};
use super::{FailedClaim, FlowMachine, FlowPhase, UPKEEP};
use crate::formats::Token;
use crate::model::status::{ClusterState, FlowState};

impl FlowMachine {
    pub(super) fn start(&mut self) {
        if self.phase == FlowPhase::New {
            self.phase = FlowPhase::Waiting { failed: None };
        }
    }

    /// Takes in how the clusters are now.
    pub(super) fn looked_at(&mut self, clusters: BothClusters, out: &mut Vec<FlowOutput>) {
        let before = std::mem::replace(&mut self.clusters, clusters);
        let unchanged =
            before.source.is_same(&self.clusters.source) && before.target.is_same(&self.clusters.target);
        if unchanged {
            return;
        }
        match &mut self.phase {
            // A claim that failed as its cluster went away is tried as soon as that is back.
            FlowPhase::Waiting { failed } if self.clusters.away().is_some() => *failed = None,
            FlowPhase::Running => {
                self.tell_moves(out);
                self.let_go(out);
                self.reconcile(out);
            }
            _ => {}
        }
    }

    /// Claims the flow, if both clusters are there and it is time.
    pub(super) fn try_claim(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        let FlowPhase::Waiting { failed } = &self.phase else { return };
        if self.clusters.away().is_some() || failed.as_ref().is_some_and(|failed| now < failed.retry_at) {
            return;
        }
        if let Some(id) = self.clusters.same_cluster() {
            let reason = format!(
                "{} and {} are one cluster (id {id}); mirroring it into itself would never end",
                self.config.from, self.config.to
            );
            out.push(FlowOutput::Note(Note::Refused(reason.clone())));
            self.phase = FlowPhase::GivenUp { state: FlowState::Faulted, reason };
            return;
        }
        self.attempts += 1;
        self.phase = FlowPhase::Claiming;
        out.push(FlowOutput::Claim { attempt: self.attempts });
    }

    pub(super) fn claimed(&mut self, now: Duration, attempt: u64, token: Token, out: &mut Vec<FlowOutput>) {
        if self.phase != FlowPhase::Claiming || attempt != self.attempts {
            return;
        }
        self.claim_backoff.reset();
        self.phase = FlowPhase::Running;
        self.store = true;
        self.upkeep_at = now + UPKEEP;
        out.push(FlowOutput::StartStore { token });
        self.start_jobs(now, out);
        self.start_session(out);
        self.reconcile(out);
    }

    pub(super) fn claim_failed(
        &mut self,
        now: Duration,
        attempt: u64,
        needs_person: bool,
        reason: String,
        out: &mut Vec<FlowOutput>,
    ) {
        if self.phase != FlowPhase::Claiming || attempt != self.attempts {
            return;
        }
        let retry_in = self.claim_backoff.next();
        out.push(FlowOutput::Note(Note::ClaimFailed { reason: reason.clone(), retry_in }));
        let state = if needs_person { FlowState::Faulted } else { FlowState::Waiting };
        let failed = FailedClaim { state, reason, retry_at: now + retry_in };
        self.phase = FlowPhase::Waiting { failed: Some(failed) };
    }
}

impl BothClusters {
    /// The first cluster that is not there; true for the source.
    pub(super) fn away(&self) -> Option<(bool, &ClusterFacts)> {
        [(true, &self.source), (false, &self.target)]
            .into_iter()
            .find(|(_, cluster)| cluster.state != ClusterState::Reachable)
    }

    /// The id of both, if they are one.
    fn same_cluster(&self) -> Option<&str> {
        let (source, target) = (self.source.cluster_id.as_ref()?, self.target.cluster_id.as_ref()?);
        (source == target).then(|| source.as_str())
    }
}
