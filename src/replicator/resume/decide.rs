//! The decision from facts alone.

use super::{Case, Doubt, ResumeNext, ResumePolicy, ResumeVerdict, SourceFacts, TargetFacts};
use crate::formats::{Anchors, Position};
use crate::model::{EpochEnd, Event, Fault, FaultKind, ResetPolicy, TargetResetPolicy, TopicId};
use crate::replicator::partition::Reached;
use crate::replicator::tail::TailPlan;

/// Decides where a partition goes on.
///
/// `position` is the newest one:
/// [`PartitionMachine::position`](crate::replicator::partition::PartitionMachine::position), or else the stored one.
/// Ranges in events and faults are half-open. A verdict to wait or to fail carries no events: nothing is skipped yet.
pub fn decide(
    position: Option<&Position>,
    source: &SourceFacts,
    target: &TargetFacts,
    policy: &ResumePolicy,
) -> ResumeVerdict {
    let mut decision = ResumeDecision::new(position, source, target, policy);
    let next = match position {
        None => decision.first_start(),
        Some(position) => decision.resume(position),
    };
    let next = next.unwrap_or_else(ResumeNext::Fault);
    if matches!(next, ResumeNext::Settle | ResumeNext::Fault(_)) {
        decision.events.clear();
    }
    ResumeVerdict { events: decision.events, next, case: decision.case }
}

struct ResumeDecision<'a> {
    source: &'a SourceFacts,
    target: &'a TargetFacts,
    policy: &'a ResumePolicy,
    events: Vec<Event>,
    case: Case,
}

/// Whether the source's log is the one that the position speaks of.
#[derive(PartialEq)]
enum SourceLog {
    Same,
    Recreated,
}

impl<'a> ResumeDecision<'a> {
    fn new(
        position: Option<&Position>,
        source: &'a SourceFacts,
        target: &'a TargetFacts,
        policy: &'a ResumePolicy,
    ) -> Self {
        let case = Case {
            place: policy.place.clone(),
            identity: identity(source, target, policy),
            source_from: source.log_start,
            source_epoch: source.leader_epoch,
            leader_epoch: source.leader_epoch,
            target_next: target.log_end,
            target_epoch: target.leader_epoch,
            overtaken: None,
            doubtful: None,
            cut: false,
            anchors: position.map(|position| position.anchors.clone()).unwrap_or_default(),
            fail_on_source_reset: policy.on_source_reset == ResetPolicy::Fail,
            stored: position.and_then(|position| stored(position, source, target, policy)),
        };
        Self { source, target, policy, events: Vec::new(), case }
    }

    fn first_start(&mut self) -> Result<ResumeNext, Fault> {
        let (source, target) = (self.source, self.target);
        if target.log_end > target.log_start {
            if !self.policy.start_is_explicit {
                return Err(Fault::new(
                    FaultKind::RemoteNotEmpty,
                    format!(
                        "{}: there is no position, yet {} on the target holds offsets {} to {}",
                        self.policy.place, target.remote_topic, target.log_start, target.log_end
                    ),
                    "set `start` for this flow to say where mirroring begins, or empty the remote topic",
                ));
            }
            self.foreign(target.log_start, target.log_end);
        }
        self.case.source_from =
            if self.policy.appeared { source.log_start } else { source.start_offset.max(source.log_start) };
        Ok(self.go())
    }

    fn resume(&mut self, position: &Position) -> Result<ResumeNext, Fault> {
        let source = self.look_at_source(position)?;
        let at_rest = self.target.high_watermark == self.target.log_end && self.target.stood_still;
        if self.is_target_recreated(position) {
            if !position.clean && !at_rest {
                return Ok(ResumeNext::Settle);
            }
            return self.target_recreated(position);
        }
        let target = self.target;
        let mut trusted = target.log_end.min(position.target_next);
        if let Some(end) = target.epoch_end {
            trusted = trusted.min(end.end_offset);
        }
        // What expired can't be looked at any more, whoever wrote it.
        trusted = trusted.max(target.log_start.min(position.target_next));
        let reported = target.lost_from.is_some_and(|lost| lost <= trusted);
        trusted = target.lost_from.map_or(trusted, |lost| lost.min(trusted));

        let quiet =
            position.clean && target.log_end == position.target_next && trusted == position.target_next;
        if !quiet && !at_rest {
            return Ok(ResumeNext::Settle);
        }
        if source == SourceLog::Recreated {
            return Ok(self.new_log(position, trusted));
        }
        self.case.anchors.forget_above_target(trusted);
        let (mut hole, mut from_target) = (self.case.overtaken.is_some(), position.target_next);
        if trusted < position.target_next {
            self.case.doubtful = Some(Doubt {
                from: trusted,
                to: position.target_next,
                source_next: self.case.source_from,
                certain: target.log_end < position.target_next,
                reported,
            });
            let (expired, target) = self.go_back(position, trusted);
            (hole, from_target) = (hole || expired, target);
        }
        Ok(self.behind_tail(from_target, hole))
    }

