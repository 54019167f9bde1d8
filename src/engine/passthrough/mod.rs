//! The passthrough engine: forwards stored batches unopened, over connections of our own.
//!
//! [`PassthroughSession`] is the seam's [`Session`]. `source` reads: one loop per source broker and connection, with
//! an incremental fetch session. `sink` writes: one sender per target broker, an idempotent producer per partition.
//! `lane` is what both know of a partition. Connections come and go under the session: it is lost only when one of
//! its tasks ends by a mistake of ours.

mod lane;
mod round_trip;
mod sink;
mod source;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use self::lane::Lane;
use self::round_trip::RoundTrips;
use self::sink::{Sink, SinkSpec};
use self::source::{Source, SourceSpec};
use super::budget::Account;
use super::session_core::{OnLost, SessionCore};
use super::{Batch, EngineError, LaneId, LaneOpened, LaneSpec, Session, SessionSpec, TargetLimits};
use crate::formats::ProducerState;
use crate::model::Generation;

/// Moves batches unopened. Dropping it ends its tasks; what is in flight then has an unknown outcome.
pub(super) struct PassthroughSession {
    shared: Arc<Shared>,
    source: Source,
    sink: Sink,
    account: Account,
}

/// What the parts of a session share.
type Shared = SessionCore<Lane>;

impl PassthroughSession {
    /// Starts a session; connections are made when they are needed. Call within a tokio runtime.
    pub(super) fn start(spec: SessionSpec, on_lost: OnLost) -> Arc<Self> {
        let shared = Arc::new(Shared::new(on_lost));
        let round_trips = Arc::new(RoundTrips::default());
        let source = SourceSpec {
            flow: spec.flow.clone(),
            wire: spec.source.wire,
            isolation: spec.isolation,
            rack: spec.source.settings.rack,
            account: spec.account.clone(),
            round_trips: round_trips.clone(),
        };
        let source = Source::start(source, shared.clone());
        let codec = spec.codec;
        let sink = SinkSpec { flow: spec.flow, wire: spec.target.wire, codec, round_trips };
        let sink = Sink::start(sink, shared.clone());
        Arc::new(Self { shared, source, sink, account: spec.account })
    }

    async fn open_lane(&self, spec: LaneSpec) -> Result<LaneOpened, EngineError> {
        self.shared.check()?;
        let (generation, target, producer) = (spec.generation, spec.target.clone(), spec.producer.clone());
        let lane = self.shared.lane_or(&spec.source, || Lane::new(&spec, self.account.child()));
        lane.core.take_over(&spec, |()| {});
        self.source.stop_fetch(&lane);
        self.sink.settled(&lane).await;
        self.shared.check()?;
        if !lane.core.is_held_by(generation) {
            return Err(EngineError::taken_over());
        }
        self.sink.open(&lane, generation, target, producer).await;
        self.shared.check()?;
        if !lane.core.is_held_by(generation) {
            return Err(EngineError::taken_over());
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
            && let Some(fetch) = lane.core.next_fetch(generation)
        {
            self.source.start_fetch(lane, fetch, offset, leader_epoch);
        }
    }

    fn stop_fetch(&self, lane: &LaneId, generation: Generation) {
        if let Some(lane) = self.shared.lane(lane)
            && lane.core.next_fetch(generation).is_some()
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
            if lane.core.next_fetch(generation).is_none() {
                return;
            }
            self.source.stop_fetch(&lane);
            self.sink.settled(&lane).await;
            lane.core.close(generation);
        }
        .boxed()
    }

    fn shutdown(&self, deadline: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.source.end().await;
            self.shared.shut_down(deadline, self.sink.drained(), || {}).await;
            self.sink.end().await;
        }
        .boxed()
    }

    fn set_target_limits(&self, remote_topic: &str, limits: TargetLimits) {
        self.sink.set_limits(remote_topic, limits);
    }
}
