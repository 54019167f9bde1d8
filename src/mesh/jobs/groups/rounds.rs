//! One round over a flow's groups: read, translate, write checkpoints, bring both sides in step, report.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use super::commit::carry_out;
use super::refusal::refusal;
use super::report::RoundReport;
use super::topics::topic_pairs;
use crate::mesh::jobs::job::{Job, Refusal, Round};
use crate::mesh::shared::FlowContext;
use crate::model::groups::GroupState;
use crate::model::job::RunsIn;
use crate::model::{Event, TopicPartition};
use crate::offsets::Translation;
use crate::offsets::groups::{
    CommitPlaces, Commits, GroupReading, GroupWork, Judge, SideReading, SyncBook, TopicPairs,
};
use crate::store::Checkpoints;
use crate::telemetry::clock;
use crate::topology::{GroupSelector, Selector};
use crate::wire::{CommittedOffset, GroupListing, Wire, WireError};

/// Groups that are looked at together, so that memory stays bounded with many of them.
const GROUPS_AT_A_TIME: usize = 1_000;

/// The rounds over the groups of one flow, with what goes from one to the next.
pub(crate) struct GroupRounds {
    flow: Arc<FlowContext>,
    selector: Arc<Selector>,
    groups: GroupSelector,
    /// Whether the mesh has the opposite flow.
    back: bool,
    book: SyncBook,
    checkpoints: Option<Checkpoints>,
    checkpoints_refusal: Refusal,
    report: RoundReport,
}

/// The groups of one cluster, with their states.
#[derive(Default)]
struct Listed {
    states: HashMap<String, GroupState>,
}

impl Job for GroupRounds {
    const NAME: &'static str = "consumer groups";
    const RUNS_IN: RunsIn = RunsIn::FlowOwner;

    fn interval(&self) -> Duration {
        self.flow.spec.groups.interval
    }

    async fn run(&mut self) -> Round {
        if let Err(error) = self.look().await {
            // A cluster that is away is told by its own state.
            debug!(target: crate::mesh::LOG, flow = %self.flow.spec.name, %error, "groups not read");
            return Round::failing(&error);
        }
        Round::done()
    }
}

impl GroupRounds {
    /// Begins with what was stored.
    pub(crate) fn new(flow: Arc<FlowContext>, selector: Arc<Selector>, groups: GroupSelector) -> Self {
        let (from, to) = (&flow.spec.from, &flow.spec.to);
        let back = flow.mesh.topology.flows.values().any(|other| other.from == *to && other.to == *from);
        let book = SyncBook::load(&flow.group_syncs.lock());
        Self {
            selector,
            groups,
            back,
            book,
            checkpoints: None,
            checkpoints_refusal: Refusal::default(),
            report: RoundReport::new(flow.clone()),
            flow,
        }
    }

    /// One round over all groups. What can't be done for one group is told of that group.
    ///
    /// # Errors
    /// A cluster does not tell which groups it has.
    async fn look(&mut self) -> Result<(), WireError> {
        let flow = self.flow.clone();
        let sync = flow.spec.groups.sync;
        let (at_source, at_target) = tokio::join!(flow.source.wire().list_groups(), async {
            if sync { flow.target.wire().list_groups().await } else { Ok(GroupListing::default()) }
        });
        let (at_source, at_target) = (self.followed(at_source?), self.followed(at_target?));
        let mut groups: BTreeSet<String> = at_source.states.keys().cloned().collect();
        if sync {
            groups.extend(self.book.groups().cloned());
            if self.back {
                groups.extend(at_target.states.keys().cloned());
            }
        }
        let catalogue = flow.source.catalogue().unwrap_or_default();
        let topics = topic_pairs(&self.selector, &catalogue);
        let groups: Vec<String> = groups.into_iter().collect();
        let (mut emitted, begun) = (true, Instant::now());
        for some in groups.chunks(GROUPS_AT_A_TIME) {
            emitted &= self.round(some, &at_source, &at_target, &topics).await;
        }
        if emitted {
            flow.groups.checkpointed();
        }
        debug!(target: crate::mesh::LOG, flow = %flow.spec.name, groups = groups.len(), took = ?begun.elapsed(), "groups looked at");
        self.report.finish();
        Ok(())
    }

