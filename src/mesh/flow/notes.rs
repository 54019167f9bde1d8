//! What the machine has to say, in the log, the metrics and on the board.

use tracing::{error, info, warn};

use super::actor::FlowRun;
use crate::model::status::PartitionState;
use crate::replicator::flow::Note;
use crate::telemetry::Restarted;

impl FlowRun {
    pub(super) fn note(&self, note: Note) {
        let (flow, name) = (&self.flow, &self.flow.spec.name);
        match note {
            Note::Refused(reason) => error!(target: crate::mesh::LOG, flow = %name, reason, "flow refused"),
            Note::GaveUp(reason) => warn!(target: crate::mesh::LOG, flow = %name, reason, "flow stopped"),
            Note::ClaimFailed { reason, retry_in } => {
                warn!(target: crate::mesh::LOG, flow = %name, reason, ?retry_in, "positions not read");
            }
            Note::SessionRefused { reason, retry_in } => {
                error!(target: crate::mesh::LOG, flow = %name, failure = %reason, ?retry_in, "engine session not started");
            }
            Note::ReconcileFailed(error) => {
                warn!(target: crate::mesh::LOG, flow = %name, %error, "remote topics not looked after")
            }
            Note::LeftOut { topic, reason } => {
                warn!(target: crate::mesh::LOG, flow = %name, %topic, reason, "topic left out")
            }
            Note::PartitionFailed { source, failure, restart_in: Some(restart_in) } => {
                error!(
                    target: crate::mesh::LOG,
                    flow = %name, topic = %source.topic, partition = source.partition, %failure, ?restart_in,
                    "partition failed; it is started again"
                );
                flow.metrics.restarted(Restarted::Partition);
                flow.board.update(&source, |status| {
                    status.state = PartitionState::Faulted;
                    status.reason = Some(format!("failed: {failure}; it is started again"));
                });
            }
            Note::PartitionFailed { source, failure, restart_in: None } => {
                let (topic, partition) = (&source.topic, source.partition);
                error!(target: crate::mesh::LOG, flow = %name, %topic, partition, %failure, "partition failed");
            }
            Note::JobFailed { failure, restart_in: Some(restart_in) } => {
                error!(target: crate::mesh::LOG, flow = %name, %failure, ?restart_in, "a job of the flow failed");
                flow.metrics.restarted(Restarted::Actor);
            }
            Note::JobFailed { failure, restart_in: None } => {
                error!(target: crate::mesh::LOG, flow = %name, %failure, "a job of the flow failed");
            }
            Note::Draining { partitions } => {
                info!(target: crate::mesh::LOG, flow = %name, partitions, "draining")
            }
            Note::LeftBehind { partitions, why } => {
                warn!(target: crate::mesh::LOG, flow = %name, partitions, "{why}; the next start finds out what arrived");
            }
        }
    }
}
