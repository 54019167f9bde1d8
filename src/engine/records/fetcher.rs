//! The thread that owns the consumer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::context::SourceContext;
use super::fetch_lane::{FetchLane, Turn};
use super::lane::Lane;
use super::shared::Shared;
use crate::engine::{LaneId, SourceError};

/// How often queues are looked at that didn't say they have something: guards against a lost wake-up.
const SWEEP: Duration = Duration::from_millis(100);
/// Queues looked at per sweep, so that ten thousand idle partitions cost next to nothing.
const SWEPT_QUEUES: usize = 256;

/// What the thread is told.
pub(super) enum FetchOrder {
    /// Fetch a lane from this offset on, under this number of its fetches.
    Start { lane: Arc<Lane>, fetch: u64, offset: i64 },
    /// Stop fetching a lane.
    Stop(LaneId),
    /// End the thread.
    End,
}

/// The consumer, and the lanes it fetches.
pub(super) struct Fetcher {
    consumer: Arc<BaseConsumer<SourceContext>>,
    orders: Receiver<FetchOrder>,
    shared: Arc<Shared>,
    /// Lanes by token; tokens are never used twice, so a late wake-up of an old queue hits nothing.
    lanes: HashMap<u64, FetchLane>,
    tokens: HashMap<LaneId, u64>,
    next_token: u64,
    /// Lanes that have, or may have, something in their queue.
    active: VecDeque<u64>,
    /// Lanes without credit.
    hungry: Vec<u64>,
    /// Every lane, in the order in which they are swept.
    sweep: VecDeque<u64>,
    last_error: Option<RDKafkaErrorCode>,
}

