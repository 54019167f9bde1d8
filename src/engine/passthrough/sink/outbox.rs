//! One partition's idempotent producer as a state machine. No clock, no I/O.
//!
//! Batches come in as *inputs* and leave as *sequenced batches*: usually the same, but an input may become several (when
//! it is split) and several inputs one (when they are merged). A sequenced batch has its sequence number from when it is
//! packed to when it is acknowledged, and is sent as the same bytes each time; only one that the target certainly did
//! not append may be packed anew, under the same sequence numbers.
//!
//! What is sent again is sent in order, and only when everything that was on its way is answered or its connection is
//! gone. A broker remembers the last five batches of a producer: so many are between the oldest that is not acknowledged
//! and the newest that was sent, never more, and a repeated one is always recognised.

mod answers;
mod events;
mod pack;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::fault::{LanePlace, WriteFailure};
use super::sequenced_batch::{BatchState, GivenBatch, SequencedBatch};
use super::topic::Topic;
use super::verdict::TOPIC_PATIENCE;
use crate::batch::Restamped;
use crate::engine::WriteError;
use crate::formats::ProducerState;
use crate::model::TopicPartition;

pub(super) use answers::BatchAnswer;
pub(super) use events::OutboxEvents;

/// Batches from the oldest that is not acknowledged to the newest that was sent: as many of a producer as brokers
/// remember.
pub(super) const MOST_IN_FLIGHT: usize = 5;

/// When something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// On a clock that never goes back.
    pub(super) now: Duration,
    /// Milliseconds since the epoch: brokers forget producers by it.
    pub(super) wall_ms: i64,
}

/// What the partition needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// Nothing, or an answer.
    Nothing,
    /// To be prepared: [`Outbox::preparation`] says how.
    Preparation,
    /// To send: [`Outbox::take`].
    Sending,
}

/// What is to be found out before the partition sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preparation {
    /// How long to wait first, as a number of tries that came to nothing.
    pub(super) tries: u32,
    /// Whether what is known of the leader is out of date.
    pub(super) moved: bool,
    /// Which producer to go on under.
    pub(super) producer: Identify,
}

/// Which producer is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identify {
    /// It is settled.
    Settled,
    /// Any that did not write here under an epoch that can't be raised: not this id.
    Any { but: Option<i64> },
    /// Whether this is still what the target knows of the producer: its next sequence number, or nothing.
    Check { id: i64, epoch: i16, next_sequence: Option<i32> },
}

/// What the target said of the producer that wrote last, when the lane was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KnownProducer {
    /// It knows it, and how far it got.
    Yes(ProducerState),
    /// It does not: nothing of it ever arrived, or it was long ago.
    No(ProducerState),
    /// Nobody wrote yet.
    Nobody,
    /// It can't tell.
    Untold,
}

/// A producer that wrote to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProducerLine {
    id: i64,
    epoch: i16,
    /// The target knows it: more than one batch may be on its way.
    established: bool,
    /// Sequence number of the next record to be packed.
    next: i32,
    /// Sequence number after everything acknowledged.
    acknowledged: i32,
    /// Largest timestamp of the last batch that was acknowledged.
    last_timestamp_ms: Option<i64>,
}

/// A batch to be sent.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// Names it in the answer.
    pub(super) serial: u64,
    pub(super) batch: Restamped,
}

/// The machine; it outlives the lane's generations.
pub(super) struct Outbox {
    place: LanePlace,
    inputs: VecDeque<GivenBatch>,
    /// Number of the oldest input.
    first_input: u64,
    /// How many of `inputs`, from the oldest on, are packed.
    packed: usize,
    sequenced: VecDeque<SequencedBatch>,
    /// Serial of the oldest sequenced batch.
    first_serial: u64,
    /// Sequenced batches on their way, all over this connection.
    sent: usize,
    link: u64,
    /// Under which it writes; `None` until that is settled.
    line: Option<ProducerLine>,
    /// Under which it wrote last, in this session.
    used: Option<(i64, i16)>,
    /// The target does not take what `line` writes any more: another epoch is needed.
    spent: bool,
    /// Nor what this producer writes under any epoch.
    barred: Option<i64>,
    /// The next sequence number that the target knew when the lane was opened, if it knew the producer; to be
    /// compared before the first write.
    check: Option<Option<i32>>,
    /// Open under a generation, and nothing failed.
    open: bool,
    /// The generation is over: nothing is sent any more.
    settling: bool,
    /// Leader known, no back-off.
    ready: bool,
    /// Something is to be sent again: nothing new until all is answered.
    halted: bool,
    moved: bool,
    tries: u32,
    trouble_since: Option<Duration>,
    failure: Option<WriteFailure>,
    /// What follows on the batches can't be packed; told when they are acknowledged.
    dead_end: Option<WriteFailure>,
    /// What was given after the inputs can't be written; told when they are acknowledged.
    broken: Option<WriteFailure>,
    done: VecDeque<GivenBatch>,
    /// Why batches were opened since it was asked last.
    opened: Option<String>,
}

