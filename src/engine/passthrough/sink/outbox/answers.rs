//! What answers come to.

use std::time::Duration;

use kafka_protocol::error::ResponseError;

use super::{Moment, Outbox};
use crate::engine::passthrough::sink::fault::BrokerRefusal;
use crate::engine::passthrough::sink::packing::{self, PackProblem};
use crate::engine::passthrough::sink::sequenced_batch::{BatchState, GivenBatch, source_at};
use crate::engine::passthrough::sink::topic::Topic;
use crate::engine::passthrough::sink::verdict::{Again, RefusalVerdict, verdict};
use crate::model::{Codec, FaultKind};

/// Brokers forget a producer a day after the timestamps of its last batch (`producer.id.expiration.ms`), and look
/// every ten minutes. Half of it leaves room for clocks that differ.
const STALE_MS: i64 = 12 * 3_600_000;
/// How often a batch is sent again that the target finds damaged: once, in case the network did it.
const CORRUPT_TRIES: u32 = 1;

/// What became of a batch that was sent.
#[derive(Clone, Debug)]
pub(in crate::engine::passthrough::sink) enum BatchAnswer {
    /// It is on the target, from this offset on.
    Written(i64),
    /// The target says no.
    Refused(BrokerRefusal),
    /// The connection is gone; `sent` says whether a byte of it was written.
    Lost { sent: bool, reason: String },
}

impl Outbox {
    /// Takes the answer to a batch. What is dropped for good is given back.
    pub(in crate::engine::passthrough::sink) fn answered(
        &mut self,
        serial: u64,
        answer: BatchAnswer,
        at: Moment,
        topic: &Topic,
    ) -> Vec<GivenBatch> {
        let index = serial.checked_sub(self.first_serial).and_then(|index| usize::try_from(index).ok());
        let Some(index) = index
            .filter(|index| self.sequenced.get(*index).is_some_and(|batch| batch.state == BatchState::Sent))
        else {
            return Vec::new();
        };
        self.sent -= 1;
        match answer {
            BatchAnswer::Written(base) if base >= 0 => self.written(index, base),
            BatchAnswer::Written(_) => {
                self.sequenced[index].state = BatchState::Failed;
                let offset = self.sequenced[index].source_base();
                self.fail(
                    self.place.resolve(offset, "it is there, at an offset that the broker does not know"),
                );
            }
            BatchAnswer::Refused(refusal) => self.refused(index, &refusal, at, topic),
            BatchAnswer::Lost { sent: true, reason } => {
                let again = Again { moved: true, uncertain: true, patience: None };
                self.again(index, again, &reason, at, topic);
            }
            // Nothing of it left this process: as if it had not been tried.
            BatchAnswer::Lost { sent: false, .. } => {
                self.sequenced[index].state = BatchState::Failed;
                self.halted = true;
                self.moved = true;
            }
        }
        if self.sent == 0 { self.round_over(topic) } else { Vec::new() }
    }

    fn written(&mut self, index: usize, base: i64) {
        let batch = &mut self.sequenced[index];
        batch.state = BatchState::Written(base);
        batch.uncertain = false;
        if let Some(line) = &mut self.line {
            line.established = true;
        }
        self.tries = 0;
        self.trouble_since = None;
    }

    fn refused(&mut self, index: usize, refusal: &BrokerRefusal, at: Moment, topic: &Topic) {
        let limits = topic.limits();
        let batch = &self.sequenced[index];
        let offset = batch.source_base();
        let text = refusal.text(|record| source_at(&batch.segments, record));
        let mut verdict = verdict(refusal.code, limits.compacted, refusal.message.as_deref());
        if refusal.base_offset >= 0
            && let RefusalVerdict::Again(again) = &mut verdict
        {
            // It was appended, and then could not be seen to last.
            again.uncertain = true;
        }
        let uncertain = batch.uncertain;
        match verdict {
            RefusalVerdict::Again(again) => self.again(index, again, &text, at, topic),
            // Those behind one that failed don't follow on what the target has.
            RefusalVerdict::OutOfOrder if !self.leads(index) => self.later(index),
            RefusalVerdict::OutOfOrder | RefusalVerdict::Resolve => {
                self.later(index);
                self.bar(refusal.code);
                self.fail(self.place.resolve(offset, &text));
            }
            RefusalVerdict::Fence => {
                self.later(index);
                self.fail(self.place.fenced(offset, &text));
            }
            // Refused now, but perhaps not the first time: only the log tells.
            RefusalVerdict::TooLarge | RefusalVerdict::Codec if uncertain => {
                self.later(index);
                self.fail(self.place.resolve(offset, &text));
            }
            RefusalVerdict::TooLarge if batch.records() > 1 => {
                topic.takes_at_most(batch.sealed.len_bytes() / 2);
                self.sequenced[index].state = BatchState::Repack;
                self.halted = true;
            }
            RefusalVerdict::Codec if batch.raw.header().codec().is_ok_and(|codec| codec != Codec::None) => {
                if let Ok(codec) = batch.raw.header().codec() {
                    topic.refuses(codec);
                }
                self.sequenced[index].state = BatchState::Repack;
                self.halted = true;
            }
            RefusalVerdict::Corrupt if batch.corrupt < CORRUPT_TRIES => {
                self.sequenced[index].corrupt += 1;
                let again = Again { moved: false, uncertain: false, patience: None };
                self.again(index, again, &text, at, topic);
            }
            // What precedes it comes first: it is refused again when that is there.
            _ if !self.leads(index) => self.later(index),
            RefusalVerdict::TooLarge => {
                let bytes = batch.sealed.len_bytes();
                let limit = Some(limits.max_message_bytes).filter(|most| *most < bytes);
                let failure = self.place.too_large(offset, bytes, limit);
                self.later(index);
                self.fail(failure);
            }
            RefusalVerdict::Refuse(kind) => {
                let blamed =
                    refusal.records.first().and_then(|(record, _)| source_at(&batch.segments, *record));
                let failure = self.place.refused(kind, blamed.unwrap_or(offset), &text);
                self.later(index);
                self.fail(failure);
            }
            RefusalVerdict::Codec | RefusalVerdict::Corrupt => {
                let failure = self.place.refused(FaultKind::TargetRefused, offset, &text);
                self.later(index);
                self.fail(failure);
            }
        }
    }

