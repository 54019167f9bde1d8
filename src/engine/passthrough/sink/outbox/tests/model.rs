//! The world around the machine: source, connection, broker, and whoever opens lanes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use kafka_protocol::error::ResponseError;

use crate::batch::{BatchBuilder, RawBatch, Restamped};
use crate::engine::body::ForeignBody;
use crate::engine::budget::Permit;
use crate::engine::passthrough::sink::fault::{BrokerRefusal, LanePlace};
use crate::engine::passthrough::sink::outbox::{
    BatchAnswer, Identify, KnownProducer, MOST_IN_FLIGHT, Moment, Outbox, Wants,
};
use crate::engine::passthrough::sink::sequenced_batch::{GivenBatch, advance};
use crate::engine::passthrough::sink::topic::Topic;
use crate::engine::{LaneEvent, TargetLimits, WriteError};
use crate::formats::ProducerState;
use crate::model::{BatchInfo, Codec, TopicPartition};

const WALL_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
/// Batches of the source.
const BATCHES: i64 = 60;

/// How a world is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// What the broker takes at most; the machine believes in the default.
    pub max_bytes: usize,
    /// Whether the records are older than brokers remember producers.
    pub old: bool,
    /// Whether the source was compacted.
    pub gaps: bool,
    /// Whether sequence numbers start just below their end.
    pub near_wrap: bool,
}

/// What goes wrong with a request at the broker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    None,
    /// Refused before anything else.
    Before(ResponseError),
    /// Appended, if it may be, and then not seen to last.
    After(ResponseError),
}

/// What a broker remembers of a producer.
struct Memory {
    epoch: i16,
    /// The last five batches: first and last sequence, offset.
    batches: VecDeque<(i32, i32, i64)>,
}

struct Flight {
    serial: u64,
    batch: Restamped,
    answer: Option<BatchAnswer>,
}

#[derive(PartialEq)]
enum ModelPhase {
    /// Opened; nothing is known of the log since.
    Opened,
    /// It goes on from here.
    Resolved,
}

pub(super) struct World {
    sizes: Sizes,
    outbox: Outbox,
    topic: Topic,
    /// Source offset of each record in the target's log.
    log: Vec<i64>,
    producers: HashMap<i64, Memory>,
    /// The source's batches.
    source: Vec<Vec<i64>>,
    phase: ModelPhase,
    /// Next source offset to be written.
    next: i64,
    /// Ends of what was written and not acknowledged.
    expected: VecDeque<i64>,
    flights: VecDeque<Flight>,
    late: VecDeque<Restamped>,
    /// A late request was taken since the lane was opened.
    landed: bool,
    link: u64,
    session: i64,
    saved: Option<ProducerState>,
    clock: Duration,
    pub last_failure: Option<WriteError>,
}

impl World {
    pub(super) fn new(sizes: Sizes) -> Self {
        let mut next = 0;
        let mut source = Vec::new();
        for index in 0..BATCHES {
            let mut offsets = Vec::new();
            for record in 0..1 + index % 4 {
                if sizes.gaps && (index + record) % 3 == 0 {
                    next += 1 + index % 5;
                }
                offsets.push(next);
                next += 1;
            }
            source.push(offsets);
        }
        let near = ProducerState { id: 1, epoch: 0, next_sequence: i32::MAX - 20 };
        let saved = sizes.near_wrap.then_some(near);
        let mut world = Self {
            sizes,
            outbox: Outbox::new(),
            topic: Topic::new(TargetLimits::default(), Codec::None),
            log: Vec::new(),
            producers: HashMap::new(),
            source,
            phase: ModelPhase::Opened,
            next: 0,
            expected: VecDeque::new(),
            flights: VecDeque::new(),
            late: VecDeque::new(),
            landed: false,
            link: 1,
            session: 10,
            saved,
            clock: Duration::ZERO,
            last_failure: None,
        };
        world.open();
        world.resolve();
        world
    }

