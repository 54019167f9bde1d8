//! What can be wrong with a batch.

use thiserror::Error;

use crate::model::Codec;

/// A batch that can't be read or built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("batch at offset {offset}: {problem}")]
pub struct BatchError {
    /// The offset in the batch's first eight bytes: its base offset, or the last offset of a magic 0 or 1 entry.
    pub offset: i64,
    /// What is wrong.
    pub problem: BatchProblem,
}

/// What is wrong with a batch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BatchProblem {
    /// The length field can't be that of a batch.
    #[error("its length field says {0} bytes, which no batch can have")]
    Length(i32),
    /// The format is newer than this program, or the bytes are no batch.
    #[error("its magic byte is {0}; formats 0 to 2 are known")]
    Magic(i8),
    /// The attributes name a compression that Kafka doesn't have, or not in this format.
    #[error("its attributes name compression {0}, which this format doesn't have")]
    UnknownCodec(u8),
    /// The bytes are not those that were written.
    #[error("its checksum is {computed:#010x}, but {stored:#010x} was stored with it")]
    Checksum {
        /// The checksum in the batch.
        stored: u32,
        /// The checksum of the bytes that are there.
        computed: u32,
    },
    /// Something in it contradicts the format.
    #[error("{0}")]
    Malformed(&'static str),
    /// The compressed part can't be read.
    #[error("its {codec} body can't be decompressed: {detail}")]
    Decompress {
        /// The compression.
        codec: Codec,
        /// What the library says.
        detail: String,
    },
    /// Writing the compressed part failed.
    #[error("its body can't be compressed with {codec}: {detail}")]
    Compress {
        /// The compression.
        codec: Codec,
        /// What the library says.
        detail: String,
    },
    /// Opening it would take more memory than allowed.
    #[error("opening it takes more than the {limit_bytes} bytes of memory that are allowed for one batch")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// No producer may send such a batch.
    #[error("no producer can send it: {0}")]
    NotSendable(&'static str),
    /// A batch being built outgrew what the format can hold.
    #[error("it has more records, or more bytes, than one batch can hold")]
    Overflow,
}

impl BatchProblem {
    /// The problem as an error of the batch at `offset`.
    pub(super) fn at(self, offset: i64) -> BatchError {
        BatchError { offset, problem: self }
    }
}
