//! A process: the machine, and the deeds it asks for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mirrormesh::formats::{Claim, Token};
use mirrormesh::model::status::UpstreamStatus;
use mirrormesh::model::{Alias, Event, Fault, Generation, TopicName, TopicPartition};
use mirrormesh::replicator::flow::{
    BothClusters, FlowConfig, FlowInput, FlowMachine, FlowMemory, FlowOutput, Note, PartitionStart,
    Reconciliation, Told,
};

use super::actors::{Partition, Store};
use super::checks::{self, Known};
use super::truth::{Ends, Truth};

/// A look after the remote topics: asked, then looked, then answered.
#[derive(Debug)]
pub struct Question {
    pub number: u64,
    pub seen: Option<Option<Reconciliation>>,
}

/// How a drain goes.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    pub from: Duration,
    pub limit: Duration,
}

pub struct Process {
    pub id: u64,
    pub machine: FlowMachine,
    pub told: BothClusters,
    pub ends: Option<Arc<Ends>>,
    /// The claim under way, and its offset once it is written.
    pub claiming: Option<(u64, Option<i64>)>,
    /// Another process' claim was read.
    pub other_claim: bool,
    /// The flow stopped for good.
    pub gave_up: bool,
    pub store: Option<Store>,
    /// The session in use, and whether it is lost.
    pub session: Option<(Generation, bool)>,
    pub closing: Vec<Generation>,
    sessions: BTreeSet<Generation>,
    pub questions: Vec<Question>,
    /// Answers that were given.
    pub answered: Vec<(u64, Reconciliation)>,
    pub partitions: BTreeMap<TopicPartition, Partition>,
    /// The last generation of each lane.
    pub lanes: BTreeMap<TopicPartition, u64>,
    pub observed: BTreeSet<TopicPartition>,
    pub jobs: bool,
    pub paused: bool,
    pub drain: Option<Drain>,
    /// A write failed or the store died: what a drain leaves behind is excused.
    pub store_failed: bool,
    /// What partitions had when they ended in a drain.
    pub owed: BTreeMap<TopicPartition, i64>,
    /// Partitions that were killed in a drain.
    pub killed: usize,
    faults: BTreeMap<TopicName, Fault>,
    left_out: BTreeMap<TopicName, String>,
    /// The heartbeats of the next look prove a loop.
    pub loops: bool,
    /// The next session can't be built.
    pub refuses_session: bool,
    /// What the machine said last.
    pub left_behind: Option<usize>,
    pub failed: bool,
    /// So many deeds are left before the process crashes.
    pub fuse: Option<usize>,
    answers: VecDeque<FlowInput>,
}

pub fn config(seed: u64) -> FlowConfig {
    FlowConfig {
        name: "S->T".into(),
        from: "S".into(),
        to: "T".into(),
        heartbeat_interval: Duration::from_secs(1),
        repeat_ends: false,
        close_limit: Duration::from_secs(30),
        seed,
    }
}

pub fn claim(id: u64) -> Claim {
    Claim { process: format!("process-{id}"), host: "h".to_owned(), pid: 1, claimed_ms: 0, released: false }
}

impl Process {
    /// A process, or the flow's next life in it.
    pub fn new(id: u64, seed: u64, memory: FlowMemory) -> Self {
        let lanes = memory.generations.iter().map(|(source, last)| (source.clone(), last.0)).collect();
        Self {
            id,
            paused: memory.paused,
            machine: FlowMachine::new(config(seed), memory),
            told: BothClusters::default(),
            ends: None,
            claiming: None,
            other_claim: false,
            gave_up: false,
            store: None,
            session: None,
            closing: Vec::new(),
            sessions: BTreeSet::new(),
            questions: Vec::new(),
            answered: Vec::new(),
            partitions: BTreeMap::new(),
            lanes,
            observed: BTreeSet::new(),
            jobs: false,
            drain: None,
            store_failed: false,
            owed: BTreeMap::new(),
            killed: 0,
            faults: BTreeMap::new(),
            left_out: BTreeMap::new(),
            loops: false,
            refuses_session: false,
            left_behind: None,
            failed: false,
            fuse: None,
            answers: VecDeque::new(),
        }
    }

