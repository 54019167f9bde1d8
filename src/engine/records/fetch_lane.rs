//! One partition as the fetch thread sees it: its queue, and how far it was read.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;

use super::classify;
use super::context::SourceContext;
use super::lane::Lane;
use super::record_set::{HeaderMeasure, RECORD_OVERHEAD_BYTES, RecordSet};
use super::wake::Wake;
use crate::engine::budget::Permit;
use crate::engine::{Batch, Body, LaneId, SourceError};
use crate::model::BatchInfo;

/// What a quiet partition asks of the budget.
const SMALLEST_CHUNK_BYTES: usize = 64 << 10;
/// Most bytes of a batch: a second's worth of a busy partition, and little enough to share the budget with others.
const LARGEST_CHUNK_BYTES: usize = 1 << 20;
/// Most records of a batch.
const MOST_RECORDS: usize = 16_384;

/// A partition that is being fetched.
pub(super) struct FetchLane {
    lane: Arc<Lane>,
    fetch: u64,
    queue: PartitionQueue<SourceContext>,
    /// Where the next batch starts.
    next: i64,
    /// Bytes asked for: doubled while batches come out full, halved when they don't.
    chunk: usize,
    /// The largest record seen lately: a batch asks for room for one such.
    largest: usize,
    headers: HeaderMeasure,
    /// Whether the lane waits for its turn.
    enqueued: bool,
    /// Whether the last turn left something in the queue.
    has_more: bool,
}

/// How a turn ended.
pub(super) enum Turn {
    /// The queue is empty.
    Drained,
    /// There may be more.
    More,
    /// There is no credit.
    Hungry,
    /// The source can't be read.
    Failed(SourceError),
}

impl FetchLane {
    pub(super) fn new(
        lane: Arc<Lane>,
        fetch: u64,
        offset: i64,
        mut queue: PartitionQueue<SourceContext>,
        token: u64,
        wake: &Arc<Wake>,
    ) -> Self {
        let wake = wake.clone();
        queue.set_nonempty_callback(move || wake.ready(token));
        Self {
            lane,
            fetch,
            queue,
            next: offset,
            chunk: SMALLEST_CHUNK_BYTES,
            largest: 0,
            headers: HeaderMeasure::default(),
            enqueued: false,
            has_more: false,
        }
    }

    pub(super) fn id(&self) -> &LaneId {
        &self.lane.id
    }

    /// Marks the lane as waiting for its turn; false when it already does.
    pub(super) fn enqueue(&mut self) -> bool {
        !std::mem::replace(&mut self.enqueued, true)
    }

    /// Tells that fetching has ended.
    pub(super) fn fail(self, error: SourceError) {
        self.lane.core.source_failed(self.fetch, error);
    }

    /// Takes at most one batch out of the queue and hands it on.
    pub(super) fn turn(&mut self, context: &SourceContext) -> Turn {
        self.enqueued = false;
        let wanted = self.chunk.max(self.largest);
        let Some(mut permit) = self.lane.account.try_reserve(wanted as u64) else {
            if !self.has_more {
                // Whether there is anything to fetch isn't known: the lane doesn't count as blocked.
                self.lane.account.stop_waiting();
            }
            return Turn::Hungry;
        };
        let source_base = self.next;
        let mut records = RecordSet::with_capacity(self.capacity(), 0);
        let mut failure = None;
        let mut drained = false;
        while records.len() < MOST_RECORDS && records.budget_bytes() < wanted {
            match self.queue.poll(Duration::ZERO) {
                None => {
                    drained = true;
                    break;
                }
                Some(Ok(message)) => {
                    if message.offset() < self.next {
                        // A compressed batch is stored whole: librdkafka skips what precedes the offset asked for.
                        tracing::debug!(target: crate::engine::LOG, lane = %self.lane.id, offset = message.offset(), "record before the position");
                        continue;
                    }
                    let before = records.budget_bytes();
                    records.push_message(&message, &mut self.headers);
                    self.next = message.offset() + 1;
                    self.largest = self.largest.max(records.budget_bytes() - before + RECORD_OVERHEAD_BYTES);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    // Markers and aborted records behind the last record end here.
                    if let Some(end) = classify::end_offset(&context.take_reason()) {
                        self.next = self.next.max(end);
                    }
                }
                Some(Err(error)) => {
                    failure = Some(classify::source_failure(&error, &context.take_reason(), self.next));
                    break;
                }
            }
        }
        self.has_more = !drained;
        self.adapt(drained);
        if self.next > source_base {
            records.trim();
            permit.resize(records.budget_bytes() as u64);
            self.lane.core.fetched(self.fetch, batch(source_base, self.next, permit, records));
        }
        match failure {
            Some(error) => Turn::Failed(error),
            None if drained => Turn::Drained,
            None => Turn::More,
        }
    }

    fn capacity(&self) -> usize {
        // A quiet partition usually has a record or two.
        if self.has_more { self.chunk } else { 0 }
    }

    fn adapt(&mut self, drained: bool) {
        let chunk = if drained { self.chunk / 2 } else { self.chunk * 2 };
        self.chunk = chunk.clamp(SMALLEST_CHUNK_BYTES, LARGEST_CHUNK_BYTES);
        self.largest -= self.largest / 8;
    }
}

fn batch(source_base: i64, source_next: i64, permit: Permit, records: RecordSet) -> Batch {
    Batch {
        info: BatchInfo {
            source_base,
            source_next,
            records: u32::try_from(records.len()).expect("a set holds at most a few thousand records"),
            bytes: usize::try_from(permit.bytes()).unwrap_or(usize::MAX),
            // librdkafka knows it, rdkafka doesn't hand it out.
            leader_epoch: -1,
            max_timestamp_ms: records.max_timestamp_ms(),
        },
        permit,
        body: Body::Records(Box::new(records)),
    }
}
