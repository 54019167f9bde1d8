//! From inputs to sequenced batches.

use super::answers::is_stale;
use super::{MOST_IN_FLIGHT, Outbox};
use crate::batch::{Acceptance, RawBatch, Stamp};
use crate::engine::TargetLimits;
use crate::engine::passthrough::sink::fault::WriteFailure;
use crate::engine::passthrough::sink::packing::{self, Content, Packing};
use crate::engine::passthrough::sink::sequenced_batch::{BatchState, SequencedBatch, advance, cut, lay};
use crate::engine::passthrough::sink::topic::Topic;
use crate::model::Segment;

impl Outbox {
    /// After a pause on old records the target may have forgotten the producer: the next batch goes alone again.
    pub(super) fn look_at_age(&mut self, topic: &Topic, wall_ms: i64) {
        if self.sequenced.is_empty()
            && let Some(line) = &mut self.line
            && line.last_timestamp_ms.is_some_and(|last| is_stale(last, topic, wall_ms))
        {
            line.established = false;
        }
    }

    /// Packs the inputs that come next, until there is something to send.
    pub(super) fn pack(&mut self, merge: bool, acceptance: &Acceptance, limits: &TargetLimits) {
        while self.dead_end.is_none() && self.next_fresh().is_none() && self.packed < self.inputs.len() {
            let count = if merge { self.mergeable(acceptance.max_message_bytes) } else { 1 };
            let range = self.packed..self.packed + count;
            let wanted = self.inputs[range.start].info.source_base;
            let batches: Vec<RawBatch> =
                self.inputs.range_mut(range.clone()).flat_map(|input| input.unpack()).collect();
            let Packing { contents, problem, opened } =
                packing::pack(&batches, wanted, acceptance, limits.max_message_bytes);
            self.opened = opened.or(self.opened.take());
            for Content { raw, runs } in contents {
                let ends = self.inputs.range(range.clone()).map(|input| input.info.source_next);
                let segments = lay(&runs, ends);
                if let Err(failure) = self.seal(raw, segments) {
                    self.dead_end = Some(failure);
                    return;
                }
            }
            if let Some(problem) = problem {
                self.dead_end = Some(self.place.unpackable(wanted, &problem, limits));
            }
            self.packed += count;
            // Inputs that were packed in part are never complete: the failure is told in their place.
            if self.dead_end.is_none() {
                let completes = self.first_input + self.packed as u64;
                match self.sequenced.back_mut() {
                    Some(last) => last.completes = completes,
                    None => self.complete(completes),
                }
            }
        }
    }

    /// How many of the inputs that wait may become one batch: more than one only where they wait for others to be
    /// answered.
    fn mergeable(&self, most_bytes: usize) -> usize {
        let waiting = self.inputs.range(self.packed..);
        let free = MOST_IN_FLIGHT.saturating_sub(self.sequenced.len());
        if waiting.len() <= free {
            return 1;
        }
        let mut bytes = 0_usize;
        let fitting = waiting.take_while(|input| {
            bytes = bytes.saturating_add(input.stored_bytes());
            bytes <= most_bytes
        });
        fitting.count().max(1)
    }

    /// Gives a batch its sequence number, as the newest one. It completes no input yet.
    fn seal(&mut self, raw: RawBatch, segments: Vec<Segment>) -> Result<(), WriteFailure> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let stamp = Stamp { producer_id: line.id, producer_epoch: line.epoch, base_sequence: line.next };
        let sealed = raw.restamp(stamp).map_err(|error| {
            let offset = segments.first().map_or(-1, |segment| segment.source_base);
            self.place.unpackable(offset, &error.into(), &TargetLimits::default())
        })?;
        let batch = SequencedBatch {
            sealed,
            raw,
            sequence: line.next,
            segments,
            completes: 0,
            state: BatchState::Fresh,
            uncertain: false,
            tried: false,
            corrupt: 0,
        };
        line.next = advance(line.next, batch.records());
        self.sequenced.push_back(batch);
        Ok(())
    }

    /// Puts batches of these contents in the place of one that the target did not append, under its sequence
    /// numbers. Where that is not all of it (`cut_short`), nothing follows.
    pub(super) fn replace(
        &mut self,
        index: usize,
        contents: Vec<Content>,
        cut_short: bool,
    ) -> Result<(), WriteFailure> {
        let Some(line) = self.line else { return Ok(()) };
        let old = &self.sequenced[index];
        let (mut sequence, mut skip) = (old.sequence, 0);
        let last = contents.len().saturating_sub(1);
        let mut replacements = Vec::with_capacity(contents.len());
        for (at, content) in contents.into_iter().enumerate() {
            let count = content.runs.iter().map(|run| run.count).sum();
            let stamp = Stamp { producer_id: line.id, producer_epoch: line.epoch, base_sequence: sequence };
            let sealed = content.raw.restamp(stamp).map_err(|error| {
                self.place.unpackable(old.source_base(), &error.into(), &TargetLimits::default())
            })?;
            replacements.push(SequencedBatch {
                sealed,
                raw: content.raw,
                sequence,
                segments: cut(&old.segments, skip, count),
                completes: if at == last && !cut_short { old.completes } else { 0 },
                state: BatchState::Fresh,
                uncertain: false,
                tried: old.tried,
                corrupt: 0,
            });
            sequence = advance(sequence, count);
            skip += i64::from(count);
        }
        let mut later = self.sequenced.split_off(index);
        later.pop_front();
        self.sequenced.extend(replacements);
        if !cut_short {
            self.sequenced.append(&mut later);
        }
        Ok(())
    }
}