impl Fetcher {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<SourceContext>>,
        orders: Receiver<FetchOrder>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            consumer,
            orders,
            shared,
            lanes: HashMap::new(),
            tokens: HashMap::new(),
            next_token: 0,
            active: VecDeque::new(),
            hungry: Vec::new(),
            sweep: VecDeque::new(),
            last_error: None,
        }
    }

    /// Runs until told to end, or until the session has ended.
    pub(super) fn run(mut self) {
        self.shared.wake.attach();
        let mut ready = Vec::new();
        let mut swept = Instant::now();
        while self.shared.core.ended().is_none() {
            if let Err(reason) = self.take_orders() {
                if let Some(reason) = reason {
                    self.shared.lose(reason);
                }
                break;
            }
            if let Err(reason) = self.serve_main_queue() {
                self.shared.lose(reason);
                break;
            }
            self.shared.wake.take_ready(&mut ready);
            for token in ready.drain(..) {
                self.activate(token);
            }
            if self.shared.wake.take_freed() {
                for token in std::mem::take(&mut self.hungry) {
                    self.activate(token);
                }
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep();
            }
            match self.active.pop_front() {
                Some(token) => self.turn(token),
                None => {
                    self.shared.wake.wait(SWEEP);
                }
            }
        }
        // The queues hold the consumer: they go first. Dropping the consumer then closes it, on this thread.
        self.lanes.clear();
    }

    fn activate(&mut self, token: u64) {
        if let Some(lane) = self.lanes.get_mut(&token)
            && lane.enqueue()
        {
            self.active.push_back(token);
        }
    }

    fn sweep(&mut self) {
        for _ in 0..SWEPT_QUEUES.min(self.sweep.len()) {
            let Some(token) = self.sweep.pop_front() else { return };
            if self.lanes.contains_key(&token) {
                self.sweep.push_back(token);
                self.activate(token);
            }
        }
        for token in std::mem::take(&mut self.hungry) {
            self.activate(token);
        }
    }

    fn turn(&mut self, token: u64) {
        let Some(lane) = self.lanes.get_mut(&token) else { return };
        match lane.turn(self.consumer.client().context()) {
            Turn::Drained => {}
            Turn::More => self.activate(token),
            Turn::Hungry => self.hungry.push(token),
            Turn::Failed(error) => {
                if let Some(lane) = self.remove(token) {
                    self.unassign(std::slice::from_ref(&lane));
                    lane.fail(error);
                }
            }
        }
    }

    fn remove(&mut self, token: u64) -> Option<FetchLane> {
        let lane = self.lanes.remove(&token)?;
        self.tokens.remove(lane.id());
        Some(lane)
    }

    /// Carries out what was ordered; partitions come and go together, one call each. `Err` ends the thread.
    fn take_orders(&mut self) -> Result<(), Option<String>> {
        let mut stopped = Vec::new();
        let mut started: HashMap<LaneId, (Arc<Lane>, u64, i64)> = HashMap::new();
        loop {
            let order = match self.orders.try_recv() {
                Ok(order) => order,
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(None),
            };
            let id = match &order {
                FetchOrder::Start { lane, .. } => lane.id.clone(),
                FetchOrder::Stop(id) => id.clone(),
                FetchOrder::End => return Err(None),
            };
            let token = self.tokens.get(&id).copied();
            stopped.extend(token.and_then(|token| self.remove(token)));
            started.remove(&id);
            if let FetchOrder::Start { lane, fetch, offset } = order {
                started.insert(id, (lane, fetch, offset));
            }
        }
        if !stopped.is_empty() {
            self.unassign(&stopped);
            // Their queues go before the same partitions are split off again.
            drop(stopped);
        }
        if started.is_empty() { Ok(()) } else { self.assign(started).map_err(Some) }
    }

    fn assign(&mut self, started: HashMap<LaneId, (Arc<Lane>, u64, i64)>) -> Result<(), String> {
        let mut list = TopicPartitionList::with_capacity(started.len());
        let mut assigned = Vec::with_capacity(started.len());
        for (id, (lane, fetch, offset)) in started {
            let Some(queue) = self.consumer.split_partition_queue(id.topic.as_str(), id.partition) else {
                lane.core.source_failed(fetch, SourceError::UnknownPartition);
                continue;
            };
            if let Err(error) =
                list.add_partition_offset(id.topic.as_str(), id.partition, Offset::Offset(offset))
            {
                lane.core.source_failed(fetch, SourceError::Retriable(error.to_string()));
                continue;
            }
            let token = self.next_token;
            self.next_token += 1;
            self.tokens.insert(id, token);
            self.lanes.insert(token, FetchLane::new(lane, fetch, offset, queue, token, &self.shared.wake));
            self.sweep.push_back(token);
            assigned.push(token);
        }
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| format!("the consumer can't take on {} partitions: {error}", assigned.len()))
    }

    fn unassign(&self, lanes: &[FetchLane]) {
        let mut list = TopicPartitionList::with_capacity(lanes.len());
        for lane in lanes {
            list.add_partition(lane.id().topic.as_str(), lane.id().partition);
        }
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            self.shared.lose(format!("the consumer can't give up {} partitions: {error}", lanes.len()));
        }
    }

    /// Serves what is not about one partition. `Err` ends the session.
    fn serve_main_queue(&mut self) -> Result<(), String> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            let error = match event {
                Ok(message) => {
                    use rdkafka::Message;
                    return Err(format!(
                        "a record of {}-{} at offset {} came through the consumer's main queue",
                        message.topic(),
                        message.partition(),
                        message.offset()
                    ));
                }
                Err(error) => error,
            };
            let reason = self.consumer.client().context().take_reason();
            if let KafkaError::MessageConsumptionFatal(_) = error {
                return Err(format!("the consumer is finished: {reason}"));
            }
            // Whether a cluster answers is told by its catalogue: here a change is worth one line.
            let code = error.rdkafka_error_code();
            if code != self.last_error {
                tracing::warn!(target: crate::engine::LOG, error = %error, reason, "consumer error");
                self.last_error = code;
            }
        }
        Ok(())
    }
}
