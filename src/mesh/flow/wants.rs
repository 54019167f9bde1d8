//! What a flow wants of its partitions: which there should be, and what they have to know.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::BTreeSet;
use tracing::warn;

use super::actor::{FlowMsg, FlowRun, Phase};
use super::children::Sides;
use super::topics::{self, Reconciliation};
use crate::mesh::partition::{PartitionActor, PartitionArguments};
use crate::mesh::shared::PartitionMsg;
use crate::model::status::FlowState;
use crate::model::{Event, Generation, PathText, TopicPartition};
use crate::topology::{EngineKind, engine};

/// Intervals after which a heartbeat no longer proves anything.
const FRESH_INTERVALS: u32 = 10;

impl FlowRun {
    /// Looks after the remote topics beside the mailbox; once at a time.
    pub(super) fn reconcile(&mut self, myself: &ActorRef<FlowMsg>) {
        if self.reconciling {
            self.reconcile_again = true;
            return;
        }
        self.reconciling = true;
        let (flow, myself) = (self.flow.clone(), myself.clone());
        tokio::spawn(async move {
            let outcome = topics::reconcile(&flow).await;
            let _ = myself.cast(FlowMsg::Reconciled(Box::new(outcome)));
        });
    }

    /// Starts the partitions that are new, lets go of those whose topic is gone.
    pub(super) async fn reconciled(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        outcome: Reconciliation,
    ) -> Result<(), ActorProcessingErr> {
        self.reconciling = false;
        if self.phase != Phase::Running {
            return Ok(());
        }
        self.reconcile_failed = outcome.failed.is_some();
        if let Some(error) = &outcome.failed {
            // The cluster's own state tells it; the next change or upkeep tries again.
            warn!(flow = %self.flow.spec.name, %error, "remote topics not looked after");
        } else {
            self.note_topics(&outcome);
            // Before others are started: those know the limits from the first on.
            self.retry_limited(&outcome.new_limits);
            for ready in &outcome.ready {
                let appeared = !self.was_there_first(ready);
                for partition in 0..ready.partitions {
                    let source = TopicPartition::new(ready.topic.clone(), partition);
                    if !self.children.contains(&source) {
                        let target = TopicPartition::new(ready.remote.clone(), partition);
                        let sides = self.sides(&source, &target).unwrap_or_default();
                        self.flow.source.observe(self.flow.spec.isolation, source.clone());
                        self.children.add(source.clone(), target, appeared, sides);
                        self.spawn(myself, &source).await?;
                    }
                }
            }
            self.tell_ends();
            self.let_go();
        }
        if std::mem::take(&mut self.reconcile_again) {
            self.reconcile(myself);
        }
        Ok(())
    }

    /// Faults of topics are reported once each, and stay on the board.
    fn note_topics(&mut self, outcome: &Reconciliation) {
        for status in &outcome.statuses {
            if let Some(fault) = &status.fault
                && self.topic_faults.insert(status.topic.clone(), fault.clone()).as_ref() != Some(fault)
            {
                self.flow.report_topic(&status.topic, &Event::Faulted(fault.clone()));
            } else if status.fault.is_none() && self.topic_faults.remove(&status.topic).is_some() {
                self.flow.report_topic(&status.topic, &Event::Recovered);
            }
        }
        for (topic, reason) in &outcome.left_out {
            if self.left_out.get(topic) != Some(reason) {
                warn!(flow = %self.flow.spec.name, %topic, reason, "topic left out");
            }
        }
        self.left_out = outcome.left_out.clone();
        self.flow.board.set_topics(outcome.statuses.iter().cloned());
    }

    /// Whether the topic was on the source when the flow first looked. Topics that come later start at their
    /// first record, whatever `start` says.
    fn was_there_first(&self, ready: &topics::ReadyTopic) -> bool {
        let mut first = self.flow.first_topics.lock();
        first
            .get_or_insert_with(|| {
                let catalogue = self.flow.source.catalogue();
                catalogue.map(|c| c.topics.keys().cloned().collect()).unwrap_or_default()
            })
            .contains(&ready.topic)
    }

    /// Starts a partition's actor.
    pub(super) async fn spawn(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        source: &TopicPartition,
    ) -> Result<(), ActorProcessingErr> {
        let Some(child) = self.children.get_mut(source) else { return Ok(()) };
        if child.actor.is_some() {
            return Ok(());
        }
        let args = PartitionArguments {
            flow: self.flow.clone(),
            source: source.clone(),
            target: child.target.clone(),
            appeared: child.appeared,
            heartbeats: self.selector.naming().is_heartbeats(source.topic.as_str()),
            generation: self.last_generation(source),
            metrics: self.flow.metrics.partition(&source.topic, source.partition),
        };
        self.flow.board.add(source);
        let (actor, _) = PartitionActor::spawn_linked(None, PartitionActor, args, myself.get_cell()).await?;
        self.children.started(source, actor);
        Ok(())
    }

    /// The generation a new actor counts on from: its lane may still hold writes of the one before.
    fn last_generation(&self, source: &TopicPartition) -> Generation {
        let retired = self.retired.get(source).copied().unwrap_or_default();
        self.flow.board.generation(source).max(retired)
    }

