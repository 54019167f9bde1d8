//! The lanes of a loop.

use std::collections::{HashMap, HashSet};

use kafka_protocol::messages::TopicName;

use super::fetch_session::{FetchSession, Want};
use super::reader::Reader;
use super::request_size::RequestSize;
use crate::engine::LaneId;

/// A lane in its loop.
pub(super) struct LaneEntry {
    pub(super) reader: Reader,
    /// What it may take of a response.
    pub(super) max_bytes: i32,
    /// Whether the broker had more than it sent.
    has_more: bool,
}

/// The lanes of a loop, and the session that fetches those with credit.
#[derive(Default)]
pub(super) struct Table {
    pub(super) session: FetchSession,
    topics: HashMap<TopicName, HashMap<i32, LaneEntry>>,
    /// Lanes without credit.
    hungry: HashSet<LaneId>,
    /// How many lanes have more to read.
    behind: usize,
    lanes: usize,
    /// What the flow may hold before a lane that holds some waits for others.
    pub(super) ahead_bytes: u64,
}

impl Table {
    /// No lanes.
    pub(super) fn new(ahead_bytes: u64) -> Self {
        Self { ahead_bytes, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes == 0
    }

    pub(super) fn len(&self) -> usize {
        self.lanes
    }

    /// Whether lanes wait for credit.
    pub(super) fn has_hungry(&self) -> bool {
        !self.hungry.is_empty()
    }

    /// How many lanes have more to read than was sent.
    pub(super) fn behind(&self) -> usize {
        self.behind
    }

    /// Takes a lane in, in place of an older fetch of it.
    pub(super) fn add(&mut self, reader: Reader, size: &RequestSize) {
        self.take(&reader.lane.id);
        let (topic, partition) = (reader.topic.clone(), reader.lane.id.partition);
        let entry =
            LaneEntry { reader, max_bytes: max_bytes(size.share_bytes(self.behind + 1)), has_more: false };
        self.topics.entry(topic.clone()).or_default().insert(partition, entry);
        self.lanes += 1;
        self.settle(&topic, partition);
    }

    /// The lane of a partition.
    pub(super) fn entry(&mut self, topic: &TopicName, partition: i32) -> Option<&mut LaneEntry> {
        self.topics.get_mut(topic)?.get_mut(&partition)
    }

    /// Notes whether the broker has more of a partition than it sent.
    pub(super) fn set_behind(&mut self, topic: &TopicName, partition: i32, has_more: bool) {
        if let Some(entry) = self.topics.get_mut(topic).and_then(|entries| entries.get_mut(&partition)) {
            let had_more = std::mem::replace(&mut entry.has_more, has_more);
            self.behind = self.behind + usize::from(has_more) - usize::from(had_more);
        }
    }

    /// Wants a partition from where its lane is, if the lane has credit.
    pub(super) fn settle(&mut self, topic: &TopicName, partition: i32) {
        let Some(entry) = self.topics.get_mut(topic).and_then(|entries| entries.get_mut(&partition)) else {
            return;
        };
        let reader = &entry.reader;
        // Its share is reserved with the whole request: here it only matters whether there may be more at all.
        if reader.lane.account.may_take(self.ahead_bytes) {
            let want = Want {
                offset: reader.next,
                max_bytes: entry.max_bytes,
                leader_epoch: reader.leader_epoch,
                last_epoch: reader.last_epoch,
            };
            self.session.want(topic, partition, want);
            self.hungry.remove(&reader.lane.id);
            return;
        }
        if !entry.has_more {
            // Whether there is anything to fetch isn't known: the lane doesn't count as blocked.
            reader.lane.account.stop_waiting();
        }
        self.session.forget(topic, partition);
        self.hungry.insert(reader.lane.id.clone());
    }

    /// Bytes were freed: lanes that have credit again take part again. Says whether any has.
    pub(super) fn feed(&mut self) -> bool {
        let before = self.hungry.len();
        let hungry: Vec<_> = self.hungry.iter().cloned().collect();
        for id in hungry {
            match self.topic_of(&id) {
                Some(topic) => self.settle(&topic, id.partition),
                None => _ = self.hungry.remove(&id),
            }
        }
        self.hungry.len() < before
    }

    /// Takes a lane out.
    pub(super) fn take(&mut self, id: &LaneId) -> Option<Reader> {
        let topic = self.topic_of(id)?;
        let entries = self.topics.get_mut(&topic)?;
        let entry = entries.remove(&id.partition)?;
        if entries.is_empty() {
            self.topics.remove(&topic);
        }
        self.lanes -= 1;
        self.behind -= usize::from(entry.has_more);
        self.hungry.remove(id);
        entry.reader.lane.account.stop_waiting();
        self.session.forget(&topic, id.partition);
        Some(entry.reader)
    }

    /// Takes out the lanes for which `which` holds.
    pub(super) fn take_where(&mut self, which: impl Fn(&Reader) -> bool) -> Vec<Reader> {
        let entries = self.topics.values().flat_map(HashMap::values);
        let ids: Vec<_> =
            entries.filter(|entry| which(&entry.reader)).map(|entry| entry.reader.lane.id.clone()).collect();
        ids.iter().filter_map(|id| self.take(id)).collect()
    }

    /// Takes out half of the lanes that are behind.
    pub(super) fn take_half(&mut self) -> Vec<Reader> {
        let ids: Vec<_> = (self.topics.values().flat_map(HashMap::values))
            .filter(|entry| entry.has_more)
            .take(self.behind / 2)
            .map(|entry| entry.reader.lane.id.clone())
            .collect();
        ids.iter().filter_map(|id| self.take(id)).collect()
    }

    fn topic_of(&self, id: &LaneId) -> Option<TopicName> {
        // The map's keys are the protocol's strings: looking one up takes one.
        let name = kafka_protocol::protocol::StrBytes::from_string(id.topic.as_str().to_owned());
        self.topics.get_key_value(&TopicName(name)).map(|(topic, _)| topic.clone())
    }
}

/// A number of bytes as the protocol has it.
pub(super) fn max_bytes(bytes: u64) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
