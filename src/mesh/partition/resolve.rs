//! Finding out where a partition goes on: asks both clusters, lets the resume rule decide, reads the tail.

use std::time::Duration;

use tracing::debug;

use super::{old_format, tail};
use crate::cluster::ClusterHandle;
use crate::formats::Position;
use crate::mesh::shared::{FlowContext, Unresolved};
use crate::model::{EpochEnd, Fault, FaultKind, Side, TopicPartition};
use crate::replicator::partition::Resolution;
use crate::replicator::resume::{self, ResumeNext, ResumePolicy, SourceFacts, TargetFacts, fingerprint};
use crate::topology::{Isolation, StartPoint};
use crate::wire::{OffsetSpec, WireError};

/// How long the target's end must stand still after an unclean stop: requests of a dead process are in a
/// socket buffer or in the broker's queue, which empties within a few request times.
const STILL: Duration = Duration::from_millis(500);
/// Looks at an end that does not stand still before the partition is shown as waiting.
const STILL_LOOKS: usize = 20;

/// What is to be resolved.
#[derive(Clone, Debug)]
pub(super) struct ResolveQuestion {
    /// The source partition.
    pub source: TopicPartition,
    /// The partition on the target.
    pub target: TopicPartition,
    /// Whether the topic appeared while the flow ran: it then starts at its first record.
    pub appeared: bool,
    /// How far the machine knows to have got in this life of the partition; else the saved position counts.
    pub position: Option<Position>,
    /// Whether these are heartbeats.
    pub heartbeats: bool,
    /// Target offset from which acknowledged records are known to be lost.
    pub lost_from: Option<i64>,
}

/// Sorts a wire error: what passes by itself is awaited, a missing right is a fault.
fn unresolved(error: &WireError, side: Side) -> Unresolved {
    if error.is_unauthorized() {
        let kind = match side {
            Side::Source => FaultKind::SourceUnauthorized,
            Side::Target => FaultKind::TargetUnauthorized,
        };
        let advice = "grant the right; the partition is tried again by itself";
        return Unresolved::Fault(Fault::new(kind, error.to_string(), advice));
    }
    Unresolved::Waits(error.to_string())
}

/// Finds out where to go on. Cancel safe: it only reads.
#[tracing::instrument(target = "mirrormesh::mesh", level = "debug", skip_all, fields(flow = %flow.spec.name, partition = %question.source))]
pub(super) async fn resolve(
    flow: &FlowContext,
    question: &ResolveQuestion,
) -> Result<Resolution, Unresolved> {
    let position = question.position.clone().or_else(|| flow.book.get(&question.source));
    let policy = ResumePolicy {
        place: format!("flow {}: {} of {}", flow.spec.name, question.source, flow.spec.from),
        on_source_reset: flow.spec.on_source_reset,
        on_target_reset: flow.spec.on_target_reset,
        // A copy of heartbeats may be anybody's, and only the newest matter.
        start_is_explicit: flow.spec.start_is_explicit || question.heartbeats,
        appeared: question.appeared,
        fingerprint: flow.fingerprint(),
    };
    let mut before = None;
    for _ in 0..STILL_LOOKS {
        let source = source_facts(flow, question, position.as_ref()).await?;
        let mut target = target_facts(flow, question, position.as_ref()).await?;
        target.stood_still = before == Some((target.log_end, target.high_watermark));
        before = Some((target.log_end, target.high_watermark));
        debug!(target: crate::mesh::LOG, partition = %question.source, ?position, ?source, ?target, "facts to resume by");
        let verdict = resume::decide(position.as_ref(), &source, &target, &policy);
        let tail = match verdict.next {
            ResumeNext::Settle => {
                tokio::time::sleep(STILL).await;
                continue;
            }
            ResumeNext::MatchTail(plan) => {
                let isolation = position.as_ref().map_or(flow.spec.isolation, |saved| read_as(flow, saved));
                Some(tail::find(flow, question, plan, isolation).await?)
            }
            ResumeNext::Go { .. } | ResumeNext::Fault(_) => None,
        };
        let resolution = verdict.conclude(tail).map_err(Unresolved::Fault)?;
        old_format::refuse(flow, &question.source, resolution.source_next, source.log_end).await?;
        return Ok(resolution);
    }
    Err(Unresolved::Waits(format!(
        "the log end of {} on {} to stand still",
        question.target,
        flow.target.alias()
    )))
}

