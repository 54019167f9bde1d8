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
//! a broker, since librdkafka may forget all of them (`broker_watch`).
//!
//! What librdkafka doesn't let us do: it picks its own producer ids, so a request of a dead process that is still on
//! its way can't be fenced off; it doesn't hand out leader epochs, so batches carry −1 and a fetch starts without
//! one; it takes timestamp 0 for "now", so such records are written with 1 ms and reported.

mod acks;
mod batch_ack;
mod broker_watch;
mod classify;
mod context;
mod fetch_lane;
mod fetcher;
mod lane;
mod limits;
mod record_set;
mod refused_topics;
mod settings;
mod shared;
mod sink;
mod wake;

pub(super) use refused_topics::RefusedTopics;

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

use self::broker_watch::{BrokerWatch, WatchedCluster};
use self::context::{Origin, SourceContext, TargetContext};
use self::fetcher::{FetchOrder, Fetcher};
use self::lane::Lane;
use self::record_set::RecordSet;
use self::settings::{BATCH_BYTES, SourceSettings, TargetSettings};
use self::shared::Shared;
use self::sink::{RecordsSink, SinkKind};
use super::budget::{Account, FreedSubscription};
use super::lane_core::until;
use super::panic::panic_text;
use super::session_core::OnLost;
use super::{
    Batch, EngineError, LaneId, LaneOpened, LaneSpec, Session, SessionSpec, TargetLimits, WriteError,
};
use crate::config::client::ClientSettings;
use crate::formats::ProducerState;
use crate::model::{Alias, Codec, Fault, FaultKind, FlowName, Generation, WriteErrorClass};

/// A session of the `records` engine.
pub(super) struct RecordsSession {
    flow: FlowName,
    target_alias: Alias,
    target: ClientSettings,
    codec: Codec,
    account: Account,
    refused_topics: RefusedTopics,
    shared: Arc<Shared>,
    fetch: Mutex<Sender<FetchOrder>>,
    fetcher: Mutex<Option<JoinHandle<()>>>,
    broker_watch: Mutex<Option<tokio::task::JoinHandle<()>>>,
    _freed: FreedSubscription,
}

impl RecordsSession {
    /// Creates the clients and starts their threads.
    ///
    /// # Errors
    /// [`EngineError::Settings`] when librdkafka refuses its settings, or when one of them would break what
    /// mirroring depends on.
    #[expect(
        clippy::disallowed_methods,
        reason = "the session keeps the handle, and ends the task with itself"
    )]
    pub(super) fn start(spec: SessionSpec, on_lost: OnLost) -> Result<Arc<dyn Session>, EngineError> {
        let (source_alias, target_alias) = (spec.source.wire.alias(), spec.target.wire.alias());
        let group_id = format!("mirrormesh-{}", spec.flow);
        let config = settings::consumer(&SourceSettings {
            alias: source_alias.as_str(),
            client: &spec.source.settings,
            group_id: &group_id,
            isolation: spec.isolation,
            queue_bytes: spec.account.queue_bytes(),
            partitions: spec.expected_lanes,
        })?;
        let shared = Arc::new(Shared::new(on_lost));
        let origin = Origin { flow: spec.flow.to_string(), cluster: source_alias.to_string() };
        let mut consumer: BaseConsumer<SourceContext> = config
            .create_with_context(SourceContext::new(origin))
            .map_err(|error| refused(source_alias, &error))?;
        let wake = shared.wake.clone();
        consumer.set_nonempty_callback(move || wake.wake());

        let wake = shared.wake.clone();
        let (source, target) = (WatchedCluster::new(&spec.source), WatchedCluster::new(&spec.target));
        let freed = spec.account.on_freed(Arc::new(move || wake.freed()));
        let (fetch, orders) = channel();
        let session = Arc::new(Self {
            flow: spec.flow,
            target_alias: target_alias.clone(),
            target: spec.target.settings,
            codec: spec.codec,
            account: spec.account,
            refused_topics: spec.remembered.refused_topics,
            shared: shared.clone(),
            fetch: Mutex::new(fetch),
            fetcher: Mutex::new(None),
            broker_watch: Mutex::new(None),
            _freed: freed,
        });
        session.sink(SinkKind::Main)?;
        let consumer = Arc::new(consumer);
        let watch = BrokerWatch::new(shared.clone(), Arc::downgrade(&consumer), source, target);
        let fetcher = Fetcher::new(consumer, orders, shared.clone());
        *session.fetcher.lock() = Some(spawn_fetcher(&session.flow, shared, fetcher)?);
        *session.broker_watch.lock() = Some(tokio::spawn(watch.run()));
        Ok(session)
    }

    /// The sink of a kind, started when there is none.
    fn sink(&self, kind: SinkKind) -> Result<Arc<RecordsSink>, EngineError> {
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
                SinkKind::Main | SinkKind::Refused => BATCH_BYTES,
                SinkKind::Small(bytes) => bytes,
            },
        })?;
        let origin = Origin { flow: self.flow.to_string(), cluster: self.target_alias.to_string() };
        let shared = Arc::downgrade(&self.shared);
        let producer = config
            .create_with_context(TargetContext::new(origin))
            .map_err(|error| refused(&self.target_alias, &error))?;
        let sink = RecordsSink::start(
            (id, kind),
            self.flow.as_str(),
            Arc::new(producer),
            self.shared.limits.clone(),
            self.refused_topics.clone(),
            Box::new(move |reason| {
                if let Some(shared) = shared.upgrade() {
                    shared.sink_died(id, kind, &reason);
                }
            }),
        )?;
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
        if self.refused_topics.contains(topic) { SinkKind::Refused } else { SinkKind::Main }
    }

    async fn open_lane(&self, spec: LaneSpec) -> Result<LaneOpened, EngineError> {
        let core = &self.shared.core;
        core.check()?;
        let sink = self.sink(self.sink_kind(spec.target.topic.as_str()))?;
        self.order(FetchOrder::Stop(spec.source.clone()));
        let lane = core.lane_or(&spec.source, || Lane::new(&spec, sink.clone(), self.account.child()));
        lane.take_over(&spec);
        let mut outcome = None;
        until(lane.settled(), || {
            // Looked at after the lane was entered: whoever ends the session tells this lane, or is seen here.
            outcome = match core.check() {
                Err(ended) => Some(Err(ended)),
                Ok(()) => match lane.try_settle_open(spec.generation, &sink) {
                    Some(opened) => Some(Ok(opened)),
                    None if lane.core.is_held_by(spec.generation) => None,
                    None => Some(Err(EngineError::taken_over())),
                },
            };
            outcome.is_some()
        })
        .await;
        outcome.unwrap_or_else(|| Err(EngineError::taken_over()))
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
        for lane in self.shared.core.lanes() {
            until(lane.settled(), || lane.is_settled()).await;
        }
    }
}

