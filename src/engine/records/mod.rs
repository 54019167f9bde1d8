//! The `records` engine: rdkafka on both sides, decodes and re-encodes.
//!
//! ```text
//!  source ──▶ consumer ──▶ fetch thread ──▶ lane's port … write ──▶ write thread ──▶ producer ──▶ target
//!             (a queue per partition,       (batches with           (sizes, keys,       │
//!              polled while it has credit)   a permit)               timestamps)    acks thread ──▶ lane's port
//! ```
//!
//! Nothing is done per record but copying it: into a [`RecordSet`] and into librdkafka's queue. A delivery report is
//! folded into its batch under a lock that nobody else wants. One task looks every ten seconds whether the clients have
//! a broker, since librdkafka may forget all of them (`watch`, `vigil`).
//!
//! What librdkafka doesn't let us do: it picks its own producer ids, so a request of a dead process that is still on
//! its way can't be fenced off; it doesn't hand out leader epochs, so batches carry −1 and a fetch starts without
//! one; it takes timestamp 0 for "now", so such records are written with 1 ms and reported.

mod acks;
mod batch_ack;
mod classify;
mod context;
mod fetch_lane;
mod fetcher;
mod lane;
mod limits;
mod record_set;
mod settings;
mod shared;
mod sink;
mod suspects;
mod vigil;
mod wake;
mod watch;

pub use record_set::{RecordRef, RecordSet};
pub use shared::OnLost;
pub use suspects::Suspects;
pub use watch::Answers;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;

use self::context::{Origin, SourceContext, TargetContext};
use self::fetcher::{FetchOrder, Fetcher};
use self::lane::Lane;
use self::settings::{BATCH_BYTES, SourceSettings, TargetSettings};
use self::shared::Shared;
use self::sink::{Sink, SinkKind};
use self::watch::{Side, Watch};
use super::budget::{Account, FreedSubscription};
use super::panic::panic_text;
use super::{Batch, Body, EngineError, LaneId, LaneOpened, LaneSpec, Session, TargetLimits, WriteError};
use crate::config::client::ClientSettings;
use crate::formats::ProducerState;
use crate::model::{Alias, Codec, Fault, FaultKind, FlowName, Generation, WriteErrorClass};
use crate::topology::Isolation;

/// What a session of the `records` engine needs.
pub struct RecordsSpec {
    /// The flow.
    pub flow: FlowName,
    /// The source cluster's alias, for messages.
    pub source_alias: Alias,
    /// The target cluster's alias, for messages.
    pub target_alias: Alias,
    /// How to talk to the source.
    pub source: ClientSettings,
    /// How to talk to the target.
    pub target: ClientSettings,
    /// Which records are read.
    pub isolation: Isolation,
    /// Compression of what is written.
    pub codec: Codec,
    /// The flow's account with the memory budget.
    pub account: Account,
    /// What the consumer's own queues may hold, in bytes, all partitions together.
    pub queue_bytes: u64,
    /// Partitions that will be open at a time, about: they share `queue_bytes`, and the share is fixed with the
    /// session.
    pub expected_partitions: usize,
    /// Target topics that refused something in an earlier session of the flow: keep one list per flow, and give
    /// it to each of its sessions.
    pub suspects: Suspects,
    /// Whether the source answers our own connection: only then is a client without brokers given up.
    pub source_answers: Answers,
    /// The same of the target.
    pub target_answers: Answers,
}

/// A session of the `records` engine.
pub struct RecordsSession {
    flow: FlowName,
    target_alias: Alias,
    target: ClientSettings,
    codec: Codec,
    account: Account,
    suspects: Suspects,
    shared: Arc<Shared>,
    fetch: Mutex<Sender<FetchOrder>>,
    fetcher: Mutex<Option<JoinHandle<()>>>,
    watch: Mutex<Option<tokio::task::JoinHandle<()>>>,
    _freed: FreedSubscription,
}