    /// Notes what the target does not take any more.
    fn bar(&mut self, code: ResponseError) {
        match code {
            // The producer was forgotten: a higher epoch starts anew (KIP-360).
            ResponseError::UnknownProducerId => self.spent = true,
            // Somebody else writes under our id.
            ResponseError::InvalidProducerEpoch | ResponseError::InvalidProducerIdMapping => {
                self.spent = true;
                self.barred = self.line.map(|line| line.id);
            }
            _ => {}
        }
    }

    /// Whether everything before the batch is on the target.
    fn leads(&self, index: usize) -> bool {
        self.sequenced.range(..index).all(|batch| matches!(batch.state, BatchState::Written(_)))
    }

    /// To be sent again with what failed before it.
    fn later(&mut self, index: usize) {
        self.sequenced[index].state = BatchState::Failed;
        self.halted = true;
    }

    fn again(&mut self, index: usize, again: Again, cause: &str, at: Moment, topic: &Topic) {
        self.later(index);
        self.sequenced[index].uncertain |= again.uncertain;
        self.moved |= again.moved;
        let since = *self.trouble_since.get_or_insert(at.now);
        let offset = self.sequenced[index].source_base();
        if self.is_stale(at.wall_ms, topic) {
            let cause =
                format!("{cause}; the batches are so old that the target may have forgotten the producer");
            self.fail(self.place.resolve(offset, &cause));
        } else if let Some(patience) = again.patience
            && at.now.saturating_sub(since) >= patience
        {
            self.out_of_patience(offset, patience, again, cause);
        }
    }

    fn out_of_patience(&mut self, offset: i64, patience: Duration, again: Again, cause: &str) {
        let cause = format!("{cause}, for {} s", patience.as_secs());
        let missing = again.moved && !again.uncertain;
        let failure =
            if missing { self.place.missing(offset, &cause) } else { self.place.resolve(offset, &cause) };
        self.fail(failure);
    }

    /// Whether the target may have forgotten the producer since its last batch, going by the timestamps: a batch
    /// sent again would then be taken for a new one.
    fn is_stale(&self, wall_ms: i64, topic: &Topic) -> bool {
        let tried = self.sequenced.iter().filter(|batch| batch.tried);
        let last = self.line.and_then(|line| line.last_timestamp_ms);
        tried.map(|batch| batch.max_timestamp_ms()).chain(last).any(|last| is_stale(last, topic, wall_ms))
    }

    /// Nothing is on its way any more.
    fn round_over(&mut self, topic: &Topic) -> Vec<GivenBatch> {
        if self.settling {
            return self.abandon();
        }
        if self.failure.is_some() || !std::mem::take(&mut self.halted) {
            return Vec::new();
        }
        let mut again = false;
        let mut index = 0;
        while index < self.sequenced.len() {
            match self.sequenced[index].state {
                BatchState::Failed => {
                    again = true;
                    self.sequenced[index].state = BatchState::Fresh;
                    index += 1;
                }
                BatchState::Repack => match self.repack(index, topic) {
                    Some(count) => index += count,
                    // What comes after it is not sent any more.
                    None => break,
                },
                BatchState::Fresh | BatchState::Sent | BatchState::Written(_) => index += 1,
            }
        }
        if again {
            self.tries = self.tries.saturating_add(1);
            self.ready = false;
        }
        Vec::new()
    }

    /// Packs a refused batch anew, and returns into how many. `None` when not all of it can be: that is told when
    /// the rest is on the target.
    fn repack(&mut self, index: usize, topic: &Topic) -> Option<usize> {
        let batch = &self.sequenced[index];
        let (offset, bytes) = (batch.source_base(), batch.sealed.len_bytes());
        let segments = &batch.segments;
        // What was refused for its size must get smaller, if only by a record; a codec may cost some.
        let most_bytes = match topic.acceptance().max_message_bytes < bytes {
            true => bytes - 1,
            false => topic.limits().max_message_bytes.max(bytes),
        };
        let packing = packing::again(&batch.raw, &topic.acceptance(), most_bytes);
        let count = packing.contents.len();
        let failed = packing.problem.map(|mut problem| {
            if let PackProblem::RecordTooLarge { offset, .. } = &mut problem {
                // Told in offsets of the raw batch, which are not the source's.
                let record = offset.saturating_sub(batch.raw.header().base_offset);
                let at = u32::try_from(record).ok().and_then(|record| source_at(segments, record));
                *offset = at.unwrap_or(batch.source_base());
            }
            self.place.unpackable(offset, &problem, &topic.limits())
        });
        if let Err(failure) = self.replace(index, packing.contents, failed.is_some()) {
            self.failure.get_or_insert(failure);
            return None;
        }
        if let Some(failure) = failed {
            self.dead_end = Some(failure);
            return None;
        }
        Some(count)
    }
}

/// Whether a broker may forget a producer whose last batch has this timestamp. A topic that stamps on append goes by
/// its own time.
pub(super) fn is_stale(timestamp_ms: i64, topic: &Topic, wall_ms: i64) -> bool {
    let old = timestamp_ms < 0 || wall_ms.saturating_sub(timestamp_ms) > STALE_MS;
    old && !topic.limits().append_time
}
