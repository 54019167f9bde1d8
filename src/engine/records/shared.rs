//! What the parts of a session share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::lane::Lane;
use super::sink::{Sink, SinkKind};
use super::wake::Wake;
use crate::engine::{LaneEvent, LaneId, TargetLimits, WriteError};
use crate::model::{Fault, FaultKind, WriteErrorClass};

/// Called once when a session ends by itself, with the reason. It must not block.
pub type OnLost = Box<dyn FnOnce(String) + Send>;

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
    pub(super) limits: Limits,
    pub(super) wake: Arc<Wake>,
    pub(super) lanes: Mutex<HashMap<LaneId, Arc<Lane>>>,
    pub(super) sinks: Mutex<HashMap<SinkKind, Arc<Sink>>>,
    /// Sinks that were replaced; their threads are joined at the end.
    retired: Mutex<Vec<Arc<Sink>>>,
    sink_ids: AtomicU64,
    ended: OnceLock<String>,
    /// Tells the one task that waits for the end.
    over: Notify,
    on_lost: Mutex<Option<OnLost>>,
}

impl Shared {
    pub(super) fn new(on_lost: OnLost) -> Self {
        Self {
            limits: Limits::default(),
            wake: Arc::default(),
            lanes: Mutex::default(),
            sinks: Mutex::default(),
            retired: Mutex::default(),
            sink_ids: AtomicU64::new(0),
            ended: OnceLock::new(),
            over: Notify::new(),
            on_lost: Mutex::new(Some(on_lost)),
        }
    }

    /// The lane of a source partition.
    pub(super) fn lane(&self, id: &LaneId) -> Option<Arc<Lane>> {
        self.lanes.lock().get(id).cloned()
    }

    /// Why the session has ended, if it has.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Resolves when the session has ended. For one task only.
    pub(super) async fn over(&self) {
        while self.ended().is_none() {
            self.over.notified().await;
        }
    }

    /// The session has ended by itself: tells every lane and whoever started it. Only the first call counts.
    pub(super) fn lose(&self, reason: String) {
        if self.end(reason.clone()) {
            let on_lost = self.on_lost.lock().take();
            if let Some(on_lost) = on_lost {
                on_lost(reason);
            }
        }
    }

    /// Ends the session: nothing more is taken in, every lane that is open is told. False when it had ended.
    pub(super) fn end(&self, reason: String) -> bool {
        if self.ended.set(reason.clone()).is_err() {
            return false;
        }
        self.wake.wake();
        self.over.notify_one();
        for sink in self.all_sinks() {
            sink.stop();
        }
        let lanes: Vec<_> = self.lanes.lock().values().cloned().collect();
        for lane in lanes {
            lane.lost(LaneEvent::SessionLost(reason.clone()));
        }
        true
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
        let lanes: Vec<_> = self.lanes.lock().values().cloned().collect();
        for lane in lanes {
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
    pub(super) fn retire(&self, sink: Arc<Sink>) {
        self.retired.lock().push(sink);
    }

    /// A number for the next sink.
    pub(super) fn next_sink_id(&self) -> u64 {
        self.sink_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Every sink there is, those replaced included.
    pub(super) fn all_sinks(&self) -> Vec<Arc<Sink>> {
        let mut sinks: Vec<_> = self.sinks.lock().values().cloned().collect();
        sinks.extend(self.retired.lock().iter().cloned());
        sinks
    }
}
