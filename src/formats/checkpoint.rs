//! MirrorMaker 2's checkpoints (KIP-382): a group's offset on the source, translated to the target.

use super::FormatError;
use super::primitives::{Fields, put_text};

const RECORD: &str = "checkpoint";

/// A group's committed offset on both sides; written to `<source>.checkpoints.internal` on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The consumer group.
    pub group: String,
    /// The topic, by its name on the target.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The group's committed offset on the source.
    pub upstream_offset: i64,
    /// The offset on the target that it translates to.
    pub downstream_offset: i64,
    /// The metadata committed with the offset; empty if there was none.
    pub metadata: String,
}

impl Checkpoint {
    /// The record's key. Fails if a name has more than 32767 bytes.
    pub fn key(&self) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::with_capacity(8 + self.group.len() + self.topic.len());
        put_text(&mut out, RECORD, "group", &self.group)?;
        put_text(&mut out, RECORD, "topic", &self.topic)?;
        out.extend_from_slice(&self.partition.to_be_bytes());
        Ok(out)
    }

    /// The record's value, version 0. Fails if the metadata has more than 32767 bytes.
    pub fn value(&self) -> Result<Vec<u8>, FormatError> {
        let mut out = vec![0; size_of::<i16>()];
        out.extend_from_slice(&self.upstream_offset.to_be_bytes());
        out.extend_from_slice(&self.downstream_offset.to_be_bytes());
        put_text(&mut out, RECORD, "metadata", &self.metadata)?;
        Ok(out)
    }

    /// Reads a record.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, FormatError> {
        let mut key = Fields::of_key(RECORD, key)?;
        let mut value = Fields::of_value(RECORD, value)?;
        value.version_0()?;
        Ok(Self {
            group: key.text("group")?.to_owned(),
            topic: key.text("topic")?.to_owned(),
            partition: key.i32("partition")?,
            upstream_offset: value.i64("upstreamOffset")?,
            downstream_offset: value.i64("offset")?,
            metadata: value.text("metadata")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As MirrorMaker 2's own class writes it.
    const KEY: &[u8] = b"\0\x02g1\0\x03A.t\0\0\0\0";
    const VALUE: &[u8] = b"\0\0\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\x05\0\0";

    fn sample() -> Checkpoint {
        Checkpoint {
            group: "g1".into(),
            topic: "A.t".into(),
            partition: 0,
            upstream_offset: 10,
            downstream_offset: 5,
            metadata: String::new(),
        }
    }

    #[test]
    fn is_byte_for_byte_as_mm2_writes_it() {
        assert_eq!(sample().key().unwrap(), KEY);
        assert_eq!(sample().value().unwrap(), VALUE);
        assert_eq!(Checkpoint::decode(Some(KEY), Some(VALUE)).unwrap(), sample());
    }

    #[test]
    fn trailing_bytes_are_ignored() {
        let (key, value) = ([KEY, b"more"].concat(), [VALUE, b"more"].concat());
        assert_eq!(Checkpoint::decode(Some(&key), Some(&value)).unwrap(), sample());
    }

    #[test]
    fn every_truncation_is_told_as_such() {
        for end in 0..KEY.len() {
            let error = Checkpoint::decode(Some(&KEY[..end]), Some(VALUE)).unwrap_err();
            assert!(matches!(error, FormatError::Short { record: "checkpoint", .. }), "{end}: {error}");
        }
        for end in 0..VALUE.len() {
            let error = Checkpoint::decode(Some(KEY), Some(&VALUE[..end])).unwrap_err();
            assert!(matches!(error, FormatError::Short { record: "checkpoint", .. }), "{end}: {error}");
        }
    }

    #[test]
    fn missing_parts_and_other_versions_are_refused_by_name() {
        assert!(matches!(Checkpoint::decode(None, Some(VALUE)), Err(FormatError::NullKey { .. })));
        assert!(matches!(Checkpoint::decode(Some(KEY), None), Err(FormatError::NullValue { .. })));
        let value = [b"\0\x01", &VALUE[2..]].concat();
        let error = Checkpoint::decode(Some(KEY), Some(&value)).unwrap_err();
        assert!(matches!(error, FormatError::Version { version: 1, .. }), "{error}");
        let error = Checkpoint { metadata: "m".repeat(40_000), ..sample() }.value().unwrap_err();
        assert!(matches!(error, FormatError::TooLong { field: "metadata", .. }), "{error}");
    }

    proptest! {
        #[test]
        fn round_trips(
            group: String,
            topic: String,
            partition: i32,
            upstream_offset: i64,
            downstream_offset: i64,
            metadata: String,
        ) {
            let checkpoint =
                Checkpoint { group, topic, partition, upstream_offset, downstream_offset, metadata };
            let (key, value) = (checkpoint.key().unwrap(), checkpoint.value().unwrap());
            prop_assert_eq!(Checkpoint::decode(Some(&key), Some(&value)).unwrap(), checkpoint);
        }

        /// Whatever is accepted is what would be written: nothing is read that is not there.
        #[test]
        fn random_bytes_never_panic(key: Vec<u8>, value: Vec<u8>) {
            if let Ok(checkpoint) = Checkpoint::decode(Some(&key), Some(&value)) {
                prop_assert!(key.starts_with(&checkpoint.key().unwrap()));
                prop_assert!(value.starts_with(&checkpoint.value().unwrap()));
            }
        }
    }
}
