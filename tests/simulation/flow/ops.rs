//! What may happen, and how often.

use std::time::Duration;

use mirrormesh::formats::Token;
use mirrormesh::model::{FaultKind, Generation, TopicPartition};
use mirrormesh::replicator::flow::{BothClusters, FlowInput, FlowMemory};

use super::Random;
use super::actors::Save;
use super::process::{Drain, Process, claim};
use super::truth::Truth;

pub struct World {
    pub random: Random,
    pub truth: Truth,
    pub processes: [Option<Process>; 2],
    pub now: Duration,
    next_id: u64,
    /// Nothing bad happens to processes and clusters: topics, sessions and actors have the time to.
    mild: bool,
    shown: bool,
}

impl World {
    pub fn new(mut random: Random, shown: bool) -> Self {
        Self {
            mild: random.one_in(2),
            random,
            truth: Truth::new(),
            processes: [None, None],
            now: Duration::ZERO,
            next_id: 1,
            shown,
        }
    }

    fn show(&self, what: impl std::fmt::Debug) {
        if self.shown {
            eprintln!("{:?} {what:?}", self.now);
        }
    }

    /// One thing happens, somewhere.
    pub fn step(&mut self) {
        match self.random.below(100) {
            0..6 => {
                let (which, how) = (self.random.below(4), self.random.below(5));
                let partitions = 1 + self.random.below(2);
                self.show(("topic", which, how));
                self.truth.change_topic(which, how, partitions);
            }
            6..8 => {
                let random = self.random.below(8);
                let on_source = self.random.one_in(2);
                self.show(("election", on_source, random));
                let cluster = if on_source { &mut self.truth.source } else { &mut self.truth.target };
                cluster.elect(random);
            }
            8 => {
                let which = self.random.below(4);
                self.truth.lose_target_topic(which);
            }
            9..12 if self.mild => {}
            9..12 => {
                let cluster =
                    if self.random.one_in(2) { &mut self.truth.source } else { &mut self.truth.target };
                cluster.there = !cluster.there;
            }
            12 => {
                let topic = self.random.any(["a", "b"]).expect("two").into();
                if !self.truth.refusing.remove(&topic) {
                    self.truth.refusing.insert(topic);
                }
            }
            13..22 => {
                let longest = if self.random.one_in(4) { 70_000 } else { 2_000 };
                let by = Duration::from_millis(self.random.below(longest) as u64);
                self.show(("advance", by));
                self.advance(self.now + by);
            }
            _ => {
                let which = if self.mild { 0 } else { self.random.below(2) };
                self.process_step(which);
            }
        }
    }

    /// Time passes, and every deadline on the way is kept.
    pub fn advance(&mut self, to: Duration) {
        for _ in 0..10_000 {
            let deadlines = self.processes.iter().flatten().filter_map(|process| process.machine.deadline());
            let Some(at) = deadlines.min().filter(|at| *at <= to) else {
                self.now = to;
                return;
            };
            self.now = self.now.max(at);
            for which in 0..2 {
                let due = |process: &Process| process.machine.deadline().is_some_and(|at| at <= self.now);
                if self.processes[which].as_ref().is_some_and(due) {
                    self.tell(which, FlowInput::Tick);
                }
            }
        }
        panic!("a deadline does not move");
    }

    /// Tells a process; one that is over after it is gone, or begins its next life.
    pub fn tell(&mut self, which: usize, input: FlowInput) {
        self.show((which, &input));
        let Some(process) = &mut self.processes[which] else { return };
        process.tell(&mut self.truth, self.now, input);
        if process.failed && process.fuse != Some(0) {
            self.restart_flow(which);
        } else if process.fuse == Some(0) {
            self.processes[which] = None;
        }
    }

    /// The flow's actor failed: its children end with it, and the root starts the next one.
    fn restart_flow(&mut self, which: usize) {
        let Some(process) = self.processes[which].take() else { return };
        self.begin(which, process.id, process.memory());
    }

    pub fn start_process(&mut self, which: usize) {
        self.next_id += 1;
        self.begin(which, self.next_id, FlowMemory::default());
    }

    fn begin(&mut self, which: usize, id: u64, memory: FlowMemory) {
        let seed = self.random.next();
        self.processes[which] = Some(Process::new(id, seed, memory));
        self.tell(which, FlowInput::Start);
        self.look(which);
    }

