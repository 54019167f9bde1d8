//! What must hold after every step, and at the end of a drain.

use std::collections::BTreeSet;
use std::time::Duration;

use mirrormesh::model::{FaultKind, TopicId, TopicName, TopicPartition};
use mirrormesh::replicator::flow::{BothClusters, SourceEnds};

use super::process::Process;
use super::truth::Truth;

/// Topic ids and leader epochs of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known([(TopicId, i32); 2]);

impl Known {
    pub fn of(told: &BothClusters, source: &TopicPartition, target: &TopicPartition) -> Option<Self> {
        let (here, there) = (told.source.catalogue.as_ref()?, told.target.catalogue.as_ref()?);
        let on_source = (here.topic_id(&source.topic), here.leader_epoch(source)?);
        Some(Self([on_source, (there.topic_id(&target.topic), there.leader_epoch(target)?)]))
    }
}

/// What holds whenever the machine has said all it has to say.
pub fn each_step(process: &Process) {
    let stopped = process.other_claim || process.gave_up;
    assert!(process.questions.len() <= 1, "one look after the topics at a time");
    if process.failed || process.left_behind.is_some() {
        return;
    }
    if process.drain.is_some() || stopped {
        assert!(!process.jobs, "jobs end with the flow");
    }
    if stopped {
        assert!(process.session.is_none(), "R3: no session once the flow is another's or given up");
    }
    assert_eq!(process.machine.living_partitions(), process.partitions.len());
    let wanted: BTreeSet<_> = process.machine.partitions().cloned().collect();
    assert_eq!(process.observed, wanted, "the ends of exactly the flow's partitions are looked up");
    for (source, partition) in process.partitions.iter().filter(|(_, partition)| !partition.killed) {
        assert!(!stopped, "R3: {source} lives though the flow is another's or given up");
        if partition.draining {
            continue;
        }
        assert!(process.drain.is_none(), "{source} was not told of the drain");
        let there = process.told.source.catalogue.as_ref().is_some_and(|c| c.has_topic(&source.topic));
        assert!(there, "R9: the topic of {source} is gone, and its partition is not");
        assert_eq!(partition.paused, process.paused, "{source} is paused as its flow is");
        let now = Known::of(&process.told, source, &partition.target);
        assert!(now.is_none() || partition.knows == now, "{source} was not told of a move");
        let end = process.ends.as_ref().and_then(|ends| ends.end(source));
        assert!(end.is_none() || partition.end == end, "{source} was not told the source's end");
    }
}

/// The machine asks about exactly the topics whose partitions are refused something.
pub fn refused(process: &Process, asked: &BTreeSet<TopicName>) {
    let faulted = process.partitions.iter().filter(|(_, partition)| {
        !partition.draining && partition.fault.is_some_and(FaultKind::may_pass_with_target_config)
    });
    let expected: BTreeSet<_> = faulted.map(|(source, _)| source.topic.clone()).collect();
    assert_eq!(*asked, expected, "topics whose limits are read again");
}

/// A partition may only be stopped where it stands for one of these reasons.
pub fn may_kill(process: &Process, now: Duration) {
    let out_of_time = process.drain.is_some_and(|drain| now >= drain.from + drain.limit.mul_f64(0.75));
    let nobody_saves = process.drain.is_some() && process.store.is_none();
    assert!(
        out_of_time || nobody_saves || process.other_claim || process.gave_up,
        "R1: a partition is killed though it may still save"
    );
}

/// The machine says that it is done.
pub fn stopped(process: &Process, truth: &Truth, now: Duration) {
    let drain = process.drain.expect("only a drain ends a flow");
    assert!(now <= drain.from + drain.limit, "a drain ends within its limit");
    assert_eq!(process.left_behind, Some(process.killed), "as many are left as were cut off");
    assert!(process.partitions.values().all(|partition| partition.killed), "all partitions ended");
    let Some(store) = &process.store else {
        saved(process, truth);
        return;
    };
    assert!(now >= drain.from + drain.limit, "R1: the store was not waited for: {store:?}");
}

/// The last position of each partition that had the time is durable.
fn saved(process: &Process, truth: &Truth) {
    if process.store_failed || process.other_claim {
        return;
    }
    for (source, acknowledged) in &process.owed {
        let saved = truth.positions.get(source).copied().unwrap_or_default();
        assert!(saved >= *acknowledged, "R1: {source} had {acknowledged} acknowledged, and {saved} is saved");
    }
}
