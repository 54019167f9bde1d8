//! Giving a batch another producer, without opening it.

use bytes::Bytes;

use super::checksum;
use super::header::{APPEND_TIME, CHECKED_FROM, CRC_AT, DELETE_HORIZON, HEADER_BYTES, TRANSACTIONAL, array};
use super::{BatchError, BatchProblem, Header, RawBatch};

/// Who writes a batch to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Id of the idempotent producer; −1 for none.
    pub producer_id: i64,
    /// Epoch of the idempotent producer; −1 for none.
    pub producer_epoch: i16,
    /// Sequence number of the batch's first record; −1 without an idempotent producer.
    pub base_sequence: i32,
}

/// A batch ready to be sent: a new header, and the records as they were stored.
///
/// The two are written one after the other (vectored), so that the records are not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restamped {
    /// The new header, base offset and length included.
    pub head: [u8; HEADER_BYTES],
    /// The records, compressed as they were; shares the memory of the batch it was made from.
    pub body: Bytes,
}

impl Restamped {
    /// Bytes of the whole batch.
    pub fn len_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }
}

impl RawBatch {
    /// Makes the batch one of the producer that `stamp` names. The body is neither copied nor read.
    ///
    /// Base offset 0 and leader epoch −1, as from any producer. Cleared are the flags that only a broker sets (append
    /// time, KIP-32; delete horizon, KIP-534: with it the target's cleaner would drop tombstones at once), and that of
    /// the source's transaction. The new checksum is derived from the stored one: a batch that
    /// [`RawBatch::verify_crc`] finds broken stays broken.
    ///
    /// Fails for batches that a producer can't send: those of magic 0 and 1, and control batches.
    pub fn restamp(&self, stamp: Stamp) -> Result<Restamped, BatchError> {
        let old = self.header();
        if old.magic < 2 {
            return Err(
                BatchProblem::NotSendable("its format is older than that of Kafka 0.11").at(old.base_offset)
            );
        }
        if old.is_control() {
            return Err(BatchProblem::NotSendable("it is a marker of the broker").at(old.base_offset));
        }
        let new = Header {
            base_offset: 0,
            leader_epoch: -1,
            attributes: old.attributes & !(APPEND_TIME | DELETE_HORIZON | TRANSACTIONAL),
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            ..*old
        };
        let body = self.bytes().slice(HEADER_BYTES..);
        let mut head = new.write();
        let crc = checksum::replaced_head(old.crc, &array(self.bytes(), 0), &head, body.len());
        head[CRC_AT..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok(Restamped { head, body })
    }
}
