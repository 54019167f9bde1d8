//! Topics and their partitions.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use mirrormesh::batch::{Header, RawBatch};
use uuid::Uuid;

use super::configs;
use super::log::Log;
use super::producers::Producers;

/// Longest name of a topic.
const LONGEST_NAME: usize = 249;

/// A topic.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) partitions: Vec<Partition>,
    /// Its own configuration, without defaults.
    pub(super) configs: BTreeMap<String, String>,
}

/// A partition.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) leader: Option<i32>,
    pub(super) epoch: i32,
    pub(super) replicas: Vec<i32>,
    pub(super) log: Log,
    pub(super) producers: Producers,
}

impl Topic {
    /// The value of a key: the topic's own, or the default.
    pub(super) fn config(&self, name: &str) -> &str {
        configs::value(&self.configs, name)
    }

    /// The value of a key that is a number.
    pub(super) fn number(&self, name: &str) -> i64 {
        self.config(name).parse().expect("values were checked")
    }

    pub(super) fn is_compacted(&self) -> bool {
        self.config("cleanup.policy").split(',').any(|policy| policy == "compact")
    }
}

impl Partition {
    pub(super) fn new(replicas: Vec<i32>) -> Self {
        let mut log = Log::default();
        log.begin_epoch(0);
        let leader = replicas.first().copied();
        Self { leader, epoch: 0, replicas, log, producers: Producers::default() }
    }

    /// Gives it another leader, or none.
    pub(super) fn elect(&mut self, leader: Option<i32>) {
        self.leader = leader;
        self.epoch += 1;
        if leader.is_some() {
            self.log.begin_epoch(self.epoch);
        }
    }

    /// Appends a batch that was checked.
    pub(super) fn append(&mut self, batch: &RawBatch, append_time: Option<i64>) -> Header {
        let header = self.log.append(batch, self.epoch, append_time);
        self.producers.appended(&header);
        header
    }

    /// Drops what lies behind an offset, and forgets what producers wrote there.
    pub(super) fn truncate(&mut self, offset: i64) {
        self.log.truncate(offset);
        let mut producers = Producers::default();
        self.log.batches().iter().for_each(|batch| producers.appended(batch.header()));
        self.producers = producers;
    }

    /// Whether a request that names the leader's epoch has the present one (`Partition.checkCurrentLeaderEpoch`).
    pub(super) fn check_epoch(&self, named: i32) -> Result<(), ResponseError> {
        if named < 0 || named == self.epoch {
            Ok(())
        } else if named < self.epoch {
            Err(ResponseError::FencedLeaderEpoch)
        } else {
            Err(ResponseError::UnknownLeaderEpoch)
        }
    }
}

/// Whether a topic may have this name.
pub(super) fn is_sound_name(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= LONGEST_NAME && ![".", ".."].contains(&name) && name.bytes().all(sound)
}
