//! What the parts of the sink share.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::SinkSpec;
use super::prepare;
use super::producer_ids::ProducerIds;
use super::sender::{self, Queue};
use super::topic::Topic;
use super::writer::WriterStep;
use crate::engine::TargetLimits;
use crate::engine::panic::panic_text;
use crate::engine::passthrough::Shared;
use crate::engine::passthrough::lane::Lane;
use crate::engine::passthrough::round_trip::RoundTrips;
use crate::model::{Codec, FlowName};
use crate::wire::Wire;

/// What the parts of the sink share.
pub(super) struct Core {
    pub(super) flow: FlowName,
    pub(super) wire: Wire,
    pub(super) producer_ids: ProducerIds,
    pub(super) round_trips: Arc<RoundTrips>,
    codec: Codec,
    shared: Arc<Shared>,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    queues: Mutex<HashMap<i32, Arc<Queue>>>,
    /// Lanes that are to be prepared; each at most once.
    to_prepare: UnboundedSender<Arc<Lane>>,
    /// Numbers connections.
    links: AtomicU64,
    /// `None` once it has ended.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Core {
    pub(super) fn start(spec: SinkSpec, shared: Arc<Shared>) -> Arc<Self> {
        let (to_prepare, lanes) = unbounded_channel();
        let (producer_ids, questions) = ProducerIds::new();
        let core = Arc::new(Self {
            flow: spec.flow,
            wire: spec.wire,
            producer_ids,
            round_trips: spec.round_trips,
            codec: spec.codec,
            shared,
            topics: Mutex::default(),
            queues: Mutex::default(),
            to_prepare,
            links: AtomicU64::new(1),
            tasks: Mutex::new(Some(JoinSet::new())),
        });
        core.spawn("prepare", prepare::run(core.clone(), lanes));
        core.spawn("producer ids", super::producer_ids::run(core.clone(), questions));
        core.spawn("producer", super::producer_ids::prepare(core.clone()));
        core
    }

    /// Runs a task of the session. A panic in it ends the session.
    pub(super) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shared = self.shared.clone();
        if let Some(tasks) = &mut *self.tasks.lock() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move {
                if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                    shared
                        .lose(format!("task `{name}` of the sink panicked: {}", panic_text(&*panic)), || {});
                }
            });
        }
    }

    /// Ends all tasks, and with them all connections.
    pub(super) async fn end(&self) {
        let tasks = self.tasks.lock().take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    /// [`Core::end`], without waiting.
    pub(super) fn abort(&self) {
        drop(self.tasks.lock().take());
    }

    /// A number for a new connection.
    pub(super) fn next_link(&self) -> u64 {
        self.links.fetch_add(1, Ordering::Relaxed)
    }

    /// All lanes of the session.
    pub(super) fn lanes(&self) -> Vec<Arc<Lane>> {
        self.shared.lanes()
    }

    /// What a target topic takes.
    pub(super) fn topic(&self, name: &str) -> Arc<Topic> {
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get(name) {
            return topic.clone();
        }
        let topic = Arc::new(Topic::new(TargetLimits::default(), self.codec));
        topics.insert(name.to_owned(), topic.clone());
        topic
    }

    pub(super) fn set_limits(&self, name: &str, limits: TargetLimits) {
        self.topic(name).set(limits);
    }

    /// Tells what the lane has to tell.
    pub(super) fn tell(&self, lane: &Lane) {
        let mut done = Vec::new();
        let generation = lane.writer.generation();
        lane.core.tell(|| {
            // Freed one event later, and outside the writer's lock: it wakes others.
            done.clear();
            let told = lane.writer.next_event()?;
            done = told.done;
            Some((generation, told.event))
        });
        drop(done);
        lane.writer.tell_settled();
    }

    /// Takes the lane to where it has to go.
    pub(super) fn guide(self: &Arc<Self>, lane: &Arc<Lane>) {
        match lane.writer.step() {
            WriterStep::Nothing => {}
            WriterStep::Queue(broker) => self.queue(broker).push(lane.clone()),
            WriterStep::Prepare { tries: 0 } => self.prepare(lane.clone()),
            WriterStep::Prepare { tries } => {
                let (core, lane) = (self.clone(), lane.clone());
                self.spawn("pause", async move {
                    tokio::time::sleep(prepare::pause(tries)).await;
                    core.prepare(lane);
                });
            }
        }
    }

    fn prepare(&self, lane: Arc<Lane>) {
        // Who prepares them is gone only when the session is.
        let _ = self.to_prepare.send(lane);
    }

    /// The queue of a broker's sender, which is started with it.
    fn queue(self: &Arc<Self>, broker: i32) -> Arc<Queue> {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(&broker) {
            return queue.clone();
        }
        let queue = Arc::new(Queue::default());
        queues.insert(broker, queue.clone());
        drop(queues);
        self.spawn("sender", sender::run(self.clone(), broker, queue.clone()));
        queue
    }
}
