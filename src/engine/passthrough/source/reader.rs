//! A lane's fetch: it travels from loop to loop with its lane, and is never in two places.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::engine::SourceError;
use crate::engine::passthrough::lane::Lane;

/// For how long a replica is read instead of the leader; Kafka's clients ask the leader again as often
/// (`metadata.max.age.ms`).
pub(super) const REPLICA_TIME: Duration = Duration::from_secs(300);
/// For how long a partition may be without a leader before its lane is told: well above an election.
const LEADERLESS: Duration = Duration::from_secs(30);
/// For how long brokers may be out of reach before lanes are told.
const UNREACHABLE: Duration = Duration::from_secs(10);
/// For how long a topic must stay unknown: brokers learn of a new one at different times.
const UNKNOWN: Duration = Duration::from_secs(3);
/// First and longest pause before a partition's leader is asked for again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// One fetch of a lane.
pub(super) struct Reader {
    pub(super) lane: Arc<Lane>,
    /// The number of the fetch.
    pub(super) fetch: u64,
    /// The topic as the protocol has it.
    pub(super) topic: TopicName,
    /// Where the next batch starts.
    pub(super) next: i64,
    /// Epoch of the batch before; −1 when it is not known.
    pub(super) last_epoch: i32,
    /// Epoch of the partition's leader; −1 when it is not known.
    pub(super) leader_epoch: i32,
    /// A broker to be read instead of the leader, and until when.
    pub(super) replica: Option<(i32, Instant)>,
    trouble: Option<Trouble>,
}

struct Trouble {
    since: Instant,
    tries: u32,
}

/// Why a lane left its loop.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// The broker doesn't lead the partition, or can't serve it now.
    Moved(ResponseError),
    /// The broker doesn't know the partition.
    Unknown,
    /// The broker can't be reached, or doesn't serve us.
    Unreachable {
        /// What happened.
        text: String,
        /// Waiting doesn't help.
        refused: bool,
    },
    /// A replica is to be read.
    Follow(i32),
    /// The replica is to be read no longer.
    Home,
    /// Another connection has room.
    HandOver,
}

/// A lane that left its loop.
pub(super) struct Returned {
    pub(super) reader: Reader,
    pub(super) why: Why,
}

impl Reader {
    pub(super) fn new(lane: Arc<Lane>, fetch: u64, offset: i64, last_epoch: i32) -> Self {
        let topic = TopicName(StrBytes::from_string(lane.id.topic.as_str().to_owned()));
        let (leader_epoch, replica, trouble) = (-1, None, None);
        Self { lane, fetch, topic, next: offset, last_epoch, leader_epoch, replica, trouble }
    }

    /// Whether the fetch still goes on.
    pub(super) fn is_current(&self) -> bool {
        self.lane.core.is_fetching(self.fetch)
    }

    /// Ends the fetch with an error.
    pub(super) fn fail(self, error: SourceError) {
        tracing::debug!(target: crate::engine::LOG, lane = %self.lane.id, offset = self.next, %error, "source can't be read");
        self.lane.core.source_failed(self.fetch, error);
    }

    /// A broker served the partition.
    pub(super) fn went_well(&mut self) {
        self.trouble = None;
    }

    /// Notes that something went wrong; returns for how long to pause, or what to tell when it went on for too long.
    pub(super) fn went_wrong(&mut self, why: &Why) -> Result<Duration, SourceError> {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, tries: 0 });
        let pause = PAUSE.0.saturating_mul(1 << trouble.tries.min(10)).min(PAUSE.1);
        let is_first = trouble.tries == 0;
        trouble.tries = trouble.tries.saturating_add(1);
        let (limit, error) = match why {
            Why::Unknown => (UNKNOWN, SourceError::UnknownPartition),
            Why::Unreachable { text, refused } => {
                let limit = if *refused { Duration::ZERO } else { UNREACHABLE };
                (limit, SourceError::Retriable(text.clone()))
            }
            Why::Moved(code) => {
                let text =
                    format!("no broker serves {} as its leader; the last answer is {code}", self.lane.id);
                (LEADERLESS, SourceError::Retriable(text))
            }
            // Being sent to and fro between leader and replica: slowly.
            Why::Follow(_) | Why::Home | Why::HandOver => return Ok(pause),
        };
        if trouble.since.elapsed() >= limit {
            return Err(error);
        }
        // A leader that moved is usually known at once.
        Ok(if is_first && matches!(why, Why::Moved(_)) { Duration::ZERO } else { pause })
    }

    /// Whether something went wrong since the partition was served last.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }
}

/// What an error of a partition means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartitionVerdict {
    /// Another broker is to be asked.
    Reroute,
    /// The broker doesn't know the partition: metadata decides.
    Unknown,
    /// The leader is to be asked instead of the replica.
    AskLeader,
    /// The lane is told.
    Tell(SourceError),
}

