//! What the machine tells of itself.

use std::time::Duration;

use super::io::FlowMemory;
use super::{FlowMachine, FlowPhase};
use crate::model::status::{ClusterState, FlowState};
use crate::model::{Generation, TopicPartition};

impl FlowMachine {
    /// When to call with [`FlowInput::Tick`](super::FlowInput::Tick).
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            FlowPhase::Waiting { failed: Some(failed) } if self.clusters.away().is_none() => {
                Some(failed.retry_at)
            }
            FlowPhase::Running => [
                Some(self.upkeep_at),
                self.session.deadline(),
                self.jobs.deadline(),
                self.partitions.restart_at(),
            ]
            .into_iter()
            .flatten()
            .min(),
            FlowPhase::Draining => self.drain.map(|times| times.partitions),
            FlowPhase::Closing { store: false } => self.drain.map(|times| times.session),
            FlowPhase::Closing { store: true } => self.drain.map(|times| times.store),
            _ => None,
        }
    }

    /// The state, for the status board.
    pub fn state(&self) -> FlowState {
        match &self.phase {
            FlowPhase::New | FlowPhase::Claiming => FlowState::Starting,
            FlowPhase::Waiting { failed } => match (self.clusters.away(), failed) {
                // Until a cluster has answered once, nobody knows whether the flow can run at all.
                (Some((_, cluster)), _) if cluster.state == ClusterState::Connecting => FlowState::Starting,
                (Some(_), _) => FlowState::Waiting,
                (None, Some(failed)) => failed.state,
                (None, None) => FlowState::Starting,
            },
            FlowPhase::Running if self.session.refused().is_some() => FlowState::Faulted,
            FlowPhase::Running if self.clusters.away().is_some() => FlowState::Waiting,
            FlowPhase::Running => FlowState::Running,
            FlowPhase::GivenUp { state, .. } => *state,
            FlowPhase::Draining | FlowPhase::Closing { .. } => FlowState::Draining,
            FlowPhase::Stopped => FlowState::Stopped,
        }
    }

    /// Why, for the status board: what is waited for, or what is wrong.
    pub fn reason(&self) -> Option<String> {
        let away = self.clusters.away().map(|(is_source, cluster)| {
            let alias = if is_source { &self.config.from } else { &self.config.to };
            (alias, cluster.reason.as_deref())
        });
        match &self.phase {
            FlowPhase::Waiting { failed } => match (away, failed) {
                (Some((alias, why)), _) => {
                    Some(format!("waits for cluster {alias}: {}", why.unwrap_or("no answer yet")))
                }
                (None, failed) => failed.as_ref().map(|failed| failed.reason.clone()),
            },
            FlowPhase::Claiming => Some("reads its positions".to_owned()),
            FlowPhase::Running => match (self.session.refused(), away) {
                (Some(why), _) => Some(why.to_owned()),
                (None, Some((alias, why))) => {
                    Some(format!("cluster {alias} is away: {}", why.unwrap_or_default()))
                }
                (None, None) => self.partitions.is_paused().then(|| "paused by an operator".to_owned()),
            },
            FlowPhase::GivenUp { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    /// The generation of the session that is there, or was last.
    pub fn session_generation(&self) -> Generation {
        self.session.generation()
    }

    /// Partitions that the flow has.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.wanted()
    }

    /// How many partitions the flow has, those that finish what they have included.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// How many partitions have an actor.
    pub fn living_partitions(&self) -> usize {
        self.partitions.living()
    }

    /// What the flow's next life goes on with.
    pub fn memory(&self) -> FlowMemory {
        FlowMemory {
            first_topics: self.topics.first().cloned(),
            generations: self.partitions.generations().clone(),
            paused: self.partitions.is_paused(),
        }
    }
}
