//! What flows share of a cluster: its connection, its catalogue, its look-ups. Outlives the cluster's actor.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::batcher::Batcher;
use super::catalogue::{Catalogue, ClusterView};
use crate::config::client::ClientSettings;
use crate::model::status::{ClusterState, ClusterStatus, UpstreamStatus};
use crate::model::{Alias, EpochEnd, TopicPartition};
use crate::telemetry::clock;
use crate::topology::Isolation;
use crate::wire::{EpochQuery, ListedOffset, OffsetSpec, Wire, WireError, WireErrorKind};

/// Ends of partitions, by isolation.
pub type Ends = HashMap<(Isolation, TopicPartition), i64>;

/// A cluster as flows see it. Cheap to clone.
#[derive(Clone)]
pub struct ClusterHandle {
    inner: Arc<Inner>,
}

struct Inner {
    alias: Alias,
    wire: Wire,
    settings: ClientSettings,
    view: watch::Sender<ClusterView>,
    /// Held while a refresh runs; see [`ClusterHandle::refresh`].
    refreshing: tokio::sync::Mutex<()>,
    refreshes_started: AtomicU64,
    refreshed_at_ms: AtomicI64,
    interest: Mutex<HashMap<(Isolation, TopicPartition), usize>>,
    ends: watch::Sender<Arc<Ends>>,
    upstreams: Mutex<Vec<UpstreamStatus>>,
    offsets: Batcher<(TopicPartition, OffsetSpec, Isolation), ListedOffset>,
    epochs: Batcher<EpochQuery, EpochEnd>,
}

impl ClusterHandle {
    /// Makes the handle; nothing is asked yet. Call within a tokio runtime.
    pub fn new(alias: Alias, settings: ClientSettings) -> Result<Self, WireError> {
        let wire = Wire::new(alias.clone(), &settings)?;
        let offsets = Batcher::start(wire.clone(), list_offsets);
        let epochs = Batcher::start(wire.clone(), |wire: Wire, asks: Vec<EpochQuery>| async move {
            let answers = wire.epoch_ends_once(&asks).await?;
            let partitions = asks.into_iter().map(|ask| ask.partition);
            Ok(in_order(&wire, partitions, answers))
        });
        let inner = Inner {
            alias,
            wire,
            settings,
            view: watch::Sender::new(ClusterView::default()),
            refreshing: tokio::sync::Mutex::new(()),
            refreshes_started: AtomicU64::new(0),
            refreshed_at_ms: AtomicI64::new(-1),
            interest: Mutex::default(),
            ends: watch::Sender::new(Arc::default()),
            upstreams: Mutex::default(),
            offsets,
            epochs,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The cluster's alias.
    pub fn alias(&self) -> &Alias {
        &self.inner.alias
    }

    /// The connection.
    pub fn wire(&self) -> &Wire {
        &self.inner.wire
    }

    /// How clients talk to it.
    pub fn settings(&self) -> &ClientSettings {
        &self.inner.settings
    }

    /// Changes of state and catalogue.
    pub fn watch(&self) -> watch::Receiver<ClusterView> {
        self.inner.view.subscribe()
    }

    /// The newest catalogue.
    pub fn catalogue(&self) -> Option<Arc<Catalogue>> {
        self.inner.view.borrow().catalogue.clone()
    }

    /// Asks the cluster for a catalogue that is not older than this call. Callers at the same time share one
    /// request. Cancel safe.
    pub async fn refresh(&self) -> Result<Arc<Catalogue>, WireError> {
        let asked_after = self.inner.refreshes_started.load(Ordering::Acquire);
        let _turn = self.inner.refreshing.lock().await;
        // One that started after this call has ended while we waited for our turn: it is fresh enough.
        if self.inner.refreshes_started.load(Ordering::Acquire) > asked_after
            && let Some(catalogue) = self.reachable_catalogue()
        {
            return Ok(catalogue);
        }
        self.inner.refreshes_started.fetch_add(1, Ordering::AcqRel);
        let outcome = self.inner.wire.metadata(None).await.map(|m| Arc::new(Catalogue::from_metadata(&m)));
        if outcome.is_ok() {
            self.inner.refreshed_at_ms.store(clock::now_ms(), Ordering::Relaxed);
        }
        self.inner.view.send_if_modified(|view| view.take(&outcome));
        outcome
    }

    fn reachable_catalogue(&self) -> Option<Arc<Catalogue>> {
        let view = self.inner.view.borrow();
        view.catalogue.clone().filter(|_| view.state == ClusterState::Reachable)
    }

    /// Says that the end of a partition should be known; undone by [`ClusterHandle::forget`].
    pub fn observe(&self, isolation: Isolation, partition: TopicPartition) {
        *self.inner.interest.lock().entry((isolation, partition)).or_default() += 1;
    }

    /// Undoes one [`ClusterHandle::observe`].
    pub fn forget(&self, isolation: Isolation, partition: &TopicPartition) {
        let mut interest = self.inner.interest.lock();
        let key = (isolation, partition.clone());
        if let Some(count) = interest.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                interest.remove(&key);
            }
        }
    }