impl Outbox {
    /// A machine that is not open.
    pub(super) fn new() -> Self {
        let nowhere = TopicPartition::new("", -1);
        Self {
            place: LanePlace { source: nowhere.clone(), target: nowhere },
            inputs: VecDeque::new(),
            first_input: 0,
            packed: 0,
            sequenced: VecDeque::new(),
            first_serial: 0,
            sent: 0,
            link: 0,
            line: None,
            used: None,
            spent: false,
            barred: None,
            check: None,
            open: false,
            settling: false,
            ready: false,
            halted: false,
            moved: false,
            tries: 0,
            trouble_since: None,
            failure: None,
            dead_end: None,
            broken: None,
            done: VecDeque::new(),
            opened: None,
        }
    }

    /// Opens it, being settled.
    ///
    /// Where the target knows the producer that wrote last, or nothing of it at all, its sequence goes on: then a late
    /// request and ours exclude each other. Else another epoch, or another producer, starts at 0.
    pub(super) fn open(&mut self, place: LanePlace, known: KnownProducer) {
        self.forget();
        self.place = place;
        let (producer, established) = match known {
            KnownProducer::Yes(producer) => (Some(producer), true),
            KnownProducer::No(producer) => (Some(producer).filter(|_| !self.spent), false),
            KnownProducer::Nobody | KnownProducer::Untold => (None, false),
        };
        let producer = producer.filter(|producer| self.barred != Some(producer.id));
        self.line = producer.map(|producer| ProducerLine {
            id: producer.id,
            epoch: producer.epoch,
            established,
            next: producer.next_sequence,
            acknowledged: producer.next_sequence,
            last_timestamp_ms: None,
        });
        self.check = self.line.map(|line| line.established.then_some(line.next));
        self.spent = false;
        self.open = true;
        self.settling = false;
        self.ready = false;
        self.moved = false;
        self.tries = 0;
    }

    /// Forgets all that waits or is on its way, and writes nothing until it is opened.
    pub(super) fn forget(&mut self) -> Vec<GivenBatch> {
        self.first_input += self.inputs.len() as u64;
        self.first_serial += self.sequenced.len() as u64;
        self.sequenced.clear();
        self.packed = 0;
        self.sent = 0;
        self.open = false;
        self.halted = false;
        self.trouble_since = None;
        self.failure = None;
        self.dead_end = None;
        self.broken = None;
        self.inputs.drain(..).chain(self.done.drain(..)).collect()
    }

    /// Takes a batch. `false`, and nothing happens, when a write before it failed or it is not open.
    pub(super) fn write(&mut self, input: GivenBatch) -> Result<(), GivenBatch> {
        let failed = self.failure.is_some() || self.dead_end.is_some() || self.broken.is_some();
        if !self.open || self.settling || failed {
            return Err(input);
        }
        self.inputs.push_back(input);
        Ok(())
    }

    /// Ends the generation: what was not sent is dropped (and given back), and nothing is sent again.
    pub(super) fn settle(&mut self) -> Vec<GivenBatch> {
        self.settling = true;
        while self.sequenced.back().is_some_and(|batch| !batch.tried) {
            self.sequenced.pop_back();
        }
        if self.sent == 0 {
            return self.abandon();
        }
        let dropped = self.inputs.split_off(self.packed);
        dropped.into()
    }

    /// Nothing more comes of what is not acknowledged by now.
    fn abandon(&mut self) -> Vec<GivenBatch> {
        while self.step_acknowledged() {}
        let told = std::mem::take(&mut self.done);
        let dropped = self.forget();
        self.done = told;
        dropped
    }