    fn process_step(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else {
            if self.random.one_in(4) {
                self.start_process(which);
            }
            return;
        };
        if process.is_over() && self.random.one_in(3) {
            self.processes[which] = None;
            return;
        }
        match self.random.below(100) {
            0..10 => self.look(which),
            10..14 => self.ends(which),
            14..24 => self.claim(which),
            24..36 => self.question(which),
            36..38 => self.old_answer(which),
            38..62 => {
                let partition = self.random.any(process.partitions.keys().cloned());
                let save = self.random.one_in(3);
                if let Some(source) = partition {
                    self.partition(which, &source, true, save);
                }
            }
            62..76 => {
                let fails = self.random.one_in(12);
                self.store(which, fails);
            }
            76..79 => self.lose_session(which),
            79..85 => self.close_session(which),
            85..88 => self.tell_claim(which),
            88..90 => self.pause(which),
            90 => {
                if std::mem::take(&mut process.jobs) {
                    self.tell(which, FlowInput::JobFailed("a panic".to_owned()));
                }
            }
            91..93 => self.fail_partition(which),
            95..100 if self.mild => {}
            93..95 => self.fault_partition(which),
            95 => {
                let limit = Duration::from_millis([0, 500, 10_000, 40_000][self.random.below(4)]);
                self.drain(which, limit);
            }
            96 => process.refuses_session = true,
            97 => self.trouble(which),
            98 => process.fuse = Some(self.random.below(12)),
            _ => self.processes[which] = None,
        }
    }

    fn trouble(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        match self.random.below(4) {
            0 => process.loops = true,
            1 if process.drain.is_none() => self.restart_flow(which),
            _ => {
                if process.store.take().is_some() {
                    process.store_failed = true;
                    self.tell(which, FlowInput::StoreEnded("a panic".to_owned()));
                }
            }
        }
    }

    pub fn look(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        process.told = BothClusters {
            source: self.truth.source.look(&process.told.source),
            target: self.truth.target.look(&process.told.target),
        };
        let told = process.told.clone();
        self.tell(which, FlowInput::Clusters(Box::new(told)));
    }

    pub fn ends(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        let ends = self.truth.ends();
        // A flow that is ending tells its partitions nothing any more.
        process.ends = Some(ends.clone());
        self.tell(which, FlowInput::Ends(ends));
    }

    /// The claim is written, or what is stored is read.
    pub fn claim(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        let Some((attempt, token)) = process.claiming.take() else { return };
        let fails = !self.truth.target.there || self.random.one_in(6);
        let input = match token {
            None if !fails => {
                process.claiming = Some((attempt, Some(self.truth.claim(process.id, false))));
                return;
            }
            Some(token) if !fails => FlowInput::Claimed { attempt, token: Token(token) },
            _ => {
                let needs_person = self.random.one_in(3);
                FlowInput::ClaimFailed { attempt, needs_person, reason: "not read".to_owned() }
            }
        };
        self.tell(which, input);
    }

    /// The remote topics are looked after, or that is answered.
    pub fn question(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        if process.questions.is_empty() {
            return;
        }
        let at = self.random.below(process.questions.len());
        let Some(seen) = process.questions[at].seen.take() else {
            process.questions[at].seen = Some(self.truth.reconcile());
            return;
        };
        let number = process.questions.remove(at).number;
        let input = match seen {
            None => FlowInput::ReconcileFailed { number, reason: "a cluster is away".to_owned() },
            Some(outcome) => {
                process.answering(&outcome);
                process.answered.push((number, outcome.clone()));
                FlowInput::Reconciled { number, outcome: Box::new(outcome) }
            }
        };
        self.tell(which, input);
    }

    /// An answer that was given already arrives again.
    fn old_answer(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        if let Some((number, outcome)) = self.random.any(process.answered.iter().cloned()) {
            self.tell(which, FlowInput::Reconciled { number, outcome: Box::new(outcome) });
        }
    }

    /// A partition gets on: opens its lane, mirrors, saves, ends.
    pub fn partition(&mut self, which: usize, source: &TopicPartition, mirror: bool, save: bool) {
        let Some(process) = &mut self.processes[which] else { return };
        let Some(partition) = process.partitions.get_mut(source) else { return };
        if partition.killed {
            self.end_partition(which, source, None);
            return;
        }
        let session = process.session.filter(|(_, lost)| !lost).map(|(generation, _)| generation);
        if partition.lane.is_some() && partition.lane != session {
            partition.lane = None;
        } else if partition.lane.is_none() && !partition.draining {
            if let Some(generation) = session {
                partition.lane = Some(generation);
                *process.lanes.entry(source.clone()).or_default() += 1;
            }
        } else if mirror && !partition.paused && !partition.draining {
            partition.acknowledged += 1;
            let most = self.truth.acknowledged.entry(source.clone()).or_default();
            *most = partition.acknowledged.max(*most);
        }
        // Without a lane a drain is over at once, the last position on its way.
        let abandons = partition.draining && partition.lane.is_none();
        let unsaved = partition.acknowledged > partition.asked;
        if unsaved && (abandons || !partition.saving && (save || partition.draining)) {
            (partition.asked, partition.saving) = (partition.acknowledged, true);
            let save = Save { source: source.clone(), position: partition.acknowledged };
            process.store.iter_mut().for_each(|store| store.save(save.clone()));
        }
        if abandons || partition.draining && !partition.saving && !unsaved {
            self.end_partition(which, source, None);
        }
    }

