//! MirrorMaker 2's offset syncs (KIP-382): which target offset a source offset got.

use super::FormatError;
use super::primitives::{Fields, put_text};

const RECORD: &str = "offset sync";

/// A pair of offsets of one partition; written to `mm2-offset-syncs.<other>.internal`. It has no version field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetSync {
    /// The topic, by its name on the source.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offset on the source.
    pub upstream_offset: i64,
    /// Offset of the same record on the target.
    pub downstream_offset: i64,
}

impl OffsetSync {
    /// The record's key. Fails if the topic's name has more than 32767 bytes.
    pub fn key(&self) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::with_capacity(6 + self.topic.len());
        put_text(&mut out, RECORD, "topic", &self.topic)?;
        out.extend_from_slice(&self.partition.to_be_bytes());
        Ok(out)
    }

    /// The record's value.
    pub fn value(&self) -> Vec<u8> {
        [self.upstream_offset.to_be_bytes(), self.downstream_offset.to_be_bytes()].concat()
    }

    /// Reads a record.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, FormatError> {
        let mut key = Fields::of_key(RECORD, key)?;
        let mut value = Fields::of_value(RECORD, value)?;
        Ok(Self {
            topic: key.text("topic")?.to_owned(),
            partition: key.i32("partition")?,
            upstream_offset: value.i64("upstreamOffset")?,
            downstream_offset: value.i64("offset")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As MirrorMaker 2's own class writes it.
    const KEY: &[u8] = b"\0\x06topic1\0\0\0\x02";
    const VALUE: &[u8] = b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04";

    fn sample() -> OffsetSync {
        OffsetSync { topic: "topic1".into(), partition: 2, upstream_offset: 3, downstream_offset: 4 }
    }

    #[test]
    fn is_byte_for_byte_as_mm2_writes_it() {
        assert_eq!(sample().key().unwrap(), KEY);
        assert_eq!(sample().value(), VALUE);
        assert_eq!(OffsetSync::decode(Some(KEY), Some(VALUE)).unwrap(), sample());
    }

    #[test]
    fn trailing_bytes_are_ignored() {
        let (key, value) = ([KEY, b"more"].concat(), [VALUE, b"more"].concat());
        assert_eq!(OffsetSync::decode(Some(&key), Some(&value)).unwrap(), sample());
    }

    #[test]
    fn every_truncation_and_missing_part_is_told_as_such() {
        for end in 0..KEY.len() {
            let error = OffsetSync::decode(Some(&KEY[..end]), Some(VALUE)).unwrap_err();
            assert!(matches!(error, FormatError::Short { record: "offset sync", .. }), "{end}: {error}");
        }
        for end in 0..VALUE.len() {
            let error = OffsetSync::decode(Some(KEY), Some(&VALUE[..end])).unwrap_err();
            assert!(matches!(error, FormatError::Short { record: "offset sync", .. }), "{end}: {error}");
        }
        assert!(matches!(OffsetSync::decode(None, Some(VALUE)), Err(FormatError::NullKey { .. })));
        assert!(matches!(OffsetSync::decode(Some(KEY), None), Err(FormatError::NullValue { .. })));
    }

    proptest! {
        #[test]
        fn round_trips(topic: String, partition: i32, upstream_offset: i64, downstream_offset: i64) {
            let sync = OffsetSync { topic, partition, upstream_offset, downstream_offset };
            let (key, value) = (sync.key().unwrap(), sync.value());
            prop_assert_eq!(OffsetSync::decode(Some(&key), Some(&value)).unwrap(), sync);
        }

        /// Whatever is accepted is what would be written: nothing is read that is not there.
        #[test]
        fn random_bytes_never_panic(key: Vec<u8>, value: Vec<u8>) {
            if let Ok(sync) = OffsetSync::decode(Some(&key), Some(&value)) {
                prop_assert!(key.starts_with(&sync.key().unwrap()) && value.starts_with(&sync.value()));
            }
        }
    }
}