    /// What the next life of the flow in this process begins with.
    pub fn memory(&self) -> FlowMemory {
        let generations = self.lanes.iter().map(|(source, last)| (source.clone(), Generation(*last)));
        FlowMemory { generations: generations.collect(), ..self.machine.memory() }
    }

    pub fn is_over(&self) -> bool {
        self.left_behind.is_some() || self.failed || self.fuse == Some(0)
    }

    /// Hands an input to the machine and does what it asks for, as far as the process lives.
    pub fn tell(&mut self, truth: &mut Truth, now: Duration, input: FlowInput) {
        self.answers.push_back(input);
        while let Some(input) = self.answers.pop_front() {
            let was_over = self.left_behind.is_some() || self.failed;
            let mut out = Vec::new();
            self.machine.handle(now, input, &mut out);
            assert!(!was_over || out.is_empty(), "{out:?} after the end");
            for output in out {
                if self.fuse == Some(0) {
                    return;
                }
                self.fuse = self.fuse.map(|left| left - 1);
                self.obey(truth, now, output);
            }
            if self.fuse != Some(0) {
                checks::each_step(self);
            }
        }
    }

    fn obey(&mut self, truth: &mut Truth, now: Duration, output: FlowOutput) {
        assert!(self.left_behind.is_none() && !self.failed, "{output:?} after the end");
        let starts = matches!(
            output,
            FlowOutput::Claim { .. }
                | FlowOutput::StartStore { .. }
                | FlowOutput::StartJobs
                | FlowOutput::StartSession(_)
                | FlowOutput::StartPartition(_)
        );
        let may_start = !self.other_claim && !self.gave_up && self.drain.is_none();
        assert!(!starts || may_start, "R3: {output:?} though the flow is another's, given up or draining");
        match output {
            FlowOutput::Claim { attempt } => self.claiming = Some((attempt, None)),
            FlowOutput::StartStore { token: Token(token) } => {
                assert!(self.store.is_none(), "one store at a time");
                self.store = Some(Store::new(token));
            }
            FlowOutput::DrainStore { limit } => {
                let drain = self.drain.expect("a store is drained in a drain");
                assert!(now + limit <= drain.from + drain.limit, "the store's time is within the drain's");
                assert!(
                    self.partitions.values().all(|partition| partition.killed),
                    "R1: the store is drained while partitions may still save"
                );
                self.store.as_mut().expect("there is a store").draining = true;
            }
            FlowOutput::StartJobs => self.jobs = true,
            FlowOutput::StopJobs => self.jobs = false,
            FlowOutput::StartSession(generation) => self.start_session(generation),
            FlowOutput::CloseSession { generation, .. } => {
                let (in_use, _) = self.session.take().expect("a session that is closed was in use");
                assert_eq!(in_use, generation);
                self.closing.push(generation);
            }
            FlowOutput::Reconcile { number, refused } => {
                checks::refused(self, &refused);
                self.questions.push(Question { number, seen: None });
            }
            FlowOutput::StartPartition(start) => self.start_partition(truth, *start),
            FlowOutput::TellPartition(source, told) => self.tell_partition(&source, told),
            FlowOutput::KillPartition(source) => {
                checks::may_kill(self, now);
                let partition = self.partitions.get_mut(&source).expect("it has an actor");
                self.killed += usize::from(!std::mem::replace(&mut partition.killed, true));
            }
            FlowOutput::Observe(source) => assert!(self.observed.insert(source), "observed once"),
            FlowOutput::Forget(source) => assert!(self.observed.remove(&source), "forgotten once"),
            FlowOutput::ShowTopics(topics) => {
                self.faults.retain(|topic, _| topics.iter().any(|status| status.topic == *topic));
            }
            FlowOutput::Report(Event::LoopFound { .. }) => self.gave_up = true,
            FlowOutput::Report(_) => {}
            FlowOutput::ReportTopic(topic, event) => self.topic_event(topic, event),
            FlowOutput::Note(note) => self.note(note),
            FlowOutput::Upkeep => {
                let upstreams = self.upstreams();
                self.answers.push_back(FlowInput::Upstreams(upstreams));
            }
            FlowOutput::Failed(_) => self.failed = true,
            FlowOutput::Stopped { left_behind } => {
                self.left_behind = Some(left_behind);
                checks::stopped(self, truth, now);
            }
        }
    }

