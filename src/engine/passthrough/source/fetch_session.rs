//! An incremental fetch session (KIP-227): what the broker knows of our wants, and what the next request must tell it.
//!
//! The broker keeps a session's partitions, so that a request names only those that changed. One request is under
//! way at a time: what it tells counts as known to the broker at once, and a request whose fate isn't known makes
//! the next one a full one, which replaces the session.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

/// No session: the number that a broker gives none.
const NO_SESSION: i32 = 0;
/// Asks for a new session in place of the one that is named.
const OPEN: i32 = 0;
/// Asks for no session.
const WITHOUT: i32 = -1;
/// From this version on there are sessions.
const SESSIONS_SINCE: i16 = 7;
/// From this version on a request carries the leader's epoch (KIP-320).
const LEADER_EPOCH_SINCE: i16 = 9;
/// From this version on a request carries the epoch of the last record fetched (KIP-595).
const LAST_EPOCH_SINCE: i16 = 12;

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// From which offset on.
    pub(super) offset: i64,
    /// How much of it at most in one response.
    pub(super) max_bytes: i32,
    /// Under which epoch its leader leads; −1 when it is not known.
    pub(super) leader_epoch: i32,
    /// Epoch of the record before the offset; −1 when it is not known.
    pub(super) last_epoch: i32,
}

/// The part of a request that is about partitions.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    pub(super) topics: Vec<FetchTopic>,
    pub(super) forgotten: Vec<ForgottenTopic>,
}

/// A partition as the protocol names it.
type Key = (TopicName, i32);

#[derive(Default)]
struct SessionEntry {
    want: Option<Want>,
    known: Option<Want>,
    /// Whether it is listed as changed.
    listed: bool,
    /// When it was changed last, as a count: without a session the one served longest ago comes first.
    changed: u64,
}

/// The session with one broker over one connection.
#[derive(Default)]
pub(super) struct FetchSession {
    id: i32,
    epoch: i32,
    entries: HashMap<Key, SessionEntry>,
    /// Entries that may differ from what the broker knows, in the order in which they changed.
    changed: Vec<Key>,
    wanted: usize,
    changes: u64,
}

impl FetchSession {
    /// Whether nothing is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted == 0
    }

    /// Wants a partition, or wants it otherwise than before.
    pub(super) fn want(&mut self, topic: &TopicName, partition: i32, want: Want) {
        self.change(topic, partition, Some(want));
    }

    /// Wants a partition no longer.
    pub(super) fn forget(&mut self, topic: &TopicName, partition: i32) {
        self.change(topic, partition, None);
    }

    fn change(&mut self, topic: &TopicName, partition: i32, want: Option<Want>) {
        let key = (topic.clone(), partition);
        let entry = match want {
            Some(_) => self.entries.entry(key.clone()).or_default(),
            None => match self.entries.get_mut(&key) {
                Some(entry) => entry,
                None => return,
            },
        };
        match (&entry.want, &want) {
            (None, Some(_)) => self.wanted += 1,
            (Some(_), None) => self.wanted -= 1,
            _ => {}
        }
        self.changes += 1;
        entry.want = want;
        entry.changed = self.changes;
        if !std::mem::replace(&mut entry.listed, true) {
            self.changed.push(key);
        }
    }

    /// What the next request says; it must be sent, and then answered by [`FetchSession::answered`] or
    /// [`FetchSession::lost`].
    pub(super) fn next(&mut self, version: i16) -> Asked {
        if version < SESSIONS_SINCE {
            (self.id, self.epoch) = (NO_SESSION, WITHOUT);
            return Asked { session_epoch: WITHOUT, topics: self.everything(version), ..Asked::default() };
        }
        if self.epoch <= OPEN {
            self.epoch = OPEN;
            let topics = self.everything(version);
            return Asked { session_id: self.id, session_epoch: OPEN, topics, forgotten: Vec::new() };
        }
        let (mut topics, mut forgotten) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.changed) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.listed = false;
            match (&entry.want, &entry.known) {
                (Some(want), known) if known.as_ref() != Some(want) => {
                    add(&mut topics, &key, want, version);
                    entry.known = Some(*want);
                }
                (None, Some(_)) => {
                    add_forgotten(&mut forgotten, &key);
                    self.entries.remove(&key);
                }
                (None, None) => drop(self.entries.remove(&key)),
                _ => {}
            }
        }
        Asked { session_id: self.id, session_epoch: self.epoch, topics, forgotten }
    }

    /// Names all that is wanted.
    fn everything(&mut self, version: i16) -> Vec<FetchTopic> {
        self.changed.clear();
        self.entries.retain(|_, entry| {
            (entry.known, entry.listed) = (entry.want, false);
            entry.want.is_some()
        });
        let mut wanted: Vec<_> = self.entries.iter().collect();
        wanted.sort_unstable_by_key(|(_, entry)| entry.changed);
        let mut topics = Vec::new();
        for (key, entry) in wanted {
            if let Some(want) = &entry.want {
                add(&mut topics, key, want, version);
            }
        }
        topics
    }

    /// Takes over how the request was answered. `Err` is an error of the answer as a whole: nothing in it counts,
    /// and the next request is a full one.
    pub(super) fn answered(&mut self, error_code: i16, session_id: i32) -> Result<(), ResponseError> {
        if let Some(error) = ResponseError::try_from_code(error_code) {
            // A session that is not there can't be replaced; in all other cases the broker may still hold it.
            let id = if error == ResponseError::FetchSessionIdNotFound { NO_SESSION } else { self.id };
            (self.id, self.epoch) = (id, OPEN);
            return Err(error);
        }
        if session_id == NO_SESSION || (self.epoch > OPEN && session_id != self.id) {
            // No session, or it was closed by the answer.
            (self.id, self.epoch) = (NO_SESSION, OPEN);
        } else {
            self.id = session_id;
            self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        }
        Ok(())
    }

    /// The request was not answered: whether the broker took it over isn't known.
    pub(super) fn lost(&mut self) {
        self.epoch = OPEN;
    }
}

fn add(topics: &mut Vec<FetchTopic>, (topic, partition): &Key, want: &Want, version: i16) {
    let mut asked = FetchPartition::default()
        .with_partition(*partition)
        .with_fetch_offset(want.offset)
        .with_partition_max_bytes(want.max_bytes);
    if version >= LEADER_EPOCH_SINCE {
        asked.current_leader_epoch = want.leader_epoch;
    }
    if version >= LAST_EPOCH_SINCE {
        asked.last_fetched_epoch = want.last_epoch;
    }
    // A topic may come more than once: the order is that of the partitions.
    match topics.last_mut() {
        Some(last) if last.topic == *topic => last.partitions.push(asked),
        _ => topics.push(FetchTopic::default().with_topic(topic.clone()).with_partitions(vec![asked])),
    }
}

fn add_forgotten(topics: &mut Vec<ForgottenTopic>, (topic, partition): &Key) {
    match topics.last_mut() {
        Some(last) if last.topic == *topic => last.partitions.push(*partition),
        _ => {
            topics
                .push(ForgottenTopic::default().with_topic(topic.clone()).with_partitions(vec![*partition]));
        }
    }
}
