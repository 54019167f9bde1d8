//! Remote topics: created, grown and described on the target until they match what the flow wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::context::FlowContext;
use super::limits;
use crate::mesh::cluster::{Catalogue, TopicEntry};
use crate::model::status::TopicStatus;
use crate::model::{Event, Fault, FaultKind, TopicName};
use crate::topology::plan::{self, TopicConfig};
use crate::topology::{Choice, ReplicationFactor, Selector};
use crate::wire::{ConfigEntry, NewTopic, ResponseError, WireError};

/// Topics described in one request: an answer is about 5 KB a topic.
const TOPICS_PER_DESCRIBE: usize = 500;

/// A topic that can be mirrored now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyTopic {
    /// On the source.
    pub topic: TopicName,
    /// On the target.
    pub remote: TopicName,
    /// Partitions that are on both sides.
    pub partitions: i32,
}

/// What came of looking after the remote topics.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// Topics that can be mirrored.
    pub ready: Vec<ReadyTopic>,
    /// Every selected topic, with what keeps it from being mirrored.
    pub statuses: Vec<TopicStatus>,
    /// Why nothing could be done at all.
    pub failed: Option<WireError>,
    /// Remote topics whose limits changed.
    pub new_limits: BTreeSet<TopicName>,
}

/// A topic the flow wants on the target.
struct Wanted<'a> {
    topic: &'a TopicName,
    remote: TopicName,
    source: &'a TopicEntry,
}

/// Looks after the remote topics of a flow. Cancel safe: each step leaves the target in a sound state.
pub async fn reconcile(flow: &FlowContext, selector: &Selector) -> Reconciliation {
    let (Some(source), Some(target)) = (flow.source.catalogue(), flow.target.catalogue()) else {
        return Reconciliation::default();
    };
    let wanted: Vec<Wanted<'_>> = source
        .topics
        .iter()
        .filter_map(|(topic, entry)| match selector.select(topic, entry.internal) {
            Choice::Take { remote, .. } => Some(Wanted { topic, remote, source: entry }),
            Choice::Leave { .. } => None,
        })
        .collect();
    let mut faults = BTreeMap::new();
    let target = match bring_about(flow, &wanted, target, &mut faults).await {
        Ok(target) => target,
        Err(error) => return Reconciliation { failed: Some(error), ..Reconciliation::default() },
    };
    let new_limits = describe_limits(flow, &wanted, &target, &mut faults).await;
    let mut outcome = Reconciliation { new_limits, ..Reconciliation::default() };
    for want in &wanted {
        let on_target = target.topics.get(&want.remote).map_or(0, |entry| entry.partitions.len());
        let partitions = i32::try_from(on_target.min(want.source.partitions.len())).unwrap_or(i32::MAX);
        let fault = faults.remove(&want.remote);
        if partitions > 0 {
            outcome.ready.push(ReadyTopic {
                topic: want.topic.clone(),
                remote: want.remote.clone(),
                partitions,
            });
        }
        outcome.statuses.push(TopicStatus {
            topic: want.topic.clone(),
            remote: want.remote.clone(),
            partitions: i32::try_from(want.source.partitions.len()).unwrap_or(i32::MAX),
            fault,
        });
    }
    outcome
}

