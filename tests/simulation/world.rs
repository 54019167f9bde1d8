//! Two clusters, a position store and a process between them, all in memory; every step is an [`Op`].

use std::collections::VecDeque;
use std::time::Duration;

use mirrormesh::formats::Position;
use mirrormesh::model::status::PartitionState;
use mirrormesh::model::{
    BatchInfo, Fault, FaultKind, Generation, ResetPolicy, Segment, TargetResetPolicy, WriteErrorClass,
};
use mirrormesh::replicator::resume::{Next, ResumePolicy, SourceFacts, TargetFacts, decide};
use mirrormesh::replicator::tail::{MatchRules, TailMatch, TailMatcher, TailPlan, Wants};
use mirrormesh::replicator::{Input, Machine, MachineConfig, Output};

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
    pub machine: Machine,
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
                    self.tell(Input::SourceFailed { fault, retry });
                }
            }
            Op::Notify => self.notify(),
            Op::Bounds => self.bounds(),
            Op::Pause => self.tell(Input::Pause),
            Op::Resume => self.tell(Input::Resume),
            Op::Drain => self.tell(Input::Drain),
            Op::Credit(blocked) => self.tell(Input::CreditBlocked(blocked)),
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
    fn tell(&mut self, input: Input) {
        let Some(process) = &mut self.process else { return };
        let mut out = Vec::new();
        process.machine.handle(self.now, input, &mut out);
        for output in out {
            assert!(!matches!(output, Output::Write | Output::Discard), "nothing was fetched: {output:?}");
            self.obey(output);
        }
    }

    fn obey(&mut self, output: Output) {
        let Some(process) = &mut self.process else { panic!("{output:?} after the process stopped") };
        match output {
            Output::OpenLane(generation) => {
                assert!(generation > self.generation, "generations rise");
                self.generation = generation;
                process.fetch = None;
                process.opening = true;
                process.resolving = false;
            }
            Output::Resolve => {
                process.resolving = true;
                process.looked = None;
            }
            Output::Fetch { offset, leader_epoch } => process.fetch = Some((offset, leader_epoch)),
            Output::StopFetch => process.fetch = None,
            Output::Write | Output::Discard => unreachable!("answered where it is asked"),
            Output::SavePosition(position) => {
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
            Output::Mirrored { source_next, segments } => self.maps.mirrored(&segments, source_next),
            Output::Report(event) => self.ledger.report(event),
            Output::Stopped => {
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

    fn fetch(&mut self, most: usize, epoch_known: bool) {
        let Some(process) = &mut self.process else { return };
        let Some((offset, epoch)) = process.fetch else { return };
        let resolved = process.machine.position().map(|position| position.source_topic_id);
        let diverges =
            self.source.epoch_end(epoch).is_some_and(|end| end.epoch < epoch || end.end_offset < offset);
        let inside = (self.source.start..=self.source.end).contains(&offset);
        if resolved != Some(self.source.topic_id) || diverges || !inside {
            process.fetch = None;
            self.tell(Input::SourceMoved);
            return;
        }
        let records: Vec<(i64, Record)> = self.source.read(offset).take(most).collect();
        let next = records.last().map_or(self.source.end, |(last, _)| last + 1);
        if next == offset {
            return;
        }
        let leader_epoch = match records.last() {
            Some((last, _)) => self.source.epoch_at(*last),
            None if epoch_known => self.source.epoch_at(next - 1),
            None => -1,
        };
        let info = BatchInfo {
            source_base: offset,
            source_next: next,
            records: records.len() as u32,
            bytes: records.len() * 10_000_000,
            leader_epoch,
            max_timestamp_ms: -1,
        };
        process.fetch = Some((next, epoch));
        let mut out = Vec::new();
        process.machine.handle(self.now, Input::Fetched(info), &mut out);
        let generation = process.machine.generation();
        let mut answers = 0;
        for output in out {
            match output {
                Output::Write => {
                    answers += 1;
                    assert!(info.records > 0, "an empty batch is not written");
                    let Some(process) = &mut self.process else { panic!("the process stopped on a fetch") };
                    process.pipeline.push_back(Request { generation, info, records: records.clone() });
                }
                Output::Discard => answers += 1,
                other => self.obey(other),
            }
        }
        assert_eq!(answers, 1, "a fetched batch is answered exactly once");
    }

    /// The broker takes the oldest request.
    fn apply(&mut self) {
        let Some(process) = &mut self.process else { return };
        if process.pipeline.is_empty() {
            return;
        }
        if process.out_of_sequence {
            process.out_of_sequence = false;
            self.fail_writes(WriteErrorClass::Session, "out of order sequence");
            return;
        }
        let Some(request) = process.pipeline.pop_front() else { return };
        // Writes name the topic by its name: a new one takes them before anyone has noticed.
        let noticed = process.knows.is_some_and(|knows| knows[1].0 == self.target.incarnation);
        self.ledger.writing(noticed);
        let segments = append(&mut self.target, &mut self.ledger, &request);
        process.acks.push_back(Ack {
            generation: request.generation,
            source_next: request.info.source_next,
            segments,
        });
    }

    /// The answer to the oldest applied request arrives.
    fn ack(&mut self) {
        let Some(process) = &mut self.process else { return };
        let Some(ack) = process.acks.pop_front() else { return };
        if ack.generation == process.machine.generation() && !process.opening {
            let target_next = ack.segments.last().map(Segment::target_next);
            self.tell(Input::Acknowledged {
                source_next: ack.source_next,
                target_next,
                segments: ack.segments,
            });
        }
    }

    fn store(&mut self) {
        if let Some(position) = self.saving.pop_front() {
            self.maps.saved();
            self.stored = Some(position);
            self.tell(Input::PositionSaved);
        }
    }

    /// The store answers with an error, or not in time; the record may be there all the same.
    fn store_fails(&mut self, stored: bool) {
        if let Some(position) = self.saving.pop_front() {
            // The map is written first.
            self.maps.not_saved(if stored { usize::MAX } else { self.some() });
            if stored {
                self.stored = Some(position);
            }
            let fault = Fault::new(FaultKind::PositionStore, "the position was not stored", "");
            self.tell(Input::PositionFailed(fault));
        }
    }

    /// Nothing of the oldest request is written, nor anything after it.
    fn fail_writes(&mut self, class: WriteErrorClass, what: &str) {
        let Some(process) = &mut self.process else { return };
        if process.pipeline.is_empty() {
            return;
        }
        process.pipeline.clear();
        // Answers that were given before arrive before.
        while self.process.as_ref().is_some_and(|process| !process.acks.is_empty()) {
            self.ack();
        }
        let fault = Fault::new(FaultKind::Other, what, "");
        if self.process.as_ref().is_some_and(|process| !process.opening) {
            self.tell(Input::WriteFailed { class, fault });
        }
    }

    /// Connections break: applied requests stay unanswered, others may arrive later or never.
    fn lose_session(&mut self, arrive: usize) {
        let Some(process) = &mut self.process else { return };
        process.acks.clear();
        process.fetch = None;
        let arrive = if std::mem::take(&mut process.out_of_sequence) { 0 } else { arrive };
        self.zombies.extend(process.pipeline.drain(..).take(arrive));
        self.tell(Input::SessionLost("connection reset".to_owned()));
    }

    fn zombie_arrives(&mut self) {
        if let Some(request) = self.zombies.pop_front() {
            let known = self.stored.as_ref().map(|position| position.target_topic_id);
            self.ledger.writing(known == Some(self.target.topic_id));
            append(&mut self.target, &mut self.ledger, &request);
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
            self.tell(Input::LaneOpened);
        } else if process.resolving {
            self.resolve(chunk);
        }
    }

    fn start(&mut self) {
        self.maps.load();
        let config = MachineConfig {
            positions_interval: Duration::from_secs(1),
            seed: self.next_id,
            place: "orders-0".to_owned(),
        };
        self.process = Some(Process {
            machine: Machine::new(config, self.generation),
            pipeline: VecDeque::new(),
            acks: VecDeque::new(),
            fetch: None,
            opening: false,
            resolving: false,
            looked: None,
            knows: None,
            out_of_sequence: false,
        });
        self.tell(Input::Start);
    }

    fn resolve(&mut self, chunk: usize) {
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
            Next::Settle => return,
            Next::Go { .. } | Next::Fault(_) => None,
            Next::MatchTail(plan) => {
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
            (Next::MatchTail(plan), _) => plan.unreadable as i64,
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
            Err(fault) => self.tell(Input::ResolveFailed(fault)),
            Ok(resolution) => {
                process.knows = Some([
                    (self.source.incarnation, self.source.epoch),
                    (self.target.incarnation, self.target.epoch),
                ]);
                process.out_of_sequence = false;
                self.maps.resolved(&resolution);
                self.tell(Input::Resolved(Box::new(resolution)));
            }
        }
    }

    /// The catalogue tells what moved since the last resolution.
    fn notify(&mut self) {
        let Some(knows) = self.process.as_mut().and_then(|process| process.knows) else { return };
        if knows[0] != (self.source.incarnation, self.source.epoch) {
            self.tell(Input::SourceMoved);
        }
        if knows[1] != (self.target.incarnation, self.target.epoch) {
            self.tell(Input::TargetMoved { leader_epoch: self.target.epoch });
        }
    }

    fn bounds(&mut self) {
        self.tell(Input::Bounds {
            log_start: self.source.start,
            end: self.source.end,
            leader_epoch: self.source.epoch,
        });
    }

    fn tick(&mut self) {
        if self.deadline().is_some_and(|at| at <= self.now) {
            self.tell(Input::Tick);
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

fn append(target: &mut Log, ledger: &mut Ledger, request: &Request) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for &(source_base, record) in &request.records {
        let target_base = target.append(Some(record));
        ledger.delivered(record.id);
        match segments.last_mut() {
            Some(last) if last.source_next() == source_base => last.count += 1,
            _ => segments.push(Segment { source_base, target_base, count: 1 }),
        }
    }
    segments
}

fn match_logs(source: &Log, target: &Log, plan: TailPlan, rules: MatchRules, chunk: usize) -> TailMatch {
    let source = source.digests(plan.source_from, plan.source_to);
    let target = target.digests(plan.target_from, plan.target_to);
    let (mut source, mut target) = (source.chunks(chunk), target.chunks(chunk + 1));
    let mut matcher = TailMatcher::new(plan, rules);
    loop {
        match matcher.wants() {
            Wants::Nothing => return matcher.finish(),
            Wants::Source => match source.next() {
                Some(records) => matcher.source(records),
                None => matcher.source_end(),
            },
            Wants::Target => match target.next() {
                Some(records) => matcher.target(records),
                None => matcher.target_end(),
            },
        }
    }
}
