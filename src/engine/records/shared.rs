//! What the parts of a session share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::lane::Lane;
use super::sink::{RecordsSink, SinkKind};
use super::wake::Wake;
use crate::engine::session_core::{OnLost, SessionCore, SessionLane};
use crate::engine::{LaneEvent, TargetLimits, WriteError};
use crate::model::{Fault, FaultKind, WriteErrorClass};

/// What target topics accept.
#[derive(Clone, Default)]
pub(super) struct Limits {
    topics: Arc<RwLock<HashMap<String, TargetLimits>>>,
}

impl Limits {
    /// Limits of a topic; Kafka's defaults when they weren't told.
    pub(super) fn of(&self, topic: &str) -> TargetLimits {
        self.topics.read().get(topic).copied().unwrap_or_default()
    }

    pub(super) fn set(&self, topic: &str, limits: TargetLimits) {
        self.topics.write().insert(topic.to_owned(), limits);
    }
}

/// State of a session.
pub(super) struct Shared {
    pub(super) core: SessionCore<Lane>,
    pub(super) limits: Limits,
    pub(super) wake: Arc<Wake>,
    pub(super) sinks: Mutex<HashMap<SinkKind, Arc<RecordsSink>>>,
    /// Sinks that were replaced; their threads are joined at the end.
    retired: Mutex<Vec<Arc<RecordsSink>>>,
    sink_ids: AtomicU64,
}

impl Shared {
    pub(super) fn new(on_lost: OnLost) -> Self {
        Self {
            core: SessionCore::new(on_lost),
            limits: Limits::default(),
            wake: Arc::default(),
            sinks: Mutex::default(),
            retired: Mutex::default(),
            sink_ids: AtomicU64::new(0),
        }
    }

    /// The session has ended by itself.
    pub(super) fn lose(&self, reason: String) {
        self.core.lose(reason, || self.stop());
    }

    /// Takes nothing more in: part of the session's end.
    pub(super) fn stop(&self) {
        self.wake.wake();
        for sink in self.all_sinks() {
            sink.stop();
        }
    }

    /// A sink's producer is finished. The main one takes the session with it; another one only its lanes, which
    /// get a new one when they are opened again.
    pub(super) fn sink_died(&self, id: u64, kind: SinkKind, reason: &str) {
        if kind == SinkKind::Main {
            self.lose(reason.to_owned());
            return;
        }
        if let Some(sink) = self.all_sinks().iter().find(|sink| sink.id == id) {
            sink.stop();
        }
        for lane in self.core.lanes() {
            let (target, bound) = lane.target();
            if bound.id != id {
                continue;
            }
            let fault = Fault::new(
                FaultKind::Other,
                format!("the producer that {target} shares with other refused topics has ended: {reason}"),
                "nothing to do: it is started anew",
            );
            let source_offset = lane.acknowledged_source().unwrap_or(-1);
            let class = WriteErrorClass::Session;
            lane.lost(LaneEvent::WriteFailed(WriteError { class, source_offset, fault }));
        }
    }

    /// Keeps a sink whose place was taken by another until its threads are joined.
    pub(super) fn retire(&self, sink: Arc<RecordsSink>) {
        self.retired.lock().push(sink);
    }

    /// A number for the next sink.
    pub(super) fn next_sink_id(&self) -> u64 {
        self.sink_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Every sink there is, those replaced included.
    pub(super) fn all_sinks(&self) -> Vec<Arc<RecordsSink>> {
        let mut sinks: Vec<_> = self.sinks.lock().values().cloned().collect();
        sinks.extend(self.retired.lock().iter().cloned());
        sinks
    }
}
