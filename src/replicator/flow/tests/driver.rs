//! A flow's machine with everything at hand, and what it said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::*;
use crate::formats::{Claim, Token};
use crate::model::status::{ClusterState, TopicStatus};
use crate::model::{ClusterId, Fault, FaultKind, Generation, TopicId, TopicName, TopicPartition};

/// Topics by name: an id, and the leader's epoch of each partition.
#[derive(Debug, Default)]
pub(super) struct Topics(pub BTreeMap<TopicName, (u128, Vec<i32>)>);

impl FlowCatalogue for Topics {
    fn topics(&self) -> BTreeSet<TopicName> {
        self.0.keys().cloned().collect()
    }

    fn has_topic(&self, topic: &TopicName) -> bool {
        self.0.contains_key(topic)
    }

    fn topic_id(&self, topic: &TopicName) -> TopicId {
        self.0.get(topic).map_or_else(TopicId::default, |(id, _)| TopicId(Uuid::from_u128(*id)))
    }

    fn leader_epoch(&self, partition: &TopicPartition) -> Option<i32> {
        self.0.get(&partition.topic)?.1.get(partition.partition as usize).copied()
    }
}

#[derive(Debug)]
struct Ends(i64);

impl SourceEnds for Ends {
    fn end(&self, _source: &TopicPartition) -> Option<i64> {
        Some(self.0)
    }
}

pub(super) fn cluster(id: &str, topics: &[(&str, u128, &[i32])]) -> ClusterFacts {
    let topics = topics.iter().map(|(name, id, epochs)| (TopicName::from(*name), (*id, epochs.to_vec())));
    ClusterFacts {
        state: ClusterState::Reachable,
        reason: None,
        cluster_id: Some(ClusterId::from(id)),
        catalogue: Some(Arc::new(Topics(topics.collect()))),
    }
}

pub(super) fn away(facts: &ClusterFacts) -> ClusterFacts {
    ClusterFacts {
        state: ClusterState::Unreachable,
        reason: Some("connection refused".to_owned()),
        ..facts.clone()
    }
}

pub(super) fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition::new(topic, index)
}

pub(super) fn start_of(topic: &str, index: i32, appeared: bool, generation: u64) -> FlowOutput {
    FlowOutput::StartPartition(Box::new(PartitionStart {
        source: partition(topic, index),
        target: partition(&format!("S.{topic}"), index),
        appeared,
        generation: Generation(generation),
    }))
}

/// Topics that can be mirrored, with so many partitions.
pub(super) fn ready(topics: &[(&str, i32)]) -> Reconciliation {
    let ready = topics.iter().map(|(topic, partitions)| ReadyTopic {
        topic: (*topic).into(),
        remote: TopicName::new(format!("S.{topic}")),
        partitions: *partitions,
    });
    let statuses = topics.iter().map(|(topic, partitions)| TopicStatus {
        topic: (*topic).into(),
        remote: TopicName::new(format!("S.{topic}")),
        partitions: *partitions,
        fault: None,
    });
    Reconciliation { ready: ready.collect(), statuses: statuses.collect(), ..Reconciliation::default() }
}

pub(super) fn fault() -> Fault {
    Fault::new(FaultKind::TargetMissing, "it can't be created", "")
}

pub(super) fn other_claim() -> FlowInput {
    FlowInput::OtherClaim(Claim {
        process: "p2".to_owned(),
        host: "h".to_owned(),
        pid: 7,
        claimed_ms: 0,
        released: false,
    })
}

pub(super) fn ended(topic: &str, index: i32, failure: Option<&str>) -> FlowInput {
    FlowInput::PartitionEnded {
        source: partition(topic, index),
        generation: Generation(3),
        failure: failure.map(str::to_owned),
    }
}

/// Those that are told this.
pub(super) fn told(out: &[FlowOutput], wanted: Told) -> Vec<&TopicPartition> {
    out.iter()
        .filter_map(|output| match output {
            FlowOutput::TellPartition(source, told) if *told == wanted => Some(source),
            _ => None,
        })
        .collect()
}

pub(super) fn started(out: &[FlowOutput]) -> bool {
    out.iter().any(|output| matches!(output, FlowOutput::StartPartition(_)))
}

pub(super) struct Driver {
    pub machine: FlowMachine,
    pub now: Duration,
    pub source: ClusterFacts,
    pub target: ClusterFacts,
}

impl Driver {
    /// Started, both clusters there, one topic with two partitions on both.
    pub(super) fn new() -> Self {
        Self::with(FlowMemory::default())
    }

    pub(super) fn with(memory: FlowMemory) -> Self {
        let config = FlowConfig {
            name: "S->T".into(),
            from: "S".into(),
            to: "T".into(),
            heartbeat_interval: Duration::from_secs(1),
            repeat_ends: false,
            close_limit: Duration::from_secs(30),
            seed: 7,
        };
        let mut driver = Self {
            machine: FlowMachine::new(config, memory),
            now: Duration::from_secs(100),
            source: cluster("s", &[("a", 1, &[0, 0])]),
            target: cluster("t", &[("S.a", 2, &[0, 0])]),
        };
        assert_eq!(driver.tell(FlowInput::Start), []);
        driver
    }

    /// Claimed, with a session; the remote topics are looked after.
    pub(super) fn claimed() -> Self {
        let mut driver = Self::new();
        assert_eq!(driver.look(), [FlowOutput::Claim { attempt: 1 }]);
        driver.tell(FlowInput::Claimed { attempt: 1, token: Token(40) });
        driver.tell(FlowInput::SessionStarted(Generation(1)));
        driver
    }

    /// With two partitions.
    pub(super) fn running() -> Self {
        let mut driver = Self::claimed();
        driver.reconciled(1, ready(&[("a", 2)]));
        driver
    }

    pub(super) fn tell(&mut self, input: FlowInput) -> Vec<FlowOutput> {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out);
        out
    }

    pub(super) fn look(&mut self) -> Vec<FlowOutput> {
        let clusters = BothClusters { source: self.source.clone(), target: self.target.clone() };
        self.tell(FlowInput::Clusters(Box::new(clusters)))
    }

    pub(super) fn ends(&mut self, end: i64) -> Vec<FlowOutput> {
        self.tell(FlowInput::Ends(Arc::new(Ends(end))))
    }

    pub(super) fn reconciled(&mut self, number: u64, outcome: Reconciliation) -> Vec<FlowOutput> {
        self.tell(FlowInput::Reconciled { number, outcome: Box::new(outcome) })
    }

    /// Waits for the next deadline.
    pub(super) fn tick(&mut self) -> Vec<FlowOutput> {
        self.now = self.now.max(self.machine.deadline().expect("there is a deadline"));
        self.tell(FlowInput::Tick)
    }

    /// Waits until something other than the upkeep is due.
    pub(super) fn tick_until(&mut self, wanted: impl Fn(&[FlowOutput]) -> bool) -> Vec<FlowOutput> {
        for _ in 0..100 {
            let out = self.tick();
            if wanted(&out) {
                return out;
            }
        }
        panic!("it does not come");
    }
}
