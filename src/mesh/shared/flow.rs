//! What the actors of one flow share.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use ractor::ActorRef;
use tokio::sync::{Semaphore, watch};

use super::board::FlowBoard;
use super::context::MeshContext;
use super::generations::Generations;
use super::group_board::GroupBoard;
use super::limits::LimitBook;
use super::messages::StoreMsg;
use crate::cluster::ClusterHandle;
use crate::engine::budget::Account;
use crate::engine::{EngineError, LaneOpened, LaneSpec, Remembered, Session};
use crate::formats::{GroupSync, GroupSyncKey};
use crate::model::{Event, TopicName, TopicPartition};
use crate::replicator::flow::FlowMemory;
use crate::replicator::resume::fingerprint;
use crate::store::{MapBook, OffsetsTopic, PositionBook, PositionsTopic};
use crate::telemetry::{FlowMetrics, Scope};
use crate::topology::FlowSpec;

/// Partitions of a flow that resolve at the same time. Their questions share requests, so many are asked for little.
const RESOLVING: usize = 1_000;

/// The flow's session, while there is one.
pub(super) type CurrentSession = Option<Arc<dyn Session>>;

/// What the actors of one flow share.
pub(crate) struct FlowContext {
    /// The process.
    pub mesh: Arc<MeshContext>,
    /// The flow as configured.
    pub spec: FlowSpec,
    /// Source.
    pub source: ClusterHandle,
    /// Target.
    pub target: ClusterHandle,
    /// Where positions are kept.
    pub positions_topic: PositionsTopic,
    /// Saved positions.
    pub book: PositionBook,
    /// Where offset maps and group syncs are kept.
    pub offsets_topic: OffsetsTopic,
    /// The offset maps; loaded before the first partition starts.
    pub maps: MapBook,
    /// What group sync last wrote, as it was loaded.
    pub group_syncs: Mutex<HashMap<GroupSyncKey, GroupSync>>,
    /// The session, replaced when it is lost.
    pub session: watch::Sender<CurrentSession>,
    /// The writer of positions, once positions are loaded.
    pub store: Mutex<Option<ActorRef<StoreMsg>>>,
    /// The flow's share of the byte budget.
    pub account: Account,
    /// What its sessions remember for the next one.
    pub remembered: Remembered,
    /// What the target's topics accept.
    pub limits: LimitBook,
    /// Held while a partition resolves: each takes some kilobytes meanwhile, and ten thousand start at once.
    pub resolving: Semaphore,
    /// What `/status` shows.
    pub board: FlowBoard,
    /// What is known of its groups.
    pub groups: GroupBoard,
    /// Metrics of the flow.
    pub metrics: FlowMetrics,
    /// The last generation of every partition's lane.
    pub generations: Generations,
    /// What the flow's next life goes on with, but for the generations.
    memory: Mutex<FlowMemory>,
    /// Partitions whose actor lives, as the flow's machine tells.
    living: AtomicUsize,
}

impl FlowContext {
    /// A flow that has not looked at anything yet.
    pub(crate) fn new(
        mesh: Arc<MeshContext>,
        spec: &FlowSpec,
        source: ClusterHandle,
        target: ClusterHandle,
        board: FlowBoard,
    ) -> Self {
        let positions_topic =
            PositionsTopic { cluster: target.clone(), flow: spec.name.clone(), source: spec.from.clone() };
        let offsets_topic =
            OffsetsTopic { cluster: target.clone(), flow: spec.name.clone(), source: spec.from.clone() };
        Self {
            spec: spec.clone(),
            source,
            target,
            positions_topic,
            book: PositionBook::default(),
            offsets_topic,
            maps: MapBook::new(mesh.maps.clone()),
            group_syncs: Mutex::default(),
            session: watch::Sender::new(None),
            store: Mutex::new(None),
            account: mesh.budget.account(),
            remembered: Remembered::default(),
            limits: LimitBook::default(),
            resolving: Semaphore::new(RESOLVING),
            groups: board.groups().clone(),
            board,
            metrics: mesh.telemetry.metrics().flow(&spec.name, &spec.from, &spec.to),
            generations: Generations::default(),
            memory: Mutex::default(),
            living: AtomicUsize::new(0),
            mesh,
        }
    }

    /// What the flow's next life begins with.
    pub(crate) fn memory(&self) -> FlowMemory {
        FlowMemory { generations: self.generations.all(), ..self.memory.lock().clone() }
    }

    /// Notes which topics were there when the flow first looked, for its next life.
    pub(crate) fn remember_first_topics(&self, first: Option<BTreeSet<TopicName>>) {
        self.memory.lock().first_topics = first;
    }

    /// Notes that an operator paused or resumed the flow, for its next life.
    pub(crate) fn remember_paused(&self, paused: bool) {
        self.memory.lock().paused = paused;
    }

    /// Notes how many partitions have an actor.
    pub(crate) fn set_living_partitions(&self, living: usize) {
        self.living.store(living, Ordering::Relaxed);
    }

    /// How many partitions have an actor.
    pub(crate) fn living_partitions(&self) -> usize {
        self.living.load(Ordering::Relaxed)
    }

    /// What a position depends on beside the logs: a change of it means other records were read.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(self.spec.isolation)
    }

    /// Whether the memory budget is used up to where a flow has to wait, or the source throttles what we read:
    /// standing still is then no fault.
    pub(crate) fn is_held_back(&self) -> bool {
        let (usable, free) = (self.account.usable_bytes(), self.account.free_bytes());
        free <= usable / 2 || self.source.wire().throttles_fetches()
    }

    /// Reports an event of the flow as a whole.
    pub(crate) fn report(&self, event: &Event) {
        self.mesh.telemetry.events().report(&Scope::flow(&self.spec.name), event);
    }

    /// Reports an event of one topic.
    pub(crate) fn report_topic(&self, topic: &TopicName, event: &Event) {
        self.mesh.telemetry.events().report(&Scope::topic(&self.spec.name, topic), event);
    }

    /// Reports an event of one partition.
    pub(crate) fn report_partition(&self, partition: &TopicPartition, event: &Event) {
        let scope = Scope::partition(&self.spec.name, &partition.topic, partition.partition);
        self.mesh.telemetry.events().report(&scope, event);
    }

    /// Notes that positions became durable.
    pub(crate) fn positions_saved(&self, count: usize) {
        self.board.positions_saved();
        self.metrics.positions_saved(count as u64);
    }

    /// Opens a lane in the session there is, or in the next one when that one is lost. Cancel safe.
    ///
    /// # Errors
    /// The engine refuses its settings, or the flow ends.
    pub(crate) async fn open_lane(
        &self,
        spec: &LaneSpec,
    ) -> Result<(Arc<dyn Session>, LaneOpened), EngineError> {
        let mut slot = self.session.subscribe();
        loop {
            let session = slot.borrow_and_update().clone();
            if let Some(session) = session {
                match session.open(spec.clone()).await {
                    Ok(opened) => return Ok((session, opened)),
                    Err(EngineError::SessionLost(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if slot.changed().await.is_err() {
                return Err(EngineError::SessionLost("the flow has ended".to_owned()));
            }
        }
    }
}
