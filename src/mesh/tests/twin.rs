//! Two fake clusters, east and west, and meshes between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ractor::{ActorId, Message};
use tempfile::tempdir;

use crate::batch::Record;
use crate::config::{self, Loaded, Sources};
use crate::engine::Session;
use crate::fake::FakeCluster;
use crate::formats::{self, Position, PositionEntry};
use crate::mesh::flow::FlowMsg;
use crate::mesh::shared::{FlowContext, PartitionMsg};
use crate::mesh::{Mesh, MeshHandle};
use crate::model::status::{FlowState, FlowStatus, PartitionState, PartitionStatus};
use crate::store::ProcessIdentity;
use crate::telemetry::{EventRecord, Telemetry};
use crate::wire::ApiKey;

/// A cluster that is away is found to be so in a second, and back as soon.
const CLIENT: &str = "socket.connection.setup.timeout.ms: 1000, reconnect.backoff.max.ms: 200";

/// Where east's positions are, on west.
pub(super) const POSITIONS: &str = "__mirrormesh-positions.east";
/// The flow of most tests.
pub(super) const FLOW: &str = "east-west";

/// Writes a test that takes the engine's name once for each.
macro_rules! both_engines {
    ($($test:ident),* $(,)?) => {
        mod with_passthrough {
            $(#[tokio::test]
            async fn $test() {
                super::$test("passthrough").await;
            })*
        }
        mod with_records {
            $(#[tokio::test]
            async fn $test() {
                super::$test("records").await;
            })*
        }
    };
}
pub(super) use both_engines;

/// Two clusters of two brokers each.
pub(super) struct Twin {
    pub(super) east: FakeCluster,
    pub(super) west: FakeCluster,
}

impl Twin {
    /// Starts both.
    pub(super) async fn start() -> Self {
        let cluster = || FakeCluster::builder().brokers(2).start();
        Self { east: cluster().await, west: cluster().await }
    }

    /// Both, with `orders` of one partition on east and some records in it.
    pub(super) async fn with_orders(records: usize) -> Self {
        let twin = Self::start().await;
        twin.east.create_topic("orders", 1, &[]);
        twin.produce("first", records);
        twin
    }

    /// Appends records to `orders` on east, a batch each.
    pub(super) fn produce(&self, what: &str, records: usize) {
        for index in 0..records {
            let (key, value) = (format!("{what}-{index}"), format!("{what} {index}"));
            self.east.produce("orders", 0, &[(&key, &value)]);
        }
    }

    /// A topology with these flows, each `name: { keys }`, whose rounds are as short as they may be.
    pub(super) fn load(&self, flows: &[&str]) -> Loaded {
        let mut text = format!(
            "mesh: test\n\
             discovery: {{ interval: 100ms }}\npositions: {{ interval: 100ms }}\nshutdown: {{ timeout: 2s }}\n\
             clusters:\n  east: {{ bootstrap: '{}', client: {{ {CLIENT} }} }}\n  west: {{ bootstrap: '{}', client: {{ {CLIENT} }} }}\n\
             defaults:\n  heartbeats: {{ enabled: false }}\n  groups: {{ interval: 100ms }}\nflows:\n",
            self.east.bootstrap(),
            self.west.bootstrap()
        );
        for flow in flows {
            text += &format!("  {flow}\n");
        }
        let dir = tempdir().expect("there is room for a file");
        let file = dir.path().join("mesh.yaml");
        std::fs::write(&file, text).expect("the file can be written");
        config::load(&Sources { file, env: false, set: Vec::new() }).expect("the topology is sound")
    }

    /// Starts a mesh with these flows.
    pub(super) async fn mesh(&self, flows: &[&str]) -> Running {
        let telemetry = Telemetry::quiet();
        let handle = Mesh::start(&self.load(flows), ProcessIdentity::fresh(), telemetry.clone()).await;
        Running { handle: handle.expect("the settings are sound"), telemetry }
    }

    /// Starts a mesh that mirrors `orders` from east to west.
    pub(super) async fn mirror(&self, engine: &str) -> Running {
        self.mesh(&[&format!("{FLOW}: {{ from: east, to: west, topics: [orders], engine: {engine} }}")]).await
    }

    /// Waits until something is so; east is asked by every mesh ten times a second.
    pub(super) async fn until(&self, what: &str, done: impl Fn() -> bool) {
        self.east.until(what, |_| done()).await;
    }