/// Creates and grows; returns the target's catalogue after it.
async fn bring_about(
    flow: &FlowContext,
    wanted: &[Wanted<'_>],
    target: Arc<Catalogue>,
    faults: &mut BTreeMap<TopicName, Fault>,
) -> Result<Arc<Catalogue>, WireError> {
    let missing: Vec<_> = wanted.iter().filter(|want| !target.topics.contains_key(&want.remote)).collect();
    let short: Vec<_> = wanted
        .iter()
        .filter_map(|want| {
            let has = target.topics.get(&want.remote)?.partitions.len();
            (has < want.source.partitions.len()).then_some((want, has))
        })
        .collect();
    if missing.is_empty() && short.is_empty() {
        return Ok(target);
    }
    let names: Vec<TopicName> = missing.iter().map(|want| want.topic.clone()).collect();
    let mut configs = describe(flow.source.wire(), &names).await?;
    for want in missing {
        let outcome = match configs.remove(want.topic) {
            Some(Ok(entries)) => create(flow, want, &entries, target.brokers).await,
            Some(Err(error)) => Err(error),
            None => continue,
        };
        if let Err(error) = outcome {
            faults.insert(want.remote.clone(), topic_fault(flow, &want.remote, &error));
        }
    }
    for (want, has) in short {
        let total = i32::try_from(want.source.partitions.len()).unwrap_or(i32::MAX);
        match flow.target.wire().create_partitions(&want.remote, total).await {
            Ok(()) => {
                let from = i32::try_from(has).unwrap_or(i32::MAX);
                flow.report(&Event::PartitionsAdded { topic: want.remote.clone(), from, to: total });
            }
            Err(error) => {
                faults.insert(want.remote.clone(), topic_fault(flow, &want.remote, &error));
            }
        }
    }
    flow.target.refresh().await
}

/// Creates one remote topic with the source's configuration; entries the target refuses are left out by name.
async fn create(
    flow: &FlowContext,
    want: &Wanted<'_>,
    entries: &[ConfigEntry],
    target_brokers: usize,
) -> Result<(), WireError> {
    let source: Vec<TopicConfig> = entries.iter().map(topic_config).collect();
    let mut configs = plan::creation_configs(&source, &flow.spec.topic_configs);
    let replication_factor = match flow.spec.replication_factor {
        ReplicationFactor::BrokerDefault => -1,
        ReplicationFactor::Fixed(count) => count,
        ReplicationFactor::Source => {
            let most = i16::try_from(target_brokers).unwrap_or(i16::MAX).max(1);
            want.source.replication_factor.clamp(1, most)
        }
    };
    let mut new = NewTopic {
        name: want.remote.clone(),
        partitions: i32::try_from(want.source.partitions.len()).unwrap_or(i32::MAX),
        replication_factor,
        configs: configs.clone(),
    };
    let mut outcome = flow.target.wire().create_topic(&new, false).await;
    if let Err(refusal) = &outcome
        && is_invalid_config(refusal)
    {
        // Which one it is, the broker only says in prose: try them one at a time.
        let mut kept = Vec::new();
        for entry in configs.drain(..) {
            new.configs = vec![entry.clone()];
            match flow.target.wire().create_topic(&new, true).await {
                Err(error) if is_invalid_config(&error) => {
                    flow.report(&Event::TopicConfigRefused {
                        topic: want.remote.clone(),
                        key: entry.0,
                        reason: error.to_string(),
                    });
                }
                Err(error) => return Err(error),
                Ok(()) => kept.push(entry),
            }
        }
        new.configs = kept;
        outcome = flow.target.wire().create_topic(&new, false).await;
    }
    match outcome {
        Ok(()) => {
            flow.report(&Event::TopicCreated { topic: want.remote.clone(), partitions: new.partitions });
            Ok(())
        }
        // Another flow or process was quicker.
        Err(error) if error.is_already_there() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads what the remote topics accept, of those that are new or whose partitions are refused something.
async fn describe_limits(
    flow: &FlowContext,
    wanted: &[Wanted<'_>],
    target: &Catalogue,
    faults: &mut BTreeMap<TopicName, Fault>,
) -> BTreeSet<TopicName> {
    let known = flow.limits.all();
    let refused = flow.board.refused_topics();
    let asked: Vec<TopicName> = wanted
        .iter()
        .filter(|want| target.topics.contains_key(&want.remote))
        .filter(|want| !known.contains_key(&want.remote) || refused.contains(want.topic))
        .map(|want| want.remote.clone())
        .collect();
    let mut changed = BTreeSet::new();
    let answers = match describe(flow.target.wire(), &asked).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::debug!(flow = %flow.spec.name, %error, "limits of the target's topics not read");
            return changed;
        }
    };
    for (topic, answer) in answers {
        match answer {
            Ok(entries) => {
                let limits = limits::from_configs(&entries);
                if flow.limits.set(topic.clone(), limits) {
                    if let Some(session) = flow.session.borrow().as_ref() {
                        session.set_target_limits(topic.as_str(), limits);
                    }
                    changed.insert(topic);
                }
            }
            // Without the right to describe, Kafka's defaults are assumed and the broker has the last word.
            Err(error) if error.is_unauthorized() || error.is_unsupported() => {
                flow.limits.set(topic, Default::default());
            }
            Err(error) => {
                faults.insert(topic.clone(), topic_fault(flow, &topic, &error));
            }
        }
    }
    changed
}

type Described = BTreeMap<TopicName, Result<Vec<ConfigEntry>, WireError>>;

/// Describes topics in requests of bounded size.
pub(super) async fn describe(wire: &crate::wire::Wire, topics: &[TopicName]) -> Result<Described, WireError> {
    let mut all = Described::new();
    for some in topics.chunks(TOPICS_PER_DESCRIBE) {
        match wire.describe_topic_configs(some).await {
            Ok(answers) => all.extend(answers),
            // A broker that can't describe (a test broker) leaves everything at its default.
            Err(error) if error.is_unsupported() => all.extend(some.iter().map(|t| (t.clone(), Ok(Vec::new())))),
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The wire's entry as the plan's.
pub(super) fn topic_config(entry: &ConfigEntry) -> TopicConfig {
    TopicConfig {
        name: entry.name.clone(),
        value: entry.value.clone(),
        source: entry.source.into(),
        read_only: entry.read_only,
        sensitive: entry.sensitive,
    }
}

fn is_invalid_config(error: &WireError) -> bool {
    error.code() == Some(ResponseError::InvalidConfig)
}

fn topic_fault(flow: &FlowContext, remote: &TopicName, error: &WireError) -> Fault {
    let (kind, advice) = if error.is_unauthorized() {
        (FaultKind::TargetUnauthorized, "grant CREATE, ALTER and DESCRIBE_CONFIGS on the topic, or create it by hand")
    } else {
        (FaultKind::TargetMissing, "it is tried again by itself; the topic may also be created by hand")
    };
    let what = format!("remote topic {remote} on {} can't be created or grown: {error}", flow.target.alias());
    Fault::new(kind, what, advice)
}
