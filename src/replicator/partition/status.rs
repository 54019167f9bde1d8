//! What the machine tells of itself.

use std::time::Duration;

use super::{PartitionMachine, PartitionPhase, STALL};
use crate::formats::Position;
use crate::model::status::PartitionState;
use crate::model::{Fault, Generation};

impl PartitionMachine {
    /// When to call with [`PartitionInput::Tick`](super::PartitionInput::Tick); `None` on an idle partition.
    pub fn deadline(&self) -> Option<Duration> {
        let retry = match &self.phase {
            PartitionPhase::Stopped => return None,
            PartitionPhase::SourceAway { retry_at, .. }
            | PartitionPhase::Waiting { retry_at, .. }
            | PartitionPhase::Faulted { retry_at } => Some(*retry_at),
            _ => None,
        };
        let save = match (&self.phase, &self.reached) {
            (PartitionPhase::Draining, Some(reached)) if self.in_flight.is_empty() => {
                self.saver.deadline(reached, true, true)
            }
            (PartitionPhase::Saving, Some(reached)) => self.saver.deadline(reached, false, true),
            (PartitionPhase::Draining, _) => None,
            (_, Some(reached)) if self.may_save() => self.saver.deadline(reached, false, false),
            _ => None,
        };
        let stall = self.stalled_since.map(|since| since + STALL);
        [retry, save, stall].into_iter().flatten().min()
    }

    /// The state, for the status board. A fault shows until there is progress, not only until the next try.
    pub fn state(&self) -> PartitionState {
        match &self.phase {
            PartitionPhase::Stopped => PartitionState::Stopped,
            PartitionPhase::Draining => PartitionState::Draining,
            PartitionPhase::Waiting { .. } | PartitionPhase::SourceAway { .. } => PartitionState::Waiting,
            PartitionPhase::Opening { waits_for: Some(_) } => PartitionState::Waiting,
            PartitionPhase::Faulted { .. } => PartitionState::Faulted,
            PartitionPhase::Streaming if self.paused => PartitionState::Paused,
            _ if self.fault.is_some() => PartitionState::Faulted,
            PartitionPhase::Saving if self.store_fault.is_some() => PartitionState::Faulted,
            PartitionPhase::Streaming => PartitionState::Streaming,
            _ => PartitionState::Resolving,
        }
    }

    /// Why, for the status board: what is waited for, or what is wrong.
    pub fn reason(&self) -> Option<String> {
        match &self.phase {
            PartitionPhase::Waiting { reason, .. } | PartitionPhase::SourceAway { reason, .. } => {
                return Some(reason.clone());
            }
            PartitionPhase::Opening { waits_for: Some(what) } => return Some(what.clone()),
            _ => {}
        }
        if let Some(fault) = self.fault() {
            return Some(fault.to_string());
        }
        match &self.phase {
            PartitionPhase::Streaming if self.paused => Some("paused by an operator".to_owned()),
            PartitionPhase::Opening { .. } => Some("waits for earlier writes to be answered".to_owned()),
            PartitionPhase::Resolving { .. } => Some("finds out where to go on".to_owned()),
            PartitionPhase::Saving => Some("saves the position from which it goes on".to_owned()),
            PartitionPhase::Settling => Some("source or target moved; waits for writes in flight".to_owned()),
            PartitionPhase::Draining if !self.in_flight.is_empty() => {
                Some("waits for writes in flight".to_owned())
            }
            PartitionPhase::Draining => Some("saves the last position".to_owned()),
            _ => None,
        }
    }

    /// The fault that is not over yet.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref().or(self.store_fault.as_ref())
    }

    /// When a faulted or waiting partition is tried again.
    pub fn retry_at(&self) -> Option<Duration> {
        match &self.phase {
            PartitionPhase::SourceAway { retry_at, .. }
            | PartitionPhase::Waiting { retry_at, .. }
            | PartitionPhase::Faulted { retry_at } => Some(*retry_at),
            _ => None,
        }
    }

    /// How far the partition got, acknowledged but perhaps not saved; `None` before the first resolution. The next
    /// resolution starts from here, not from what is stored.
    pub fn position(&self) -> Option<Position> {
        let (reached, identity) = (self.reached?, self.identity.clone()?);
        Some(Position {
            source_next: reached.source_next,
            target_next: reached.target_next,
            source_epoch: reached.source_epoch,
            target_epoch: reached.target_epoch,
            clean: false,
            ..identity
        })
    }

    /// Next source offset to be acknowledged. May be ahead of [`PartitionMachine::position`] by ranges without records.
    pub fn source_next(&self) -> Option<i64> {
        self.passed.or(self.reached.map(|reached| reached.source_next))
    }

    /// Next target offset to be acknowledged.
    pub fn target_next(&self) -> Option<i64> {
        self.reached.map(|reached| reached.target_next)
    }

    /// Target offset from which acknowledged records are known to be lost, until that is resolved. The shell hands
    /// it to [`TargetFacts::lost_from`](crate::replicator::resume::TargetFacts::lost_from).
    pub fn lost_from(&self) -> Option<i64> {
        self.lost_from
    }

    /// Bytes that the writes in flight hold of the memory budget.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight.bytes()
    }

    /// The generation of the lane that is open or being opened.
    pub fn generation(&self) -> Generation {
        self.generation
    }
}
