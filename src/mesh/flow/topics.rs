//! Remote topics: created, grown and described on the target until they match what the flow wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::{Catalogue, describe};
use crate::mesh::shared::{FlowContext, limits};
use crate::model::status::TopicStatus;
use crate::model::{Event, Fault, FaultKind, TopicName};
use crate::replicator::flow::{ReadyTopic, Reconciliation};
use crate::topology::java_regex::PatternError;
use crate::topology::plan::{self, Creation, FlowPlan, Growth, Selected, SourceTopic};
use crate::wire::{NewTopic, WireError};

/// Looks after the remote topics of a flow; reads again what those of `refused` accept. Cancel safe: each step leaves
/// the target in a sound state.
#[tracing::instrument(target = "mirrormesh::mesh", level = "debug", skip_all, fields(flow = %flow.spec.name))]
pub(super) async fn reconcile(
    flow: &FlowContext,
    refused: &BTreeSet<TopicName>,
) -> Result<Reconciliation, Failed> {
    let (Some(source), Some(target)) = (flow.source.catalogue(), flow.target.catalogue()) else {
        return Ok(Reconciliation::default());
    };
    let mut faults = BTreeMap::new();
    let (plan, target) = bring_about(flow, &source, target, &mut faults).await?;
    let new_limits = describe_limits(flow, &plan.selected, &target, refused, &mut faults).await;
    let mut outcome = Reconciliation { new_limits, ..Reconciliation::default() };
    for Selected { topic, remote, partitions, .. } in plan.selected {
        let there = target.topics.get(&remote).map_or(0, |entry| entry.partitions.len());
        let on_both = partitions.min(i32::try_from(there).unwrap_or(i32::MAX));
        if on_both > 0 {
            outcome.ready.push(ReadyTopic {
                topic: topic.clone(),
                remote: remote.clone(),
                partitions: on_both,
            });
        }
        let fault = faults.remove(&remote);
        outcome.statuses.push(TopicStatus { topic, remote, partitions, fault });
    }
    let problems = plan.left_out.into_iter().filter(|left| left.is_problem);
    outcome.left_out = problems.map(|left| (left.topic, left.reason)).collect();
    Ok(outcome)
}

/// Why the remote topics could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// A cluster did not answer.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A pattern can't be used; the configuration is checked before a flow starts.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Creates and grows; returns the plan that was carried out and the target's catalogue after it.
async fn bring_about(
    flow: &FlowContext,
    source: &Catalogue,
    target: Arc<Catalogue>,
    faults: &mut BTreeMap<TopicName, Fault>,
) -> Result<(FlowPlan, Arc<Catalogue>), Failed> {
    let there: Vec<_> = target.topics.iter().map(|(name, entry)| entry.as_target(name)).collect();
    let mut here: Vec<_> = source.topics.iter().map(|(name, entry)| entry.as_source(name)).collect();
    let make =
        |here: &[SourceTopic]| plan::flow_plan(&flow.spec, &flow.mesh.topology, here, &there, target.brokers);
    let mut plan = make(&here)?;
    if plan.create.is_empty() && plan.grow.is_empty() {
        return Ok((plan, target));
    }
    let names: Vec<TopicName> = plan.create.iter().map(|creation| creation.topic.clone()).collect();
    let mut unreadable = BTreeMap::new();
    for (topic, answer) in describe(flow.source.wire(), &names).await? {
        match answer {
            Ok(entries) => {
                for known in here.iter_mut().filter(|known| known.name == topic) {
                    known.configs.clone_from(&entries);
                }
            }
            // Without the right to describe, the copy gets the target's defaults.
            Err(error) if error.is_unauthorized() => {}
            Err(error) => drop(unreadable.insert(topic, error)),
        }
    }
    plan = make(&here)?;
    for creation in &plan.create {
        let outcome = match unreadable.remove(&creation.topic) {
            Some(error) => Err(error),
            None => create(flow, creation).await,
        };
        if let Err(error) = outcome {
            faults.insert(creation.remote.clone(), topic_fault(flow, &creation.remote, &error));
        }
    }
    for Growth { remote, from, to } in &plan.grow {
        match flow.target.wire().create_partitions(remote, *to).await {
            Ok(()) => {
                let event = Event::PartitionsAdded { topic: remote.clone(), from: *from, to: *to };
                flow.report_topic(remote, &event);
            }
            Err(error) => drop(faults.insert(remote.clone(), topic_fault(flow, remote, &error))),
        }
    }
    let target = flow.target.refresh().await?;
    Ok((plan, target))
}

/// Creates one remote topic; entries the target refuses are left out by name.
async fn create(flow: &FlowContext, creation: &Creation) -> Result<(), WireError> {
    let wire = flow.target.wire();
    let mut new = NewTopic {
        name: creation.remote.clone(),
        partitions: creation.partitions,
        replication_factor: creation.replication_factor,
        configs: creation.configs.clone(),
    };
    let mut outcome = wire.create_topic(&new, false).await;
    if outcome.as_ref().is_err_and(WireError::is_invalid_config) {
        // Which one it is, the broker only says in prose: try them one at a time.
        let mut kept = Vec::new();
        for entry in std::mem::take(&mut new.configs) {
            new.configs = vec![entry.clone()];
            match wire.create_topic(&new, true).await {
                Err(error) if error.is_invalid_config() => {
                    let (key, reason) = (entry.0, error.to_string());
                    let event = Event::TopicConfigRefused { topic: new.name.clone(), key, reason };
                    flow.report_topic(&new.name, &event);
                }
                Err(error) => return Err(error),
                Ok(()) => kept.push(entry),
            }
        }
        new.configs = kept;
        outcome = wire.create_topic(&new, false).await;
    }
    match outcome {
        Ok(()) => {
            let event = Event::TopicCreated { topic: new.name.clone(), partitions: new.partitions };
            flow.report_topic(&new.name, &event);
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
    wanted: &[Selected],
    target: &Catalogue,
    refused: &BTreeSet<TopicName>,
    faults: &mut BTreeMap<TopicName, Fault>,
) -> BTreeSet<TopicName> {
    let known = flow.limits.all();
    let asked: Vec<TopicName> = wanted
        .iter()
        .filter(|want| target.topics.contains_key(&want.remote))
        .filter(|want| !known.contains_key(&want.remote) || refused.contains(&want.topic))
        .map(|want| want.remote.clone())
        .collect();
    let mut changed = BTreeSet::new();
    let answers = match describe(flow.target.wire(), &asked).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::debug!(target: crate::mesh::LOG, flow = %flow.spec.name, %error, "limits of the target's topics not read");
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

fn topic_fault(flow: &FlowContext, remote: &TopicName, error: &WireError) -> Fault {
    let (kind, advice) = if error.is_unauthorized() {
        (
            FaultKind::TargetUnauthorized,
            "grant CREATE, ALTER and DESCRIBE_CONFIGS on the topic, or create it by hand",
        )
    } else {
        (FaultKind::TargetMissing, "it is tried again by itself; the topic may also be created by hand")
    };
    let what = format!("remote topic {remote} on {} can't be created or grown: {error}", flow.target.alias());
    Fault::new(kind, what, advice)
}
