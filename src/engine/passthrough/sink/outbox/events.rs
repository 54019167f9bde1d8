//! What is told.

use super::Outbox;
use crate::engine::passthrough::sink::sequenced_batch::{BatchState, GivenBatch, advance, append};
use crate::engine::{LaneEvent, WriteError};
use crate::model::Segment;

/// Something to be told, and what is done with and to be dropped afterwards.
pub(in crate::engine::passthrough::sink) struct OutboxEvents {
    pub(in crate::engine::passthrough::sink) event: LaneEvent,
    pub(in crate::engine::passthrough::sink) done: Vec<GivenBatch>,
}

impl Outbox {
    /// What is to be told next: inputs in order, and a failure after the last of them.
    pub(in crate::engine::passthrough::sink) fn next_event(&mut self) -> Option<OutboxEvents> {
        loop {
            if let Some(mut input) = self.done.pop_front() {
                let segments = std::mem::take(&mut input.segments);
                let event = LaneEvent::Acknowledged {
                    source_next: input.info.source_next,
                    target_next: segments.last().map(Segment::target_next),
                    segments,
                    bytes: input.bytes,
                };
                return Some(OutboxEvents { event, done: vec![input] });
            }
            if !self.step_acknowledged() {
                break;
            }
        }
        if self.sent > 0 || self.settling {
            return None;
        }
        let source_offset = self.first_open_offset();
        let failure = match (self.failure.take(), self.sequenced.is_empty()) {
            (Some(failure), _) => failure,
            (None, true) if self.dead_end.is_some() => self.dead_end.take()?,
            (None, true) if self.inputs.is_empty() => self.broken.take()?,
            (None, _) => return None,
        };
        let error = WriteError {
            class: failure.class,
            source_offset: failure.offset.unwrap_or(source_offset),
            fault: failure.fault,
        };
        let done = self.forget();
        Some(OutboxEvents { event: LaneEvent::WriteFailed(error), done })
    }

    /// Takes the oldest sequenced batch out if it is on the target; false if it isn't.
    pub(super) fn step_acknowledged(&mut self) -> bool {
        let Some(BatchState::Written(base)) = self.sequenced.front().map(|batch| batch.state) else {
            return false;
        };
        let Some(batch) = self.sequenced.pop_front() else { return false };
        self.first_serial += 1;
        if let Some(line) = &mut self.line {
            line.acknowledged = advance(batch.sequence, batch.records());
            line.last_timestamp_ms = Some(batch.max_timestamp_ms());
        }
        let mut inputs = self.inputs.iter_mut();
        let mut input = inputs.next();
        for segment in batch.segments {
            while input.as_ref().is_some_and(|input| input.info.source_next <= segment.source_base) {
                input = inputs.next();
            }
            if let Some(input) = &mut input {
                append(&mut input.segments, Segment { target_base: base + segment.target_base, ..segment });
            }
        }
        self.complete(batch.completes);
        true
    }

    /// Every input before this number is on the target.
    pub(super) fn complete(&mut self, before: u64) {
        while self.first_input < before {
            let Some(input) = self.inputs.pop_front() else { return };
            self.first_input += 1;
            self.packed -= 1;
            self.done.push_back(input);
        }
    }
}
