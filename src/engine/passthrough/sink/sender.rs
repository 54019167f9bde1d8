//! Sends to one target broker: a batch from each lane that is ready, in one request, over a connection of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::core::Core;
use super::fault::BrokerRefusal;
use super::outbox::BatchAnswer;
use crate::engine::passthrough::lane::Lane;
use crate::engine::passthrough::round_trip::MERGED_FROM;
use crate::model::TopicPartition;
use crate::wire::{Link, PartitionPart, ProduceParts, WireError};

/// Bytes of batches in a request, unless a single one is larger: enough to make the rest of a request not count, and
/// far below what brokers take (`socket.request.max.bytes`, 100 MiB).
const REQUEST_BYTES: usize = 8 << 20;
/// Requests without answer. Five batches of a partition go in five requests; twice as many keep a second set of
/// partitions from waiting for the first.
const REQUESTS: usize = 10;

/// Lanes that have something for a broker, each at most once.
#[derive(Default)]
pub(super) struct Queue {
    lanes: Mutex<VecDeque<Arc<Lane>>>,
    filled: Notify,
}

impl Queue {
    pub(super) fn push(&self, lane: Arc<Lane>) {
        self.lanes.lock().push_back(lane);
        self.filled.notify_one();
    }

    fn pop(&self) -> Option<Arc<Lane>> {
        self.lanes.lock().pop_front()
    }

    fn len(&self) -> usize {
        self.lanes.lock().len()
    }
}

/// A batch on its way.
struct SentBatch {
    lane: Arc<Lane>,
    serial: u64,
    target: TopicPartition,
}

/// A request on its way.
struct SentRequest {
    sent: Vec<SentBatch>,
    started: Instant,
    answer: BoxFuture<'static, Result<ProduceResponse, WireError>>,
}

/// A connection, and what was learned of it.
struct SenderConnection {
    link: Link,
    number: u64,
    /// The shortest answer, or round trip, so far: what the link alone takes, when nothing waits at its ends.
    shortest: Duration,
}

struct Sender {
    core: Arc<Core>,
    broker: i32,
    queue: Arc<Queue>,
    line: Option<SenderConnection>,
    requests: VecDeque<SentRequest>,
    failures: u32,
    /// No connection is tried before.
    pause_until: Instant,
}

/// Serves a broker's queue for as long as the session lives.
pub(super) async fn run(core: Arc<Core>, broker: i32, queue: Arc<Queue>) {
    let mut sender = Sender {
        core,
        broker,
        queue,
        line: None,
        requests: VecDeque::new(),
        failures: 0,
        pause_until: Instant::now(),
    };
    loop {
        while sender.may_send() && sender.queue.len() > 0 {
            sender.send().await;
        }
        let may_send = sender.may_send();
        let queue = sender.queue.clone();
        let oldest = sender.requests.front_mut().map(|request| &mut request.answer);
        tokio::select! {
            answer = async { match oldest { Some(answer) => answer.await, None => std::future::pending().await } } => {
                sender.answered(answer);
            }
            () = queue.filled.notified(), if may_send => {}
        }
    }
}

impl Sender {
    /// Whether another request may go out. A connection that takes no more is given up when all on it is answered.
    fn may_send(&mut self) -> bool {
        if self.requests.is_empty() && self.line.as_ref().is_some_and(|line| !line.link.is_usable()) {
            self.line = None;
        }
        self.requests.len() < REQUESTS && self.line.as_ref().is_none_or(|line| line.link.is_usable())
    }

    /// Sends one request, with what is ready.
    async fn send(&mut self) {
        if self.line.is_none() && !self.connect().await {
            return;
        }
        let (parts, sent) = self.gather();
        let Some(line) = &self.line else { return };
        if sent.is_empty() {
            return;
        }
        let started = Instant::now();
        match line.link.produce(parts).await {
            Ok(pending) => {
                self.requests.push_back(SentRequest { sent, started, answer: pending.answer().boxed() });
            }
            Err(error) => self.lost(sent, false, &error),
        }
    }

    /// Connects; when that fails, the lanes that wait look for another leader.
    async fn connect(&mut self) -> bool {
        let now = Instant::now();
        let outcome =
            if now < self.pause_until { None } else { Some(self.core.wire.link(self.broker).await) };
        match outcome {
            Some(Ok(link)) => {
                self.failures = 0;
                let (number, shortest) = (self.core.next_link(), link.round_trip());
                tracing::debug!(
                    target: crate::engine::LOG,
                    flow = %self.core.flow, broker = self.broker, address = link.broker(), round_trip = ?shortest,
                    "connected for writing"
                );
                self.line = Some(SenderConnection { link, number, shortest });
                return true;
            }
            Some(Err(error)) => {
                self.failures = self.failures.saturating_add(1);
                self.pause_until = Instant::now() + self.core.wire.reconnect_pause(self.failures);
                tracing::debug!(target: crate::engine::LOG, flow = %self.core.flow, broker = self.broker, %error, "can't connect for writing");
            }
            None => {}
        }
        for _ in 0..self.queue.len() {
            if let Some(lane) = self.queue.pop() {
                lane.writer.unrouted();
                self.core.guide(&lane);
            }
        }
        false
    }

