//! Finding out where to go on, from the logs of the simulation.

use super::*;

impl World {
    #[expect(clippy::too_many_lines, reason = "one story, told from its begin to its end")]
    pub(super) fn resolve(&mut self, chunk: usize) {
        let Some(process) = &mut self.process else { return };
        let position = process.machine.position().or_else(|| self.stored.clone());
        let epoch_end = |log: &Log, epoch: Option<i32>| epoch.and_then(|epoch| log.epoch_end(epoch));
        let source = SourceFacts {
            cluster: "S".to_owned(),
            topic_id: self.source.topic_id,
            log_start: self.source.start,
            log_end: self.source.end,
            leader_epoch: self.source.epoch,
            epoch_end: epoch_end(&self.source, position.as_ref().map(|position| position.source_epoch)),
            start_offset: self.source.start,
        };
        let stood_still = self.zombies.is_empty() && process.looked == Some(self.target.end);
        process.looked = Some(self.target.end);
        let target = TargetFacts {
            cluster: "T".to_owned(),
            topic_id: self.target.topic_id,
            remote_topic: "S.orders".into(),
            log_start: self.target.start,
            log_end: self.target.end,
            high_watermark: self.target.end,
            stood_still,
            leader_epoch: self.target.epoch,
            epoch_end: epoch_end(&self.target, position.as_ref().map(|position| position.target_epoch)),
            lost_from: process.machine.lost_from(),
        };
        let policy = ResumePolicy {
            place: "orders-0".to_owned(),
            on_source_reset: ResetPolicy::Continue,
            on_target_reset: TargetResetPolicy::Restart,
            start_is_explicit: self.scenario.foreign,
            appeared: true,
            fingerprint: "all".to_owned(),
        };
        let verdict = decide(position.as_ref(), &source, &target, &policy);
        let tail = match &verdict.next {
            ResumeNext::Settle => return,
            ResumeNext::Go { .. } | ResumeNext::Fault(_) => None,
            ResumeNext::MatchTail(plan) => {
                let rules = MatchRules {
                    target_append_time: false,
                    target_compacted: self.scenario.target_compacted,
                };
                let tail = match_logs(&self.source, &self.target, *plan, rules, chunk.max(1));
                Some(tail)
            }
        };
        assert!(self.zombies.is_empty(), "resolved while a dead session's writes may arrive: {verdict:?}");
        let expired = match (&verdict.next, &position) {
            (ResumeNext::MatchTail(plan), _) => plan.unreadable as i64,
            (_, Some(position)) => self.target.start - position.target_next,
            _ => 0,
        };
        self.ledger.counted(expired, tail.as_ref());
        // With anything behind the position it is not known how much of the source is there.
        let no_tail = position.is_none_or(|position| {
            position.target_next == self.target.end && position.target_topic_id == self.target.topic_id
        });
        self.ledger.resolving(&self.source, no_tail);
        process.resolving = false;
        match verdict.conclude(tail) {
            Err(fault) => self.tell(PartitionInput::ResolveFailed(fault)),
            Ok(resolution) => {
                process.knows = Some([
                    (self.source.incarnation, self.source.epoch),
                    (self.target.incarnation, self.target.epoch),
                ]);
                process.out_of_sequence = false;
                self.maps.resolved(&resolution);
                self.tell(PartitionInput::Resolved(Box::new(resolution)));
            }
        }
    }
}

fn match_logs(source: &Log, target: &Log, plan: TailPlan, rules: MatchRules, chunk: usize) -> TailMatch {
    let source = source.digests(plan.source_from, plan.source_to);
    let target = target.digests(plan.target_from, plan.target_to);
    let (mut source, mut target) = (source.chunks(chunk), target.chunks(chunk + 1));
    let mut matcher = TailMatcher::new(plan, rules);
    loop {
        match matcher.wants() {
            TailNeed::Nothing => return matcher.finish(),
            TailNeed::Source => match source.next() {
                Some(records) => matcher.source(records),
                None => matcher.source_end(),
            },
            TailNeed::Target => match target.next() {
                Some(records) => matcher.target(records),
                None => matcher.target_end(),
            },
        }
    }
}