impl RecordsSession {
    /// Creates the clients and starts their threads. Connections are made in the background: a cluster that is
    /// away is no error. `on_lost` is called once, from a thread or task of the session, if it ends by itself. Call
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`EngineError::Settings`] when librdkafka refuses its settings, or when one of them would break what
    /// mirroring depends on.
    pub fn start(spec: RecordsSpec, on_lost: OnLost) -> Result<Arc<dyn Session>, EngineError> {
        let group_id = format!("mirrormesh-{}", spec.flow);
        let config = settings::consumer(&SourceSettings {
            alias: spec.source_alias.as_str(),
            client: &spec.source,
            group_id: &group_id,
            isolation: spec.isolation,
            queue_bytes: spec.queue_bytes,
            partitions: spec.expected_partitions,
        })?;
        let shared = Arc::new(Shared::new(on_lost));
        let origin = Origin { flow: spec.flow.to_string(), cluster: spec.source_alias.to_string() };
        let mut consumer: BaseConsumer<SourceContext> = config
            .create_with_context(SourceContext::new(origin))
            .map_err(|error| refused(&spec.source_alias, &error))?;
        let wake = shared.wake.clone();
        consumer.set_nonempty_callback(move || wake.wake());

        let wake = shared.wake.clone();
        let source = Side::new(&spec.source_alias, &spec.source, spec.source_answers);
        let target = Side::new(&spec.target_alias, &spec.target, spec.target_answers);
        let freed = spec.account.on_freed(Arc::new(move || wake.freed()));
        let (fetch, orders) = channel();
        let session = Arc::new(Self {
            flow: spec.flow,
            target_alias: spec.target_alias,
            target: spec.target,
            codec: spec.codec,
            account: spec.account,
            suspects: spec.suspects,
            shared: shared.clone(),
            fetch: Mutex::new(fetch),
            fetcher: Mutex::new(None),
            watch: Mutex::new(None),
            _freed: freed,
        });
        session.sink(SinkKind::Main)?;
        let consumer = Arc::new(consumer);
        let watch = Watch::new(shared.clone(), Arc::downgrade(&consumer), source, target);
        let fetcher = Fetcher::new(consumer, orders, shared.clone());
        *session.fetcher.lock() = Some(spawn_fetcher(&session.flow, shared, fetcher));
        *session.watch.lock() = Some(tokio::spawn(watch.run()));
        Ok(session)
    }

    /// The sink of a kind, started when there is none.
    fn sink(&self, kind: SinkKind) -> Result<Arc<Sink>, EngineError> {
        let mut sinks = self.shared.sinks.lock();
        match sinks.get(&kind) {
            Some(sink) if !sink.is_dead() => return Ok(sink.clone()),
            // The session is about to be told.
            Some(_) if kind == SinkKind::Main => {
                return Err(EngineError::SessionLost("its producer is finished".to_owned()));
            }
            _ => {}
        }
        let id = self.shared.next_sink_id();
        let config = settings::producer(&TargetSettings {
            alias: self.target_alias.as_str(),
            client: &self.target,
            codec: self.codec,
            budget_bytes: self.account.budget_bytes(),
            batch_bytes: match kind {
                SinkKind::Main | SinkKind::Suspect => BATCH_BYTES,
                SinkKind::Small(bytes) => bytes,
            },
        })?;
        let origin = Origin { flow: self.flow.to_string(), cluster: self.target_alias.to_string() };
        let shared = Arc::downgrade(&self.shared);
        let sink = Sink::start(
            (id, kind),
            self.flow.as_str(),
            &config,
            TargetContext::new(origin),
            self.shared.limits.clone(),
            self.suspects.clone(),
            Box::new(move |reason| {
                if let Some(shared) = shared.upgrade() {
                    shared.sink_died(id, kind, &reason);
                }
            }),
        )
        .map_err(|error| refused(&self.target_alias, &error))?;
        if let Some(replaced) = sinks.insert(kind, sink.clone()) {
            self.shared.retire(replaced);
        }
        Ok(sink)
    }

    /// Which sink a target topic is written through.
    fn sink_kind(&self, topic: &str) -> SinkKind {
        let limit = self.shared.limits.of(topic).max_message_bytes;
        if limit < BATCH_BYTES {
            // By powers of two: few producers, however many limits.
            return SinkKind::Small(1 << limit.max(1).ilog2());
        }
        if self.suspects.contains(topic) { SinkKind::Suspect } else { SinkKind::Main }
    }

    fn check(&self) -> Result<(), EngineError> {
        match self.shared.ended() {
            Some(reason) => Err(EngineError::SessionLost(reason.to_owned())),
            None => Ok(()),
        }
    }

    async fn open_lane(&self, spec: LaneSpec) -> Result<LaneOpened, EngineError> {
        self.check()?;
        let generation = spec.generation;
        let kind = self.sink_kind(spec.target.topic.as_str());
        let sink = self.sink(kind)?;
        self.order(FetchOrder::Stop(spec.source.clone()));
        let lane = {
            let mut lanes = self.shared.lanes.lock();
            match lanes.get(&spec.source) {
                Some(lane) => lane.clone(),
                None => {
                    let lane = Arc::new(Lane::new(spec.clone(), sink.clone(), self.account.child()));
                    lanes.insert(spec.source.clone(), lane.clone());
                    lane
                }
            }
        };
        lane.take_over(spec);
        loop {
            let settled = lane.settled();
            tokio::pin!(settled);
            settled.as_mut().enable();
            // Looked at after the lane was entered: whoever ends the session tells this lane, or is seen here.
            self.check()?;
            if let Some(opened) = lane.try_settle_open(generation, &sink) {
                return Ok(opened);
            }
            if !lane.is_held_by(generation) {
                return Err(EngineError::SessionLost("the lane was opened again meanwhile".to_owned()));
            }
            settled.await;
        }
    }

    fn order(&self, order: FetchOrder) {
        // The thread is gone only once the session has ended, which every lane is told.
        let _ = self.fetch.lock().send(order);
        self.shared.wake.wake();
    }

    /// Waits until every batch that was given to the session is answered.
    async fn answered(&self) {
        for sink in self.shared.all_sinks() {
            sink.drained().await;
        }
        let lanes: Vec<_> = self.shared.lanes.lock().values().cloned().collect();
        for lane in lanes {
            loop {
                let settled = lane.settled();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if lane.is_settled() {
                    break;
                }
                settled.await;
            }
        }
    }
}

