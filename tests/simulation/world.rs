//! Two clusters, a position store and a process between them, all in memory; every step is an [`Op`].

mod engine;
mod resolving;

use std::collections::VecDeque;
use std::time::Duration;

use mirrormesh::formats::Position;
use mirrormesh::model::status::PartitionState;
use mirrormesh::model::{
    BatchInfo, Fault, FaultKind, Generation, ResetPolicy, Segment, TargetResetPolicy, WriteErrorClass,
};
use mirrormesh::replicator::partition::{PartitionConfig, PartitionInput, PartitionMachine, PartitionOutput};
use mirrormesh::replicator::resume::{ResumeNext, ResumePolicy, SourceFacts, TargetFacts, decide};
use mirrormesh::replicator::tail::{MatchRules, TailMatch, TailMatcher, TailNeed, TailPlan};

use crate::checks::Ledger;
use crate::log::{Log, Record};
use crate::maps::Maps;
use crate::ops::{Op, Scenario};

/// A write on its way to the target.
#[derive(Clone, Debug)]
pub struct Request {
    generation: Generation,
    pub info: BatchInfo,
    records: Vec<(i64, Record)>,
}

#[derive(Debug)]
struct Ack {
    generation: Generation,
    source_next: i64,
    segments: Vec<Segment>,
}

/// What dies with the process.
pub struct Process {
    pub machine: PartitionMachine,
    pub pipeline: VecDeque<Request>,
    acks: VecDeque<Ack>,
    fetch: Option<(i64, i32)>,
    opening: bool,
    resolving: bool,
    /// Target log end at the last look.
    looked: Option<i64>,
    /// (topic id, epoch) of both sides at the last resolution.
    knows: Option<[(u64, i32); 2]>,
    /// The target lost records that this session wrote: its next request is out of sequence.
    out_of_sequence: bool,
}

