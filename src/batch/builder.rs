//! Writing new batches.

use bytes::Bytes;

use super::cursor::{put_nullable, put_varlong};
use super::header::{HEADER_BYTES, TRANSACTIONAL};
use super::{BatchError, BatchProblem, Header};
use crate::model::Codec;

/// Builds one batch of magic 2, record by record.
///
/// Records are encoded as they are pushed and compressed at [`BatchBuilder::build`]. Without further settings the
/// batch has base offset 0, leader epoch −1 and no producer, as a plain producer sends it.
#[derive(Debug)]
pub struct BatchBuilder {
    codec: Codec,
    base_offset: i64,
    leader_epoch: i32,
    producer: (i64, i16, i32),
    transactional: bool,
    /// Base and largest timestamp; `None` before the first record.
    timestamps_ms: Option<(i64, i64)>,
    records: usize,
    next_delta: i64,
    body: Vec<u8>,
    /// One record while it is encoded; kept for its memory.
    scratch: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            base_offset: 0,
            leader_epoch: -1,
            producer: (-1, -1, -1),
            transactional: false,
            timestamps_ms: None,
            records: 0,
            next_delta: 0,
            body: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Sets the idempotent producer's id and epoch, and the sequence number of the first record.
    pub fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    /// Sets whether the batch is part of a transaction.
    pub fn transactional(mut self, transactional: bool) -> Self {
        self.transactional = transactional;
        self
    }

    /// Sets the leader epoch; brokers overwrite it.
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Sets the offset of the first record; brokers overwrite it.
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Appends a record, at the offset after the one before.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let (base_ms, max_ms) = self.timestamps_ms.unwrap_or((timestamp_ms, timestamp_ms));
        self.timestamps_ms = Some((base_ms, max_ms.max(timestamp_ms)));
        let record = &mut self.scratch;
        record.clear();
        record.push(0);
        put_varlong(record, timestamp_ms.wrapping_sub(base_ms));
        put_varlong(record, self.next_delta);
        put_nullable(record, key);
        put_nullable(record, value);
        put_varlong(record, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(record, Some(key));
            put_nullable(record, *value);
        }
        put_varlong(&mut self.body, self.scratch.len() as i64);
        self.body.extend_from_slice(&self.scratch);
        self.records += 1;
        self.next_delta += 1;
    }

    /// Leaves a gap of `count` offsets, as the cleaner does where it removes records. Brokers take no batch with
    /// gaps from a producer.
    pub fn skip_offsets(&mut self, count: u32) {
        self.next_delta += i64::from(count);
    }

    /// Records pushed so far.
    pub fn len_records(&self) -> usize {
        self.records
    }

    /// Bytes of the batch so far, before compression.
    pub fn len_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Finishes the batch. Fails if it has no record, or more records or bytes than the format can hold.
    pub fn build(self) -> Result<Bytes, BatchError> {
        let base_offset = self.base_offset;
        self.encode().map_err(|problem| problem.at(base_offset))
    }

    fn encode(self) -> Result<Bytes, BatchProblem> {
        let (base_ms, max_ms) =
            self.timestamps_ms.ok_or(BatchProblem::Malformed("a batch needs a record"))?;
        // Lengths inside the body are below that of the body: one check covers all.
        i32::try_from(self.body.len()).map_err(|_| BatchProblem::Overflow)?;
        let count = i32::try_from(self.records).map_err(|_| BatchProblem::Overflow)?;
        let last_delta = i32::try_from(self.next_delta - 1).map_err(|_| BatchProblem::Overflow)?;
        let body = match self.codec {
            Codec::None => self.body,
            codec => codec.compress(&self.body)?,
        };
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let header = Header {
            base_offset: self.base_offset,
            batch_length: 0,
            leader_epoch: self.leader_epoch,
            magic: 2,
            crc: 0,
            attributes: i16::from(self.codec.number()) | if self.transactional { TRANSACTIONAL } else { 0 },
            last_offset_delta: last_delta,
            base_timestamp_ms: base_ms,
            max_timestamp_ms: max_ms,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count: count,
        };
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
        out.extend_from_slice(&header.sealed(&body)?);
        out.extend_from_slice(&body);
        Ok(out.into())
    }
}
