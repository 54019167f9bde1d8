//! The `records` engine: rdkafka on both sides, decodes and re-encodes.

/// Decoded records of one batch.
#[derive(Debug)]
pub struct RecordSet {}