    /// Compares the source with the position; the case then says where to go on and what is gone.
    fn look_at_source(&mut self, position: &Position) -> Result<SourceLog, Fault> {
        let source = self.source;
        if is_recreated(position, source) {
            self.events
                .push(Event::SourceRecreated { old_next: position.source_next, new_start: source.log_start });
            self.case.anchors = Anchors::default();
            self.may_reset(format!(
                "{}: the source topic was created anew; offset {} of the old one was next",
                self.policy.place, position.source_next
            ))?;
            return Ok(SourceLog::Recreated);
        }
        self.case.source_from = position.source_next;
        self.case.source_epoch = lower_epoch(position.source_epoch, source.epoch_end);
        if let Some(cut) = truncated_at(position, source, &self.policy.fingerprint) {
            self.events.push(Event::SourceTruncated { from: cut, to: position.source_next });
            self.may_reset(format!(
                "{}: the source log was truncated; offsets {cut} to {} were mirrored and are gone",
                self.policy.place, position.source_next
            ))?;
            self.case.source_from = cut;
            self.case.cut = true;
        }
        if source.log_start > self.case.source_from {
            self.overtaken(self.case.source_from);
        }
        Ok(SourceLog::Same)
    }

    /// Source offsets from `from` to the log start are gone.
    fn overtaken(&mut self, from: i64) {
        let from = self.case.overtaken.map_or(from, |(earlier, _)| earlier.min(from));
        self.case.overtaken = Some((from, self.source.log_start));
        self.case.source_from = self.source.log_start;
        self.case.source_epoch = self.source.leader_epoch;
    }

    fn may_reset(&self, what: String) -> Result<(), Fault> {
        if self.case.fail_on_source_reset { Err(source_reset(what)) } else { Ok(()) }
    }

    fn is_target_recreated(&self, position: &Position) -> bool {
        let target = self.target;
        position.remote_topic != target.remote_topic
            || differ(&position.target_cluster, &target.cluster)
            || position.target_topic_id.differs_from(target.topic_id)
            || (!both_known(position.target_topic_id, target.topic_id)
                && is_below(target.leader_epoch, position.target_epoch))
    }

    /// The target's topic is another. Writes name it by its name only, so those since it was created are in it: all
    /// of it is compared.
    fn target_recreated(&mut self, position: &Position) -> Result<ResumeNext, Fault> {
        let target = self.target;
        self.case.anchors = Anchors::default();
        self.events.push(Event::TargetRecreated { old_next: position.target_next });
        match self.policy.on_target_reset {
            TargetResetPolicy::Fail => {
                return Err(Fault::new(
                    FaultKind::TargetReset,
                    format!(
                        "{}: {} on the target is not the topic that was written to before; offset {} was next there",
                        self.policy.place, target.remote_topic, position.target_next
                    ),
                    "set `on_target_reset` to restart or continue, or bring the topic back",
                ));
            }
            TargetResetPolicy::Restart => {
                if self.case.source_from > self.source.log_start {
                    self.case.source_from = self.source.log_start;
                    self.case.source_epoch = self.source.leader_epoch;
                }
            }
            TargetResetPolicy::Continue => {}
        }
        Ok(self.behind_tail(target.log_start, false))
    }

    /// The source's log is another: nothing of it is on the target, because the position that names it is saved
    /// first. What lies in the tail is of the old log, and can't be compared with anything.
    fn new_log(&mut self, position: &Position, trusted: i64) -> ResumeNext {
        let target = self.target;
        if trusted < position.target_next {
            self.events.push(Event::TargetLost { from: trusted, to: position.target_next });
        }
        let from = trusted.max(target.log_start);
        if target.log_end > from {
            self.foreign(from, target.log_end);
        }
        self.go()
    }

    /// Goes back to the newest pair of offsets that both sides still vouch for. Returns the target's, and whether
    /// the source's has expired.
    fn go_back(&mut self, position: &Position, trusted: i64) -> (bool, i64) {
        let (source, target) = (self.source, self.target);
        let anchor = position
            .anchors
            .as_slice()
            .iter()
            .filter(|anchor| anchor.target <= trusted && anchor.source <= self.case.source_from)
            .max_by_key(|anchor| anchor.target)
            .map(|anchor| (anchor.source, anchor.target));
        // Without one, all that is on the target is compared with all that is on the source.
        let (from_source, from_target) = anchor.unwrap_or((source.log_start, target.log_start));
        let certain = self.case.doubtful.is_some_and(|doubt| doubt.certain);
        if from_source < source.log_start && certain {
            self.overtaken(from_source);
        } else {
            // Every election raises a doubt: that alone makes no loss of what has expired on the source since.
            self.case.source_from = from_source.max(source.log_start);
        }
        (from_source < source.log_start, from_target)
    }

