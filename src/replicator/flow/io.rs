//! What is said to the flow's machine, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::formats::{Claim, Token};
use crate::model::status::{ClusterState, TopicStatus, UpstreamStatus};
use crate::model::{
    Alias, ClusterId, Event, FaultKind, FlowName, Generation, TopicId, TopicName, TopicPartition,
};

/// What a flow's machine is told once.
#[derive(Clone, Debug)]
pub struct FlowConfig {
    /// The flow.
    pub name: FlowName,
    /// Its source.
    pub from: Alias,
    /// Its target.
    pub to: Alias,
    /// How often heartbeats are written (`heartbeats.interval`).
    pub heartbeat_interval: Duration,
    /// Whether partitions are told the source's end each time it was looked up, not only when it is news.
    ///
    /// librdkafka hands out no epochs, so a partition of the records engine waits for an end that is told while
    /// nothing is in flight: told only once, an idle one would never learn its epoch.
    pub repeat_ends: bool,
    /// How long a session may take to close when the flow is given up (`shutdown.timeout`).
    pub close_limit: Duration,
    /// Seeds the jitter of the back-offs: different for every flow, fixed in tests.
    pub seed: u64,
}

/// What outlives a flow's machine in its process: a flow that failed goes on with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowMemory {
    /// Topics that were on the source when the flow first looked; what comes later starts at its first record.
    pub first_topics: Option<BTreeSet<TopicName>>,
    /// The last generation each partition reached, gone ones too: their topic may come back, and the lane may still
    /// hold writes of the last one.
    pub generations: BTreeMap<TopicPartition, Generation>,
    /// Whether an operator paused the flow.
    pub paused: bool,
}

/// A cluster's topics at one look, as far as the machine has to know them.
pub trait FlowCatalogue: Debug + Send + Sync {
    /// All topics there are.
    fn topics(&self) -> BTreeSet<TopicName>;

    /// Whether there is such a topic.
    fn has_topic(&self, topic: &TopicName) -> bool;

    /// The topic's id; zero when it is unknown.
    fn topic_id(&self, topic: &TopicName) -> TopicId;

    /// The epoch of the partition's leader; `None` for a partition that is not there.
    fn leader_epoch(&self, partition: &TopicPartition) -> Option<i32>;
}

/// How far the source's partitions could be mirrored, at one look.
pub trait SourceEnds: Debug + Send + Sync {
    /// The end under the flow's isolation, if it is known.
    fn end(&self, source: &TopicPartition) -> Option<i64>;
}

/// What is known of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    /// How it is.
    pub state: ClusterState,
    /// Why, when it isn't reachable.
    pub reason: Option<String>,
    /// The id it gave itself.
    pub cluster_id: Option<ClusterId>,
    /// Its topics when it last answered.
    pub catalogue: Option<Arc<dyn FlowCatalogue>>,
}

impl ClusterFacts {
    /// Whether both say the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_catalogue = match (&self.catalogue, &other.catalogue) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        };
        same_catalogue
            && self.state == other.state
            && self.reason == other.reason
            && self.cluster_id == other.cluster_id
    }
}

/// Both clusters of a flow.
#[derive(Clone, Debug, Default)]
pub struct BothClusters {
    /// Where it reads.
    pub source: ClusterFacts,
    /// Where it writes.
    pub target: ClusterFacts,
}

/// A topic that can be mirrored now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyTopic {
    /// On the source.
    pub topic: TopicName,
    /// On the target.
    pub remote: TopicName,
    /// Partitions that are on both sides.
    pub partitions: i32,
}

/// What came of looking after the remote topics.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    /// Topics that can be mirrored.
    pub ready: Vec<ReadyTopic>,
    /// Every selected topic, with what keeps it from being mirrored.
    pub statuses: Vec<TopicStatus>,
    /// Topics that are left although they may be meant to be mirrored, and why.
    pub left_out: BTreeMap<TopicName, String>,
    /// Remote topics whose limits changed.
    pub new_limits: BTreeSet<TopicName>,
}