/// What an error of a partition, asked for at `offset`, means.
pub(super) fn judge(code: ResponseError, offset: i64, is_replica: bool) -> PartitionVerdict {
    use ResponseError as E;
    match code {
        E::TopicAuthorizationFailed => PartitionVerdict::Tell(SourceError::Unauthorized(code.to_string())),
        _ if is_replica => PartitionVerdict::AskLeader,
        E::OffsetOutOfRange => PartitionVerdict::Tell(SourceError::OutOfRange { offset }),
        E::UnknownTopicOrPartition | E::UnknownTopicId | E::InconsistentTopicId => PartitionVerdict::Unknown,
        E::CorruptMessage => {
            let detail = "the broker says CORRUPT_MESSAGE".to_owned();
            PartitionVerdict::Tell(SourceError::Corrupt { offset, detail })
        }
        E::NotLeaderOrFollower
        | E::FencedLeaderEpoch
        | E::UnknownLeaderEpoch
        | E::LeaderNotAvailable
        | E::ReplicaNotAvailable
        | E::KafkaStorageError
        | E::OffsetNotAvailable => PartitionVerdict::Reroute,
        other => PartitionVerdict::Tell(SourceError::Retriable(format!(
            "the broker says {other} (code {}) of offset {offset}",
            other.code()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LaneSpec;
    use crate::engine::budget::Budget;
    use crate::model::{Generation, TopicId, TopicPartition};

    fn reader() -> Reader {
        let id = TopicPartition::new("orders", 3);
        let spec = LaneSpec {
            source: id.clone(),
            target: id,
            source_topic_id: TopicId::default(),
            target_topic_id: TopicId::default(),
            generation: Generation(1),
            port: Arc::new(|_, _| {}),
            producer: None,
        };
        Reader::new(Arc::new(Lane::new(&spec, Budget::new(1).account())), 1, 9, -1)
    }

    /// How long trouble is borne, and how often a place is looked for meanwhile.
    async fn borne(why: Why) -> (Duration, u32, SourceError) {
        let (mut reader, since) = (reader(), Instant::now());
        let mut tries = 0;
        loop {
            match reader.went_wrong(&why) {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(error) => return (since.elapsed(), tries, error),
            }
            tries += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_when_it_lasts() {
        let (after, tries, error) = borne(Why::Moved(ResponseError::NotLeaderOrFollower)).await;
        assert!(
            after >= LEADERLESS && after < LEADERLESS * 2 && (20..60).contains(&tries),
            "{after:?} {tries}"
        );
        assert!(matches!(&error, SourceError::Retriable(text) if text.contains("orders-3")), "{error}");
        let away = |refused| Why::Unreachable { text: "away".to_owned(), refused };
        let (after, _, error) = borne(away(false)).await;
        assert!(after >= UNREACHABLE && after < UNREACHABLE * 2, "{after:?}");
        assert_eq!(error, SourceError::Retriable("away".to_owned()));
        let (after, tries, _) = borne(away(true)).await;
        assert_eq!((after, tries), (Duration::ZERO, 0), "waiting doesn't help");
        assert_eq!(borne(Why::Unknown).await.2, SourceError::UnknownPartition);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_passed_is_forgotten() {
        let mut reader = reader();
        let away = Why::Unreachable { text: "away".to_owned(), refused: false };
        for _ in 0..5 {
            assert!(reader.went_wrong(&away).is_ok());
            tokio::time::sleep(UNREACHABLE).await;
            reader.went_well();
            assert!(!reader.is_in_trouble());
        }
    }

    #[test]
    fn errors_mean_what_kafka_says() {
        use ResponseError as E;
        let leader = |code| judge(code, 9, false);
        assert_eq!(
            leader(E::OffsetOutOfRange),
            PartitionVerdict::Tell(SourceError::OutOfRange { offset: 9 })
        );
        assert_eq!(leader(E::FencedLeaderEpoch), PartitionVerdict::Reroute);
        assert_eq!(leader(E::UnknownTopicId), PartitionVerdict::Unknown);
        assert!(matches!(
            leader(E::CorruptMessage),
            PartitionVerdict::Tell(SourceError::Corrupt { offset: 9, .. })
        ));
        assert!(matches!(leader(E::UnknownServerError), PartitionVerdict::Tell(SourceError::Retriable(_))));
        assert_eq!(
            judge(E::OffsetOutOfRange, 9, true),
            PartitionVerdict::AskLeader,
            "only the leader decides"
        );
        let unauthorized = judge(E::TopicAuthorizationFailed, 9, true);
        assert!(matches!(unauthorized, PartitionVerdict::Tell(SourceError::Unauthorized(_))));
    }
}