    fn end_partition(&mut self, which: usize, source: &TopicPartition, failure: Option<String>) {
        let Some(process) = &mut self.processes[which] else { return };
        let Some(partition) = process.partitions.remove(source) else { return };
        if process.drain.is_some() && !partition.killed && failure.is_none() {
            process.owed.insert(source.clone(), partition.acknowledged);
        }
        let generation = Generation(process.lanes.get(source).copied().unwrap_or_default());
        self.tell(which, FlowInput::PartitionEnded { source: source.clone(), generation, failure });
    }

    fn fail_partition(&mut self, which: usize) {
        let Some(process) = &self.processes[which] else { return };
        if let Some(source) = self.random.any(process.partitions.keys().cloned()) {
            self.end_partition(which, &source, Some("a panic".to_owned()));
        }
    }

    fn fault_partition(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        let Some((source, partition)) = self.random.any(process.partitions.iter_mut()) else { return };
        let source = source.clone();
        let kinds = [None, Some(FaultKind::RecordTooLarge), Some(FaultKind::Other)];
        partition.fault = kinds[self.random.below(3)];
        let input = match partition.fault {
            Some(kind) => FlowInput::PartitionFaulted { source, kind },
            None => FlowInput::PartitionRecovered(source),
        };
        self.tell(which, input);
    }

    /// The store writes, or ends its drain.
    pub fn store(&mut self, which: usize, fails: bool) {
        let Some(process) = &mut self.processes[which] else { return };
        let Some(store) = &mut process.store else { return };
        if store.draining && (store.lost || store.pending.is_empty()) {
            if !store.lost {
                self.truth.claim(process.id, true);
            }
            process.store = None;
            self.tell(which, FlowInput::StoreDrained);
            return;
        }
        if store.lost || !self.truth.target.there {
            return;
        }
        let Some(Save { source, position }) = store.pending.pop_front() else { return };
        assert!(!process.other_claim, "R3: a position is saved though the flow is another's");
        if !fails {
            self.truth.save(store.token, &source, position);
        }
        // Written in vain: another process has claimed the flow, and this one was not told yet.
        let fenced = !fails && !self.truth.is_newest(store.token);
        match process.partitions.get_mut(&source) {
            Some(partition) => {
                partition.saving = false;
                if fails {
                    partition.asked = -1;
                }
            }
            None => process.store_failed |= fails,
        }
        process.store_failed |= fenced;
    }

    pub fn lose_session(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        let Some((generation, lost)) = &mut process.session else { return };
        *lost = true;
        let generation = *generation;
        self.tell(which, FlowInput::SessionLost { generation, reason: "connection reset".to_owned() });
    }

    pub fn close_session(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        if let Some(generation) = process.closing.pop() {
            self.tell(which, FlowInput::SessionClosed(generation));
        }
    }

    /// A later claim of another process is read.
    pub fn tell_claim(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        let claimed = process.claiming.and_then(|(_, token)| token);
        let Some(ours) = process.store.as_ref().map(|store| store.token).or(claimed) else { return };
        let other = self
            .truth
            .claims
            .iter()
            .find(|claim| claim.token > ours && claim.process != process.id && !claim.released);
        let Some(other) = other.filter(|_| !process.other_claim) else { return };
        process.other_claim = true;
        process.store.iter_mut().for_each(|store| store.lost = true);
        let input = FlowInput::OtherClaim(claim(other.process));
        self.tell(which, input);
    }

    fn pause(&mut self, which: usize) {
        let Some(process) = &mut self.processes[which] else { return };
        process.paused = !process.paused;
        let input = if process.paused { FlowInput::Pause } else { FlowInput::Resume };
        self.tell(which, input);
    }

    pub fn drain(&mut self, which: usize, limit: Duration) {
        let Some(process) = &mut self.processes[which] else { return };
        if process.drain.is_none() {
            process.drain = Some(Drain { from: self.now, limit });
            process.killed = 0;
        }
        self.tell(which, FlowInput::Drain { limit });
    }
}
