//! Which topics the flow mirrors, and with them which partitions there should be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::io::{FlowOutput, Note, ReadyTopic, Reconciliation};
use super::partitions::{Ended, Sides};
use super::{FlowMachine, FlowPhase};
use crate::model::status::TopicStatus;
use crate::model::{Event, Fault, Generation, TopicName, TopicPartition};

/// What is known of the flow's topics.
#[derive(Debug)]
pub(super) struct Topics {
    /// Questions asked; names the newest.
    asked: u64,
    /// Whether the newest is not answered yet.
    asking: bool,
    /// Whether something changed since it was asked.
    again: bool,
    /// Whether the last one came to nothing.
    failed: bool,
    /// Topics that were on the source when the flow first looked.
    first: Option<BTreeSet<TopicName>>,
    faults: BTreeMap<TopicName, Fault>,
    left_out: BTreeMap<TopicName, String>,
}

impl Topics {
    pub(super) fn new(first: Option<BTreeSet<TopicName>>) -> Self {
        Self {
            asked: 0,
            asking: false,
            again: false,
            failed: false,
            first,
            faults: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// Whether there is something that may have been mended meanwhile.
    pub(super) fn need_another_look(&self) -> bool {
        self.failed || !self.faults.is_empty()
    }

    /// Whether a question is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }

    /// Topics that were there first.
    pub(super) fn first(&self) -> Option<&BTreeSet<TopicName>> {
        self.first.as_ref()
    }

    /// Whether this answers the newest question; an older answer may name topics that are gone.
    fn answered(&mut self, number: u64) -> bool {
        self.asking && number == self.asked && std::mem::replace(&mut self.asking, false)
    }

    /// Tells each fault once, and its end.
    fn tell_faults(&mut self, statuses: &[TopicStatus], out: &mut Vec<FlowOutput>) {
        let before = std::mem::take(&mut self.faults);
        for TopicStatus { topic, fault, .. } in statuses {
            match fault {
                Some(fault) => {
                    if before.get(topic) != Some(fault) {
                        out.push(FlowOutput::ReportTopic(topic.clone(), Event::Faulted(fault.clone())));
                    }
                    self.faults.insert(topic.clone(), fault.clone());
                }
                None if before.contains_key(topic) => {
                    out.push(FlowOutput::ReportTopic(topic.clone(), Event::Recovered));
                }
                None => {}
            }
        }
    }

    fn tell_left_out(&mut self, left_out: BTreeMap<TopicName, String>, out: &mut Vec<FlowOutput>) {
        for (topic, reason) in &left_out {
            if self.left_out.get(topic) != Some(reason) {
                out.push(FlowOutput::Note(Note::LeftOut { topic: topic.clone(), reason: reason.clone() }));
            }
        }
        self.left_out = left_out;
    }
}

impl FlowMachine {
    /// Has the remote topics looked after beside the machine; once at a time.
    pub(super) fn reconcile(&mut self, out: &mut Vec<FlowOutput>) {
        if self.topics.asking {
            self.topics.again = true;
            return;
        }
        self.topics.asked += 1;
        self.topics.asking = true;
        self.topics.again = false;
        let refused = self.partitions.refused_topics();
        out.push(FlowOutput::Reconcile { number: self.topics.asked, refused });
    }

    /// Starts the partitions that are new.
    pub(super) fn reconciled(
        &mut self,
        now: Duration,
        number: u64,
        outcome: Reconciliation,
        out: &mut Vec<FlowOutput>,
    ) {
        if !self.topics.answered(number) || self.phase != FlowPhase::Running {
            return;
        }
        self.topics.failed = false;
        self.topics.tell_faults(&outcome.statuses, out);
        self.topics.tell_left_out(outcome.left_out, out);
        out.push(FlowOutput::ShowTopics(outcome.statuses));
        // Before others are started: those know the limits from the first on.
        self.partitions.tell_limits(&outcome.new_limits, out);
        if self.topics.first.is_none() {
            self.topics.first = self.clusters.source.catalogue.as_ref().map(|catalogue| catalogue.topics());
        }
        for ready in &outcome.ready {
            self.want(now, ready, out);
        }
        self.tell_ends(out);
        if self.topics.again {
            self.reconcile(out);
        }
    }

    pub(super) fn reconcile_failed(&mut self, number: u64, reason: String, out: &mut Vec<FlowOutput>) {
        if !self.topics.answered(number) || self.phase != FlowPhase::Running {
            return;
        }
        // The cluster's own state tells it; the next change or upkeep tries again.
        out.push(FlowOutput::Note(Note::ReconcileFailed(reason)));
        self.topics.failed = true;
        if self.topics.again {
            self.reconcile(out);
        }
    }

    fn want(&mut self, now: Duration, ready: &ReadyTopic, out: &mut Vec<FlowOutput>) {
        let there = self.clusters.source.catalogue.as_ref();
        if !there.is_some_and(|catalogue| catalogue.has_topic(&ready.topic)) {
            // It went while the question was under way.
            return;
        }
        let appeared = !self.topics.first.as_ref().is_some_and(|first| first.contains(&ready.topic));
        for partition in 0..ready.partitions {
            let source = TopicPartition::new(ready.topic.clone(), partition);
            let target = TopicPartition::new(ready.remote.clone(), partition);
            let sides = Sides::of(&self.clusters, &source, &target).unwrap_or_default();
            self.partitions.want(now, &source, target, appeared, sides, out);
        }
    }

    /// Topics that are gone from the source: their partitions stop, their copies stay.
    pub(super) fn let_go(&mut self, out: &mut Vec<FlowOutput>) {
        let Some(catalogue) = &self.clusters.source.catalogue else { return };
        for topic in self.partitions.topics() {
            if catalogue.has_topic(&topic) {
                continue;
            }
            out.push(FlowOutput::ReportTopic(topic.clone(), Event::SourceTopicGone { topic: topic.clone() }));
            if let Some(first) = &mut self.topics.first {
                first.remove(&topic);
            }
            self.partitions.let_go(&topic, out);
        }
    }

    pub(super) fn tell_moves(&mut self, out: &mut Vec<FlowOutput>) {
        self.partitions.tell_moves(&self.clusters, out);
    }

    pub(super) fn tell_ends(&mut self, out: &mut Vec<FlowOutput>) {
        if self.phase == FlowPhase::Running
            && let Some(ends) = &self.ends
        {
            self.partitions.tell_ends(&**ends, self.config.repeat_ends, out);
        }
    }

    /// A partition that was to live on is started again while the flow runs.
    pub(super) fn partition_ended(
        &mut self,
        now: Duration,
        source: &TopicPartition,
        generation: Generation,
        failure: Option<String>,
        out: &mut Vec<FlowOutput>,
    ) {
        let running = self.phase == FlowPhase::Running;
        let ended = self.partitions.ended(now, source, generation);
        let restart_in = match ended {
            Ended::Failed { lived } if running => self.partitions.restart_later(now, lived, source),
            _ => None,
        };
        if restart_in.is_some() || failure.is_some() {
            let failure = failure.unwrap_or_else(|| "it stopped by itself".to_owned());
            out.push(FlowOutput::Note(Note::PartitionFailed { source: source.clone(), failure, restart_in }));
        }
        if ended == Ended::Again && running {
            self.partitions.start(now, source, out);
            self.tell_ends(out);
        }
    }

    /// Starts the partitions that are due.
    pub(super) fn restart_partitions(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        let mut started = false;
        while let Some(source) = self.partitions.pop_restart(now) {
            self.partitions.start(now, &source, out);
            started = true;
        }
        if started {
            self.tell_ends(out);
        }
    }
}
