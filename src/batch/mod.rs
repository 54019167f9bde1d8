//! Record batches as bytes: header view, record view, restamp, repack, builder, codecs. Pure.
//!
//! A fetch response is cut with [`split`] into [`RawBatch`]es, which share its memory. A batch is opened only on
//! demand, with [`RawBatch::records`]; [`AbortedFilter`] says which batches a `read_committed` reader skips.
//!
//! What goes to another cluster is forwarded unopened with [`RawBatch::restamp`], which gives it another producer.
//! [`carriage()`] says which batches must be opened after all; [`repack()`] writes their records anew.
//! [`BatchBuilder`] makes batches of single records. Magic 2 is read and written; magic 0 and 1, which logs from
//! before Kafka 0.11 still hold, are read only.
//!
//! Bytes from a broker are not trusted: lengths and counts are checked before anything is allocated for them, and
//! what a batch may take when it is opened is bounded. Whatever the bytes are, the answer is a [`BatchError`].

mod aborted;
mod allowance;
mod builder;
mod carriage;
mod checksum;
mod codec;
mod cursor;
mod error;
mod header;
mod legacy;
mod raw;
mod record;
mod repack;
mod restamp;
mod transcode;

#[cfg(test)]
mod tests;

pub use aborted::{AbortedFilter, BatchContent, ControlKind, control_kind};
pub use allowance::DEFAULT_LIMIT_BYTES;
pub use builder::BatchBuilder;
pub use carriage::{Acceptance, Carriage, Codecs, DropReason, OpenReason, OpenReasons, carriage};
pub use error::{BatchError, BatchProblem};
pub use header::{HEADER_BYTES, Header};
pub use raw::{RawBatch, Split, split};
pub use record::{Record, RecordHeader};
pub use repack::{Packed, RepackError, RepackProblem, Run, repack};
pub use restamp::{Restamped, Stamp};
