//! Incremental fetch sessions (KIP-227; `FetchSession` and `FetchManager` of Kafka).

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::PartitionData;
use uuid::Uuid;

/// No session.
const NONE: i32 = 0;
/// Asks for a new session.
const INITIAL: i32 = 0;
/// Asks for no session.
const FINAL: i32 = -1;

/// A topic as a request names it: by name, or by id from version 13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) id: Uuid,
}

/// A partition that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) topic: Named,
    pub(super) asked: FetchPartition,
    /// High watermark and log start as they were told last.
    told: Option<(i64, i64)>,
}

/// A session.
#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    /// In the order in which they are served: those that got records move to the end.
    wanted: Vec<Wanted>,
}

/// The sessions of a broker.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<i32, Session>,
    made: i32,
}

/// What a request is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// No session: all is told.
    Without,
    /// The first request of a session: all is told.
    Full,
    /// A later one: only what changed is told.
    Incremental(i32),
}

impl Sessions {
    /// Takes a request over; tells what it is part of, and the partitions to be read in their order.
    pub(super) fn begin(
        &mut self,
        asked: &FetchRequest,
        by_id: bool,
    ) -> Result<(Context, Vec<Wanted>), ResponseError> {
        if [INITIAL, FINAL].contains(&asked.session_epoch) {
            // A session that is named is closed.
            self.open.remove(&asked.session_id);
            let context = if asked.session_epoch == FINAL { Context::Without } else { Context::Full };
            return Ok((context, wanted(asked)));
        }
        let session = self.open.get_mut(&asked.session_id);
        let session = session.ok_or(ResponseError::FetchSessionIdNotFound)?;
        if session.epoch != asked.session_epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_id != by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        session.update(asked);
        if session.wanted.is_empty() {
            self.open.remove(&asked.session_id);
            return Ok((Context::Without, Vec::new()));
        }
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        Ok((Context::Incremental(asked.session_id), session.wanted.clone()))
    }

    /// Decides what is told of what was read; returns the session's id.
    pub(super) fn finish(
        &mut self,
        context: Context,
        by_id: bool,
        read: Vec<(Wanted, PartitionData)>,
    ) -> (i32, Vec<(Wanted, PartitionData)>) {
        match context {
            Context::Without => (NONE, read),
            Context::Full => {
                self.made += 1;
                let told = read.iter().map(|(wanted, data)| {
                    let mut wanted = wanted.clone();
                    wanted.note(data);
                    wanted
                });
                let session = Session { epoch: 1, by_id, wanted: told.collect() };
                self.open.insert(self.made, session);
                (self.made, read)
            }
            Context::Incremental(id) => {
                let Some(session) = self.open.get_mut(&id) else { return (id, read) };
                let changed = read.into_iter().filter(|(wanted, data)| session.tells(wanted, data)).collect();
                (id, changed)
            }
        }
    }

    /// Gives all sessions up.
    pub(super) fn evict(&mut self) {
        self.open.clear();
    }
}

impl Session {
    fn update(&mut self, asked: &FetchRequest) {
        for new in wanted(asked) {
            match self.wanted.iter_mut().find(|known| known.is(&new)) {
                Some(known) => known.asked = new.asked,
                None => self.wanted.push(new),
            }
        }
        for topic in &asked.forgotten_topics_data {
            let named = Named { name: topic.topic.to_string(), id: topic.topic_id };
            let gone =
                |known: &Wanted| known.topic == named && topic.partitions.contains(&known.asked.partition);
            self.wanted.retain(|known| !gone(known));
        }
    }

    /// Whether there is something to tell of a partition.
    fn tells(&mut self, wanted: &Wanted, data: &PartitionData) -> bool {
        let Some(at) = self.wanted.iter().position(|known| known.is(wanted)) else { return false };
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        let redirected = data.preferred_read_replica.0 >= 0 || data.diverging_epoch.epoch >= 0;
        let told = self.wanted[at].told;
        self.wanted[at].note(data);
        if has_records {
            let served = self.wanted.remove(at);
            self.wanted.push(served);
        }
        has_records || redirected || data.error_code != 0 || told != self.last_told(wanted)
    }

    fn last_told(&self, wanted: &Wanted) -> Option<(i64, i64)> {
        self.wanted.iter().find(|known| known.is(wanted)).and_then(|known| known.told)
    }
}

impl Wanted {
    fn is(&self, other: &Self) -> bool {
        (&self.topic, self.asked.partition) == (&other.topic, other.asked.partition)
    }

    /// Takes note of what is told. What failed or diverged is told again.
    fn note(&mut self, data: &PartitionData) {
        let sound = data.error_code == 0 && data.diverging_epoch.epoch < 0;
        self.told = sound.then_some((data.high_watermark, data.log_start_offset));
    }
}

fn wanted(asked: &FetchRequest) -> Vec<Wanted> {
    let of_topic = |topic: &kafka_protocol::messages::fetch_request::FetchTopic| {
        let named = Named { name: topic.topic.to_string(), id: topic.topic_id };
        let wanted =
            |asked: &FetchPartition| Wanted { topic: named.clone(), asked: asked.clone(), told: None };
        topic.partitions.iter().map(wanted).collect::<Vec<_>>()
    };
    asked.topics.iter().flat_map(of_topic).collect()
}