    /// Establishes the producer.
    pub(super) fn prime(&mut self) {
        self.write();
        self.send(false);
        self.process(Fault::None);
        self.answer();
        assert_eq!(self.in_flight(), 0);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn records_in_flight(&self) -> i32 {
        let count = |flight: &Flight| i32::from_be_bytes(flight.batch.head[57..61].try_into().unwrap());
        self.flights.iter().map(count).sum()
    }

    /// Source offset of the first record that is not in the log.
    pub(super) fn log_end_source(&self) -> i64 {
        let wanted = self.source.iter().flatten();
        *wanted
            .clone()
            .find(|offset| self.log.last().is_none_or(|last| *offset > last))
            .expect("there are more")
    }

    pub(super) fn write(&mut self) {
        if self.phase != ModelPhase::Resolved {
            return;
        }
        let Some(offsets) = self.source.iter().find(|offsets| offsets.last() >= Some(&self.next)) else {
            return;
        };
        let timestamp_ms = if self.sizes.old { WALL_MS - 3 * DAY_MS } else { WALL_MS };
        let mut builder = BatchBuilder::new(Codec::None).base_offset(offsets[0]);
        let mut at = offsets[0];
        for &offset in offsets {
            builder.skip_offsets(u32::try_from(offset - at).unwrap());
            builder.push(timestamp_ms, None, Some(&offset.to_be_bytes()), &[]);
            at = offset + 1;
        }
        let bytes = builder.build().unwrap();
        let info = BatchInfo {
            source_base: self.next,
            source_next: at,
            records: u32::try_from(offsets.len()).unwrap(),
            bytes: bytes.len(),
            leader_epoch: 0,
            max_timestamp_ms: timestamp_ms,
        };
        let batches = vec![RawBatch::parse(bytes).unwrap()];
        if self.outbox.write(GivenBatch::new(info, Permit::empty(), batches)).is_ok() {
            self.next = at;
            self.expected.push_back(at);
        }
    }

    /// Gives what another engine read.
    pub(super) fn write_foreign(&mut self) {
        self.outbox.write_nothing_more(WriteError::foreign("passthrough", self.next, ForeignBody));
        self.tell();
    }

    pub(super) fn send(&mut self, merge: bool) {
        if self.outbox.wants() == Wants::Preparation {
            self.prepare();
        }
        if self.outbox.wants() != Wants::Sending {
            return;
        }
        if let Some(outgoing) = self.outbox.take(self.link, merge, &self.topic, WALL_MS) {
            self.flights.push_back(Flight { serial: outgoing.serial, batch: outgoing.batch, answer: None });
        }
        assert!(self.flights.len() <= MOST_IN_FLIGHT);
        self.tell();
    }

    fn prepare(&mut self) {
        match self.outbox.preparation().producer {
            Identify::Settled => self.outbox.prepared(None),
            Identify::Any { but } => {
                if but == Some(self.session) {
                    self.session += 1;
                }
                self.outbox.prepared(Some((self.session, 0)));
            }
            Identify::Check { id, epoch, next_sequence } => {
                if self.known(id, epoch) == next_sequence {
                    self.outbox.prepared(None);
                } else {
                    let failure = self.outbox.place().resolve(self.outbox.first_open_offset(), "moved on");
                    self.outbox.fail(failure);
                    self.tell();
                }
            }
        }
    }

    fn known(&self, id: i64, epoch: i16) -> Option<i32> {
        let memory = self.producers.get(&id).filter(|memory| memory.epoch == epoch)?;
        memory.batches.back().map(|(_, last, _)| advance(*last, 1))
    }

    /// The broker takes the oldest request that it has not taken.
    pub(super) fn process(&mut self, fault: Fault) {
        let Some(at) = self.flights.iter().position(|flight| flight.answer.is_none()) else { return };
        let batch = self.flights[at].batch.clone();
        let refused = |code, base_offset| {
            BatchAnswer::Refused(BrokerRefusal { code, base_offset, message: None, records: Vec::new() })
        };
        let answer = match fault {
            Fault::Before(code) => refused(code, -1),
            Fault::None | Fault::After(_) => match (self.append(&batch), fault) {
                (Ok(base), Fault::After(code)) => refused(code, base),
                (Ok(base), _) => BatchAnswer::Written(base),
                (Err(code), _) => refused(code, -1),
            },
        };
        self.flights[at].answer = Some(answer);
    }

    /// Kafka's rules: see `ProducerAppendInfo` and `ProducerStateEntry`.
    fn append(&mut self, batch: &Restamped) -> Result<i64, ResponseError> {
        if batch.len_bytes() > self.sizes.max_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        let raw = RawBatch::parse([&batch.head[..], &batch.body[..]].concat().into()).unwrap();
        raw.verify_crc().unwrap();
        let header = *raw.header();
        assert_eq!(header.record_count, header.last_offset_delta + 1, "no gaps");
        let (first, count) = (header.base_sequence, header.record_count.cast_unsigned());
        let last = advance(first, count - 1);
        let base = i64::try_from(self.log.len()).unwrap();
        if let Some(memory) = self.producers.get_mut(&header.producer_id) {
            if header.producer_epoch < memory.epoch {
                return Err(ResponseError::InvalidProducerEpoch);
            }
            if header.producer_epoch > memory.epoch {
                if first != 0 {
                    return Err(ResponseError::OutOfOrderSequenceNumber);
                }
                memory.epoch = header.producer_epoch;
                memory.batches.clear();
            }
            if let Some(known) = memory.batches.iter().find(|known| (known.0, known.1) == (first, last)) {
                return Ok(known.2);
            }
            if memory.batches.back().is_some_and(|newest| advance(newest.1, 1) != first) {
                return Err(ResponseError::OutOfOrderSequenceNumber);
            }
        }
        let memory = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| Memory { epoch: header.producer_epoch, batches: VecDeque::new() });
        memory.batches.push_back((first, last, base));
        if memory.batches.len() > 5 {
            memory.batches.pop_front();
        }
        for record in raw.records().unwrap() {
            let value: [u8; 8] = record.value.unwrap().as_ref().try_into().unwrap();
            self.log.push(i64::from_be_bytes(value));
        }
        Ok(base)
    }

