//! What the positions topic says of a scope, record by record, and which positions count. Pure.
//!
//! A position counts unless the process that wrote it had lost the scope by then: in the order of the log, its token is
//! older than the newest claim before it. What comes before a claim stays valid under it, whoever wrote it. A position
//! without a token is of a program that knew none, and counts.
//!
//! A position says what was true when it was written, so where a partition never had another, one that came too late
//! counts as well: who lost the scope may have begun with the partition before it knew, and written records.

use std::collections::{BTreeSet, HashMap};

use crate::formats::{Claim, ClaimScope, Position, PositionEntry, PositionKey, StoredPosition, Token};
use crate::model::{FlowName, TopicPartition};

use super::process::ProcessIdentity;

/// What the positions topic said when a scope was claimed.
#[derive(Debug)]
pub struct ClaimedPositions {
    /// Saved positions of the flow.
    pub positions: HashMap<TopicPartition, Position>,
    /// Partitions whose newest record in the topic does not count: the position that does, if there is one, has to be
    /// written again before compaction takes it.
    pub overwritten: BTreeSet<TopicPartition>,
    /// The claim before ours, if it was not released.
    pub before: Option<Claim>,
    /// The token of our claim.
    pub token: Token,
}

/// Takes the topic's records in their order.
#[derive(Debug)]
pub(super) struct ClaimReader {
    scope: ClaimScope,
    flow: FlowName,
    newest: HashMap<ClaimScope, Token>,
    positions: HashMap<TopicPartition, Position>,
    overwritten: BTreeSet<TopicPartition>,
    /// Partitions whose position was taken away: none that comes late counts.
    removed: BTreeSet<TopicPartition>,
    before: Option<Claim>,
}

impl ClaimReader {
    /// Nothing read yet; `flow` is the scope's.
    pub(super) fn new(scope: ClaimScope, flow: FlowName) -> Self {
        Self {
            scope,
            flow,
            newest: HashMap::new(),
            positions: HashMap::new(),
            overwritten: BTreeSet::new(),
            removed: BTreeSet::new(),
            before: None,
        }
    }

    /// Takes the record at `offset`.
    pub(super) fn take(&mut self, offset: i64, entry: PositionEntry) {
        match entry {
            PositionEntry::Position(PositionKey { flow, source }, stored) if flow == self.flow => {
                self.position(source, stored);
            }
            PositionEntry::Claim(scope, claim) => {
                if scope == self.scope {
                    self.before.clone_from(&claim);
                }
                // Who releases a scope writes nothing after, and takes nothing from those before.
                if claim.is_some_and(|claim| !claim.released) {
                    self.newest.insert(scope, Token(offset));
                }
            }
            PositionEntry::Position(..) | PositionEntry::Command(..) | PositionEntry::Unknown => {}
        }
    }

    fn position(&mut self, source: TopicPartition, stored: Option<StoredPosition>) {
        let Some(StoredPosition { token, position }) = stored else {
            self.positions.remove(&source);
            self.overwritten.remove(&source);
            self.removed.insert(source);
            return;
        };
        if token.is_some_and(|token| self.is_overtaken(&source, token)) {
            if !self.removed.contains(&source) {
                self.positions.entry(source.clone()).or_insert(position);
            }
            self.overwritten.insert(source);
            return;
        }
        self.overwritten.remove(&source);
        self.positions.insert(source, position);
    }

    fn is_overtaken(&self, source: &TopicPartition, token: Token) -> bool {
        let scopes =
            [ClaimScope::Flow(self.flow.clone()), ClaimScope::Partition(self.flow.clone(), source.clone())];
        scopes.iter().filter_map(|scope| self.newest.get(scope)).any(|newest| token < *newest)
    }

    /// What was read, once everything before our claim was taken.
    pub(super) fn finish(self, token: Token) -> ClaimedPositions {
        ClaimedPositions {
            positions: self.positions,
            overwritten: self.overwritten,
            before: self.before.filter(|claim| !claim.released),
            token,
        }
    }
}

/// What a record behind our claim means for us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InTail {
    /// Another process has the scope now.
    Claimed(Claim),
    /// A position from before our claim came late, over ours if there is one.
    Overwritten(TopicPartition, Position),
}

/// Reads a record behind our claim of `scope`; `None` if it is nothing to us.
pub(super) fn in_tail(
    entry: PositionEntry,
    scope: &ClaimScope,
    flow: &FlowName,
    process: &ProcessIdentity,
    ours: Token,
) -> Option<InTail> {
    match entry {
        PositionEntry::Claim(claimed, Some(claim))
            if claimed == *scope && claim.process != process.id && !claim.released =>
        {
            Some(InTail::Claimed(claim))
        }
        // Ours have our token, so one without is of an older program.
        PositionEntry::Position(key, Some(stored))
            if key.flow == *flow && stored.token.is_none_or(|token| token < ours) =>
        {
            Some(InTail::Overwritten(key.source, stored.position))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
