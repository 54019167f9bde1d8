//! Reads what lies behind the saved position on the target, and matches it with the source.

use std::time::Duration;

use super::resolve::ResolveQuestion;
use crate::batch::Record;
use crate::mesh::shared::{FlowContext, Unresolved};
use crate::model::TopicPartition;
use crate::replicator::tail::{MatchRules, RecordDigest, TailMatch, TailMatcher, TailNeed, TailPlan};
use crate::topology::Isolation;
use crate::wire::{FetchRange, Wire, WireError};

/// Read at a time, on each side.
const READ_BYTES: i32 = 4 * 1024 * 1024;
/// How long the broker may wait for more: what is read is there already.
const WAIT: Duration = Duration::from_millis(500);

/// Reads both sides as far as the matcher wants. Holds one read of each side.
pub(super) async fn find(
    flow: &FlowContext,
    question: &ResolveQuestion,
    plan: TailPlan,
    isolation: Isolation,
) -> Result<TailMatch, Unresolved> {
    let _turn = flow.mesh.tails.acquire().await.map_err(|_| Unresolved::Waits("shutdown".to_owned()))?;
    let waits = |error: WireError| Unresolved::Waits(error.to_string());
    let limits = flow.limits.get(&question.target.topic);
    let rules = MatchRules { target_append_time: limits.append_time, target_compacted: limits.compacted };
    let mut matcher = TailMatcher::new(plan, rules);
    let mut target = TailSide {
        wire: flow.target.wire(),
        partition: &question.target,
        // Whoever wrote it and however it ended: it is in the log.
        isolation: Isolation::ReadUncommitted,
        next: plan.target_from,
        end: plan.target_to,
    };
    let mut source = TailSide {
        wire: flow.source.wire(),
        partition: &question.source,
        isolation,
        next: plan.source_from,
        end: plan.source_to,
    };
    loop {
        match matcher.wants() {
            TailNeed::Nothing => return Ok(matcher.finish()),
            TailNeed::Target => match target.read().await.map_err(waits)? {
                Some(records) => matcher.target(&records),
                None => matcher.target_end(),
            },
            TailNeed::Source => match source.read().await.map_err(waits)? {
                Some(records) => matcher.source(&records),
                None => matcher.source_end(),
            },
        }
    }
}

/// One side of the comparison, read in steps.
struct TailSide<'a> {
    wire: &'a Wire,
    partition: &'a TopicPartition,
    isolation: Isolation,
    next: i64,
    end: i64,
}

impl TailSide<'_> {
    /// The next records; `None` at the end.
    async fn read(&mut self) -> Result<Option<Vec<RecordDigest>>, WireError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let range = FetchRange {
            partition: self.partition.clone(),
            offset: self.next,
            max_bytes: READ_BYTES,
            isolation: self.isolation,
            max_wait: WAIT,
        };
        let fetched = self.wire.fetch(&range).await?;
        self.next = fetched.next_offset.max(self.next);
        let within = fetched.records.iter().filter(|record| record.offset < self.end);
        Ok(Some(within.map(digest).collect()))
    }
}

fn digest(record: &Record) -> RecordDigest {
    let headers = record.headers.iter().map(|header| (header.key.as_ref(), header.value.as_deref()));
    RecordDigest::of(
        record.offset,
        record.timestamp_ms,
        record.key.as_deref(),
        record.value.as_deref(),
        headers,
    )
}