/// What happens to a flow. `now` is given beside it, from a monotonic clock.
#[derive(Clone, Debug)]
pub enum FlowInput {
    /// The flow is given to this process, or its actor was restarted.
    Start,
    /// A catalogue or the state of a cluster was looked at.
    Clusters(Box<BothClusters>),
    /// The ends of the source's partitions were looked up.
    Ends(Arc<dyn SourceEnds>),
    /// The claim is made, and what was stored of the flow is read.
    Claimed {
        /// Which [`FlowOutput::Claim`] this answers.
        attempt: u64,
        /// The claim: newer ones are larger.
        token: Token,
    },
    /// It is not.
    ClaimFailed {
        /// Which [`FlowOutput::Claim`] this answers.
        attempt: u64,
        /// Whether a person has to act.
        needs_person: bool,
        /// What is wrong.
        reason: String,
    },
    /// Another process claimed the flow later than this one.
    OtherClaim(Claim),
    /// The position store ended without being drained.
    StoreEnded(String),
    /// The position store wrote what was left and released the claim, or ran out of time.
    StoreDrained,
    /// The session was built. Answers [`FlowOutput::StartSession`] before anything else is said.
    SessionStarted(Generation),
    /// The session can't be built. Answers [`FlowOutput::StartSession`] before anything else is said.
    SessionRefused {
        /// Its generation.
        generation: Generation,
        /// What is wrong.
        reason: String,
    },
    /// A session's connections are lost.
    SessionLost {
        /// Its generation.
        generation: Generation,
        /// What happened.
        reason: String,
    },
    /// A session is closed, or does not close in time.
    SessionClosed(Generation),
    /// The remote topics were looked after.
    Reconciled {
        /// Which [`FlowOutput::Reconcile`] this answers.
        number: u64,
        /// What came of it.
        outcome: Box<Reconciliation>,
    },
    /// The remote topics could not be looked after.
    ReconcileFailed {
        /// Which [`FlowOutput::Reconcile`] this answers.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// A partition's actor ended.
    PartitionEnded {
        /// Whose.
        source: TopicPartition,
        /// The last generation it reached.
        generation: Generation,
        /// Why; `None` when it stopped as it was told.
        failure: Option<String>,
    },
    /// A partition has a fault.
    PartitionFaulted {
        /// Which.
        source: TopicPartition,
        /// The fault's class.
        kind: FaultKind,
    },
    /// A partition's fault is over.
    PartitionRecovered(TopicPartition),
    /// One of what the flow does again and again failed.
    JobFailed(String),
    /// Who reaches the target, as its heartbeats tell. Answers [`FlowOutput::Upkeep`].
    Upstreams(Vec<UpstreamStatus>),
    /// An operator pauses the flow: its partitions stop fetching; claim, session and positions stay.
    Pause,
    /// An operator resumes it; faulted or waiting partitions try again at once.
    Resume,
    /// Finish what is in flight, save, stop, all of it within this time.
    Drain {
        /// From now on.
        limit: Duration,
    },
    /// A deadline passed.
    Tick,
}

/// What a partition is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The source was re-created or changed its leader.
    SourceMoved,
    /// The target was re-created, changed its leader, or accepts something else than before.
    TargetMoved,
    /// The source can be mirrored up to here, says a leader of this epoch.
    End {
        /// The end under the flow's isolation.
        end: i64,
        /// The leader's epoch.
        leader_epoch: i32,
    },
    /// Stop fetching, stay.
    Pause,
    /// Go on, and try again what waits.
    Resume,
    /// Finish what is in flight, save, stop.
    Drain,
}

/// A partition to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStart {
    /// On the source.
    pub source: TopicPartition,
    /// On the target.
    pub target: TopicPartition,
    /// Whether the topic appeared while the flow ran.
    pub appeared: bool,
    /// The last generation used; the partition counts on from it.
    pub generation: Generation,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowOutput {
    /// Append a claim, then read what is stored of the flow.
    Claim {
        /// Names the answer.
        attempt: u64,
    },
    /// Start the position store, under the claim that was just made; it tells of other claims.
    StartStore {
        /// The claim.
        token: Token,
    },
    /// Let the position store write what is left, release the claim and stop.
    DrainStore {
        /// For all of that.
        limit: Duration,
    },
    /// Start what the flow does again and again, in place of what is there of it.
    StartJobs,
    /// Stop that.
    StopJobs,
    /// Build a session.
    StartSession(Generation),
    /// Take a session out of use and close it.
    CloseSession {
        /// Its generation.
        generation: Generation,
        /// How long its writes may take to be answered.
        limit: Duration,
    },
    /// Look after the remote topics: create, grow, describe.
    Reconcile {
        /// Names the answer.
        number: u64,
        /// Source topics to which the target refused something: what it accepts is to be read again.
        refused: BTreeSet<TopicName>,
    },
    /// Start a partition's actor.
    StartPartition(Box<PartitionStart>),
    /// Tell a living partition.
    TellPartition(TopicPartition, Told),
    /// Stop a partition where it stands, without saving.
    KillPartition(TopicPartition),
    /// The partition is the flow's from now on: its end is to be looked up.
    Observe(TopicPartition),
    /// The partition is not the flow's any more.
    Forget(TopicPartition),
    /// The selected topics, for the status board.
    ShowTopics(Vec<TopicStatus>),
    /// Tell the operator, about the flow as a whole.
    Report(Event),
    /// Tell the operator, about one topic.
    ReportTopic(TopicName, Event),
    /// Write to the log.
    Note(Note),
    /// Count what waited for memory, and answer with [`FlowInput::Upstreams`].
    Upkeep,
    /// The flow can't go on as it is; start it anew.
    Failed(String),
    /// The flow is done; nothing follows.
    Stopped {
        /// Partitions whose last records were not acknowledged, or not saved, in time.
        left_behind: usize,
    },
}

/// What is worth a log line but is no event.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "what a variant says of its fields is one sentence with what it says of itself"
)]
pub enum Note {
    /// The flow must not run at all.
    Refused(String),
    /// The flow stops for good, without saving.
    GaveUp(String),
    /// The claim was not made, or what is stored was not read.
    ClaimFailed { reason: String, retry_in: Duration },
    /// The session was not built.
    SessionRefused { reason: String, retry_in: Duration },
    /// The remote topics were not looked after.
    ReconcileFailed(String),
    /// A topic is left out, and why.
    LeftOut { topic: TopicName, reason: String },
    /// A partition's actor failed; `None` when it is not started again.
    PartitionFailed { source: TopicPartition, failure: String, restart_in: Option<Duration> },
    /// A job failed; `None` when it is not started again.
    JobFailed { failure: String, restart_in: Option<Duration> },
    /// So many partitions finish what is in flight.
    Draining { partitions: usize },
    /// So many partitions could not finish, and why.
    LeftBehind { partitions: usize, why: String },
}
