//! What the machine's outputs come to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tracing::warn;

use super::actor::{FlowMsg, FlowRun};
use super::{claim, session, topics};
use crate::engine::Session;
use crate::mesh::jobs::groups::GroupRounds;
use crate::mesh::jobs::{Heartbeats, MapTrim, OffsetSyncs, TopicConfigs, job};
use crate::mesh::shared::StoreMsg;
use crate::model::{Event, Generation, TopicName};
use crate::replicator::flow::{FlowInput, FlowOutput};
use crate::telemetry::Restarted;
use crate::topology::topic_config::ConfigRules;
use crate::topology::{GroupSelector, OffsetSyncsOn, engine};

impl FlowRun {
    /// Does what the machine says.
    pub(super) async fn perform(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        output: FlowOutput,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            FlowOutput::Claim { attempt } => self.claim(myself, attempt),
            FlowOutput::StartStore { token } => self.start_store(myself, token).await?,
            FlowOutput::DrainStore { limit } => self.drain_store(myself, limit),
            FlowOutput::StartJobs => self.start_jobs(myself).await?,
            FlowOutput::StopJobs => {
                self.stop_jobs();
                self.flow.board.jobs().clear();
            }
            FlowOutput::StartSession(generation) => self.start_session(myself, generation),
            FlowOutput::CloseSession { generation, limit } => self.close_session(myself, generation, limit),
            FlowOutput::Reconcile { number, refused } => self.reconcile(myself, number, refused),
            FlowOutput::StartPartition(start) => self.start_partition(myself, *start).await?,
            FlowOutput::TellPartition(source, told) => self.partitions.tell(&source, told),
            FlowOutput::KillPartition(source) => self.partitions.kill(&source),
            FlowOutput::Observe(source) => self.flow.source.observe(self.flow.spec.isolation, source),
            FlowOutput::Forget(source) => {
                self.flow.source.forget(self.flow.spec.isolation, &source);
                self.flow.board.remove(&source);
            }
            FlowOutput::ShowTopics(topics) => self.flow.board.set_topics(topics),
            FlowOutput::Report(event) => {
                if let Event::SessionLost { .. } = event {
                    self.flow.metrics.restarted(Restarted::Session);
                }
                self.flow.report(&event);
            }
            FlowOutput::ReportTopic(topic, event) => self.flow.report_topic(&topic, &event),
            FlowOutput::Note(note) => self.note(note),
            FlowOutput::Upkeep => self.upkeep(),
            FlowOutput::Failed(why) => return Err(why.into()),
            FlowOutput::Stopped { left_behind } => {
                self.show();
                for reply in self.drained.drain(..) {
                    // Who asked may have run out of patience.
                    let _ = reply.send(left_behind);
                }
                myself.stop(None);
            }
        }
        Ok(())
    }

    fn claim(&mut self, myself: &ActorRef<FlowMsg>, attempt: u64) {
        let (flow, myself) = (self.flow.clone(), myself.clone());
        // A flow that has ended needs no news, here and below.
        self.tasks.spawn(async move { claim::claim(&flow).await }, move |ended| {
            let message = match ended {
                Ok(Ok(stored)) => FlowMsg::Claimed(attempt, Box::new(stored)),
                Ok(Err(why)) => FlowMsg::Happened(claim::failed(attempt, why)),
                Err(panicked) => FlowMsg::Happened(FlowInput::ClaimFailed {
                    attempt,
                    needs_person: false,
                    reason: panicked.to_string(),
                }),
            };
            let _ = myself.cast(message);
        });
    }

    fn drain_store(&mut self, myself: &ActorRef<FlowMsg>, limit: Duration) {
        let store = self.flow.store.lock().take();
        let myself = myself.clone();
        let drain = async move {
            if let Some(store) = store {
                // Out of time it is as good as done: what it could not write is found by the next start.
                let _ = ractor::call_t!(store, StoreMsg::Drain, limit.as_millis() as u64);
            }
        };
        self.tasks.spawn(drain, move |_| drop(myself.cast(FlowMsg::Happened(FlowInput::StoreDrained))));
    }

    /// Starts what the flow does again and again, in place of what is there of it.
    async fn start_jobs(&mut self, myself: &ActorRef<FlowMsg>) -> Result<(), ActorProcessingErr> {
        self.stop_jobs();
        let (flow, selector, cell) = (&self.flow, &self.selector, || myself.get_cell());
        let board = || flow.board.jobs().clone();
        self.jobs.push(job::start(MapTrim { flow: flow.clone() }, board(), cell()).await?);
        if flow.spec.offset_syncs != OffsetSyncsOn::Off {
            self.jobs.push(job::start(OffsetSyncs::new(flow.clone()), board(), cell()).await?);
        }
        if flow.spec.heartbeats.enabled {
            self.jobs.push(job::start(Heartbeats::new(flow.clone()), board(), cell()).await?);
        }
        if flow.spec.groups.enabled {
            let groups = GroupSelector::new(&flow.spec.groups)?;
            let rounds = GroupRounds::new(flow.clone(), selector.clone(), groups);
            self.jobs.push(job::start(rounds, board(), cell()).await?);
        }
        if flow.spec.topic_configs.enabled {
            let rules = ConfigRules::new(&flow.spec.topic_configs)?;
            let configs = TopicConfigs::new(flow.clone(), selector.clone(), rules);
            self.jobs.push(job::start(configs, board(), cell()).await?);
        }
        #[cfg(test)]
        if let Some(double) = crate::mesh::jobs::Double::of(&flow.spec.name) {
            self.jobs.push(job::start(double, board(), cell()).await?);
        }
        Ok(())
    }

    fn stop_jobs(&mut self) {
        for job in self.jobs.drain(..) {
            // The heartbeat in hand may be lost; there is one a second.
            job.stop(None);
        }
    }

    fn start_session(&mut self, myself: &ActorRef<FlowMsg>, generation: Generation) {
        let expected = self.machine.partition_count().max(session::expected_partitions(self));
        let answer = match session::start(&self.flow, generation, myself, expected) {
            Ok(session) => {
                self.flow.session.send_replace(Some(session));
                self.flow.board.set_engine(engine::choose(&self.flow.spec), generation);
                FlowInput::SessionStarted(generation)
            }
            Err(failure) => FlowInput::SessionRefused { generation, reason: failure.to_string() },
        };
        self.answers.push_front(answer);
    }

    fn close_session(&mut self, myself: &ActorRef<FlowMsg>, generation: Generation, limit: Duration) {
        let session: Option<Arc<dyn Session>> = self.flow.session.send_replace(None);
        let (flow, myself) = (self.flow.clone(), myself.clone());
        let close = async move {
            if let Some(session) = session
                && tokio::time::timeout(limit + Duration::from_secs(1), session.shutdown(limit))
                    .await
                    .is_err()
            {
                warn!(target: crate::mesh::LOG, flow = %flow.spec.name, "the engine session does not close; going on without it");
            }
            // The semaphore is never closed.
            let _restart = flow.mesh.restarts.acquire().await;
        };
        self.tasks.spawn(close, move |_| {
            let _ = myself.cast(FlowMsg::Happened(FlowInput::SessionClosed(generation)));
        });
    }

    fn reconcile(&mut self, myself: &ActorRef<FlowMsg>, number: u64, refused: BTreeSet<TopicName>) {
        let (flow, myself) = (self.flow.clone(), myself.clone());
        self.tasks.spawn(async move { topics::reconcile(&flow, &refused).await }, move |ended| {
            let input = match ended {
                Ok(Ok(outcome)) => FlowInput::Reconciled { number, outcome: Box::new(outcome) },
                Ok(Err(error)) => FlowInput::ReconcileFailed { number, reason: error.to_string() },
                Err(panicked) => FlowInput::ReconcileFailed { number, reason: panicked.to_string() },
            };
            let _ = myself.cast(FlowMsg::Happened(input));
        });
    }

    fn upkeep(&mut self) {
        let blocked = self.flow.account.blocked_time();
        self.flow.metrics.waited_for_credit(blocked.saturating_sub(self.blocked_before));
        self.blocked_before = blocked;
        self.answers.push_back(FlowInput::Upstreams(self.flow.target.status().upstreams));
    }
}