    /// Goes on at the pair, or behind what the tail after it turns out to hold.
    fn behind_tail(&self, from_target: i64, hole: bool) -> ResumeNext {
        let target = self.target;
        let target_from = from_target.max(target.log_start);
        let expired = target_from - from_target;
        let countable = !hole && self.is_countable(expired);
        if target_from >= target.log_end && (expired == 0 || !countable) {
            return self.go();
        }
        ResumeNext::MatchTail(TailPlan {
            source_from: self.case.source_from,
            source_to: self.source.log_end,
            target_from,
            target_to: target.log_end,
            unreadable: expired.unsigned_abs(),
            countable,
        })
    }

    /// Whether the next `records` offsets of the source certainly hold what they held when they were mirrored: a
    /// later epoch may have brought another history.
    fn is_countable(&self, records: i64) -> bool {
        match self.source.epoch_end {
            Some(end) => self.case.source_from + records <= end.end_offset,
            None => self.source.leader_epoch < 0,
        }
    }

    fn go(&self) -> ResumeNext {
        ResumeNext::Go { source_next: self.case.source_from, target_next: self.case.target_next }
    }

    fn foreign(&mut self, from: i64, to: i64) {
        self.events.push(Event::ForeignRecords { from, to });
    }
}

pub(super) fn source_reset(what: String) -> Fault {
    Fault::new(
        FaultKind::SourceReset,
        what,
        "set `on_source_reset: continue` to go on from the first record that is there",
    )
}

/// A position that speaks of these logs and this filter, and of no offsets yet.
fn identity(source: &SourceFacts, target: &TargetFacts, policy: &ResumePolicy) -> Position {
    Position {
        source_cluster: source.cluster.clone(),
        target_cluster: target.cluster.clone(),
        source_topic_id: source.topic_id,
        remote_topic: target.remote_topic.clone(),
        target_topic_id: target.topic_id,
        source_epoch: -1,
        target_epoch: -1,
        source_next: 0,
        target_next: 0,
        producer: None,
        fingerprint: policy.fingerprint.clone(),
        clean: false,
        anchors: Anchors::default(),
        written_ms: 0,
    }
}

/// What the stored position says, unless it has to be written anew.
fn stored(
    position: &Position,
    source: &SourceFacts,
    target: &TargetFacts,
    policy: &ResumePolicy,
) -> Option<Reached> {
    let now = identity(source, target, policy);
    let same = !position.clean
        && position.fingerprint == now.fingerprint
        && position.source_cluster == now.source_cluster
        && position.target_cluster == now.target_cluster
        && position.source_topic_id == now.source_topic_id
        && position.target_topic_id == now.target_topic_id
        && position.remote_topic == now.remote_topic;
    same.then_some(Reached {
        source_next: position.source_next,
        target_next: position.target_next,
        source_epoch: position.source_epoch,
        target_epoch: position.target_epoch,
    })
}

fn is_recreated(position: &Position, source: &SourceFacts) -> bool {
    differ(&position.source_cluster, &source.cluster)
        || position.source_topic_id.differs_from(source.topic_id)
        || (!both_known(position.source_topic_id, source.topic_id)
            && is_below(source.leader_epoch, position.source_epoch))
}

/// Where the source's log was cut below the position, if it was.
fn truncated_at(position: &Position, source: &SourceFacts, fingerprint: &str) -> Option<i64> {
    let end = match source.epoch_end {
        Some(end) => end.end_offset,
        // The readable end of another isolation says nothing about how far was read under the old one.
        None if position.fingerprint != fingerprint => return None,
        None => source.log_end,
    };
    (end < position.source_next).then_some(end)
}

/// The saved epoch, or the lower one that the log has in its place.
fn lower_epoch(saved: i32, end: Option<EpochEnd>) -> i32 {
    end.filter(|end| end.epoch >= 0).map_or(saved, |end| saved.min(end.epoch))
}

fn both_known(one: TopicId, other: TopicId) -> bool {
    one.is_known() && other.is_known()
}

fn is_below(now: i32, saved: i32) -> bool {
    now >= 0 && saved >= 0 && now < saved
}

fn differ(saved: &str, now: &str) -> bool {
    !saved.is_empty() && !now.is_empty() && saved != now
}