/// The isolation under which a stored position was reached.
fn read_as(flow: &FlowContext, position: &Position) -> Isolation {
    let both = [Isolation::ReadCommitted, Isolation::ReadUncommitted];
    let stored = both.into_iter().find(|isolation| fingerprint(*isolation) == position.fingerprint);
    stored.unwrap_or(flow.spec.isolation)
}

async fn source_facts(
    flow: &FlowContext,
    question: &ResolveQuestion,
    position: Option<&Position>,
) -> Result<SourceFacts, Unresolved> {
    let failed = |error: WireError| unresolved(&error, Side::Source);
    let partition = &question.source;
    let catalogue = flow.source.refresh().await.map_err(failed)?;
    let Some(entry) = catalogue.partition(partition) else {
        return Err(Unresolved::Waits(format!("{partition} to exist on {}", flow.source.alias())));
    };
    let look = |spec| flow.source.offset(partition, spec, flow.spec.isolation);
    let (start, end) =
        tokio::try_join!(look(OffsetSpec::Earliest), look(OffsetSpec::Latest)).map_err(failed)?;
    let start_offset = match flow.spec.start {
        _ if question.heartbeats => end.offset,
        StartPoint::Earliest => start.offset,
        StartPoint::Latest => end.offset,
        StartPoint::Timestamp(stamp) if position.is_none() => {
            let found = look(OffsetSpec::Timestamp(stamp)).await.map_err(failed)?;
            // None is that young: start with what comes next.
            if found.offset < 0 { end.offset } else { found.offset }
        }
        StartPoint::Timestamp(_) => end.offset,
    };
    Ok(SourceFacts {
        cluster: cluster_id(&flow.source),
        topic_id: catalogue.topic_id(&partition.topic),
        log_start: start.offset,
        log_end: end.offset,
        leader_epoch: entry.leader_epoch,
        epoch_end: epoch_end(&flow.source, partition, position.map(|saved| saved.source_epoch))
            .await
            .map_err(failed)?,
        start_offset,
    })
}

async fn target_facts(
    flow: &FlowContext,
    question: &ResolveQuestion,
    position: Option<&Position>,
) -> Result<TargetFacts, Unresolved> {
    let failed = |error: WireError| unresolved(&error, Side::Target);
    let partition = &question.target;
    let catalogue = flow.target.refresh().await.map_err(failed)?;
    let Some(entry) = catalogue.partition(partition) else {
        return Err(Unresolved::Waits(format!("{partition} to exist on {}", flow.target.alias())));
    };
    let look = |spec| flow.target.offset(partition, spec, Isolation::ReadUncommitted);
    let (start, watermark, end) =
        tokio::try_join!(look(OffsetSpec::Earliest), look(OffsetSpec::Latest), look(OffsetSpec::LogEnd))
            .map_err(failed)?;
    Ok(TargetFacts {
        cluster: cluster_id(&flow.target),
        topic_id: catalogue.topic_id(&partition.topic),
        remote_topic: partition.topic.clone(),
        log_start: start.offset,
        log_end: end.offset,
        high_watermark: watermark.offset,
        stood_still: false,
        leader_epoch: entry.leader_epoch,
        epoch_end: epoch_end(&flow.target, partition, position.map(|saved| saved.target_epoch))
            .await
            .map_err(failed)?,
        lost_from: question.lost_from,
    })
}

/// Where an epoch ends. A broker that does not offer the call, or does not know the epoch, leaves the check out.
async fn epoch_end(
    cluster: &ClusterHandle,
    partition: &TopicPartition,
    epoch: Option<i32>,
) -> Result<Option<EpochEnd>, WireError> {
    let Some(epoch) = epoch.filter(|epoch| *epoch >= 0) else { return Ok(None) };
    match cluster.epoch_end(partition, epoch).await {
        Ok(end) => Ok(Some(end).filter(|end| end.end_offset >= 0)),
        Err(error) if error.is_unsupported() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The id a cluster gave itself; empty when it did not.
pub(super) fn cluster_id(cluster: &ClusterHandle) -> String {
    cluster.catalogue().and_then(|c| c.cluster_id.as_ref().map(ToString::to_string)).unwrap_or_default()
}