pub struct World {
    pub scenario: Scenario,
    pub source: Log,
    pub target: Log,
    pub stored: Option<Position>,
    saving: VecDeque<Position>,
    pub process: Option<Process>,
    /// Requests of dead sessions that may still arrive.
    pub zombies: VecDeque<Request>,
    generation: Generation,
    now: Duration,
    next_id: u64,
    pub ledger: Ledger,
    pub maps: Maps,
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            source: Log::new(0),
            target: Log::new(0),
            stored: None,
            saving: VecDeque::new(),
            process: None,
            zombies: VecDeque::new(),
            generation: Generation::default(),
            now: Duration::ZERO,
            next_id: 1,
            ledger: Ledger::default(),
            maps: Maps::new(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one story, told from its begin to its end")]
    pub fn step(&mut self, op: Op) {
        match op {
            Op::Append(records) => {
                for _ in 0..records {
                    let record = self.record(false);
                    self.source.append(Some(record));
                }
            }
            Op::Abort(records) => {
                for _ in 0..=records {
                    self.source.append(None);
                }
            }
            Op::SourceCompact if self.scenario.source_compacted => {
                self.ledger.compacted(self.source.compact(self.source.end));
            }
            Op::SourceTruncate(back) if self.scenario.source_resets => {
                let before = self.source.end;
                self.source.truncate(before - i64::from(back));
                let known = self.known(|position| position.source_topic_id == self.source.topic_id);
                self.ledger.source_truncated(before, self.source.end, known.as_ref());
            }
            Op::SourceRetain(share) if self.scenario.source_resets => {
                let start = self.source.start + (self.source.end - self.source.start) * i64::from(share) / 8;
                let gone = self.source.retain_from(start);
                self.ledger.source_expired(&self.source, gone, self.stored.as_ref());
            }
            Op::SourceRecreate if self.scenario.source_resets => {
                self.source = Log::new(self.source.incarnation + 1);
                self.ledger.source_recreated();
            }
            Op::SourceElect => self.source.elect(),
            Op::Foreign(records) if self.scenario.foreign => {
                for _ in 0..records {
                    let record = self.record(true);
                    self.target.append(Some(record));
                }
            }
            Op::TargetLose(back) if self.scenario.target_loses => {
                let before = self.target.end;
                let gone = self.target.truncate(before - i64::from(back));
                self.zombies.clear();
                if let Some(process) = &mut self.process
                    && !gone.is_empty()
                {
                    process.out_of_sequence = true;
                }
                let known = self.known(|position| position.target_topic_id == self.target.topic_id);
                self.ledger.target_lost(before, self.target.end, gone, known.as_ref());
            }
            Op::TargetRecreate if self.scenario.target_resets => {
                let new = Log::new(self.target.incarnation + 1);
                let old = std::mem::replace(&mut self.target, new);
                self.zombies.clear();
                self.fail_writes(WriteErrorClass::Retry, "the topic is gone");
                self.ledger.target_recreated(&old.entries);
            }
            Op::TargetElect => self.target.elect(),
            Op::TargetRetain(share) if self.scenario.target_expires => {
                let start = self.target.start + (self.target.end - self.target.start) * i64::from(share) / 8;
                self.target.retain_from(start);
            }
            Op::TargetCompact if self.scenario.target_compacted => {
                self.target.compact(self.target.end);
            }
            Op::Fetch(most, epoch_known) => self.fetch(usize::from(most), epoch_known),
            Op::Apply => self.apply(),
            Op::Ack => self.ack(),
            Op::Store => self.store(),
            Op::StoreFails(stored) => self.store_fails(stored),
            Op::LoseSession(arrive) => self.lose_session(usize::from(arrive)),
            Op::RefuseWrite => self.fail_writes(WriteErrorClass::Refuse, "a record is too large"),
            Op::RetryWrite => self.fail_writes(WriteErrorClass::Retry, "not enough replicas"),
            Op::FenceWrite => self.fail_writes(WriteErrorClass::Fence, "another writer"),
            Op::ZombieArrives => self.zombie_arrives(),
            Op::ZombiesPerish => self.zombies.clear(),
            Op::Crash(durable) => self.crash(usize::from(durable)),
            Op::Go(chunk) => self.go(usize::from(chunk)),
            Op::SourceFails(retry) => {
                let fault = Fault::new(FaultKind::Other, "the source hiccups", "");
                if let Some(process) = &mut self.process
                    && process.fetch.take().is_some()
                {
                    self.tell(PartitionInput::SourceFailed { fault, retry });
                }
            }
            Op::Notify => self.notify(),
            Op::Bounds => self.bounds(),
            Op::Pause => self.tell(PartitionInput::Pause),
            Op::Resume => self.tell(PartitionInput::Resume),
            Op::Drain => self.tell(PartitionInput::Drain),
            Op::Credit(blocked) => self.tell(PartitionInput::CreditBlocked(blocked)),
            Op::Advance(by_ms) => {
                self.now += Duration::from_millis(u64::from(by_ms));
                self.tick();
            }
            _ => {}
        }
    }

    /// The position that a process holds now, and would hold after a crash as well: the lower of the two, if both
    /// speak of the topics that are there.
    fn known(&self, current: impl Fn(&Position) -> bool) -> Option<Position> {
        let stored = self.stored.clone().filter(&current)?;
        let held = self.process.as_ref().and_then(|process| process.machine.position());
        match held {
            None => Some(stored),
            Some(held) if !current(&held) => None,
            Some(held) => Some(Position {
                source_next: held.source_next.min(stored.source_next),
                target_next: held.target_next.min(stored.target_next),
                ..stored
            }),
        }
    }

    /// A small number that differs from time to time.
    fn some(&self) -> usize {
        self.next_id as usize % 4
    }

    fn record(&mut self, foreign: bool) -> Record {
        let id = self.next_id;
        self.next_id += 1;
        Record { id, key: id.wrapping_mul(0x9e37_79b9) % 5, foreign }
    }

    /// Hands an input to the machine and does what it asks for.
    fn tell(&mut self, input: PartitionInput) {
        let Some(process) = &mut self.process else { return };
        let mut out = Vec::new();
        process.machine.handle(self.now, input, &mut out);
        for output in out {
            assert!(
                !matches!(output, PartitionOutput::Write | PartitionOutput::Discard),
                "nothing was fetched: {output:?}"
            );
            self.obey(output);
        }
    }

    fn obey(&mut self, output: PartitionOutput) {
        let Some(process) = &mut self.process else { panic!("{output:?} after the process stopped") };
        match output {
            PartitionOutput::OpenLane(generation) => {
                assert!(generation > self.generation, "generations rise");
                self.generation = generation;
                process.fetch = None;
                process.opening = true;
                process.resolving = false;
            }
            PartitionOutput::Resolve => {
                process.resolving = true;
                process.looked = None;
            }
            PartitionOutput::Fetch { offset, leader_epoch } => process.fetch = Some((offset, leader_epoch)),
            PartitionOutput::StopFetch => process.fetch = None,
            PartitionOutput::Write | PartitionOutput::Discard => unreachable!("answered where it is asked"),
            PartitionOutput::SavePosition(position) => {
                assert!(self.saving.is_empty(), "at most one save is outstanding");
                let unacknowledged = process
                    .pipeline
                    .iter()
                    .filter(|request| request.generation == process.machine.generation())
                    .map(|request| request.info.source_base)
                    .min();
                assert!(
                    unacknowledged.is_none_or(|base| base >= position.source_next),
                    "R4: position {} passes the unacknowledged {unacknowledged:?}",
                    position.source_next
                );
                if position.clean {
                    assert!(
                        process.pipeline.is_empty() && process.acks.is_empty() && self.zombies.is_empty()
                    );
                }
                self.ledger.saving(&position, &self.source);
                self.maps.saving();
                self.saving.push_back(*position);
            }
            PartitionOutput::Mirrored { source_next, segments } => self.maps.mirrored(&segments, source_next),
            PartitionOutput::Report(event) => self.ledger.report(event),
            PartitionOutput::Stopped => {
                let process = self.process.take().expect("it was there a line above");
                assert_eq!(process.machine.state(), PartitionState::Stopped);
                // The store is drained after the partitions.
                if let Some(position) = self.saving.pop_back() {
                    self.maps.saved();
                    self.stored = Some(position);
                }
                if !process.out_of_sequence {
                    self.zombies.extend(process.pipeline);
                }
            }
        }
    }

    fn crash(&mut self, durable: usize) {
        if let Some(process) = self.process.take()
            && !process.out_of_sequence
        {
            self.zombies.extend(process.pipeline);
        }
        let some = self.some();
        if let Some(position) = self.saving.pop_front() {
            self.maps.write(if durable > 0 { usize::MAX } else { some });
            if durable > 0 {
                self.stored = Some(position);
            }
        }
    }

    /// Whatever comes next by itself: start, open the lane, resolve.
    fn go(&mut self, chunk: usize) {
        let Some(process) = &mut self.process else {
            self.start();
            return;
        };
        if process.opening && process.pipeline.is_empty() {
            process.opening = false;
            process.acks.clear();
            self.tell(PartitionInput::LaneOpened);
        } else if process.resolving {
            self.resolve(chunk);
        }
    }

    fn start(&mut self) {
        self.maps.load();
        let config = PartitionConfig {
            positions_interval: Duration::from_secs(1),
            seed: self.next_id,
            place: "orders-0".to_owned(),
        };
        self.process = Some(Process {
            machine: PartitionMachine::new(config, self.generation),
            pipeline: VecDeque::new(),
            acks: VecDeque::new(),
            fetch: None,
            opening: false,
            resolving: false,
            looked: None,
            knows: None,
            out_of_sequence: false,
        });
        self.tell(PartitionInput::Start);
    }

    /// The catalogue tells what moved since the last resolution.
    fn notify(&mut self) {
        let Some(knows) = self.process.as_mut().and_then(|process| process.knows) else { return };
        if knows[0] != (self.source.incarnation, self.source.epoch) {
            self.tell(PartitionInput::SourceMoved);
        }
        if knows[1] != (self.target.incarnation, self.target.epoch) {
            self.tell(PartitionInput::TargetMoved);
        }
    }

    fn bounds(&mut self) {
        self.tell(PartitionInput::Bounds { end: self.source.end, leader_epoch: self.source.epoch });
    }

    fn tick(&mut self) {
        if self.deadline().is_some_and(|at| at <= self.now) {
            self.tell(PartitionInput::Tick);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.process.as_ref().and_then(|process| process.machine.deadline())
    }

    /// Troubles end; everything that is due happens until nothing is left to do.
    pub fn calm_down(&mut self) {
        for round in 0..2_000 {
            self.step(Op::Go(3));
            self.step(Op::Resume);
            self.step(Op::Credit(false));
            self.step(if round % 2 == 0 { Op::ZombieArrives } else { Op::ZombiesPerish });
            self.step(Op::Notify);
            self.step(Op::Fetch(4, round % 3 == 0));
            self.step(Op::Apply);
            self.step(Op::Ack);
            self.step(Op::Store);
            self.step(Op::Bounds);
            let deadline = self.deadline();
            if let Some(at) = deadline {
                self.now = self.now.max(at);
                self.tick();
            }
            if deadline.is_none() && self.is_idle() {
                return;
            }
        }
        let state = self.process.as_ref().map(|process| format!("{:?}", process.machine));
        panic!("it does not come to rest: {state:?}");
    }

    fn is_idle(&self) -> bool {
        self.saving.is_empty()
            && self.process.as_ref().is_some_and(|process| {
                process.machine.state() == PartitionState::Streaming
                    && process.machine.source_next() == Some(self.source.end)
                    && process.machine.fault().is_none()
                    && process.pipeline.is_empty()
                    && process.acks.is_empty()
                    && process.knows
                        == Some([
                            (self.source.incarnation, self.source.epoch),
                            (self.target.incarnation, self.target.epoch),
                        ])
            })
    }
}