impl Session for RecordsSession {
    fn open(&self, spec: LaneSpec) -> BoxFuture<'_, Result<LaneOpened, EngineError>> {
        self.open_lane(spec).boxed()
    }

    fn fetch(&self, lane: &LaneId, generation: Generation, offset: i64, _leader_epoch: i32) {
        if let Some(lane) = self.shared.lane(lane)
            && let Some(fetch) = lane.next_fetch(generation)
        {
            self.order(FetchOrder::Start { lane, fetch, offset });
        }
    }

    fn stop_fetch(&self, lane: &LaneId, generation: Generation) {
        if let Some(lane) = self.shared.lane(lane)
            && lane.next_fetch(generation).is_some()
        {
            self.order(FetchOrder::Stop(lane.id.clone()));
        }
    }

    fn write(&self, lane: &LaneId, generation: Generation, batch: Batch) {
        let Some(lane) = self.shared.lane(lane) else { return };
        let Batch { info, permit, body } = batch;
        let Body::Records(records) = body else {
            // Sessions don't share lanes: a batch of another engine never gets here but by a mistake of ours.
            let fault = Fault::new(FaultKind::Other, "a stored batch was given to the records engine", "");
            let class = WriteErrorClass::Session;
            lane.fail_write(generation, WriteError { class, source_offset: info.source_base, fault });
            return;
        };
        let sources = records.offsets().collect();
        if let Some((batch, sink)) = lane.begin_write(generation, &info, sources, permit) {
            sink.write(batch, records);
        }
    }

    fn producer(&self, _lane: &LaneId) -> Option<ProducerState> {
        // librdkafka keeps its producer ids to itself.
        None
    }

    fn close(&self, lane: &LaneId, generation: Generation) -> BoxFuture<'_, ()> {
        let lane = self.shared.lane(lane);
        async move {
            let Some(lane) = lane else { return };
            if lane.next_fetch(generation).is_none() {
                return;
            }
            self.order(FetchOrder::Stop(lane.id.clone()));
            let (_, sink) = lane.target();
            sink.drained().await;
            loop {
                let settled = lane.settled();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if lane.is_settled() || !lane.is_held_by(generation) {
                    break;
                }
                settled.await;
            }
            lane.close(generation);
        }
        .boxed()
    }

    fn shutdown(&self, deadline: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.order(FetchOrder::End);
            if self.shared.ended().is_none() {
                let _ = tokio::time::timeout(deadline, self.answered()).await;
            }
            self.shared.end("it was shut down".to_owned());
            let mut threads: Vec<_> = self.fetcher.lock().take().into_iter().collect();
            let sinks = self.shared.all_sinks();
            threads.extend(sinks.iter().flat_map(|sink| sink.threads()));
            let (done, closed) = oneshot::channel();
            let joiner = thread::Builder::new().name(format!("close {}", self.flow)).spawn(move || {
                for thread in threads {
                    // A panic of one of them was told when it happened.
                    let _ = thread.join();
                }
                let _ = done.send(());
            });
            if joiner.is_ok() {
                let _ = closed.await;
            }
            let watch = self.watch.lock().take();
            if let Some(watch) = watch {
                // What it had to tell it has told.
                let _ = watch.await;
            }
        }
        .boxed()
    }

    fn set_target_limits(&self, remote_topic: &str, limits: TargetLimits) {
        self.shared.limits.set(remote_topic, limits);
        let lanes: Vec<_> = self.shared.lanes.lock().values().cloned().collect();
        for lane in lanes {
            let (target, sink) = lane.target();
            let kind = self.sink_kind(remote_topic);
            if target.topic.as_str() != remote_topic || sink.kind == kind || sink.kind == SinkKind::Suspect {
                continue;
            }
            // Its batches may be too large now: the lane goes on through another producer once it is opened again.
            if let Some(generation) = lane.holder() {
                let fault = Fault::new(
                    FaultKind::TargetRefused,
                    format!("max.message.bytes of {remote_topic} is {} now", limits.max_message_bytes),
                    "nothing to do: the partition is opened again with smaller batches",
                );
                let source_offset = lane.acknowledged_source().unwrap_or(-1);
                let class = WriteErrorClass::Retry;
                lane.fail_write(generation, WriteError { class, source_offset, fault });
            }
        }
    }
}

impl Drop for RecordsSession {
    /// Without a shutdown before, the threads end by themselves and drop what is queued; lanes are told.
    fn drop(&mut self) {
        self.order(FetchOrder::End);
        self.shared.end("it was dropped".to_owned());
    }
}

fn spawn_fetcher(flow: &FlowName, shared: Arc<Shared>, fetcher: Fetcher) -> JoinHandle<()> {
    let name = format!("fetch {flow}");
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| fetcher.run());
            if let Err(panic) = std::panic::catch_unwind(run) {
                shared.lose(format!("thread `{name}` panicked: {}", panic_text(&*panic)));
            }
        })
        .expect("the system starts threads")
}

/// What librdkafka says of settings, without their values: they may be secrets.
fn refused(cluster: &Alias, error: &KafkaError) -> EngineError {
    let detail = match error {
        KafkaError::ClientConfig(_, text, key, value) => {
            let text = if value.is_empty() { text.clone() } else { text.replace(value.as_str(), "…") };
            format!("{key}: {text}")
        }
        other => other.to_string(),
    };
    EngineError::Settings { cluster: cluster.to_string(), detail }
}
