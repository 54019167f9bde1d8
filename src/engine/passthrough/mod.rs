//! The passthrough engine: forwards stored batches unopened, over connections of our own.
//!
//! [`PassthroughSession`] is the seam's [`Session`]. `source` reads: one loop per source broker and connection, with
//! an incremental fetch session. `sink` writes: one sender per target broker, an idempotent producer per partition.
//! `lane` is what both know of a partition. Connections come and go under the session: it is lost only when one of
//! its tasks ends by a mistake of ours.

mod lane;
mod sink;
mod source;
mod ways;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use self::lane::Lane;
use self::sink::{Sink, SinkSpec};
use self::source::{Source, SourceSpec};
use self::ways::Ways;
use super::budget::Account;
use super::{Batch, EngineError, LaneEvent, LaneId, LaneOpened, LaneSpec, Session, TargetLimits};
use crate::formats::ProducerState;
use crate::model::{Codec, FlowName, Generation, Isolation};
use crate::wire::Wire;

/// Called once when a session ends by itself, with the reason. It must not block.
pub type OnLost = Box<dyn FnOnce(String) + Send>;

/// What a session is made of.
pub struct PassthroughSpec {
    /// The flow, for logs.
    pub flow: FlowName,
    /// Client of the source.
    pub source: Wire,
    /// Client of the target.
    pub target: Wire,
    /// Which records are mirrored.
    pub isolation: Isolation,
    /// How batches are compressed that must be built anew and whose own codec the target refuses.
    pub codec: Codec,
    /// `client.rack` of the source's consumer: read from a replica there (KIP-392).
    pub rack: Option<String>,
    /// The flow's share of the byte budget.
    pub account: Account,
}

/// Moves batches unopened. Dropping it ends its tasks; what is in flight then has an unknown outcome.
pub struct PassthroughSession {
    shared: Arc<Shared>,
    source: Source,
    sink: Sink,
    account: Account,
}

/// What the parts of a session share.
pub(super) struct Shared {
    lanes: Mutex<HashMap<LaneId, Arc<Lane>>>,
    ended: OnceLock<String>,
    on_lost: Mutex<Option<OnLost>>,
}

impl PassthroughSession {
    /// Starts a session; connections are made when they are needed. Call within a tokio runtime.
    pub fn start(spec: PassthroughSpec, on_lost: OnLost) -> Arc<Self> {
        let shared = Arc::new(Shared {
            lanes: Mutex::default(),
            ended: OnceLock::new(),
            on_lost: Mutex::new(Some(on_lost)),
        });
        let ways = Arc::new(Ways::default());
        let source = Source::start(
            SourceSpec {
                flow: spec.flow.clone(),
                wire: spec.source,
                isolation: spec.isolation,
                rack: spec.rack,
                account: spec.account.clone(),
                ways: ways.clone(),
            },
            shared.clone(),
        );
        let sink = Sink::start(
            SinkSpec { flow: spec.flow, wire: spec.target, codec: spec.codec, ways },
            shared.clone(),
        );
        Arc::new(Self { shared, source, sink, account: spec.account })
    }

    async fn open_lane(&self, spec: LaneSpec) -> Result<LaneOpened, EngineError> {
        self.shared.check()?;
        let (generation, target, producer) = (spec.generation, spec.target.clone(), spec.producer.clone());
        let lane = {
            let mut lanes = self.shared.lanes.lock();
            lanes
                .entry(spec.source.clone())
                .or_insert_with(|| Arc::new(Lane::new(&spec, self.account.child())))
                .clone()
        };
        lane.take_over(spec);
        self.source.stop_fetch(&lane);
        self.sink.settled(&lane).await;
        self.shared.check()?;
        if !lane.is_held_by(generation) {
            return Err(EngineError::SessionLost("the lane was opened again meanwhile".to_owned()));
        }
        self.sink.open(&lane, generation, target, producer).await;
        self.shared.check()?;
        if !lane.is_held_by(generation) {
            return Err(EngineError::SessionLost("the lane was opened again meanwhile".to_owned()));
        }
        Ok(LaneOpened { acknowledged: None })
    }
}

impl Session for PassthroughSession {
    fn open(&self, spec: LaneSpec) -> BoxFuture<'_, Result<LaneOpened, EngineError>> {
        self.open_lane(spec).boxed()
    }

    fn fetch(&self, lane: &LaneId, generation: Generation, offset: i64, leader_epoch: i32) {
        if let Some(lane) = self.shared.lane(lane)
            && let Some(fetch) = lane.next_fetch(generation)
        {
            self.source.start_fetch(lane, fetch, offset, leader_epoch);
        }
    }

    fn stop_fetch(&self, lane: &LaneId, generation: Generation) {
        if let Some(lane) = self.shared.lane(lane)
            && lane.next_fetch(generation).is_some()
        {
            self.source.stop_fetch(&lane);
        }
    }

    fn write(&self, lane: &LaneId, generation: Generation, batch: Batch) {
        if let Some(lane) = self.shared.lane(lane) {
            self.sink.write(&lane, generation, batch);
        }
    }

    fn producer(&self, lane: &LaneId) -> Option<ProducerState> {
        self.sink.producer(&*self.shared.lane(lane)?)
    }

    fn close(&self, lane: &LaneId, generation: Generation) -> BoxFuture<'_, ()> {
        let lane = self.shared.lane(lane);
        async move {
            let Some(lane) = lane else { return };
            if lane.next_fetch(generation).is_none() {
                return;
            }
            self.source.stop_fetch(&lane);
            self.sink.settled(&lane).await;
            lane.close(generation);
        }
        .boxed()
    }

    fn shutdown(&self, deadline: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.source.end().await;
            if self.shared.ended().is_none() {
                // Whoever was not answered by then learns it as a lost session, and looks at the target's tail.
                let _ = tokio::time::timeout(deadline, self.sink.drained()).await;
            }
            self.shared.end("it was shut down".to_owned());
            self.sink.end().await;
        }
        .boxed()
    }

    fn set_target_limits(&self, remote_topic: &str, limits: TargetLimits) {
        self.sink.set_limits(remote_topic, limits);
    }
}

impl Shared {
    /// The lane of a source partition.
    fn lane(&self, id: &LaneId) -> Option<Arc<Lane>> {
        self.lanes.lock().get(id).cloned()
    }

    /// Why the session has ended, if it has.
    fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    fn check(&self) -> Result<(), EngineError> {
        self.ended().map_or(Ok(()), |reason| Err(EngineError::SessionLost(reason.to_owned())))
    }

    /// The session has ended by itself: tells every lane, and whoever started it. Only the first call counts.
    fn lose(&self, reason: String) {
        if self.end(reason.clone()) {
            let on_lost = self.on_lost.lock().take();
            if let Some(on_lost) = on_lost {
                on_lost(reason);
            }
        }
    }

    /// Ends the session: every lane that is open is told. False when it had ended.
    fn end(&self, reason: String) -> bool {
        if self.ended.set(reason.clone()).is_err() {
            return false;
        }
        let lanes: Vec<_> = self.lanes.lock().values().cloned().collect();
        for lane in lanes {
            lane.lost(LaneEvent::SessionLost(reason.clone()));
        }
        true
    }
}