    /// The newest ends of the observed partitions.
    pub fn ends(&self) -> watch::Receiver<Arc<Ends>> {
        self.inner.ends.subscribe()
    }

    /// Asks for the ends of every observed partition, one request per broker and isolation, and publishes them.
    /// A partition whose end can't be had at once keeps none: it must not hold up the look at the cluster.
    pub async fn refresh_ends(&self) -> Result<(), WireError> {
        let observed: Vec<_> = self.inner.interest.lock().keys().cloned().collect();
        let mut ends = Ends::with_capacity(observed.len());
        for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
            let queries: Vec<_> = observed
                .iter()
                .filter(|(wanted, _)| *wanted == isolation)
                .map(|(_, partition)| (partition.clone(), OffsetSpec::Latest))
                .collect();
            if queries.is_empty() {
                continue;
            }
            for (partition, answer) in
                self.inner.wire.list_offsets_within(Duration::ZERO, &queries, isolation).await?
            {
                if let Ok(listed) = answer {
                    ends.insert((isolation, partition), listed.offset);
                }
            }
        }
        self.inner.ends.send_replace(Arc::new(ends));
        Ok(())
    }

    /// Looks up one offset; look-ups at the same time share requests.
    pub async fn offset(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<ListedOffset, WireError> {
        self.inner.offsets.ask((partition.clone(), spec, isolation)).await
    }

    /// Looks up where an epoch ends; look-ups at the same time share requests.
    pub async fn epoch_end(&self, partition: &TopicPartition, epoch: i32) -> Result<EpochEnd, WireError> {
        self.inner.epochs.ask(EpochQuery { partition: partition.clone(), epoch, current_epoch: -1 }).await
    }

    /// Replaces what the heartbeats tell of this cluster's upstreams.
    pub fn set_upstreams(&self, upstreams: Vec<UpstreamStatus>) {
        *self.inner.upstreams.lock() = upstreams;
    }

    /// For `/status`.
    pub fn status(&self) -> ClusterStatus {
        let view = self.inner.view.borrow().clone();
        let refreshed = self.inner.refreshed_at_ms.load(Ordering::Relaxed);
        let catalogue = view.catalogue.as_deref();
        ClusterStatus {
            alias: self.inner.alias.clone(),
            state: view.state,
            reason: view.reason,
            cluster_id: catalogue.and_then(|c| c.cluster_id.as_ref()).map(ToString::to_string),
            brokers: catalogue.map_or(0, |c| c.brokers),
            topics: catalogue.map_or(0, |c| c.topics.len()),
            catalogue_age_ms: (refreshed >= 0).then(|| clock::now_ms() - refreshed),
            throttled_ms: self.wire().throttled().into_iter().map(in_ms).collect(),
            upstreams: self.inner.upstreams.lock().clone(),
        }
    }
}

fn in_ms((call, time): (&'static str, Duration)) -> (String, u64) {
    (call.to_owned(), u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

async fn list_offsets(
    wire: Wire,
    asks: Vec<(TopicPartition, OffsetSpec, Isolation)>,
) -> Result<Vec<Result<ListedOffset, WireError>>, WireError> {
    // A ListOffsets request names a partition once, so each spec and isolation is a request of its own.
    let mut groups: Vec<((OffsetSpec, Isolation), Vec<usize>)> = Vec::new();
    for (index, (_, spec, isolation)) in asks.iter().enumerate() {
        match groups.iter_mut().find(|(key, _)| *key == (*spec, *isolation)) {
            Some((_, members)) => members.push(index),
            None => groups.push(((*spec, *isolation), vec![index])),
        }
    }
    let mut answers: Vec<Option<Result<ListedOffset, WireError>>> = asks.iter().map(|_| None).collect();
    for ((spec, isolation), members) in groups {
        let partitions = members.iter().map(|index| asks[*index].0.clone());
        // Two flows may ask the same of one source partition.
        let distinct: BTreeSet<_> = partitions.clone().collect();
        let queries: Vec<_> = distinct.into_iter().map(|partition| (partition, spec)).collect();
        let answered = match wire.list_offsets_within(Duration::ZERO, &queries, isolation).await {
            Ok(found) => in_order(&wire, partitions, found),
            Err(error) => members.iter().map(|_| Err(error.clone())).collect(),
        };
        for (index, answer) in members.into_iter().zip(answered) {
            answers[index] = Some(answer);
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

fn in_order<A: Clone>(
    wire: &Wire,
    partitions: impl Iterator<Item = TopicPartition>,
    answers: Vec<(TopicPartition, Result<A, WireError>)>,
) -> Vec<Result<A, WireError>> {
    let answers: HashMap<_, _> = answers.into_iter().collect();
    partitions
        .map(|partition| {
            let missing = || WireErrorKind::Lost(format!("the broker's answer leaves out {partition}"));
            answers.get(&partition).cloned().unwrap_or_else(|| Err(WireError::new(wire.alias(), missing())))
        })
        .collect()
}

#[cfg(test)]
mod tests;
