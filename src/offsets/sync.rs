//! What to do about one partition of one group whose commits on both sides are known. Pure.
//!
//! A position belongs to the side whose commit changed since both were last in step, other than by us; the other side
//! follows. So that nobody's work is lost, we write only where there is nothing, or what was in step before. If both
//! sides changed, both stay.
//!
//! A write is remembered as *planned* before it is sent. Whoever comes after a crash finds on the side that was to be
//! written either what was planned (it arrived), or what was there before (it did not). If it is something else,
//! nobody can tell any more, and the sides count as changed both: told, not guessed. Somebody who commits, right after
//! a crash, the very offset that was planned can't be told from us: offsets carry no name.

use super::Translation;
use crate::model::Side;
use crate::model::groups::RefusalReason;

/// Brokers forget offsets of an empty group after a week (by default): those we wrote are written again each day.
pub const REFRESH_MS: i64 = 24 * 60 * 60 * 1_000;

/// Two commits that mean the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPair {
    /// Committed on the source.
    pub source: i64,
    /// Committed on the target.
    pub target: i64,
    /// The side that decided: the other one follows.
    pub owner: Side,
}

impl SyncPair {
    /// The side that follows, and what it is to hold.
    pub fn follower(&self) -> (Side, i64) {
        match self.owner {
            Side::Source => (Side::Target, self.target),
            Side::Target => (Side::Source, self.source),
        }
    }
}

/// What is remembered of one partition of one group, across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncMemory {
    /// How the sides were when they were last in step.
    pub synced: Option<SyncPair>,
    /// A write that may have been sent.
    pub planned: Option<SyncPair>,
    /// When we last wrote, milliseconds since the epoch; 0 if never.
    pub written_ms: i64,
}

/// What is known of one partition of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncFacts {
    /// Committed on the source.
    pub source: Option<i64>,
    /// Committed on the target.
    pub target: Option<i64>,
    /// The source's commit on the target.
    pub forward: Translation,
    /// The target's commit on the source.
    pub backward: Translation,
    /// Whether the map has forgotten the place of the source's commit: the answer was better once.
    pub forgotten: bool,
    /// Whether the source may be written: the mesh has the opposite flow.
    pub back: bool,
    /// Whether the group has no active members on the source.
    pub source_free: bool,
    /// Whether the group has no active members on the target.
    pub target_free: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStep {
    /// Nothing.
    Keep,
    /// Write the side that follows.
    Write(SyncPair),
    /// Write again what is there, before the broker forgets it.
    Refresh(SyncPair),
    /// Nothing, although the sides are not in step.
    Leave(RefusalReason),
}

/// The rule's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncDecision {
    /// What to do.
    pub step: SyncStep,
    /// What is to be remembered from here on; a write's plan is added by [`SyncMemory::plan`].
    pub memory: SyncMemory,
}

impl SyncMemory {
    /// Whether there is anything to remember.
    pub fn is_empty(&self) -> bool {
        self.synced.is_none() && self.planned.is_none()
    }

    /// Notes a write that is about to be sent; to be durable before it is.
    pub fn plan(self, pair: SyncPair) -> Self {
        Self { planned: Some(pair), ..self }
    }

    /// Notes that the planned write was acknowledged.
    pub fn written(self, now_ms: i64) -> Self {
        match self.planned {
            Some(pair) => Self { synced: Some(pair), planned: None, written_ms: now_ms },
            None => self,
        }
    }

    /// Notes that the planned write was refused for certain.
    pub fn refused(self) -> Self {
        Self { planned: None, ..self }
    }

    /// Finds out what became of a planned write.
    fn settle(self, seen: &SyncFacts, now_ms: i64) -> Self {
        let Some(planned) = self.planned else { return self };
        let (side, value) = planned.follower();
        // Anything else means that it did not arrive, or that somebody wrote after it: the older pair decides.
        if seen.at(side) == Some(value) { self.written(now_ms) } else { self.refused() }
    }

    /// Notes that both sides are in step without a write of ours.
    pub fn in_step(self, pair: SyncPair, now_ms: i64) -> Self {
        let written_ms = if self.written_ms == 0 { now_ms } else { self.written_ms };
        Self { synced: Some(pair), planned: None, written_ms }
    }
}

/// Decides about one partition of one group.
pub fn decide(memory: SyncMemory, seen: &SyncFacts, now_ms: i64) -> SyncDecision {
    let rule = Rule { memory: memory.settle(seen, now_ms), seen, now_ms };
    let decision = match (seen.source, seen.target) {
        (None, None) => SyncDecision { step: SyncStep::Keep, memory: SyncMemory::default() },
        (Some(source), None) => rule.follow_source(source),
        (None, Some(target)) => rule.without_source(target),
        (Some(source), Some(target)) => rule.with_both(source, target),
    };
    let step = match decision.step {
        SyncStep::Write(pair) | SyncStep::Refresh(pair) if !seen.is_free(pair.follower().0) => {
            SyncStep::Leave(RefusalReason::Active)
        }
        // Each side works for itself, as a group of the same name on both does.
        SyncStep::Leave(RefusalReason::Conflict) if !seen.source_free && !seen.target_free => {
            SyncStep::Leave(RefusalReason::Active)
        }
        step => step,
    };
    SyncDecision { step, ..decision }
}

