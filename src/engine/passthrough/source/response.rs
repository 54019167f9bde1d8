//! Which batches of a partition's answer are mirrored, and what is known of each.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::batch::{AbortedFilter, BatchContent, BatchError, RawBatch, split};
use crate::engine::SourceError;
use crate::model::{BatchInfo, Isolation};

/// Bytes before the part of a batch that its length field counts.
const PREFIX_BYTES: usize = 12;
/// Brokers take no larger request, so they store no larger batch (`socket.request.max.bytes`).
const LARGEST_BATCH_BYTES: usize = 100 << 20;

/// A partition's part of an answer.
pub(super) struct PartitionAnswer {
    /// What the broker sent: batches from the one that holds the wanted offset on, the last one maybe cut.
    pub(super) records: Bytes,
    /// Aborted transactions, as (producer id, first offset).
    pub(super) aborted: Vec<(i64, i64)>,
    /// Which records are mirrored.
    pub(super) isolation: Isolation,
    /// Where the batches before this answer ended.
    pub(super) wanted: i64,
    /// Epoch of the last batch before this answer.
    pub(super) last_epoch: i32,
}

/// How far an answer led.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Where to go on.
    pub(super) next: i64,
    /// Epoch of the last batch; −1 when it has none.
    pub(super) last_epoch: i32,
    /// A batch is damaged; what comes before it was handed on.
    pub(super) damage: Option<SourceError>,
    /// Nothing whole was there: the first batch takes so many bytes.
    pub(super) cut_bytes: Option<usize>,
}

impl PartitionAnswer {
    /// Hands the batches to be mirrored to `deliver`, in order, each starting where the one before it ended. What is
    /// passed over at the end of the answer is handed on as nothing stored, with the offsets it covers.
    pub(super) fn take(self, mut deliver: impl FnMut(BatchInfo, Option<RawBatch>)) -> Taken {
        let mut filter = AbortedFilter::new(self.aborted);
        let (mut next, mut base) = (self.wanted, self.wanted);
        let mut taken = Taken { next, last_epoch: self.last_epoch, damage: None, cut_bytes: None };
        match first_batch_bytes(&self.records) {
            Some(bytes) if bytes > LARGEST_BATCH_BYTES => {
                let detail = format!("its length field says {bytes} bytes, more than a broker stores");
                taken.damage = Some(SourceError::Corrupt { offset: next, detail });
                return taken;
            }
            Some(bytes) if bytes > self.records.len() => taken.cut_bytes = Some(bytes),
            _ => {}
        }
        for batch in split(self.records) {
            let read = batch.and_then(|batch| {
                batch.verify_crc()?;
                let read = read(&batch, next, self.isolation, &mut filter)?;
                Ok((batch, read))
            });
            let (batch, read) = match read {
                Ok(read) => read,
                Err(error) => {
                    taken.damage = Some(SourceError::Corrupt { offset: next, detail: error.to_string() });
                    break;
                }
            };
            if read.next <= next {
                continue;
            }
            next = read.next;
            taken.last_epoch = batch.header().leader_epoch;
            if read.records > 0 {
                deliver(info(&batch, base, next, read.records), Some(batch));
                base = next;
            }
        }
        if base < next {
            let passed = BatchInfo {
                source_base: base,
                source_next: next,
                records: 0,
                bytes: 0,
                leader_epoch: taken.last_epoch,
                max_timestamp_ms: -1,
            };
            deliver(passed, None);
        }
        taken.next = next;
        taken
    }
}

/// What a batch is to the lane.
struct Read {
    /// Records to be mirrored.
    records: u32,
    /// Where to go on after it.
    next: i64,
}

/// Looks at a batch whose checksum holds. It is opened only where its header doesn't tell how many of its records
/// lie at or above `wanted`.
fn read(
    batch: &RawBatch,
    wanted: i64,
    isolation: Isolation,
    filter: &mut AbortedFilter,
) -> Result<Read, BatchError> {
    let header = batch.header();
    let verdict = match isolation {
        Isolation::ReadCommitted => filter.takes(batch)?,
        Isolation::ReadUncommitted if header.is_control() => BatchContent::Control,
        Isolation::ReadUncommitted => BatchContent::Data,
    };
    let mut next = header.next_offset();
    if verdict != BatchContent::Data {
        return Ok(Read { records: 0, next });
    }
    let is_wrapped = header.magic < 2 && header.record_count < 0;
    let starts_before = next > wanted && header.base_offset < wanted;
    let records = if is_wrapped || (starts_before && header.record_count != 0) {
        let records = batch.records()?;
        // Some writers left the outer offset of a compressed message set 0: those inside count.
        next = records.last().map_or(next, |last| next.max(last.offset + 1));
        records.iter().filter(|record| record.offset >= wanted).count()
    } else {
        usize::try_from(header.record_count).unwrap_or(usize::MAX)
    };
    match u32::try_from(records) {
        Ok(records) if i64::from(records) <= i64::from(header.last_offset_delta) + 1 || is_wrapped => {
            Ok(Read { records, next })
        }
        // The count is wrong. Opening the batch tells in which way.
        _ => batch.records().map(|records| Read { records: records.len() as u32, next }),
    }
}

fn info(batch: &RawBatch, source_base: i64, source_next: i64, records: u32) -> BatchInfo {
    let header = batch.header();
    BatchInfo {
        source_base,
        source_next,
        records,
        bytes: batch.bytes().len(),
        leader_epoch: header.leader_epoch,
        max_timestamp_ms: header.max_timestamp_ms,
    }
}

/// Bytes of the batch that `data` starts with, as its length field says; `None` of no data, and of a negative length.
fn first_batch_bytes(data: &[u8]) -> Option<usize> {
    let Some(length) = data.get(8..PREFIX_BYTES) else {
        return (!data.is_empty()).then_some(PREFIX_BYTES);
    };
    usize::try_from(i32::from_be_bytes(length.try_into().ok()?)).ok()?.checked_add(PREFIX_BYTES)
}