    /// Waits until `orders` is on west with all its records, and asserts that each is there once, in its place.
    pub(super) async fn copied(&self) {
        let all = self.east.records("orders", 0).len();
        self.until("all records are on the target", || self.copy().len() >= all).await;
        self.assert_exact();
    }

    /// Asserts that west has the records of `orders` bit for bit, with their offsets, and nothing else.
    pub(super) fn assert_exact(&self) {
        assert_eq!(self.copy(), self.east.records("orders", 0));
    }

    /// The records of the copy of `orders`.
    pub(super) fn copy(&self) -> Vec<Record> {
        match self.west.topics().contains_key("east.orders") {
            true => self.west.records("east.orders", 0),
            false => Vec::new(),
        }
    }

    /// What is in the positions topic, oldest first.
    pub(super) fn stored(&self) -> Vec<PositionEntry> {
        if !self.west.topics().contains_key(POSITIONS) {
            return Vec::new();
        }
        let records = self.west.records(POSITIONS, 0).into_iter();
        let entries = records.map(|record| formats::decode(record.key.as_deref(), record.value.as_deref()));
        entries.map(|entry| entry.expect("the mesh wrote it")).collect()
    }

    /// The newest stored position of `orders`.
    pub(super) fn position(&self) -> Option<Position> {
        self.stored().into_iter().rev().find_map(|entry| match entry {
            PositionEntry::Position(key, Some(stored)) if key.source.topic == "orders".into() => {
                Some(stored.position)
            }
            _ => None,
        })
    }

    /// Waits until everything is copied and the position of the end is stored.
    pub(super) async fn saved(&self) {
        self.copied().await;
        let (_, end) = self.east.offsets("orders", 0);
        self.until("the position is stored", || self.position().is_some_and(|at| at.source_next == end))
            .await;
    }

    /// Waits until each cluster was asked for its topics some more times: what was to happen upon that has begun.
    pub(super) async fn some_looks(&self) {
        for cluster in [&self.east, &self.west] {
            cluster.await_count(ApiKey::Metadata, cluster.count(ApiKey::Metadata) + 5).await;
        }
    }
}

/// A mesh that runs.
pub(super) struct Running {
    pub(super) handle: MeshHandle,
    telemetry: Telemetry,
}

impl Running {
    /// Its only flow, or the first by name.
    pub(super) fn flow(&self) -> FlowStatus {
        self.handle.status().flows.swap_remove(0)
    }

    /// Whether the flow runs, and all its partitions stream.
    pub(super) fn streams(&self) -> bool {
        let flow = self.flow();
        let streams = |partition: &PartitionStatus| partition.state == PartitionState::Streaming;
        flow.state == FlowState::Running && !flow.partitions.is_empty() && flow.partitions.iter().all(streams)
    }

    /// The only partition of the flow, if it has one.
    pub(super) fn partition(&self) -> Option<PartitionStatus> {
        self.flow().partitions.pop()
    }

    /// All events of a name.
    pub(super) fn events(&self, name: &str) -> Vec<EventRecord> {
        let mut events = self.telemetry.events().latest();
        events.retain(|record| record.event == name);
        events
    }

    /// What the actors of the flow share.
    pub(super) fn context(&self) -> Arc<FlowContext> {
        self.handle.parts.flow(&self.flow().name).expect("the flow is there").clone()
    }

    /// The flow's session.
    pub(super) fn session(&self) -> Arc<dyn Session> {
        self.context().session.borrow().clone().expect("the flow has a session")
    }

    /// The actors of flows.
    pub(super) fn flow_actors(&self) -> BTreeSet<ActorId> {
        children_of::<FlowMsg>(&[self.handle.root.get_cell()]).iter().map(|cell| cell.get_id()).collect()
    }

    /// The actors of partitions.
    pub(super) fn partition_actors(&self) -> BTreeSet<ActorId> {
        let flows = children_of::<FlowMsg>(&[self.handle.root.get_cell()]);
        children_of::<PartitionMsg>(&flows).iter().map(|cell| cell.get_id()).collect()
    }

    /// Drains it; nothing is left behind.
    pub(super) async fn stop(self) {
        assert_eq!(self.handle.shutdown().await.left_behind, 0);
    }
}

fn children_of<M: Message>(parents: &[ractor::ActorCell]) -> Vec<ractor::ActorCell> {
    let children = parents.iter().flat_map(ractor::ActorCell::get_children);
    children.filter(|child| child.is_message_type_of::<M>() == Some(true)).collect()
}