/// A pair whose follower is kept within the log that it points into: `[start, end]`.
pub fn within(pair: SyncPair, start: i64, end: i64) -> SyncPair {
    let bounded = |value: i64| value.min(end).max(start);
    match pair.owner {
        Side::Source => SyncPair { target: bounded(pair.target), ..pair },
        Side::Target => SyncPair { source: bounded(pair.source), ..pair },
    }
}

impl SyncFacts {
    /// What is committed on a side.
    pub fn at(&self, side: Side) -> Option<i64> {
        match side {
            Side::Source => self.source,
            Side::Target => self.target,
        }
    }

    fn is_free(&self, side: Side) -> bool {
        match side {
            Side::Source => self.source_free,
            Side::Target => self.target_free,
        }
    }
}

struct Rule<'a> {
    memory: SyncMemory,
    seen: &'a SyncFacts,
    now_ms: i64,
}

impl Rule<'_> {
    fn without_source(&self, target: i64) -> SyncDecision {
        match self.memory.synced {
            // It worked on the source, and nothing happened on the target since: deleted or expired there.
            Some(pair) if pair.target == target && pair.owner == Side::Source => {
                self.leave(RefusalReason::SourceGone)
            }
            // A group of the target's own.
            None if !self.seen.back => self.keep(self.memory),
            _ => self.follow_target(target),
        }
    }

    fn with_both(&self, source: i64, target: i64) -> SyncDecision {
        let Some(pair) = self.memory.synced else { return self.meet(source, target) };
        match (pair.source != source, pair.target != target) {
            (true, true) => self.meet(source, target),
            (true, false) => self.follow_source(source),
            (false, true) => self.follow_target(target),
            (false, false) => self.unchanged(pair),
        }
    }

    /// Nobody knows which side decides, unless one is where the other would lead it.
    fn meet(&self, source: i64, target: i64) -> SyncDecision {
        if self.seen.forward.offset() == Some(target) {
            self.in_step(SyncPair { source, target, owner: Side::Source })
        } else if self.seen.backward.offset() == Some(source) {
            self.in_step(SyncPair { source, target, owner: Side::Target })
        } else {
            self.leave(RefusalReason::Conflict)
        }
    }

    /// Nobody committed; the translation may have become better, or the broker may be about to forget.
    fn unchanged(&self, pair: SyncPair) -> SyncDecision {
        let decision = match pair.owner {
            Side::Source => self.follow_source(pair.source),
            Side::Target => self.follow_target(pair.target),
        };
        match decision.step {
            // What can't be translated any more was written when it could.
            SyncStep::Keep | SyncStep::Leave(RefusalReason::Unknown) => {
                let age_ms = self.now_ms.saturating_sub(self.memory.written_ms);
                let ours = pair.owner == Side::Source || self.seen.back;
                let step =
                    if ours && age_ms >= REFRESH_MS { SyncStep::Refresh(pair) } else { SyncStep::Keep };
                SyncDecision { step, memory: self.memory }
            }
            _ => decision,
        }
    }

    fn follow_source(&self, source: i64) -> SyncDecision {
        let went_on = self.memory.synced.is_some_and(|pair| source >= pair.source);
        let kept = self.seen.target.filter(|_| self.seen.forgotten && went_on);
        match place(self.seen.forward, kept) {
            Some(target) => self.bring(SyncPair { source, target, owner: Side::Source }),
            None => self.leave(RefusalReason::Unknown),
        }
    }

    fn follow_target(&self, target: i64) -> SyncDecision {
        match place(self.seen.backward, None) {
            Some(source) if self.seen.back || self.seen.source == Some(source) => {
                self.bring(SyncPair { source, target, owner: Side::Target })
            }
            _ if !self.seen.back => self.leave(RefusalReason::TargetOwns),
            _ => self.leave(RefusalReason::Unknown),
        }
    }

    fn bring(&self, pair: SyncPair) -> SyncDecision {
        let (side, value) = pair.follower();
        match self.seen.at(side) == Some(value) {
            true => self.in_step(pair),
            false => SyncDecision { step: SyncStep::Write(pair), memory: self.memory },
        }
    }

    fn in_step(&self, pair: SyncPair) -> SyncDecision {
        self.keep(self.memory.in_step(pair, self.now_ms))
    }

    fn keep(&self, memory: SyncMemory) -> SyncDecision {
        SyncDecision { step: SyncStep::Keep, memory }
    }

    fn leave(&self, reason: RefusalReason) -> SyncDecision {
        SyncDecision { step: SyncStep::Leave(reason), memory: self.memory }
    }
}

/// Where the follower is to be. `kept` is what it holds, where the map has forgotten the place since: that is as safe
/// as the answer, and nearer.
fn place(translation: Translation, kept: Option<i64>) -> Option<i64> {
    match (translation, kept) {
        (Translation::Unknown, _) => None,
        (Translation::EarliestSafe(offset), Some(kept)) => Some(kept.max(offset)),
        (translation, _) => translation.offset(),
    }
}

#[cfg(test)]
mod tests;
