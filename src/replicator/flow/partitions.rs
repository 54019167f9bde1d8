//! The partitions of a flow: which there are, what they know, and their restarts.
//!
//! At most one actor of a partition lives. One whose topic is gone finishes what it has; when the topic comes back
//! meanwhile, the next one waits for its end, because both would write to one lane.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::io::{BothClusters, FlowOutput, PartitionStart, SourceEnds, Told};
use super::{LONGEST_BACKOFF, SUCCESS};
use crate::model::{FaultKind, Generation, TopicId, TopicName, TopicPartition};
use crate::replicator::backoff::RetryBackoff;

/// What a partition was last told of its two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    source_id: TopicId,
    source_epoch: i32,
    target_id: TopicId,
    target_epoch: i32,
}

impl Sides {
    /// The sides as the catalogues have them; `None` unless the partition is in both.
    pub(super) fn of(
        clusters: &BothClusters,
        source: &TopicPartition,
        target: &TopicPartition,
    ) -> Option<Self> {
        let (here, there) = (clusters.source.catalogue.as_ref()?, clusters.target.catalogue.as_ref()?);
        Some(Self {
            source_id: here.topic_id(&source.topic),
            source_epoch: here.leader_epoch(source)?,
            target_id: there.topic_id(&target.topic),
            target_epoch: there.leader_epoch(target)?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartitionLife {
    /// Its actor runs.
    Living { since: Duration },
    /// Its topic is gone: the actor finishes what it has. `again` when the topic is back.
    Leaving { again: bool },
    /// It has no actor; it may be started again.
    Ended,
}

#[derive(Debug)]
struct Child {
    target: TopicPartition,
    appeared: bool,
    sides: Sides,
    /// The last end it was told.
    end: Option<i64>,
    life: PartitionLife,
    backoff: RetryBackoff,
}

impl Child {
    /// Whether the flow wants it: its topic is there.
    fn is_wanted(&self) -> bool {
        self.life != PartitionLife::Leaving { again: false }
    }

    fn is_living(&self) -> bool {
        matches!(self.life, PartitionLife::Living { .. })
    }
}

/// What it means that an actor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was not known to live.
    Unknown,
    /// Its topic is gone, and so is the partition.
    Gone,
    /// Its topic was gone, and is back.
    Again,
    /// It was to live on; so long it did.
    Failed { lived: Duration },
}

/// The partitions of a flow.
#[derive(Debug)]
pub(super) struct Partitions {
    all: BTreeMap<TopicPartition, Child>,
    /// Those that are started again, by time.
    restarts: BTreeSet<(Duration, TopicPartition)>,
    /// Those to which the target refuses a record.
    refused: BTreeSet<TopicPartition>,
    generations: BTreeMap<TopicPartition, Generation>,
    living: usize,
    paused: bool,
    /// Seeds the jitter of the next one's back-off.
    seed: u64,
}

impl Partitions {
    pub(super) fn new(seed: u64, generations: BTreeMap<TopicPartition, Generation>, paused: bool) -> Self {
        Self {
            all: BTreeMap::new(),
            restarts: BTreeSet::new(),
            refused: BTreeSet::new(),
            generations,
            living: 0,
            paused,
            seed,
        }
    }

    /// Takes a partition in, unless it is there, and starts it as soon as no actor of it lives.
    pub(super) fn want(
        &mut self,
        now: Duration,
        source: &TopicPartition,
        target: TopicPartition,
        appeared: bool,
        sides: Sides,
        out: &mut Vec<FlowOutput>,
    ) {
        match self.all.get_mut(source) {
            None => {
                self.seed = self.seed.wrapping_add(1);
                let backoff = RetryBackoff::up_to(LONGEST_BACKOFF, self.seed);
                let child = Child { target, appeared, sides, end: None, life: PartitionLife::Ended, backoff };
                self.all.insert(source.clone(), child);
                out.push(FlowOutput::Observe(source.clone()));
                self.start(now, source, out);
            }
            Some(child) if child.life == (PartitionLife::Leaving { again: false }) => {
                child.life = PartitionLife::Leaving { again: true };
                (child.target, child.appeared, child.sides) = (target, appeared, sides);
                out.push(FlowOutput::Observe(source.clone()));
            }
            Some(_) => {}
        }
    }

    /// Starts a partition that has no actor.
    pub(super) fn start(&mut self, now: Duration, source: &TopicPartition, out: &mut Vec<FlowOutput>) {
        let Some(child) = self.all.get_mut(source).filter(|child| child.life == PartitionLife::Ended) else {
            return;
        };
        child.life = PartitionLife::Living { since: now };
        child.end = None;
        self.living += 1;
        out.push(FlowOutput::StartPartition(Box::new(PartitionStart {
            source: source.clone(),
            target: child.target.clone(),
            appeared: child.appeared,
            generation: self.generations.get(source).copied().unwrap_or_default(),
        })));
        if self.paused {
            out.push(FlowOutput::TellPartition(source.clone(), Told::Pause));
        }
    }

    /// The partition that is due to be started again, taken out of the list.
    pub(super) fn pop_restart(&mut self, now: Duration) -> Option<TopicPartition> {
        let (at, _) = self.restarts.first()?;
        if *at > now {
            return None;
        }
        self.restarts.pop_first().map(|(_, source)| source)
    }

    /// When the next partition is started again.
    pub(super) fn restart_at(&self) -> Option<Duration> {
        self.restarts.first().map(|(at, _)| *at)
    }

    /// Lets go of all partitions of a topic.
    pub(super) fn let_go(&mut self, topic: &TopicName, out: &mut Vec<FlowOutput>) {
        let first = TopicPartition::new(topic.clone(), 0);
        let sources: Vec<_> = self
            .all
            .range(first..)
            .take_while(|(source, _)| source.topic == *topic)
            .filter(|(_, child)| child.is_wanted())
            .map(|(source, _)| source.clone())
            .collect();
        for source in sources {
            self.refused.remove(&source);
            out.push(FlowOutput::Forget(source.clone()));
            let Some(child) = self.all.get_mut(&source) else { continue };
            match child.life {
                PartitionLife::Living { .. } => {
                    child.life = PartitionLife::Leaving { again: false };
                    out.push(FlowOutput::TellPartition(source, Told::Drain));
                }
                PartitionLife::Leaving { .. } => child.life = PartitionLife::Leaving { again: false },
                PartitionLife::Ended => {
                    self.all.remove(&source);
                    self.restarts.retain(|(_, other)| *other != source);
                }
            }
        }
    }

    /// Notes that an actor ended, and the last generation that it reached.
    pub(super) fn ended(&mut self, now: Duration, source: &TopicPartition, generation: Generation) -> Ended {
        let last = self.generations.entry(source.clone()).or_default();
        *last = generation.max(*last);
        let Some(child) = self.all.get_mut(source) else { return Ended::Unknown };
        let life = std::mem::replace(&mut child.life, PartitionLife::Ended);
        if life == PartitionLife::Ended {
            return Ended::Unknown;
        }
        self.living -= 1;
        self.refused.remove(source);
        match life {
            PartitionLife::Living { since } => Ended::Failed { lived: now.saturating_sub(since) },
            PartitionLife::Leaving { again: true } => Ended::Again,
            PartitionLife::Leaving { again: false } | PartitionLife::Ended => {
                self.all.remove(source);
                Ended::Gone
            }
        }
    }

    /// Starts a partition again after a while; returns how long that is.
    pub(super) fn restart_later(
        &mut self,
        now: Duration,
        lived: Duration,
        source: &TopicPartition,
    ) -> Option<Duration> {
        let child = self.all.get_mut(source)?;
        if lived >= SUCCESS {
            child.backoff.reset();
        }
        let pause = child.backoff.next();
        self.restarts.insert((now + pause, source.clone()));
        Some(pause)
    }

    /// Tells those whose topic was re-created or whose leader changed.
    pub(super) fn tell_moves(&mut self, clusters: &BothClusters, out: &mut Vec<FlowOutput>) {
        for (source, child) in self.all.iter_mut().filter(|(_, child)| child.is_wanted()) {
            let Some(now) = Sides::of(clusters, source, &child.target) else { continue };
            let before = std::mem::replace(&mut child.sides, now);
            // A partition that ended hears of it when it starts again.
            if now == before || !child.is_living() {
                continue;
            }
            if (now.source_id, now.source_epoch) != (before.source_id, before.source_epoch) {
                out.push(FlowOutput::TellPartition(source.clone(), Told::SourceMoved));
            }
            if (now.target_id, now.target_epoch) != (before.target_id, before.target_epoch) {
                out.push(FlowOutput::TellPartition(source.clone(), Told::TargetMoved));
            }
        }
    }

    /// Tells those that were refused something by the target to look again: it accepts something else now.
    pub(super) fn tell_limits(&mut self, changed: &BTreeSet<TopicName>, out: &mut Vec<FlowOutput>) {
        if changed.is_empty() {
            return;
        }
        let living = self.all.iter().filter(|(_, child)| child.is_living());
        out.extend(
            living
                .filter(|(_, child)| changed.contains(&child.target.topic))
                .map(|(source, _)| FlowOutput::TellPartition(source.clone(), Told::TargetMoved)),
        );
    }

    /// Tells how far partitions could be; only those for which it is news, unless `always`.
    pub(super) fn tell_ends(&mut self, ends: &dyn SourceEnds, always: bool, out: &mut Vec<FlowOutput>) {
        for (source, child) in self.all.iter_mut().filter(|(_, child)| child.is_living()) {
            if let Some(end) = ends.end(source)
                && (always || child.end != Some(end))
            {
                child.end = Some(end);
                let told = Told::End { end, leader_epoch: child.sides.source_epoch };
                out.push(FlowOutput::TellPartition(source.clone(), told));
            }
        }
    }

    /// Notes what is wrong with a living partition.
    pub(super) fn faulted(&mut self, source: &TopicPartition, kind: Option<FaultKind>) {
        let may_pass = kind.is_some_and(FaultKind::may_pass_with_target_config);
        if may_pass && self.all.get(source).is_some_and(Child::is_living) {
            self.refused.insert(source.clone());
        } else {
            self.refused.remove(source);
        }
    }

    /// Whether the target refuses a partition something.
    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Source topics with a partition to which the target refuses a record.
    pub(super) fn refused_topics(&self) -> BTreeSet<TopicName> {
        self.refused.iter().map(|source| source.topic.clone()).collect()
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Lets all finish. None is started again.
    pub(super) fn drain_all(&mut self, out: &mut Vec<FlowOutput>) {
        self.restarts.clear();
        self.tell_all(Told::Drain, out);
    }

    /// Tells all that live on.
    pub(super) fn tell_all(&self, told: Told, out: &mut Vec<FlowOutput>) {
        let living = self.all.iter().filter(|(_, child)| child.is_living());
        out.extend(living.map(|(source, _)| FlowOutput::TellPartition(source.clone(), told)));
    }

    /// Stops all where they stand. None is started again.
    pub(super) fn kill_all(&mut self, out: &mut Vec<FlowOutput>) {
        self.restarts.clear();
        let with_actor = self.all.iter().filter(|(_, child)| child.life != PartitionLife::Ended);
        out.extend(with_actor.map(|(source, _)| FlowOutput::KillPartition(source.clone())));
    }

    /// How many have an actor.
    pub(super) fn living(&self) -> usize {
        self.living
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that the flow wants.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &TopicPartition> {
        self.all.iter().filter(|(_, child)| child.is_wanted()).map(|(source, _)| source)
    }

    /// Topics that have partitions here.
    pub(super) fn topics(&self) -> BTreeSet<TopicName> {
        self.wanted().map(|source| source.topic.clone()).collect()
    }

    /// Whether an operator paused the flow.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The last generations.
    pub(super) fn generations(&self) -> &BTreeMap<TopicPartition, Generation> {
        &self.generations
    }
}