    pub(super) fn answer(&mut self) {
        if self.flights.front().is_some_and(|flight| flight.answer.is_some()) {
            let flight = self.flights.pop_front().unwrap();
            self.deliver(flight.serial, flight.answer.unwrap());
        }
    }

    fn deliver(&mut self, serial: u64, answer: BatchAnswer) {
        self.clock += Duration::from_millis(50);
        let at = Moment { now: self.clock, wall_ms: WALL_MS };
        drop(self.outbox.answered(serial, answer, at, &self.topic));
        self.tell();
    }

    /// The connection breaks. Of the requests that the broker has not taken, `kept` reach it later.
    pub(super) fn cut(&mut self, kept: usize) {
        let flights: Vec<_> = self.flights.drain(..).collect();
        self.link += 1;
        let open = flights.iter().filter(|flight| flight.answer.is_none());
        self.late.extend(open.take(kept).map(|flight| flight.batch.clone()));
        for flight in flights {
            self.deliver(flight.serial, BatchAnswer::Lost { sent: true, reason: "cut".to_owned() });
        }
    }

    pub(super) fn late(&mut self) {
        if let Some(batch) = self.late.pop_front() {
            self.landed = true;
            // Nobody is there to be told.
            let _ = self.append(&batch);
        }
    }

    /// Not what came a moment ago: brokers look for what to forget every ten minutes.
    pub(super) fn forget(&mut self) {
        if self.sizes.old && self.flights.is_empty() && self.late.is_empty() && !self.landed {
            self.producers.clear();
        }
    }

    pub(super) fn reopen(&mut self) {
        drop(self.outbox.settle());
        self.tell();
        self.cut(2);
        assert!(self.outbox.is_settled());
        self.open();
    }

    /// A new process. It knows the producer that was saved with the last position; of one that never got so far,
    /// nothing may be under way any more: the look at the target waits until that stands still.
    pub(super) fn restart(&mut self, kept: usize) {
        self.saved = self.outbox.producer().or(self.saved.take());
        drop(self.outbox.settle());
        self.cut(kept);
        self.outbox = Outbox::new();
        self.session += 10;
        self.open();
    }

    fn open(&mut self) {
        let candidate = self.outbox.producer().or(self.saved.clone());
        let known = match candidate {
            None => KnownProducer::Nobody,
            Some(producer) => match self.known(producer.id, producer.epoch) {
                Some(next_sequence) => KnownProducer::Yes(ProducerState { next_sequence, ..producer }),
                None => KnownProducer::No(producer),
            },
        };
        let place =
            LanePlace { source: TopicPartition::new("orders", 0), target: TopicPartition::new("copy", 0) };
        self.outbox.open(place, known);
        self.expected.clear();
        self.landed = false;
        self.phase = ModelPhase::Opened;
    }

    /// Reads the target to its end.
    pub(super) fn resolve(&mut self) {
        if self.phase == ModelPhase::Opened {
            self.next = self.log.last().map_or(0, |last| last + 1);
            self.phase = ModelPhase::Resolved;
        }
    }

    /// Takes what is told.
    fn tell(&mut self) {
        let mut failed = false;
        while let Some(told) = self.outbox.next_event() {
            match told.event {
                LaneEvent::Acknowledged { source_next, target_next, segments, .. } => {
                    assert_eq!(self.expected.pop_front(), Some(source_next), "in order, and once");
                    assert_eq!(target_next, segments.last().map(|last| last.target_next()));
                    for segment in segments {
                        for record in 0..i64::from(segment.count) {
                            let target = usize::try_from(segment.target_base + record).unwrap();
                            assert_eq!(self.log.get(target), Some(&(segment.source_base + record)));
                        }
                    }
                }
                LaneEvent::WriteFailed(error) => {
                    self.last_failure = Some(error);
                    failed = true;
                }
                other => panic!("{other:?}"),
            }
        }
        if failed {
            assert!(self.flights.is_empty(), "told before all was answered");
            self.open();
        }
    }

    /// The target loses its newest record, and what it knew of it.
    pub(super) fn lose_tail(&mut self) {
        self.log.pop();
        self.producers.values_mut().for_each(|memory| {
            memory.batches.pop_back();
            memory.batches.push_back((0, 1000, 0));
        });
    }

    pub(super) fn check(&self) {
        let wanted = self.source.iter().flatten();
        assert!(wanted.take(self.log.len()).eq(&self.log), "{:?}", self.log);
    }

    /// Nothing goes wrong any more: all of the source arrives, and everything is acknowledged.
    pub(super) fn finish(&mut self) {
        let total = self.source.iter().flatten().count();
        for _ in 0..20_000 {
            if self.log.len() == total && self.expected.is_empty() && self.phase == ModelPhase::Resolved {
                break;
            }
            self.late();
            self.resolve();
            self.write();
            self.send(false);
            self.process(Fault::None);
            self.answer();
            self.check();
        }
        assert_eq!(self.log.len(), total, "everything arrives");
        assert!(self.expected.is_empty(), "and is acknowledged");
    }
}