    /// Topics that are gone from the source: their partitions stop, their copies stay.
    fn let_go(&mut self) {
        let Some(catalogue) = self.flow.source.catalogue() else { return };
        let gone: BTreeSet<_> = self
            .children
            .topics()
            .into_iter()
            .filter(|topic| !catalogue.topics.contains_key(topic))
            .collect();
        for topic in gone {
            self.flow.report_topic(&topic, &Event::SourceTopicGone { topic: topic.clone() });
            if let Some(first) = self.flow.first_topics.lock().as_mut() {
                first.remove(&topic);
            }
            for source in self.children.of_topic(&topic) {
                self.flow.source.forget(self.flow.spec.isolation, &source);
                if let Some(actor) = self.children.remove(&source) {
                    let _ = actor.cast(PartitionMsg::Drain);
                }
                let last = self.flow.board.remove(&source);
                self.retired.insert(source, last);
            }
        }
    }

    /// Partitions that were refused something by the target look again when its limits changed.
    fn retry_limited(&mut self, changed: &BTreeSet<crate::model::TopicName>) {
        for (_, child) in self.children.iter_mut().filter(|(_, child)| changed.contains(&child.target.topic))
        {
            if let Some(actor) = &child.actor {
                let _ = actor.cast(PartitionMsg::TargetMoved);
            }
        }
    }

    /// Tells partitions whose topic was re-created or whose leader changed.
    pub(super) fn tell_moves(&mut self) {
        let sources: Vec<_> =
            self.children.iter_mut().map(|(s, c)| (s.clone(), c.target.clone(), c.sides)).collect();
        for (source, target, before) in sources {
            let Some(now) = self.sides(&source, &target).filter(|now| *now != before) else { continue };
            let Some(child) = self.children.get_mut(&source) else { continue };
            child.sides = now;
            let Some(actor) = &child.actor else { continue };
            // A partition that ended hears of it when it starts again.
            if (now.source_id, now.source_epoch) != (before.source_id, before.source_epoch) {
                let _ = actor.cast(PartitionMsg::SourceMoved);
            }
            if (now.target_id, now.target_epoch) != (before.target_id, before.target_epoch) {
                let _ = actor.cast(PartitionMsg::TargetMoved);
            }
        }
    }

    fn sides(&self, source: &TopicPartition, target: &TopicPartition) -> Option<Sides> {
        let (on_source, on_target) = (self.flow.source.catalogue()?, self.flow.target.catalogue()?);
        Some(Sides {
            source_id: on_source.topic_id(&source.topic),
            source_epoch: on_source.partition(source)?.leader_epoch,
            target_id: on_target.topic_id(&target.topic),
            target_epoch: on_target.partition(target)?.leader_epoch,
        })
    }

    /// Tells partitions how far they could be; only those for which it is news.
    ///
    /// librdkafka hands out no epochs, so a partition of the records engine waits for an end that is told while
    /// nothing is in flight: there it is told each time, or an idle one would never learn its epoch.
    pub(super) fn tell_ends(&mut self) {
        let always = engine::choose(&self.flow.spec).engine == EngineKind::Records;
        let ends = self.flow.source.ends().borrow().clone();
        let isolation = self.flow.spec.isolation;
        for (source, child) in self.children.iter_mut() {
            let end = ends.get(&(isolation, source.clone())).copied();
            if let (Some(actor), Some(end)) = (&child.actor, end)
                && (always || child.end != Some(end))
            {
                child.end = Some(end);
                let leader_epoch = child.sides.source_epoch;
                let _ = actor.cast(PartitionMsg::End { end, leader_epoch });
            }
        }
    }

    /// Partitions the flow will have, for the session's sizes.
    pub(super) fn expected_partitions(&self) -> usize {
        let Some(catalogue) = self.flow.source.catalogue() else { return 0 };
        let taken = catalogue.topics.iter().filter(|(topic, entry)| {
            matches!(self.selector.select(topic, entry.internal), crate::topology::Choice::Take { .. })
        });
        taken.map(|(_, entry)| entry.partitions.len()).sum()
    }

    /// Looks after what is faulted, and for loops.
    pub(super) fn upkeep(&mut self, myself: &ActorRef<FlowMsg>) {
        if self.phase != Phase::Running {
            return;
        }
        let blocked = self.flow.account.blocked_time();
        self.flow.metrics.waited_for_credit(blocked.saturating_sub(self.blocked_before));
        self.blocked_before = blocked;
        self.stop_if_loop();
        if self.reconcile_failed
            || !self.topic_faults.is_empty()
            || !self.flow.board.refused_topics().is_empty()
        {
            self.reconcile(myself);
        }
    }

    /// A fresh heartbeat that came through this flow and has been on the target before proves a loop.
    fn stop_if_loop(&mut self) {
        let fresh = self.flow.spec.heartbeats.interval * FRESH_INTERVALS;
        let (from, to) = (&self.flow.spec.from, &self.flow.spec.to);
        let looped = self.flow.target.status().upstreams.into_iter().find(|upstream| {
            let way = &upstream.path[..upstream.path.len() - 1];
            i64::try_from(fresh.as_millis()).is_ok_and(|fresh_ms| upstream.age_ms < fresh_ms)
                && way.last() == Some(from)
                && way.contains(to)
        });
        if let Some(upstream) = looped {
            let path = PathText(&upstream.path).to_string();
            self.flow.report(&Event::LoopFound { path: path.clone() });
            self.give_up(
                FlowState::Faulted,
                format!("heartbeats come round: {path}; take one flow of the ring out"),
            );
        }
    }
}