    /// Whether nothing is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.sent == 0
    }

    /// Whether nothing waits either.
    pub(super) fn is_idle(&self) -> bool {
        self.sent == 0 && self.inputs.is_empty() && self.done.is_empty()
    }

    /// Why batches were opened since the last call, in words.
    pub(super) fn take_opened(&mut self) -> Option<String> {
        self.opened.take()
    }

    /// The producer, and the sequence number after everything acknowledged.
    pub(super) fn producer(&self) -> Option<ProducerState> {
        let line = self.line?;
        let known = self.used == Some((line.id, line.epoch)) || self.check.is_some() || line.established;
        known.then_some(ProducerState { id: line.id, epoch: line.epoch, next_sequence: line.acknowledged })
    }

    /// What it needs now.
    pub(super) fn wants(&self) -> Wants {
        if !self.open || self.settling || self.failure.is_some() || self.halted {
            return Wants::Nothing;
        }
        let waiting = self.packed < self.inputs.len() && self.dead_end.is_none();
        let Some(at) = self.next_fresh().or_else(|| waiting.then_some(self.sequenced.len())) else {
            return Wants::Nothing;
        };
        if self.line.is_none() || self.check.is_some() || !self.ready {
            return Wants::Preparation;
        }
        if at < self.in_flight_limit() { Wants::Sending } else { Wants::Nothing }
    }

    /// Sequenced batches up to the newest that may be on its way.
    fn in_flight_limit(&self) -> usize {
        match self.line {
            Some(line) if line.established => MOST_IN_FLIGHT,
            // Under a producer that the target doesn't know, it takes any sequence number: only one at a time is
            // sure to be in order.
            _ => 1,
        }
    }

    fn next_fresh(&self) -> Option<usize> {
        self.sequenced.iter().position(|batch| batch.state == BatchState::Fresh)
    }

    /// What to find out.
    pub(super) fn preparation(&self) -> Preparation {
        let producer = match (self.line, self.check) {
            (Some(line), Some(next)) => {
                Identify::Check { id: line.id, epoch: line.epoch, next_sequence: next }
            }
            (Some(_), None) => Identify::Settled,
            (None, _) => {
                let exhausted = self.used.filter(|used| used.1 == i16::MAX).map(|used| used.0);
                Identify::Any { but: self.barred.or(exhausted) }
            }
        };
        Preparation { tries: self.tries, moved: self.moved, producer }
    }

    /// The leader is known, and what was asked about the producer: `id` and `epoch` are the session's own.
    pub(super) fn prepared(&mut self, session: Option<(i64, i16)>) {
        self.check = None;
        if self.line.is_none() {
            let Some((id, epoch)) = session else { return };
            let epoch = match self.used {
                // What it wrote under before has an unknown end: a higher epoch shuts that out, and starts at 0.
                Some((used, last)) if used == id => match last.checked_add(1) {
                    Some(epoch) => epoch,
                    None => return,
                },
                _ => epoch,
            };
            self.line = Some(ProducerLine {
                id,
                epoch,
                established: false,
                next: 0,
                acknowledged: 0,
                last_timestamp_ms: None,
            });
        }
        self.ready = true;
        self.moved = false;
    }

    /// The preparation came to nothing; it is to be tried again after a longer wait. A topic that is `missing` is
    /// not waited for without end.
    pub(super) fn unprepared(&mut self, missing: bool, cause: &str, at: Moment) {
        self.tries = self.tries.saturating_add(1);
        self.moved = true;
        let since = *self.trouble_since.get_or_insert(at.now);
        if missing && at.now.saturating_sub(since) >= TOPIC_PATIENCE {
            let cause = format!("{cause}, for {} s", TOPIC_PATIENCE.as_secs());
            self.fail(self.place.missing(self.first_open_offset(), &cause));
        }
    }

    /// The leader can't be reached: it is asked for again.
    pub(super) fn unrouted(&mut self) {
        self.ready = false;
        self.moved = true;
        self.tries = self.tries.saturating_add(1);
    }

    /// Takes nothing more, as what was given can't be written; told when what precedes it is acknowledged.
    pub(super) fn write_nothing_more(&mut self, error: WriteError) {
        if self.open && !self.settling && self.failure.is_none() {
            let WriteError { class, source_offset, fault } = error;
            self.broken.get_or_insert(WriteFailure { class, offset: Some(source_offset), fault });
        }
    }

    /// Writes nothing more under this generation; told when what is on its way is answered.
    pub(super) fn fail(&mut self, failure: WriteFailure) {
        self.failure.get_or_insert(failure);
    }

    /// Between which partitions it writes.
    pub(super) fn place(&self) -> &LanePlace {
        &self.place
    }

    /// Source offset of the first record that is not acknowledged.
    pub(super) fn first_open_offset(&self) -> i64 {
        let batch = self.sequenced.iter().find(|batch| !matches!(batch.state, BatchState::Written(_)));
        let input = || self.inputs.get(self.packed).map_or(-1, |input| input.info.source_base);
        batch.map_or_else(input, SequencedBatch::source_base)
    }

    /// The next batch to be sent over connection `link`. Where `merge`, small batches that wait for others to be
    /// answered become large ones.
    pub(super) fn take(&mut self, link: u64, merge: bool, topic: &Topic, wall_ms: i64) -> Option<Outgoing> {
        // All that is unanswered is on one connection.
        if self.wants() != Wants::Sending || (self.sent > 0 && self.link != link) {
            return None;
        }
        let fresh = match self.next_fresh() {
            Some(index) => index,
            None => {
                self.look_at_age(topic, wall_ms);
                self.pack(merge, &topic.acceptance(), &topic.limits());
                self.next_fresh()?
            }
        };
        let line = self.line?;
        self.used = Some((line.id, line.epoch));
        self.link = link;
        self.sent += 1;
        let batch = &mut self.sequenced[fresh];
        batch.state = BatchState::Sent;
        batch.tried = true;
        Some(Outgoing { serial: self.first_serial + fresh as u64, batch: batch.sealed.clone() })
    }
}