    fn start_session(&mut self, generation: Generation) {
        assert!(self.session.is_none(), "one session in use at a time");
        assert!(self.sessions.insert(generation), "never two sessions of one generation");
        let refused = std::mem::take(&mut self.refuses_session);
        self.answers.push_front(if refused {
            FlowInput::SessionRefused { generation, reason: "no such codec".to_owned() }
        } else {
            self.session = Some((generation, false));
            FlowInput::SessionStarted(generation)
        });
    }

    fn start_partition(&mut self, truth: &Truth, start: PartitionStart) {
        let PartitionStart { source, target, generation, .. } = start;
        assert!(self.store.is_some(), "a partition starts after the store");
        assert!(!self.partitions.contains_key(&source), "at most one living actor of {source}");
        let last = self.lanes.get(&source).copied().unwrap_or_default();
        assert!(generation.0 >= last, "the generation of {source} rises: {generation} after {last}");
        let acknowledged = truth.acknowledged.get(&source).copied().unwrap_or_default();
        let partition = Partition {
            lane: None,
            acknowledged,
            asked: truth.positions.get(&source).copied().unwrap_or_default().min(acknowledged),
            saving: false,
            paused: false,
            draining: false,
            killed: false,
            end: None,
            knows: Known::of(&self.told, &source, &target),
            fault: None,
            target,
        };
        self.partitions.insert(source, partition);
    }

    fn tell_partition(&mut self, source: &TopicPartition, told: Told) {
        let partition = self.partitions.get_mut(source).expect("who is told lives");
        assert!(!partition.killed && !partition.draining, "{source} is told {told:?} after its end");
        match told {
            Told::SourceMoved | Told::TargetMoved => {
                partition.knows = Known::of(&self.told, source, &partition.target);
            }
            Told::End { end, .. } => partition.end = Some(end),
            Told::Pause => partition.paused = true,
            Told::Resume => partition.paused = false,
            Told::Drain => partition.draining = true,
        }
    }

    fn topic_event(&mut self, topic: TopicName, event: Event) {
        match event {
            Event::Faulted(fault) => {
                let before = self.faults.insert(topic.clone(), fault.clone());
                assert_ne!(before, Some(fault), "R10: the fault of {topic} is told once");
            }
            Event::Recovered => {
                assert!(self.faults.remove(&topic).is_some(), "{topic} recovers from a fault that was told");
            }
            _ => {}
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Refused(_) | Note::GaveUp(_) => self.gave_up = true,
            Note::LeftOut { topic, reason } => {
                let before = self.left_out.insert(topic.clone(), reason.clone());
                assert_ne!(before, Some(reason), "that {topic} is left out is told once");
            }
            _ => {}
        }
    }

    /// A reconciliation is about to be answered: what was left out before may be told again if it is new to it.
    pub fn answering(&mut self, outcome: &Reconciliation) {
        self.left_out.retain(|topic, _| outcome.left_out.contains_key(topic));
    }

    fn upstreams(&mut self) -> Vec<UpstreamStatus> {
        let path: Vec<Alias> = if std::mem::take(&mut self.loops) {
            vec!["T".into(), "S".into(), "T".into()]
        } else {
            vec!["S".into(), "T".into()]
        };
        vec![UpstreamStatus { alias: path[0].clone(), hops: path.len() as u32 - 1, path, age_ms: 100 }]
    }
}
