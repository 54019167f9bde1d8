//! What a partition remembers of idempotent producers, and which of their batches it takes
//! (`ProducerStateManager` and `ProducerAppendInfo` of Kafka).

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::error::ResponseError;
use mirrormesh::batch::Header;

/// Batches of a producer that are remembered, to know a repeated one.
const REMEMBERED: usize = 5;

/// A batch that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) base_offset: i64,
    pub(super) timestamp_ms: i64,
    first_sequence: i32,
    last_sequence: i32,
}

/// A producer.
#[derive(Clone, Debug, Default)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    pub(super) last_timestamp_ms: i64,
    /// Where its open transaction began.
    pub(super) transaction: Option<i64>,
    batches: VecDeque<Written>,
}

/// The producers of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Producers(BTreeMap<i64, Producer>);

/// The sequence number of a batch's last record; they begin again at 0 behind the largest.
fn last_sequence(header: &Header) -> i32 {
    let (first, delta) = (header.base_sequence, header.last_offset_delta);
    first.checked_add(delta).unwrap_or_else(|| delta - (i32::MAX - first) - 1)
}

impl Producer {
    /// Sequence of the last record it wrote; −1 when that was only a marker.
    pub(super) fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |written| written.last_sequence)
    }

    fn continues_with(&self, sequence: i32) -> bool {
        let last = self.last_sequence();
        last.checked_add(1).map_or(sequence == 0, |next| next == sequence)
    }
}

impl Producers {
    /// The producers by their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.0.iter().map(|(id, producer)| (*id, producer))
    }

    /// Whether a batch may be appended; `Ok(Some)` if it was already.
    pub(super) fn check(&self, header: &Header) -> Result<Option<Written>, ResponseError> {
        let known = self.0.get(&header.producer_id);
        let Some(known) = known.filter(|_| header.producer_id >= 0) else { return Ok(None) };
        let (first, last) = (header.base_sequence, last_sequence(header));
        if known.epoch == header.producer_epoch {
            let same = |old: &&Written| (old.first_sequence, old.last_sequence) == (first, last);
            if let Some(written) = known.batches.iter().find(same) {
                return Ok(Some(*written));
            }
        }
        if header.producer_epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let in_order =
            if header.producer_epoch > known.epoch { first == 0 } else { known.continues_with(first) };
        if in_order { Ok(None) } else { Err(ResponseError::OutOfOrderSequenceNumber) }
    }

    /// Takes note of a batch that was appended.
    pub(super) fn appended(&mut self, header: &Header) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.0.entry(header.producer_id).or_default();
        if producer.epoch != header.producer_epoch {
            producer.batches.clear();
        }
        producer.epoch = header.producer_epoch;
        producer.last_timestamp_ms = header.max_timestamp_ms;
        if header.is_control() {
            producer.transaction = None;
            return;
        }
        if header.is_transactional() {
            producer.transaction.get_or_insert(header.base_offset);
        }
        producer.batches.push_back(Written {
            base_offset: header.base_offset,
            timestamp_ms: header.max_timestamp_ms,
            first_sequence: header.base_sequence,
            last_sequence: last_sequence(header),
        });
        if producer.batches.len() > REMEMBERED {
            producer.batches.pop_front();
        }
    }

    /// Forgets a producer, as a broker does a day after its last batch.
    pub(super) fn forget(&mut self, id: i64) {
        self.0.remove(&id);
    }
}