    /// Takes one batch from each lane that is ready, as far as they fit.
    fn gather(&self) -> (ProduceParts, Vec<SentBatch>) {
        let mut taken: Vec<(SentBatch, PartitionPart)> = Vec::new();
        let Some(line) = &self.line else { return (ProduceParts::default(), Vec::new()) };
        let mut bytes = 0;
        for _ in 0..self.queue.len() {
            if bytes >= REQUEST_BYTES {
                break;
            }
            let Some(lane) = self.queue.pop() else { break };
            if let Some(given) = lane.writer.take(line.number, line.shortest >= MERGED_FROM) {
                if let Some(why) = given.opened {
                    tracing::debug!(target: crate::engine::LOG, flow = %self.core.flow, target = %given.target, why, "opened batches");
                }
                let batch = given.outgoing.batch;
                bytes += batch.len_bytes();
                let part =
                    PartitionPart { index: given.target.partition, head: batch.head, body: vec![batch.body] };
                let sent =
                    SentBatch { lane: lane.clone(), serial: given.outgoing.serial, target: given.target };
                taken.push((sent, part));
            }
            // What could not be packed is told; a lane that has more waits for the next request.
            self.core.tell(&lane);
            self.core.guide(&lane);
        }
        taken.sort_unstable_by(|(a, _), (b, _)| a.target.cmp(&b.target));
        let mut parts = ProduceParts::default();
        let mut sent = Vec::with_capacity(taken.len());
        for (one, part) in taken {
            match parts.topics.last_mut() {
                Some((topic, partitions)) if *topic == one.target.topic => partitions.push(part),
                _ => parts.topics.push((one.target.topic.clone(), vec![part])),
            }
            sent.push(one);
        }
        (parts, sent)
    }

    /// Takes the answer to the oldest request.
    fn answered(&mut self, answer: Result<ProduceResponse, WireError>) {
        let Some(request) = self.requests.pop_front() else { return };
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(target: crate::engine::LOG, flow = %self.core.flow, broker = self.broker, %error, "a write has no answer");
                return self.lost(request.sent, error.may_have_been_sent(), &error);
            }
        };
        if let Some(line) = &mut self.line {
            line.shortest = line.shortest.min(request.started.elapsed());
            self.core.round_trips.target_answered(line.shortest);
        }
        let mut answers = response
            .responses
            .iter()
            .flat_map(|topic| topic.partition_responses.iter().map(move |partition| (topic, partition)));
        for sent in request.sent {
            // Brokers may answer in any order; most keep that of the request.
            let is_its = |(topic, partition): &(&_, &PartitionProduceResponse)| {
                let topic: &kafka_protocol::messages::produce_response::TopicProduceResponse = topic;
                topic.name.as_str() == sent.target.topic.as_str() && partition.index == sent.target.partition
            };
            let found = answers.next().filter(is_its).or_else(|| {
                let all = response.responses.iter();
                all.flat_map(|topic| {
                    topic.partition_responses.iter().map(move |partition| (topic, partition))
                })
                .find(is_its)
            });
            let answer = match found {
                Some((_, partition)) => read(partition),
                None => BatchAnswer::Lost { sent: true, reason: "the answer leaves it out".to_owned() },
            };
            self.deliver(&sent, answer);
        }
    }

    fn deliver(&self, sent: &SentBatch, answer: BatchAnswer) {
        if !matches!(answer, BatchAnswer::Written(_)) {
            let (flow, target) = (&self.core.flow, &sent.target);
            tracing::debug!(target: crate::engine::LOG, %flow, %target, broker = self.broker, ?answer, "a batch was not written");
        }
        sent.lane.writer.answered(sent.serial, answer);
        self.core.tell(&sent.lane);
        self.core.guide(&sent.lane);
    }

    fn lost(&self, sent: Vec<SentBatch>, may_be_there: bool, error: &WireError) {
        let reason = error.to_string();
        for one in &sent {
            self.deliver(one, BatchAnswer::Lost { sent: may_be_there, reason: reason.clone() });
        }
    }
}

/// What the broker says about one batch.
fn read(partition: &PartitionProduceResponse) -> BatchAnswer {
    let Some(code) = partition.error_code.err() else { return BatchAnswer::Written(partition.base_offset) };
    let records = partition.record_errors.iter().map(|error| {
        let message = error.batch_index_error_message.as_ref().map(ToString::to_string);
        (u32::try_from(error.batch_index).unwrap_or(0), message)
    });
    BatchAnswer::Refused(BrokerRefusal {
        code,
        base_offset: partition.base_offset,
        message: partition.error_message.as_ref().map(ToString::to_string),
        records: records.collect(),
    })
}