impl Session for RecordsSession {
    fn open(&self, spec: LaneSpec) -> BoxFuture<'_, Result<LaneOpened, EngineError>> {
        self.open_lane(spec).boxed()
    }

    fn fetch(&self, lane: &LaneId, generation: Generation, offset: i64, _leader_epoch: i32) {
        if let Some(lane) = self.shared.core.lane(lane)
            && let Some(fetch) = lane.core.next_fetch(generation)
        {
            self.order(FetchOrder::Start { lane, fetch, offset });
        }
    }

    fn stop_fetch(&self, lane: &LaneId, generation: Generation) {
        if let Some(lane) = self.shared.core.lane(lane)
            && lane.core.next_fetch(generation).is_some()
        {
            self.order(FetchOrder::Stop(lane.id.clone()));
        }
    }

    fn write(&self, lane: &LaneId, generation: Generation, batch: Batch) {
        let Some(lane) = self.shared.core.lane(lane) else { return };
        let Batch { info, permit, body } = batch;
        let records = match body.into_records::<RecordSet>() {
            Ok(records) => records,
            Err(foreign) => {
                lane.fail_write(generation, WriteError::foreign("records", info.source_base, foreign));
                return;
            }
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
        let lane = self.shared.core.lane(lane);
        async move {
            let Some(lane) = lane else { return };
            if lane.core.next_fetch(generation).is_none() {
                return;
            }
            self.order(FetchOrder::Stop(lane.id.clone()));
            let (_, sink) = lane.target();
            sink.drained().await;
            until(lane.settled(), || lane.is_settled() || !lane.core.is_held_by(generation)).await;
            lane.core.close(generation);
        }
        .boxed()
    }

    fn shutdown(&self, deadline: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.order(FetchOrder::End);
            self.shared.core.shut_down(deadline, self.answered(), || self.shared.stop()).await;
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
            let watch = self.broker_watch.lock().take();
            if let Some(watch) = watch {
                // What it had to tell it has told.
                let _ = watch.await;
            }
        }
        .boxed()
    }

    fn set_target_limits(&self, remote_topic: &str, limits: TargetLimits) {
        self.shared.limits.set(remote_topic, limits);
        for lane in self.shared.core.lanes() {
            let (target, sink) = lane.target();
            let kind = self.sink_kind(remote_topic);
            if target.topic.as_str() != remote_topic || sink.kind == kind || sink.kind == SinkKind::Refused {
                continue;
            }
            // Its batches may be too large now: the lane goes on through another producer once it is opened again.
            if let Some(generation) = lane.core.holder() {
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
        self.shared.core.end("it was dropped".to_owned(), || self.shared.stop());
    }
}

fn spawn_fetcher(
    flow: &FlowName,
    shared: Arc<Shared>,
    fetcher: Fetcher,
) -> Result<JoinHandle<()>, EngineError> {
    let name = format!("fetch {flow}");
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| fetcher.run());
            if let Err(panic) = std::panic::catch_unwind(run) {
                shared.lose(format!("thread `{name}` panicked: {}", panic_text(&*panic)));
            }
        })
        .map_err(|error| no_thread(&error))
}

/// The system starts no thread: too many are running, or memory is short. Neither need last, so the flow tries again.
fn no_thread(error: &std::io::Error) -> EngineError {
    EngineError::SessionLost(format!("the system starts no thread for it: {error}"))
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