    /// One round over some groups. False if their checkpoints could not be written.
    async fn round(
        &mut self,
        groups: &[String],
        at_source: &Listed,
        at_target: &Listed,
        topics: &TopicPairs,
    ) -> bool {
        let flow = self.flow.clone();
        let read_at = Instant::now();
        let mut source = at_source.read(flow.source.wire(), groups).await;
        let translate = |partition: &TopicPartition, offset: i64| {
            flow.maps.get(partition).map_or(Translation::Unknown, |map| map.lock().forward(offset))
        };
        let readings: Vec<GroupReading> =
            source.iter().map(|(group, side)| GroupReading::of(group, side, topics, translate)).collect();
        let emitted = self.emit(&readings, read_at).await;
        if !flow.spec.groups.sync {
            self.report.read(readings);
            return emitted;
        }
        // A group that neither committed here nor was followed before has nothing to be brought in step.
        let concerned = readings.iter().filter(|reading| {
            !reading.offsets.is_empty()
                || reading.failed.is_some()
                || self.book.partitions(&reading.group).next().is_some()
                || (self.back && at_target.states.contains_key(&reading.group))
        });
        let concerned: Vec<String> = concerned.map(|reading| reading.group.clone()).collect();
        drop(readings);
        let target = at_target.read(flow.target.wire(), &concerned).await;
        let places = |partition: &TopicPartition, source: Option<i64>, target: Option<i64>| {
            let map = flow.maps.get(partition)?;
            let map = map.lock();
            Some(CommitPlaces::by_map(&map, source, target))
        };
        let judge = Judge { topics, places, back: self.back, now_ms: clock::now_ms() };
        let mut works: Vec<GroupWork> = Vec::with_capacity(concerned.len());
        for (group, at_target) in target {
            let Some(at_source) = source.remove(&group) else { continue };
            works.push(judge.judge(&group, at_source, at_target, &mut self.book));
        }
        let committed = carry_out(&flow, &mut self.book, &mut works).await;
        flow.metrics.group_offsets_committed(committed);
        self.report.judged(works);
        emitted
    }

    /// Writes the checkpoints that are due. False if that failed.
    async fn emit(&mut self, readings: &[GroupReading], read_at: Instant) -> bool {
        let outcome = match &mut self.checkpoints {
            Some(checkpoints) => checkpoints.emit(readings).await,
            None => {
                let topic = self.selector.naming().checkpoints_topic();
                match Checkpoints::load(self.flow.target.wire(), topic).await {
                    Ok(checkpoints) => self.checkpoints.insert(checkpoints).emit(readings).await,
                    Err(error) => Err(error),
                }
            }
        };
        if let Some(checkpoints) = &self.checkpoints {
            let records = checkpoints.unreadable() as u64;
            if self.flow.groups.checkpoints_damaged(records) {
                let (cluster, topic) = (self.flow.target.alias().clone(), checkpoints.topic().clone());
                self.flow.report(&Event::InternalRecordsDamaged { cluster, topic, records });
            }
        }
        if let Some(error) = self.checkpoints_refusal.untold(&outcome) {
            let cluster = self.flow.target.alias().clone();
            self.flow.report(&Event::CheckpointsRefused { cluster, reason: error.to_string() });
        }
        match outcome {
            Ok(written) => {
                if written > 0 {
                    self.flow.metrics.checkpoints_written(read_at.elapsed());
                }
                true
            }
            Err(error) => {
                // A cluster that is away is told by its own state.
                debug!(target: crate::mesh::LOG, flow = %self.flow.spec.name, %error, "checkpoints not written");
                false
            }
        }
    }

    /// The groups of consumers that the flow follows.
    fn followed(&mut self, listing: GroupListing) -> Listed {
        for (broker, error) in &listing.failed {
            debug!(target: crate::mesh::LOG, flow = %self.flow.spec.name, broker, %error, "a broker does not tell its groups");
        }
        let mut states = HashMap::with_capacity(listing.groups.len());
        for listed in listing.groups {
            let taken = listed.is_of_consumers() && self.report.taken(&listed.group, &self.groups);
            if taken {
                states.insert(listed.group, listed.state);
            }
        }
        Listed { states }
    }
}

impl Listed {
    /// What these groups have committed, each with its own failure.
    async fn read(&self, wire: &Wire, groups: &[String]) -> BTreeMap<String, SideReading> {
        if groups.is_empty() {
            return BTreeMap::new();
        }
        let committed = wire.committed_offsets(groups, true).await;
        let side = |(group, offsets): (String, Result<Vec<CommittedOffset>, WireError>)| {
            let state = self.states.get(&group).cloned();
            (group, SideReading { state, offsets: offsets.map(commits).map_err(|error| refusal(&error)) })
        };
        committed.into_iter().map(side).collect()
    }
}

fn commits(offsets: Vec<CommittedOffset>) -> Commits {
    let commit = |offset: CommittedOffset| {
        let committed = offset.committed.map_err(|error| refusal(&error));
        (offset.partition, committed)
    };
    offsets.into_iter().map(commit).collect()
}
