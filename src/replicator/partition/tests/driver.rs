//! Leads a machine through a test, and makes what it is told.

use std::time::Duration;

use super::super::{PartitionConfig, PartitionInput, PartitionMachine, PartitionOutput, Resolution};
use crate::formats::{Anchors, Position};
use crate::model::status::PartitionState as State;
use crate::model::{BatchInfo, Event, Fault, FaultKind, Generation, Segment, TopicId};

pub(super) struct Driver {
    pub machine: PartitionMachine,
    pub now: Duration,
    /// What the offset map was told: (source_next, segments).
    pub mirrored: Vec<(i64, Vec<Segment>)>,
}

impl Driver {
    pub(super) fn new() -> Self {
        let config = PartitionConfig {
            positions_interval: Duration::from_secs(1),
            seed: 1,
            place: "a→b orders-0".to_owned(),
        };
        Self {
            machine: PartitionMachine::new(config, Generation(4)),
            now: Duration::from_secs(100),
            mirrored: Vec::new(),
        }
    }

    /// Streaming from source 10, target 20, with everything saved.
    pub(super) fn streaming() -> Self {
        let mut driver = Self::new();
        assert_eq!(driver.tell(PartitionInput::Start), [PartitionOutput::OpenLane(Generation(5))]);
        driver.resolve();
        assert_eq!(driver.machine.state(), State::Streaming);
        driver
    }

    /// From an open lane to streaming.
    pub(super) fn resolve(&mut self) {
        assert_eq!(self.tell(PartitionInput::LaneOpened), [PartitionOutput::Resolve]);
        let out = self.tell(PartitionInput::Resolved(Box::new(resolution(false))));
        assert_eq!(out, [PartitionOutput::Fetch { offset: 10, leader_epoch: 3 }]);
    }

    /// What the machine asks for; what it has for the offset map is kept aside.
    pub(super) fn tell(&mut self, input: PartitionInput) -> Vec<PartitionOutput> {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out);
        out.retain(|output| match output {
            PartitionOutput::Mirrored { source_next, segments } => {
                self.mirrored.push((*source_next, segments.clone()));
                false
            }
            _ => true,
        });
        out
    }

    pub(super) fn fetch(&mut self, source_base: i64, records: u32) -> Vec<PartitionOutput> {
        self.tell(PartitionInput::Fetched(batch(source_base, records)))
    }

    pub(super) fn ack(&mut self, source_base: i64, target_base: i64, count: u32) -> Vec<PartitionOutput> {
        let segment = Segment { source_base, target_base, count };
        self.tell(PartitionInput::Acknowledged {
            source_next: segment.source_next(),
            target_next: Some(segment.target_next()),
            segments: vec![segment],
        })
    }

    pub(super) fn bounds(&mut self, end: i64) -> Vec<PartitionOutput> {
        self.tell(PartitionInput::Bounds { end, leader_epoch: 3 })
    }

    /// Goes to the next deadline, which must be there.
    pub(super) fn tick(&mut self) -> Vec<PartitionOutput> {
        self.now = self.machine.deadline().expect("a deadline");
        self.tell(PartitionInput::Tick)
    }

    pub(super) fn at(&self) -> (Option<i64>, Option<i64>) {
        (self.machine.source_next(), self.machine.target_next())
    }
}

pub(super) fn resolution(save: bool) -> Resolution {
    let position = Position {
        source_cluster: "S".to_owned(),
        target_cluster: "T".to_owned(),
        source_topic_id: TopicId::default(),
        remote_topic: "a.orders".into(),
        target_topic_id: TopicId::default(),
        source_epoch: 3,
        target_epoch: 1,
        source_next: 10,
        target_next: 20,
        producer: None,
        fingerprint: String::new(),
        clean: false,
        anchors: Anchors::starting_at(0, 10),
        written_ms: 0,
    };
    Resolution {
        source_next: 10,
        target_next: 20,
        source_epoch: 3,
        leader_epoch: 3,
        target_epoch: 1,
        matched: Vec::new(),
        position,
        events: Vec::new(),
        save,
    }
}

pub(super) fn batch(source_base: i64, records: u32) -> BatchInfo {
    BatchInfo {
        source_base,
        source_next: source_base + i64::from(records),
        records,
        bytes: 100,
        leader_epoch: 3,
        max_timestamp_ms: -1,
    }
}

/// A range of `length` offsets without records.
pub(super) fn gap(source_base: i64, length: i64, leader_epoch: i32) -> PartitionInput {
    PartitionInput::Fetched(BatchInfo {
        source_next: source_base + length,
        leader_epoch,
        ..batch(source_base, 0)
    })
}

pub(super) fn fault(what: &str) -> Fault {
    Fault::new(FaultKind::TargetRefused, what, "")
}

pub(super) fn saved(out: &[PartitionOutput]) -> Option<(i64, i64, bool)> {
    out.iter().find_map(|output| match output {
        PartitionOutput::SavePosition(position) => {
            Some((position.source_next, position.target_next, position.clean))
        }
        _ => None,
    })
}

pub(super) fn reports(out: &[PartitionOutput]) -> Vec<Event> {
    out.iter()
        .filter_map(|output| match output {
            PartitionOutput::Report(event) => Some(event.clone()),
            _ => None,
        })
        .collect()
}
